#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ldm_fuzz::server::desktop_entry(data));

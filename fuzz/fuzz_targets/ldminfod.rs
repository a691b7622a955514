#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ldm_fuzz::client::ldminfod(data));

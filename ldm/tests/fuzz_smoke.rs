//! A second of the fuzz targets (`fuzz/`) in every test run: their seeds, and fixed mutations of them.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../../fuzz/checks/client.rs"]
mod client;
#[path = "../../fuzz/checks/mutate.rs"]
mod mutate;

use std::path::Path;

#[test]
fn any_bytes_are_borne() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    for (name, check) in client::ALL {
        mutate::run(&seeds.join(name), 2000, *check);
    }
}

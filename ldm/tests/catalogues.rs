//! Every language the greeter speaks says all of it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::Command;

#[test]
fn the_catalogues_are_complete_and_not_behind_the_sources() {
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/../po/check.sh");
    let output = Command::new(check).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

//! `ldm-fake-greeter SOCKET`: a greeter without a will of its own. Started by the daemon as any greeter, as its greeter
//! user, it carries bytes between the daemon and the scenario that listens at SOCKET. Ends when either of them closes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use ldm_protocol::frame;
use ldm_tests::greeter::Hello;

fn main() -> Result<()> {
    let descriptors = descriptors()?;
    let control = std::env::args_os().nth(1).context("the scenario's socket is not named")?;
    let mut scenario = UnixStream::connect(control)?;
    let socket = std::env::var_os("GREETD_SOCK").context("there is no GREETD_SOCK")?;
    let env = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    frame::write(&mut scenario, &Hello { pid: std::process::id().cast_signed(), env, descriptors })?;
    let mut daemon = UnixStream::connect(socket)?;
    let (mut from_daemon, mut to_scenario) = (daemon.try_clone()?, scenario.try_clone()?);
    std::thread::spawn(move || {
        carry(&mut from_daemon, &mut to_scenario);
        // The daemon has closed: so ends a real greeter, too.
        std::process::exit(0);
    });
    carry(&mut scenario, &mut daemon);
    Ok(())
}

fn carry(from: &mut UnixStream, to: &mut UnixStream) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if to.write_all(buffer.get(..n).unwrap_or_default()).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn descriptors() -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/fd")?.flatten() {
        if let Ok(target) = std::fs::read_link(entry.path()) {
            let target = target.to_string_lossy().into_owned();
            // The one that this very look has open.
            if !target.ends_with("/fd") {
                found.insert(entry.file_name().to_string_lossy().into_owned(), target);
            }
        }
    }
    Ok(found)
}

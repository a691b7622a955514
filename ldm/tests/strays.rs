//! What a greeter leaves behind in a session of its own is ended with it. A process of its own: everything that this one
//! has not started through `sys` counts as a stray.

use std::io::Read;
use std::time::Duration;

use ldm::sys::{self, Spawn};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// Each process starts the next: as many generations as a hostile greeter may think of.
const CHAIN: &str = "trap '' TERM HUP
    if [ $DEPTH = 0 ]; then echo up >&9; else DEPTH=$((DEPTH - 1)) /bin/sh -c \"$CHAIN\" & fi
    sleep 1000; :";

#[tokio::test]
async fn what_left_its_group_is_ended_and_nothing_else() {
    sys::adopt_orphans().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut other = Spawn::new("/bin/sleep").arg("1000").start().unwrap();
    let mut greeter = Spawn::new("/bin/sh")
        .args(["-c", "setsid /bin/sh -c \"$CHAIN\" & wait"])
        .env("CHAIN", CHAIN)
        .env("DEPTH", "80")
        .env("PATH", "/usr/bin:/bin")
        .fd(9, writer.into())
        .start()
        .unwrap();
    let mut up = [0; 3];
    Read::read_exact(&mut reader, &mut up).unwrap();
    greeter.terminate(Duration::from_secs(5)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), sys::end_strays()).await.unwrap();
    // The pipe closes once the last of them is gone.
    let mut reader = Receiver::from_owned_fd(reader.into()).unwrap();
    let (mut rest, limit) = (Vec::new(), Duration::from_secs(10));
    tokio::time::timeout(limit, reader.read_to_end(&mut rest)).await.unwrap().unwrap();
    let ended = tokio::time::timeout(Duration::from_millis(1), other.wait()).await;
    assert!(ended.is_err(), "the wrong one was ended: {ended:?}");
}

//! What a greeter leaves behind in a session of its own is ended with it. A process of its own: everything that this one
//! has not started through `sys` counts as a stray.

use std::io::Read;
use std::time::Duration;

use ldm::sys::{self, Spawn};

#[tokio::test]
async fn what_left_its_group_is_ended_and_nothing_else() {
    sys::adopt_orphans().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut other = Spawn::new("/bin/sleep").arg("1000").start().unwrap();
    let mut greeter = Spawn::new("/bin/sh")
        .args(["-c", "setsid /bin/sh -c 'trap \"\" TERM HUP; echo up >&9; sleep 1000; :' & wait"])
        .env("PATH", "/usr/bin:/bin")
        .fd(9, writer.into())
        .start()
        .unwrap();
    let mut up = [0; 3];
    reader.read_exact(&mut up).unwrap();
    greeter.terminate(Duration::from_secs(5)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), sys::end_strays()).await.unwrap();
    // The pipe closes once the last of them is gone.
    let read = tokio::task::spawn_blocking(move || reader.read_to_end(&mut Vec::new()));
    tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap().unwrap();
    let ended = tokio::time::timeout(Duration::from_millis(1), other.wait()).await;
    assert!(ended.is_err(), "the wrong one was ended: {ended:?}");
}

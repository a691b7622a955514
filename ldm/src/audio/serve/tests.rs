use std::path::PathBuf;

use tokio::io::DuplexStream;
use tokio::net::UnixListener;

use super::*;

fn packet(command: u32, tag: u32, rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [10 + u32::try_from(rest.len()).unwrap(), u32::MAX, 0, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for number in [command, tag] {
        out.push(b'L');
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(rest);
    out
}

fn hello() -> Vec<u8> {
    let mut rest = vec![b'L', 0, 0, 0, 35, b'x', 0, 0, 1, 0];
    rest.resize(266, 0);
    packet(8, 0, &rest)
}

fn denied(tag: u32) -> Vec<u8> {
    packet(0, tag, &[b'L', 0, 0, 0, 1])
}

fn start(socket: PathBuf) -> (DuplexStream, tokio::task::JoinHandle<io::Result<()>>) {
    let (client, channel) = tokio::io::duplex(1024);
    let endpoint = Endpoint { socket, microphone: true, cookie: None };
    (client, tokio::spawn(async move { serve(channel, &endpoint).await }))
}

async fn expect(stream: &mut (impl AsyncRead + Unpin), wanted: &[u8]) {
    let mut got = vec![0; wanted.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn a_refusal_comes_between_the_daemons_frames() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("native")).unwrap();
    let (mut client, task) = start(dir.path().join("native"));
    client.write_all(&hello()).await.unwrap();
    let (mut daemon, _) = listener.accept().await.unwrap();
    expect(&mut daemon, &hello()).await;
    let reply = packet(2, 5, b"half");
    let (first, second) = reply.split_at(13);
    daemon.write_all(first).await.unwrap();
    expect(&mut client, first).await;
    client.write_all(&packet(51, 6, b"")).await.unwrap();
    client.write_all(&packet(20, 7, b"")).await.unwrap();
    // The daemon has seen what came after it, so the refusal is decided; it waits for the rest of the frame.
    expect(&mut daemon, &packet(20, 7, b"")).await;
    daemon.write_all(second).await.unwrap();
    expect(&mut client, second).await;
    expect(&mut client, &denied(6)).await;
    // And at once when nothing is on its way.
    client.write_all(&packet(7, 8, b"")).await.unwrap();
    expect(&mut client, &denied(8)).await;
    // The client's end is the daemon's, whose last words still arrive.
    client.shutdown().await.unwrap();
    expect(&mut daemon, b"").await;
    assert_eq!(daemon.read(&mut [0; 1]).await.unwrap(), 0);
    daemon.write_all(&packet(2, 9, b"")).await.unwrap();
    drop(daemon);
    expect(&mut client, &packet(2, 9, b"")).await;
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_answers_gets_no_more_questions_through() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("native")).unwrap();
    let (mut client, _task) = start(dir.path().join("native"));
    client.write_all(&hello()).await.unwrap();
    let (mut daemon, _) = listener.accept().await.unwrap();
    expect(&mut daemon, &hello()).await;
    // More than what lies between the two takes.
    let answer = packet(2, 5, &[0; 8192]);
    let (mut listen, mut tell) = daemon.split();
    tell.write_all(&answer).await.unwrap();
    let mut begin = vec![0; 100];
    client.read_exact(&mut begin).await.unwrap();
    let questions = packet(22, 7, b"").repeat(100_000);
    let mut asked = tokio::io::sink();
    tokio::select! {
        written = client.write_all(&questions) => panic!("all of it went through: {written:?}"),
        read = tokio::io::copy(&mut listen, &mut asked) => panic!("{read:?}"),
        () = tokio::time::sleep(Duration::from_mins(1)) => {}
    }
    // And as soon as they are read they do.
    let mut rest = vec![0; answer.len() - 100];
    client.read_exact(&mut rest).await.unwrap();
    let mut byte = [0];
    listen.read_exact(&mut byte).await.unwrap();
}

#[tokio::test]
async fn who_breaks_the_rules_is_cut_off_and_the_daemon_is_not_asked() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("native")).unwrap();
    let (mut client, task) = start(dir.path().join("native"));
    client.write_all(b"GET / HTTP/1.0\r\n\r\n....").await.unwrap();
    assert_eq!(task.await.unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    let (mut client, task) = start(dir.path().join("native"));
    client.write_all(&hello()).await.unwrap();
    // The first connection is of who kept the rules so far.
    let (mut daemon, _) = listener.accept().await.unwrap();
    expect(&mut daemon, &hello()).await;
    client.write_all(&[0; 20]).await.unwrap();
    assert_eq!(task.await.unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(daemon.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_away_for_a_moment_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("native");
    // One that was killed leaves its socket.
    drop(UnixListener::bind(&path).unwrap());
    let (mut client, task) = start(path.clone());
    client.write_all(&hello()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    std::fs::remove_file(&path).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let listener = UnixListener::bind(&path).unwrap();
    let (mut daemon, _) = listener.accept().await.unwrap();
    expect(&mut daemon, &hello()).await;
    drop((client, daemon));
    task.await.unwrap().unwrap();

    let (mut client, task) = start(dir.path().join("never"));
    client.write_all(&hello()).await.unwrap();
    let error = task.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("never cannot be reached"), "{error}");

    let (_client, task) = start(dir.path().join("never"));
    assert_eq!(task.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
}

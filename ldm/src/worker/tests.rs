use std::time::Duration;

use ldm_protocol::frame::{Decoder, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// The daemon's side of a worker that runs in a task.
struct Daemon {
    stream: UnixStream,
    decoder: Decoder,
    worker: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Daemon {
    fn new() -> Self {
        let (stream, theirs) = UnixStream::pair().unwrap();

        Self { stream, decoder: Decoder::new(), worker: tokio::spawn(serve_stream(theirs, None)) }
    }

    async fn send(&mut self, command: &Command) {
        self.stream.write_all(&encode(command).unwrap()).await.unwrap();
    }

    /// The next event; `None` once the worker has ended.
    async fn event(&mut self) -> Option<Event> {
        tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                if let Some(event) = self.decoder.next_message().unwrap() {
                    return Some(event);
                }
                let mut buffer = [0; 1024];
                let count = self.stream.read(&mut buffer).await.unwrap();
                if count == 0 {
                    return None;
                }
                self.decoder.push(&buffer[..count]);
            }
        })
        .await
        .expect("timed out")
    }

    async fn failure(&mut self) -> FailureKind {
        match self.event().await {
            Some(Event::Failed(failure)) => failure.kind,
            other => panic!("{other:?}"),
        }
    }
}

fn connect(server: &str) -> Command {
    Command::Connect(Connect { servers: vec![server.into()], port: 22, ..Connect::default() })
}

#[tokio::test]
async fn the_daemons_end_ends_the_worker() {
    // A server that accepts and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut daemon = Daemon::new();
    daemon.send(&connect(&silent.local_addr().unwrap().to_string())).await;
    let Daemon { stream, worker, .. } = daemon;
    drop(stream);
    tokio::time::timeout(Duration::from_secs(5), worker).await.expect("the worker stays").unwrap().unwrap();
}

#[tokio::test]
async fn commands_out_of_order_are_a_defect() {
    for command in
        [Command::Login { username: "al".into(), key: None }, Command::Stop, Command::Answer { response: None }]
    {
        let mut daemon = Daemon::new();
        daemon.send(&command).await;
        assert_eq!(daemon.failure().await, FailureKind::Internal);
        assert!(daemon.event().await.is_none());
        daemon.worker.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn frames_that_are_none_end_the_worker() {
    for bytes in [u32::MAX.to_ne_bytes().to_vec(), [5_u32.to_ne_bytes().as_slice(), b"{nono"].concat()] {
        let mut daemon = Daemon::new();
        daemon.stream.write_all(&bytes).await.unwrap();
        assert!(daemon.event().await.is_none());
        daemon.worker.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut daemon = Daemon::new();
    daemon.send(&connect(&gone.to_string())).await;
    assert_eq!(daemon.failure().await, FailureKind::ServerRefused);
}

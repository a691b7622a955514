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

#[test]
fn what_a_server_tells_fits_a_frame_with_the_whole_user_or_without() {
    use ldm_protocol::client::Elsewhere;
    use ldm_protocol::helper::{Group, SessionEntry, UserRecord};
    let told = |info: Info| {
        let event = sessions(info.sanitised());
        assert!(encode(&event).is_ok(), "it does not fit");
        let Event::Sessions(info) = event else { panic!("{event:?}") };
        info
    };
    // Each byte of these takes two in JSON.
    let entry = |n: usize| SessionEntry {
        id: format!("{n:02}{}", "\"".repeat(limits::SESSION_ID - 2)),
        name: "\"".repeat(limits::SESSION_NAME),
        comment: Some("\"".repeat(limits::SESSION_COMMENT)),
    };
    let group = |n: u32, length: usize| Group { name: "\"".repeat(length), gid: u32::MAX - n };
    let user = |groups: u32, length: usize| UserRecord {
        name: "alice".into(),
        groups: (0..groups).map(|n| group(n, length)).collect(),
        ..UserRecord::default()
    };
    let worst = |user: UserRecord| Info {
        sessions: (0..limits::SESSIONS).map(entry).collect(),
        languages: (0..limits::LANGUAGES).map(|n| format!("xx_{n:013}")).collect(),
        xsession: Some("\"".repeat(limits::PROMPT)),
        runtime_dir: Some("/".repeat(limits::PLAIN_PATH)),
        elsewhere: vec![Elsewhere::default(); 100],
        user: Some(user),
        ..Info::default()
    };
    let usual = told(Info { sessions: vec![entry(0)], user: Some(user(100, 20)), ..Info::default() });
    assert!(usual.user.is_some() && usual.sessions[0].comment.is_some());
    // A list of that size is no reason to keep somebody out.
    let long = told(worst(user(256, 20)));
    assert_eq!(long.user.map(|user| user.groups.len()), Some(256));
    assert_eq!(long.sessions.len(), limits::SESSIONS);
    // All or nothing.
    for (groups, length) in [(256, 63), (300, 1), (1, 20_000), (1, 60_000)] {
        let info = told(worst(user(groups, length)));
        assert!(info.user.is_none_or(|user| user.groups.len() == groups as usize));
        assert_eq!(info.sessions.len(), limits::SESSIONS);
    }
    assert_eq!(told(worst(user(300, 1))).user, None);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut daemon = Daemon::new();
    daemon.send(&connect(&gone.to_string())).await;
    assert_eq!(daemon.failure().await, FailureKind::ServerRefused);
}

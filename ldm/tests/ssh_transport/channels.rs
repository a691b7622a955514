//! What runs over a connection, and what the server may not do on it.

use std::time::Duration;

use ldm::ssh::{ByteStream, ExitStatus, MAX_X11_CHANNELS, Reason, Target, X11Request, connect};
use russh::server::Handle;
use russh::{ChannelOpenFailure, Sig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::server::{Script, Seen, Server, Setup, within};

fn x11(capacity: usize) -> (X11Request, mpsc::Receiver<ByteStream>) {
    let (streams, receiver) = mpsc::channel(capacity);
    (X11Request { fake_cookie: *b"0123456789abcde\xff", screen: 1, streams }, receiver)
}

/// How the client took it that the server opened a channel.
pub(crate) async fn opened<T>(open: impl Future<Output = Result<T, russh::Error>>) -> Result<T, ChannelOpenFailure> {
    match within(open).await {
        Ok(channel) => Ok(channel),
        Err(russh::Error::ChannelOpenFailure(why)) => Err(why),
        Err(error) => panic!("{error}"),
    }
}

async fn refuses_everything_but_x11(handle: &Handle) {
    let refused = Some(ChannelOpenFailure::AdministrativelyProhibited);
    assert_eq!(opened(handle.channel_open_session()).await.err(), refused);
    assert_eq!(opened(handle.channel_open_agent()).await.err(), refused);
    assert_eq!(opened(handle.channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1)).await.err(), refused);
    assert_eq!(opened(handle.channel_open_direct_streamlocal("/run/user/0/bus")).await.err(), refused);
    assert_eq!(opened(handle.channel_open_forwarded_tcpip("127.0.0.1", 22, "127.0.0.1", 1)).await.err(), refused);
    assert_eq!(opened(handle.channel_open_forwarded_streamlocal("/run/user/0/bus")).await.err(), refused);
}

#[tokio::test]
async fn the_server_opens_nothing_that_was_not_asked_for() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let plain = within(connection.exec("plain", None)).await.unwrap();
    let (_, handle, _) = server.exec().await;
    refuses_everything_but_x11(&handle).await;
    let refused = Some(ChannelOpenFailure::AdministrativelyProhibited);
    assert_eq!(opened(handle.channel_open_x11("127.0.0.1", 1)).await.err(), refused);

    let (request, mut streams) = x11(8);
    let _session = within(connection.exec("session", Some(request))).await.unwrap();
    let (_, handle, _) = server.exec().await;
    refuses_everything_but_x11(&handle).await;
    assert!(opened(handle.channel_open_x11("127.0.0.1", 1)).await.is_ok());
    assert!(within(streams.recv()).await.is_some());

    drop(streams);
    assert_eq!(opened(handle.channel_open_x11("127.0.0.1", 1)).await.err(), Some(ChannelOpenFailure::ResourceShortage));
    drop(plain);
}

#[tokio::test]
async fn a_refused_x11_request_is_told_from_a_refused_command() {
    for (setup, with_x11, want) in [
        (Setup { grant_x11: false, ..Setup::default() }, true, Some(Reason::NoX11)),
        (Setup { grant_x11: false, ..Setup::default() }, false, None),
        (Setup { grant_x11: false, grant_exec: false, ..Setup::default() }, true, Some(Reason::NoX11)),
        (
            Setup { grant_exec: false, ..Setup::default() },
            true,
            Some(Reason::NoSession("the server refused to run the command".to_owned())),
        ),
        (
            Setup { grant_session: false, ..Setup::default() },
            true,
            Some(Reason::NoSession("the server prohibits sessions".to_owned())),
        ),
    ] {
        let server = Server::start(setup).await;
        let connection = server.login().await;
        let (request, _streams) = x11(8);
        let result = within(connection.exec("true", with_x11.then_some(request))).await;
        assert_eq!(result.err().map(|error| error.reason), want);
        // The connection is still good.
        assert!(tokio::time::timeout(Duration::from_millis(50), connection.closed()).await.is_err());
    }
}

#[tokio::test]
async fn a_refused_x11_request_grants_nothing() {
    let mut server = Server::start(Setup { grant_x11: false, ..Setup::default() }).await;
    let connection = server.login().await;
    let (request, _streams) = x11(8);
    within(connection.exec("session", Some(request))).await.unwrap_err();
    let _plain = within(connection.exec("plain", None)).await.unwrap();
    let (_, handle, _) = server.exec().await;
    assert!(opened(handle.channel_open_x11("127.0.0.1", 1)).await.is_err());
}

#[tokio::test]
async fn the_requests_say_what_they_must() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let (request, _streams) = x11(8);
    let _exec = within(connection.exec("ldm-server-helper 'a b'", Some(request))).await.unwrap();
    let Seen::X11 { cookie, screen } = server.next().await else { panic!() };
    assert_eq!((cookie.as_str(), screen), ("303132333435363738396162636465ff", 1));
    assert_eq!(server.exec().await.0, "ldm-server-helper 'a b'");
}

#[tokio::test]
async fn a_channel_opened_ahead_is_used_once() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    within(connection.open_ahead()).await;
    let mut commands = Vec::new();
    for command in ["a", "b"] {
        commands.push(within(connection.exec(command, None)).await.unwrap());
        let (seen, handle, id) = server.exec().await;
        assert_eq!(seen, command);
        handle.exit_status_request(id, 0).await.unwrap();
        assert_eq!(within(commands.last().unwrap().wait()).await, ExitStatus::Code(0));
    }
}

#[tokio::test]
async fn a_command_talks_and_ends() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let mut exec = within(connection.exec("cat", None)).await.unwrap();
    let (_, handle, id) = server.exec().await;
    exec.stdin.write_all(b"in").await.unwrap();
    assert!(matches!(server.next().await, Seen::Data(data) if data == b"in"));
    drop(exec.stdin);
    assert!(matches!(server.next().await, Seen::Eof));

    handle.data(id, b"out".to_vec()).await.unwrap();
    handle.extended_data(id, 1, vec![b'x'; 100_000]).await.unwrap();
    handle.extended_data(id, 1, b"\x1b[31mlast words\n".to_vec()).await.unwrap();
    handle.exit_status_request(id, 3).await.unwrap();
    handle.eof(id).await.unwrap();
    handle.close(id).await.unwrap();
    let mut out = String::new();
    within(exec.stdout.read_to_string(&mut out)).await.unwrap();
    assert_eq!(out, "out");
    assert_eq!(within(exec.outcome.wait()).await, ExitStatus::Code(3));
    let tail = exec.outcome.stderr_tail();
    assert!(tail.ends_with("xlast words\n") && tail.len() <= ldm::ssh::STDERR_TAIL, "{}", tail.len());
}

#[tokio::test]
async fn a_command_that_is_killed_or_cut_off() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let killed = within(connection.exec("a", None)).await.unwrap();
    let (_, handle, id) = server.exec().await;
    handle.exit_signal_request(id, Sig::TERM, false, String::new(), String::new()).await.unwrap();
    let status = within(killed.wait()).await;
    assert_eq!((status.clone(), status.code()), (ExitStatus::Signal("TERM".to_owned()), 143));

    let closed = within(connection.exec("b", None)).await.unwrap();
    let (_, handle, id) = server.exec().await;
    handle.close(id).await.unwrap();
    assert_eq!(within(closed.wait()).await, ExitStatus::Lost);

    let mut cut = within(connection.exec("c", None)).await.unwrap();
    let (_, handle, _) = server.exec().await;
    handle.disconnect(russh::Disconnect::ByApplication, "maintenance\u{1b}[2J".into(), String::new()).await.unwrap();
    assert_eq!(within(cut.wait()).await, ExitStatus::Lost);
    assert_eq!(within(cut.stdout.read(&mut [0])).await.unwrap(), 0);
    let error = within(connection.closed()).await;
    assert_eq!(error.reason, Reason::Lost("the server says: maintenance".to_owned()));
    let error = within(connection.exec("d", None)).await.unwrap_err();
    assert!(matches!(error.reason, Reason::Lost(_)), "{error}");
}

#[tokio::test]
async fn dropping_a_command_closes_its_channel() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let exec = within(connection.exec("a", None)).await.unwrap();
    server.exec().await;
    drop(exec);
    while !matches!(server.next().await, Seen::Closed) {}
}

#[tokio::test]
async fn dropping_the_connection_cuts_it_even_if_streams_live() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let (request, mut streams) = x11(1);
    let exec = within(connection.exec("session", Some(request))).await.unwrap();
    let (_, handle, _) = server.exec().await;
    opened(handle.channel_open_x11("127.0.0.1", 1)).await.unwrap();
    let mut stream = within(streams.recv()).await.unwrap();
    drop(connection);
    assert_eq!(within(exec.wait()).await, ExitStatus::Lost);
    assert_eq!(within(stream.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn an_x11_stream_carries_both_ways_and_closes() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let (request, mut streams) = x11(1);
    let _exec = within(connection.exec("session", Some(request))).await.unwrap();
    let (_, handle, _) = server.exec().await;
    let mut far = opened(handle.channel_open_x11("127.0.0.1", 1)).await.unwrap().into_stream();
    let mut near = within(streams.recv()).await.unwrap();
    far.write_all(b"setup").await.unwrap();
    let mut buffer = [0; 5];
    within(near.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"setup");
    near.write_all(b"reply").await.unwrap();
    within(far.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"reply");
    drop(near);
    assert_eq!(within(far.read(&mut buffer)).await.unwrap(), 0);
}

#[tokio::test]
async fn there_is_a_cap_on_x11_channels() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let (request, mut streams) = x11(MAX_X11_CHANNELS + 8);
    let _exec = within(connection.exec("session", Some(request))).await.unwrap();
    let (_, handle, _) = server.exec().await;
    let mut open = Vec::new();
    for _ in 0..MAX_X11_CHANNELS {
        open.push(opened(handle.channel_open_x11("127.0.0.1", 1)).await.unwrap());
    }
    assert_eq!(opened(handle.channel_open_x11("127.0.0.1", 1)).await.err(), Some(ChannelOpenFailure::ResourceShortage));
    drop(within(streams.recv()).await.unwrap());
    opened(handle.channel_open_x11("127.0.0.1", 1)).await.unwrap();
}

#[tokio::test]
async fn a_channel_that_nobody_reads_does_not_stop_the_others() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let (request, mut streams) = x11(1);
    let _session = within(connection.exec("session", Some(request))).await.unwrap();
    let (_, handle, _) = server.exec().await;
    let mut far = opened(handle.channel_open_x11("127.0.0.1", 1)).await.unwrap().into_stream();
    let _unread = within(streams.recv()).await.unwrap();
    let (flooded, mut flood) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let chunk = vec![0u8; 64 * 1024];
        let mut sent = 0;
        while far.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
            let _ = flooded.send(sent);
        }
    });
    while within(flood.recv()).await.unwrap() < 4 * 1024 * 1024 {}

    for round in 0..3 {
        let mut exec = within(connection.exec("answer", None)).await.unwrap();
        let (_, handle, id) = server.exec().await;
        handle.data(id, b"here".to_vec()).await.unwrap();
        let mut answer = [0; 4];
        within(exec.stdout.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"here", "round {round}");
    }
    // And it does not fill the memory: the flooder's channel is closed in the end.
    while !matches!(server.next().await, Seen::Closed) {}
    let mut most = 0;
    while let Ok(sent) = flood.try_recv() {
        most = sent;
    }
    assert!(most < 80 * 1024 * 1024, "{most}");
    assert!(tokio::time::timeout(Duration::from_millis(50), connection.closed()).await.is_err());
}

pub(crate) fn pattern(at: usize) -> u8 {
    u8::try_from(at % 251).unwrap()
}

#[tokio::test]
async fn a_slow_reader_gets_everything() {
    const TOTAL: usize = 16 * 1024 * 1024;
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let (request, mut streams) = x11(1);
    let _session = within(connection.exec("session", Some(request))).await.unwrap();
    let (_, handle, _) = server.exec().await;
    let mut far = opened(handle.channel_open_x11("127.0.0.1", 1)).await.unwrap().into_stream();
    let mut near = within(streams.recv()).await.unwrap();
    let writer = tokio::spawn(async move {
        let data: Vec<u8> = (0..TOTAL).map(pattern).collect();
        far.write_all(&data).await.unwrap();
        far.shutdown().await.unwrap();
        far
    });
    let mut got = 0;
    let mut buffer = vec![0; 100_000];
    loop {
        let read = within(near.read(&mut buffer)).await.unwrap();
        if read == 0 {
            break;
        }
        assert!(buffer[..read].iter().enumerate().all(|(i, &byte)| byte == pattern(got + i)), "at {got}");
        got += read;
        // Slower than the sender, and once long enough to count as standing still.
        let pause = if got / (4 * 1024 * 1024) == (got - read) / (4 * 1024 * 1024) { 0 } else { 120 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    assert_eq!(got, TOTAL);
    within(writer).await.unwrap();
}

#[tokio::test]
async fn a_dead_line_is_noticed_within_a_minute() {
    let server = Server::start(Setup::default()).await;
    let (port, relay) = server.relay().await;
    let target = Target::parse(&format!("127.0.0.1:{port}"), 22).unwrap();
    let policy = server.policy(&format!("[127.0.0.1]:{port} KEY\n"));
    let mut connection = within(connect(&[target], &policy)).await.unwrap();
    within(connection.authenticate("alice", &mut Script::new(&[]))).await.unwrap();
    let exec = within(connection.exec("session", None)).await.unwrap();
    relay.stop().await;
    tokio::time::pause();
    let error = tokio::time::timeout(Duration::from_mins(1), connection.closed()).await.unwrap();
    assert!(matches!(error.reason, Reason::Lost(_)), "{error}");
    assert_eq!(exec.wait().await, ExitStatus::Lost);
}

#[tokio::test]
async fn a_writer_that_waits_hears_of_the_end() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let (request, mut streams) = x11(1);
    let mut exec = within(connection.exec("session", Some(request))).await.unwrap();
    let (_, handle, _) = server.exec().await;
    // Never read: the server's queue fills up, and it grants no more window.
    let _far = opened(handle.channel_open_x11("127.0.0.1", 1)).await.unwrap();
    let mut near = within(streams.recv()).await.unwrap();
    let chunk = vec![0; 64 * 1024];
    while tokio::time::timeout(Duration::from_secs(1), near.write_all(&chunk)).await.is_ok() {}
    let wait = async { while near.write_all(&chunk).await.is_ok() {} };
    let stdin = async { while exec.stdin.write_all(&chunk).await.is_ok() {} };
    let cut = async { drop(connection) };
    within(async { tokio::join!(wait, stdin, cut) }).await;
}

#[tokio::test]
async fn input_goes_with_the_command_and_waits_for_no_refused_one() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let _exec = within(connection.exec_with_input("cat", None, b"input")).await.unwrap();
    server.exec().await;
    assert!(matches!(server.next().await, Seen::Data(data) if data == b"input"));

    // As OpenSSH does it: no window before the command has started.
    let server = Server::start(Setup { grant_exec: false, window: 0, ..Setup::default() }).await;
    let connection = server.login().await;
    let error = within(connection.exec_with_input("cat", None, b"input")).await.unwrap_err();
    assert!(matches!(error.reason, Reason::NoSession(_)), "{error}");
}

#[tokio::test]
async fn a_command_given_up_half_way_is_closed() {
    let mut server = Server::start(Setup { answer_exec: false, ..Setup::default() }).await;
    let connection = server.login().await;
    let exec = connection.exec("a", None);
    tokio::select! {
        result = exec => panic!("{result:?}"),
        _ = server.exec() => {}
    }
    while !matches!(server.next().await, Seen::Closed) {}
}

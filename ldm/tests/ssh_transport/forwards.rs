//! Where the server listens for us, and subsystems.

use std::time::Duration;

use ldm::ssh::{ByteStream, Connection, MAX_FORWARDED, Reason};
use ldm_protocol::FailureKind;
use russh::ChannelOpenFailure;
use russh::server::Handle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::channels::{opened, pattern};
use crate::server::{Seen, Server, Setup, within};

const PATH: &str = "/run/user/1000/ldm-1.sound";
const PROHIBITED: Option<ChannelOpenFailure> = Some(ChannelOpenFailure::AdministrativelyProhibited);

/// A server that was asked to listen at [`PATH`], and its side of it.
async fn listening(
    server: &mut Server,
    connection: &Connection,
    capacity: usize,
) -> (mpsc::Receiver<ByteStream>, Handle) {
    let (sender, streams) = mpsc::channel(capacity);
    assert!(within(connection.listen_socket(PATH, sender)).await);
    let Seen::Listen { place, handle } = server.next().await else { panic!("something else was asked") };
    assert_eq!(place, PATH);
    (streams, handle)
}

#[tokio::test]
async fn only_the_socket_that_was_asked_for_is_connected() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let (mut streams, handle) = listening(&mut server, &connection, 8).await;
    for other in ["", "/run/user/1000/ldm-2.sound", "/run/user/1000/ldm-1.sound/", "/run/user/1000/bus"] {
        assert_eq!(opened(handle.channel_open_forwarded_streamlocal(other)).await.err(), PROHIBITED, "{other}");
    }
    assert_eq!(opened(handle.channel_open_forwarded_tcpip("127.0.0.1", 4713, "127.0.0.1", 1)).await.err(), PROHIBITED);
    assert_eq!(opened(handle.channel_open_direct_streamlocal(PATH)).await.err(), PROHIBITED);
    assert!(streams.try_recv().is_err());

    let mut far = opened(handle.channel_open_forwarded_streamlocal(PATH)).await.unwrap().into_stream();
    let mut near = within(streams.recv()).await.unwrap();
    far.write_all(b"there").await.unwrap();
    let mut buffer = [0; 5];
    within(near.read_exact(&mut buffer)).await.unwrap();
    near.write_all(&buffer).await.unwrap();
    within(far.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"there");

    within(connection.stop_listening()).await;
    assert!(matches!(server.next().await, Seen::Data(_)));
    assert!(matches!(server.next().await, Seen::Cancel { place } if place == PATH));
    assert_eq!(opened(handle.channel_open_forwarded_streamlocal(PATH)).await.err(), PROHIBITED, "after its end");
    near.write_all(b"still").await.unwrap();
    within(far.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"still");
}

#[tokio::test]
async fn only_the_port_that_was_granted_is_connected() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let (sender, mut streams) = mpsc::channel(8);
    assert_eq!(within(connection.listen_port(sender)).await, Some(4713));
    let Seen::Listen { place, handle } = server.next().await else { panic!("something else was asked") };
    assert_eq!(place, "127.0.0.1:0");
    for (address, port) in [("127.0.0.1", 4714), ("127.0.0.1", 0), ("127.0.0.1", 70000), ("0.0.0.0", 4713), ("", 4713)]
    {
        let open = handle.channel_open_forwarded_tcpip(address, port, "127.0.0.1", 1);
        assert_eq!(opened(open).await.err(), PROHIBITED, "{address}:{port}");
    }
    assert_eq!(opened(handle.channel_open_forwarded_streamlocal(PATH)).await.err(), PROHIBITED);
    let _far = opened(handle.channel_open_forwarded_tcpip("127.0.0.1", 4713, "127.0.0.1", 1)).await.unwrap();
    assert!(within(streams.recv()).await.is_some());
    within(connection.stop_listening()).await;
    while !matches!(server.next().await, Seen::Cancel { place } if place == "127.0.0.1:4713") {}
    assert_eq!(opened(handle.channel_open_forwarded_tcpip("127.0.0.1", 4713, "127.0.0.1", 1)).await.err(), PROHIBITED);
}

#[tokio::test]
async fn a_server_that_refuses_to_listen_connects_nothing() {
    for eager in [false, true] {
        let setup = Setup { grant_socket: false, grant_port: None, eager, ..Setup::default() };
        let mut server = Server::start(setup).await;
        let connection = server.login().await;
        let (sender, mut streams) = mpsc::channel(8);
        assert!(!within(connection.listen_socket(PATH, sender)).await);
        let Seen::Listen { handle, .. } = server.next().await else { panic!("something else was asked") };
        assert_eq!(opened(handle.channel_open_forwarded_streamlocal(PATH)).await.err(), PROHIBITED);
        assert!(within(streams.recv()).await.is_none(), "nothing is held for it");
        assert_eq!(within(connection.listen_port(mpsc::channel(1).0)).await, None);
    }
    // Ports that are none.
    for port in [0, 70_000] {
        let server = Server::start(Setup { grant_port: Some(port), ..Setup::default() }).await;
        let connection = server.login().await;
        assert_eq!(within(connection.listen_port(mpsc::channel(1).0)).await, None, "{port}");
    }
}

#[tokio::test]
async fn connections_that_come_with_the_answer_are_not_lost() {
    let mut server = Server::start(Setup { eager: true, ..Setup::default() }).await;
    let connection = server.login().await;
    let (mut streams, _) = listening(&mut server, &connection, 8).await;
    for _ in 0..2 {
        assert!(within(streams.recv()).await.is_some());
    }
}

#[tokio::test]
async fn nobody_who_waits_for_the_answer_is_left_waiting() {
    let mut server = Server::start(Setup { eager: true, ..Setup::default() }).await;
    let connection = server.login().await;
    let (sender, mut streams) = mpsc::channel(8);
    // Given up before the answer comes.
    let asking = connection.listen_socket(PATH, sender);
    tokio::select! {
        biased;
        Seen::Listen { .. } = server.next() => {}
        _ = asking => panic!("answered before it was asked"),
    }
    within(connection.stop_listening()).await;
    assert!(within(streams.recv()).await.is_none());
}

#[tokio::test]
async fn there_is_a_cap_on_connections() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let (mut streams, handle) = listening(&mut server, &connection, MAX_FORWARDED + 8).await;
    let mut open = Vec::new();
    for _ in 0..MAX_FORWARDED {
        open.push(opened(handle.channel_open_forwarded_streamlocal(PATH)).await.unwrap());
    }
    let short = Some(ChannelOpenFailure::ResourceShortage);
    assert_eq!(opened(handle.channel_open_forwarded_streamlocal(PATH)).await.err(), short);
    drop(within(streams.recv()).await.unwrap());
    opened(handle.channel_open_forwarded_streamlocal(PATH)).await.unwrap();
    drop(streams);
    assert_eq!(opened(handle.channel_open_forwarded_streamlocal(PATH)).await.err(), short, "nobody takes it");
}

#[tokio::test]
async fn a_server_without_sftp_says_so_and_the_connection_stays_good() {
    let mut server = Server::start(Setup { grant_sftp: false, ..Setup::default() }).await;
    let connection = server.login().await;
    let error = within(connection.subsystem("sftp")).await.unwrap_err();
    assert_eq!(error.reason, Reason::NoSubsystem("sftp".to_owned()));
    assert_ne!(error.failure().kind, FailureKind::ConnectionLost);
    while !matches!(server.next().await, Seen::Closed) {}
    within(connection.exec("true", None)).await.unwrap();
}

/// What SFTP does with a large file: so many requests are out at once, each for so much.
const REQUESTS: usize = 64;
const BLOCK: usize = 32 * 1024;

#[tokio::test]
async fn a_large_file_read_slowly_arrives_whole() {
    const TOTAL: usize = 100 * 1024 * 1024;
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let mut near = within(connection.subsystem("sftp")).await.unwrap();
    let Seen::Subsystem { name, handle, id } = server.next().await else { panic!("something else was asked") };
    assert_eq!(name, "sftp");
    // Each byte asks for a block.
    let far = tokio::spawn(async move {
        let mut sent = 0;
        while sent < TOTAL {
            let Seen::Data(asked) = server.next().await else { panic!("something else came") };
            for _ in asked {
                let block: Vec<u8> = (sent..sent + BLOCK).map(pattern).collect();
                handle.data(id, block).await.unwrap();
                sent += BLOCK;
            }
        }
        server
    });
    near.write_all(&[0; REQUESTS]).await.unwrap();
    let mut asked = REQUESTS * BLOCK;
    let mut block = vec![0; BLOCK];
    for at in (0..TOTAL).step_by(BLOCK) {
        within(near.read_exact(&mut block)).await.unwrap();
        assert!(block.iter().enumerate().all(|(i, &byte)| byte == pattern(at + i)), "at {at}");
        if asked < TOTAL {
            near.write_all(&[0]).await.unwrap();
            asked += BLOCK;
        }
        // Once in a while long enough to count as standing still.
        if at.is_multiple_of(256 * BLOCK) {
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }
    let mut server = within(far).await.unwrap();
    drop(near);
    while !matches!(server.next().await, Seen::Closed) {}
}

#[tokio::test]
async fn standard_error_of_a_subsystem_does_not_stop_it_and_a_flood_of_it_does() {
    let mut server = Server::start(Setup::default()).await;
    let connection = server.login().await;
    let mut near = within(connection.subsystem("sftp")).await.unwrap();
    let Seen::Subsystem { handle, id, .. } = server.next().await else { panic!("something else was asked") };
    handle.extended_data(id, 1, vec![b'x'; 100_000]).await.unwrap();
    handle.data(id, b"data".to_vec()).await.unwrap();
    let mut data = [0; 4];
    within(near.read_exact(&mut data)).await.unwrap();
    assert_eq!(&data, b"data");
    handle.extended_data(id, 1, vec![b'x'; 1_000_000]).await.unwrap();
    while !matches!(server.next().await, Seen::Closed) {}
    assert!(tokio::time::timeout(Duration::from_millis(50), connection.closed()).await.is_err());
}

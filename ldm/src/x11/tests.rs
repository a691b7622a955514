use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::net::{TcpListener, UnixListener};

use super::*;

/// The first packet of an X client, built from the protocol's text.
fn packet(order: u8, name: &[u8], data: &[u8]) -> Vec<u8> {
    let word = |n: usize| {
        let n = u16::try_from(n).unwrap();
        if order == b'B' { n.to_be_bytes() } else { n.to_le_bytes() }
    };
    let mut out = vec![order, 0];
    for value in [11, 0, name.len(), data.len(), 0] {
        out.extend_from_slice(&word(value));
    }
    for part in [name, data] {
        out.extend_from_slice(part);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn cookies() -> (Cookie, Cookie) {
    (Cookie::from([1; 16]), Cookie::from([2; 16]))
}

/// An X server that the test plays, on a display number of its own.
struct FakeDisplay {
    listener: UnixListener,
    name: DisplayName,
}

impl FakeDisplay {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        std::fs::create_dir_all("/tmp/.X11-unix").unwrap();
        loop {
            let number = 30_000 + std::process::id() % 10_000 + NEXT.fetch_add(1, Ordering::Relaxed);
            let name = DisplayName::local(number);
            if let Ok(listener) = UnixListener::bind(name.socket().unwrap()) {
                return Self { listener, name };
            }
        }
    }

    fn forward(&self) -> Forward {
        let (real, fake) = cookies();
        Forward { display: self.name.clone(), real: Some(real), fake }
    }
}

impl Drop for FakeDisplay {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.name.socket().unwrap());
    }
}

fn serve(forward: Forward) -> (DuplexStream, tokio::task::JoinHandle<Result<(), ForwardError>>) {
    let (client, channel) = duplex(256 * 1024);
    (client, tokio::spawn(async move { forward.serve(channel).await }))
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("timed out")
}

async fn refused(bytes: &[u8]) -> String {
    let (real, fake) = cookies();
    // Nothing listens there: a refusal must come before the display is touched.
    let display = DisplayName::local(59_535);
    let (mut client, server) = serve(Forward { display, real: Some(real), fake });
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let error = within(server).await.unwrap().unwrap_err();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    error.to_string()
}

#[tokio::test]
async fn the_fake_cookie_is_replaced_in_both_byte_orders() {
    for order in [b'B', b'l'] {
        let display = FakeDisplay::new();
        let (mut client, server) = serve(display.forward());
        let (real, fake) = cookies();
        let sent = packet(order, PROTOCOL_NAME, fake.expose());
        // Byte by byte: no read may be taken for a whole packet.
        for byte in &sent {
            client.write_all(&[*byte]).await.unwrap();
            client.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        client.write_all(b"request").await.unwrap();
        let (mut at_display, _) = within(display.listener.accept()).await.unwrap();
        let mut got = vec![0; sent.len() + 7];
        within(at_display.read_exact(&mut got)).await.unwrap();
        let mut want = packet(order, PROTOCOL_NAME, real.expose());
        want.extend_from_slice(b"request");
        assert_eq!(got, want);

        // Half close: the client has said all, the display still answers.
        client.shutdown().await.unwrap();
        assert_eq!(within(at_display.read(&mut got)).await.unwrap(), 0);
        at_display.write_all(b"reply").await.unwrap();
        drop(at_display);
        let mut reply = Vec::new();
        within(client.read_to_end(&mut reply)).await.unwrap();
        assert_eq!(reply, b"reply");
        within(server).await.unwrap().unwrap();
    }
}

const PROTOCOL_NAME: &[u8] = b"MIT-MAGIC-COOKIE-1";

#[tokio::test]
async fn a_display_without_cookies_gets_none() {
    let display = FakeDisplay::new();
    let (_, fake) = cookies();
    let (mut client, _server) = serve(Forward { real: None, ..display.forward() });
    client.write_all(&packet(b'l', PROTOCOL_NAME, fake.expose())).await.unwrap();
    let (mut at_display, _) = within(display.listener.accept()).await.unwrap();
    let mut got = [0; 12];
    within(at_display.read_exact(&mut got)).await.unwrap();
    assert_eq!(got.as_slice(), packet(b'l', b"", b""));
}

#[tokio::test]
async fn what_is_not_the_fake_cookie_is_refused() {
    let (real, fake) = cookies();
    let mut almost = *fake.expose();
    almost[15] ^= 1;
    for order in [b'B', b'l'] {
        assert!(refused(&packet(order, PROTOCOL_NAME, real.expose())).await.contains("wrong cookie"));
        assert!(refused(&packet(order, PROTOCOL_NAME, &almost)).await.contains("wrong cookie"));
        assert!(refused(&packet(order, PROTOCOL_NAME, &[2; 15])).await.contains("did not show"));
        assert!(refused(&packet(order, PROTOCOL_NAME, &[2; 17])).await.contains("did not show"));
        assert!(refused(&packet(order, b"XDM-AUTHORIZATION-1", &[2; 16])).await.contains("did not show"));
        assert!(refused(&packet(order, b"MIT-MAGIC-COOKIE-2", fake.expose())).await.contains("did not show"));
        assert!(refused(&packet(order, b"", b"")).await.contains("did not show"));
        // Lengths are refused, not waited for and not allocated.
        assert!(refused(&[order, 0, 0, 11, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0]).await.contains("did not show"));
        // The other byte order's lengths.
        let mut swapped = packet(order, PROTOCOL_NAME, fake.expose());
        swapped[0] = if order == b'B' { b'l' } else { b'B' };
        assert!(refused(&swapped).await.contains("did not show"));
        let whole = packet(order, PROTOCOL_NAME, fake.expose());
        for cut in 0..whole.len() {
            assert!(refused(&whole[..cut]).await.contains("ended before"), "{cut}");
        }
    }
    assert!(refused(b"GET / HTTP/1.1\r\n\r\n").await.contains("not the X protocol"));
    assert!(refused(&[0; 64]).await.contains("not the X protocol"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_not_waited_for() {
    let (real, fake) = cookies();
    let (client, server) = serve(Forward { display: DisplayName::local(59_535), real: Some(real), fake });
    let error = server.await.unwrap().unwrap_err();
    assert!(matches!(error, ForwardError::Setup(SetupError::TooSlow)), "{error}");
    drop(client);
}

#[tokio::test]
async fn the_end_of_the_display_ends_the_channel() {
    let display = FakeDisplay::new();
    let (mut client, server) = serve(display.forward());
    client.write_all(&packet(b'l', PROTOCOL_NAME, cookies().1.expose())).await.unwrap();
    let (at_display, _) = within(display.listener.accept()).await.unwrap();
    drop(at_display);
    let mut rest = Vec::new();
    within(client.read_to_end(&mut rest)).await.unwrap();
    within(server).await.unwrap().unwrap_or_else(|e| assert!(matches!(e, ForwardError::Io(_)), "{e}"));
}

#[tokio::test]
async fn a_display_over_tcp() {
    let listener = loop {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = u16::try_from(100 + (std::process::id() + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", 6000 + number)).await {
            break (listener, format!("127.0.0.1:{number}.0"));
        }
    };
    let (real, fake) = cookies();
    let forward = Forward { display: listener.1.parse().unwrap(), real: Some(real.clone()), fake: fake.clone() };
    let (mut client, _server) = serve(forward);
    client.write_all(&packet(b'B', PROTOCOL_NAME, fake.expose())).await.unwrap();
    let (mut at_display, _) = within(listener.0.accept()).await.unwrap();
    let mut got = vec![0; 48];
    within(at_display.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, packet(b'B', PROTOCOL_NAME, real.expose()));
}

#[tokio::test]
async fn no_display_is_an_error_of_this_client_alone() {
    let (real, fake) = cookies();
    let forward = Forward { display: DisplayName::local(59_534), real: Some(real), fake: fake.clone() };
    let (mut client, server) = serve(forward);
    client.write_all(&packet(b'l', PROTOCOL_NAME, fake.expose())).await.unwrap();
    let error = within(server).await.unwrap().unwrap_err();
    assert!(error.to_string().starts_with("the display :59534.0 cannot be reached"), "{error}");
}

/// Much data in both directions at once arrives whole and in order.
#[tokio::test]
async fn bytes_arrive_whole_in_both_directions() {
    let display = FakeDisplay::new();
    let (mut client, server) = serve(display.forward());
    client.write_all(&packet(b'l', PROTOCOL_NAME, cookies().1.expose())).await.unwrap();
    let (mut at_display, _) = within(display.listener.accept()).await.unwrap();
    let mut setup = [0; 48];
    within(at_display.read_exact(&mut setup)).await.unwrap();
    let data: Vec<u8> = (0..3_000_001_u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let (mut display_reads, mut display_writes) = at_display.into_split();
    let send = |part: usize| data.chunks(part).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (requests, replies) = within(async {
        let (mut requests, mut replies) = (vec![0; data.len()], vec![0; data.len()]);
        let (a, b, c, d) = tokio::join!(
            async {
                for part in send(33_333) {
                    client_writes.write_all(&part).await?;
                }
                io::Result::Ok(())
            },
            async {
                for part in send(999) {
                    display_writes.write_all(&part).await?;
                }
                io::Result::Ok(())
            },
            display_reads.read_exact(&mut requests),
            client_reads.read_exact(&mut replies),
        );
        a.unwrap();
        b.unwrap();
        c.unwrap();
        d.unwrap();
        (requests, replies)
    })
    .await;
    assert!(requests == data && replies == data);
    drop((client_reads, client_writes, display_reads, display_writes));
    let _ = within(server).await.unwrap();
}

//! Reaching a server, and knowing that it is the right one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ldm::ssh::{HostKeyPolicy, Reason, SshError, Target, connect};
use ldm_protocol::FailureKind;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PrivateKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Server, Setup, key, key_of, within};

/// A server that does this with each connection; `usize` counts them.
async fn raw<F, R>(serve: F) -> (Target, Arc<AtomicUsize>)
where
    F: Fn(usize, TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&listener.local_addr().unwrap().to_string(), 22).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(counter.fetch_add(1, Ordering::SeqCst), stream));
        }
    });
    (target, count)
}

async fn error(target: Target) -> SshError {
    within(connect(&[target], &HostKeyPolicy::default())).await.unwrap_err()
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&listener.local_addr().unwrap().to_string(), 22).unwrap();
    drop(listener);
    let name = target.name.clone();
    let failure = error(target).await.failure();
    assert_eq!((failure.kind, failure.server), (FailureKind::ServerRefused, Some(name)));
}

#[tokio::test]
async fn no_such_name() {
    let target = Target::parse("no-such-host.invalid", 22).unwrap();
    assert_eq!(error(target).await.failure().kind, FailureKind::ServerUnknown);
}

#[tokio::test]
async fn a_silent_server() {
    let (target, count) = raw(|_, mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert_eq!(error(target).await.failure().kind, FailureKind::ServerSilent);
    assert_eq!(count.load(Ordering::SeqCst), 1, "its time is up, it is not tried again");
}

#[tokio::test]
async fn what_is_not_ssh() {
    for words in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\x16\x03\x01\x00\x00", b"220 ftp\r\n"] {
        let (target, _) = raw(move |_, mut stream| async move {
            let _ = stream.write_all(words).await;
        })
        .await;
        let error = error(target).await;
        assert_eq!(error.failure().kind, FailureKind::ServerIncompatible, "{error}");
    }
    let (target, _) = raw(|_, mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-garbage\r\n").await;
        let garbage = [0xa5; 4096];
        while stream.write_all(&garbage).await.is_ok() {}
    })
    .await;
    let error = error(target).await;
    assert!(matches!(error.reason, Reason::Incompatible(_) | Reason::Lost(_)), "{error}");
}

#[tokio::test]
async fn a_busy_server_is_tried_again_but_not_for_ever() {
    let server = Server::start(Setup::default()).await;
    let upstream = server.port;
    let (target, count) = raw(move |number, mut stream| async move {
        match number {
            0 => {}
            1 => drop(stream.write_all(b"Exceeded MaxStartups\r\n").await),
            _ => {
                let mut upstream = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
            }
        }
    })
    .await;
    let lines = format!("[127.0.0.1]:{} KEY\n", target.port);
    within(connect(&[target], &server.policy(&lines))).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 3);

    let (target, count) = raw(|_, stream| async move { drop(stream) }).await;
    assert_eq!(error(target).await.failure().kind, FailureKind::ServerRefused);
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_server_that_bans_us_is_not_pressed() {
    let (target, count) = raw(|_, mut stream| async move {
        let _ = stream.write_all(b"Not allowed at this time\r\n").await;
    })
    .await;
    assert_eq!(error(target).await.failure().kind, FailureKind::ServerRefused);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_first_server_that_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = Target::parse(&listener.local_addr().unwrap().to_string(), 22).unwrap();
    drop(listener);
    let server = Server::start(Setup::default()).await;
    let targets = [dead.clone(), server.target()];
    let connection = within(connect(&targets, &server.policy("HOST KEY\n"))).await.unwrap();
    assert_eq!(connection.server(), targets[1].name);
    let agreed = connection.transport();
    assert_eq!(agreed.server, targets[1].name);
    assert!(agreed.software.starts_with("SSH-2.0-"), "{agreed:?}");
    assert_eq!(agreed.host_key, "ssh-ed25519");
    assert!(!agreed.key_exchange.is_empty() && !agreed.cipher.is_empty(), "{agreed:?}");
    assert!(agreed.mac.is_empty(), "both ciphers that are agreed upon first authenticate by themselves: {agreed:?}");

    // The wrong key tells more than the dead server, whatever their order.
    let policy = server.policy("");
    for targets in [[dead.clone(), server.target()], [server.target(), dead]] {
        let error = within(connect(&targets, &policy)).await.unwrap_err();
        assert_eq!((error.failure().kind, error.server), (FailureKind::HostKeyUnknown, server.target().name));
    }
    assert!(matches!(connect(&[], &policy).await.unwrap_err().reason, Reason::BadTarget(_)));
}

fn fingerprint(key: &PrivateKey) -> String {
    key.public_key().fingerprint(HashAlg::Sha256).to_string()
}

#[tokio::test]
async fn host_keys() {
    let other = key().public_key().to_openssh().unwrap();
    let other_type = key_of(Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }).public_key().to_openssh().unwrap();
    for (lines, want) in [
        ("HOST KEY\n".to_owned(), None),
        ("[127.0.0.?]:* KEY\n".to_owned(), None),
        ("127.0.0.1 KEY\n".to_owned(), None),
        (format!("HOST {other}\nHOST KEY\n"), None),
        (String::new(), Some(FailureKind::HostKeyUnknown)),
        ("elsewhere KEY\n".to_owned(), Some(FailureKind::HostKeyUnknown)),
        ("!HOST,!127.0.0.*,* KEY\n".to_owned(), Some(FailureKind::HostKeyUnknown)),
        (format!("127.0.0.1 {other}\n"), Some(FailureKind::HostKeyUnknown)),
        (format!("HOST {other}\n"), Some(FailureKind::HostKeyChanged)),
        (format!("HOST {other_type}\n"), Some(FailureKind::HostKeyChanged)),
        ("HOST KEY\n@revoked HOST KEY\n".to_owned(), Some(FailureKind::HostKeyRevoked)),
        ("@revoked * KEY\nHOST KEY\n".to_owned(), Some(FailureKind::HostKeyRevoked)),
        (format!("@revoked * {other}\nHOST KEY\n"), None),
        // An authority's key is no host key.
        ("@cert-authority HOST KEY\n".to_owned(), Some(FailureKind::HostKeyUnknown)),
    ] {
        let server = Server::start(Setup::default()).await;
        let result = server.connect(&lines).await;
        let failure = result.err().map(|error| error.failure());
        assert_eq!(failure.as_ref().map(|failure| failure.kind), want, "{lines}");
        if let Some(failure) = failure {
            assert_eq!(failure.detail, Some(fingerprint(&server.keys[0])), "{lines}");
        }
    }
}

#[tokio::test]
async fn of_several_keys_the_known_one_is_asked_for() {
    let keys = vec![key(), key_of(Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 })];
    let known = keys[1].public_key().to_openssh().unwrap();
    let server = Server::start(Setup { keys, ..Setup::default() }).await;
    server.connect(&format!("HOST {known}\n")).await.unwrap();
}

#[tokio::test]
async fn trust_on_first_use() {
    let server = Server::start(Setup::default()).await;
    let mut policy = server.policy("elsewhere KEY");
    let learnt = server.directory.path().join("learnt");
    std::fs::write(&learnt, "# no newline at the end").unwrap();
    policy.trust_first_use = Some(learnt.clone());
    for _ in 0..2 {
        within(connect(&[server.target()], &policy)).await.unwrap();
    }
    let lines = std::fs::read_to_string(&learnt).unwrap();
    let key = server.keys[0].public_key().to_openssh().unwrap();
    let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(lines, format!("# no newline at the end\n[127.0.0.1]:{} {key}\n", server.port));

    // Another key at the same place is no first use.
    let other = crate::server::key().public_key().to_openssh().unwrap();
    std::fs::write(&learnt, format!("[127.0.0.1]:{} {other}\n", server.port)).unwrap();
    let error = within(connect(&[server.target()], &policy)).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::HostKeyChanged);

    // Where an authority vouches, a bare key is refused and not learnt.
    policy.trust_first_use = Some(server.directory.path().join("second"));
    policy.known_hosts = vec![server.known_hosts(&format!("@cert-authority * {other}\n"))];
    let error = within(connect(&[server.target()], &policy)).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::HostKeyUnknown);
    assert!(!server.directory.path().join("second").exists());

    // What cannot be written down is not trusted.
    policy.known_hosts.clear();
    policy.trust_first_use = Some("/proc/no-such-directory/learnt".into());
    let error = within(connect(&[server.target()], &policy)).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::HostKeyUnknown);
}

struct Cert {
    kind: CertType,
    principal: &'static str,
    valid: (u64, u64),
}

fn certificate(key: &PrivateKey, authority: &PrivateKey, cert: &Cert) -> Certificate {
    let (after, before) = cert.valid;
    let mut builder = Builder::new_with_random_nonce(&mut safe_rng(), key.public_key(), after, before).unwrap();
    builder.key_id("test").unwrap().cert_type(cert.kind).unwrap();
    match cert.principal {
        "" => builder.all_principals_valid().unwrap(),
        principal => builder.valid_principal(principal).unwrap(),
    };
    builder.sign(authority).unwrap()
}

#[tokio::test]
async fn host_certificates() {
    let always = (0, i64::MAX as u64);
    let good = || Cert { kind: CertType::Host, principal: "127.0.0.1", valid: always };
    let unknown = Some(FailureKind::HostKeyUnknown);
    for (name, cert, lines, want) in [
        ("good", good(), "@cert-authority HOST AUTHORITY\n", None),
        ("by pattern", good(), "@cert-authority * AUTHORITY\n", None),
        ("principal is a pattern", Cert { principal: "127.0.0.*", ..good() }, "@cert-authority * AUTHORITY\n", None),
        ("any principal", Cert { principal: "", ..good() }, "@cert-authority * AUTHORITY\n", None),
        ("other principal", Cert { principal: "10.0.0.1", ..good() }, "@cert-authority * AUTHORITY\n", unknown),
        ("user certificate", Cert { kind: CertType::User, ..good() }, "@cert-authority * AUTHORITY\n", unknown),
        ("expired", Cert { valid: (0, 1_000_000_000), ..good() }, "@cert-authority * AUTHORITY\n", unknown),
        (
            "not yet",
            Cert { valid: (i64::MAX as u64 - 1, i64::MAX as u64), ..good() },
            "@cert-authority * AUTHORITY\n",
            unknown,
        ),
        ("other authority", good(), "@cert-authority * OTHER\n", unknown),
        ("other authority, key known", good(), "@cert-authority * OTHER\nHOST KEY\n", None),
        ("authority of other hosts", good(), "@cert-authority elsewhere AUTHORITY\n", unknown),
        ("authority's key as host key", good(), "HOST AUTHORITY\n", Some(FailureKind::HostKeyChanged)),
        (
            "authority revoked",
            good(),
            "@cert-authority * AUTHORITY\n@revoked * AUTHORITY\nHOST KEY\n",
            Some(FailureKind::HostKeyRevoked),
        ),
        ("key revoked", good(), "@cert-authority * AUTHORITY\n@revoked * KEY\n", Some(FailureKind::HostKeyRevoked)),
    ] {
        let (host, authority) = (key(), key());
        let lines = lines
            .replace("AUTHORITY", &authority.public_key().to_openssh().unwrap())
            .replace("OTHER", &key().public_key().to_openssh().unwrap());
        let certificates = vec![certificate(&host, &authority, &cert)];
        let server = Server::start(Setup { keys: vec![host], certificates, ..Setup::default() }).await;
        let failure = server.connect(&lines).await.err().map(|error| error.failure());
        assert_eq!(failure.as_ref().map(|failure| failure.kind), want, "{name}: {failure:?}");
    }
}

#[tokio::test]
async fn a_certificate_whose_signature_is_not_the_authoritys() {
    let (host, authority, other) = (key(), key(), key());
    let cert = Cert { kind: CertType::Host, principal: "", valid: (0, i64::MAX as u64) };
    let mut bytes = certificate(&host, &other, &cert).to_bytes().unwrap();
    // The forger's certificate, with the authority's key in the place of the forger's own.
    let (old, new) = (other.public_key().to_bytes().unwrap(), authority.public_key().to_bytes().unwrap());
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    bytes[at..at + new.len()].copy_from_slice(&new);
    let forged = vec![Certificate::from_bytes(&bytes).unwrap()];
    let lines = format!("@cert-authority * {}\n", authority.public_key().to_openssh().unwrap());
    let server = Server::start(Setup { keys: vec![host], certificates: forged, ..Setup::default() }).await;
    let error = server.connect(&lines).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::HostKeyUnknown, "{error}");
}

//! Whether a server is the one we mean: its host key or host certificate against the known-hosts files.
//!
//! Runs in the session worker, before any secret is sent. russh 0.65.1 has verified by then that the server owns the key it
//! presents (the exchange signature); it negotiates `*-cert-v01@openssh.com` where `Preferred::host_key_certificates` asks
//! for it, and leaves the certificate's own checks to us: authority, signature, type, principal, validity, options.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::known_hosts::{HostName, KnownHosts, Marker, wildcard};
use super::{HostKeyPolicy, Reason, Target};

/// Everything but SHA-1 signatures and DSA, strongest habits first.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// What is known about one server.
#[derive(Debug, Clone)]
pub(super) struct HostKeys {
    host: HostName,
    known: KnownHosts,
    trust_first_use: Option<PathBuf>,
}

impl HostKeys {
    /// Reads the policy's files.
    pub(super) fn load(target: &Target, policy: &HostKeyPolicy) -> Self {
        let files = policy.known_hosts.iter().chain(&policy.trust_first_use).map(PathBuf::as_path);
        Self {
            host: HostName::new(&target.host, target.port),
            known: KnownHosts::load(files),
            trust_first_use: policy.trust_first_use.clone(),
        }
    }

    /// Host-key algorithms to ask for: those of the keys we know first, so that a server with several keys presents one that
    /// we can check.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let known = |algorithm: &Algorithm| {
            let name = key_type(algorithm);
            self.known.any(&self.host, Marker::Key).any(|entry| entry.algorithm == name)
        };
        let (mut first, rest): (Vec<_>, Vec<_>) = ALGORITHMS.into_iter().partition(known);
        first.extend(rest);
        first
    }

    /// Certificate algorithms to ask for: none unless an authority is known for this server, because a server that has a
    /// certificate then presents it instead of its bare key.
    pub(super) fn certificate_algorithms(&self) -> Vec<Algorithm> {
        if self.known.any(&self.host, Marker::Authority).next().is_some() { ALGORITHMS.to_vec() } else { Vec::new() }
    }

    /// Whether this is the server we mean.
    ///
    /// # Errors
    /// The `HostKey…` reasons, with the fingerprint of what was presented.
    pub(super) fn check(&self, presented: &PublicKeyOrCertificate) -> Result<(), Reason> {
        let key = presented.public_key();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let unknown = || Reason::HostKeyUnknown(fingerprint.clone());
        let blob = key.to_bytes().map_err(|_| unknown())?;
        let revoked = |blob: &[u8]| self.known.any(&self.host, Marker::Revoked).any(|entry| entry.blob == blob);
        if revoked(&blob) {
            return Err(Reason::HostKeyRevoked(fingerprint));
        }
        if let Some(certificate) = presented.certificate() {
            let authority = PublicKey::new(certificate.signature_key().clone(), "");
            let authority = authority.to_bytes().map_err(|_| unknown())?;
            if revoked(&authority) {
                return Err(Reason::HostKeyRevoked(fingerprint));
            }
            if self.known.any(&self.host, Marker::Authority).any(|entry| entry.blob == authority) {
                return check_certificate(certificate, &self.host.plain, now()).map_err(|why| {
                    tracing::warn!("host certificate of {}: {why}", self.host.full);
                    Reason::HostKeyUnknown(format!("{fingerprint} ({why})"))
                });
            }
            // Another authority's certificate is worth as much as the bare key in it.
        }
        if self.known.any(&self.host, Marker::Key).any(|entry| entry.blob == blob) {
            return Ok(());
        }
        if self.known.exactly(&self.host, Marker::Key).next().is_some() {
            return Err(Reason::HostKeyChanged(fingerprint));
        }
        match &self.trust_first_use {
            // Where an authority vouches for a server, a bare key is no first meeting.
            Some(file) if self.known.any(&self.host, Marker::Authority).next().is_none() => {
                self.learn(file, &key, &blob, &fingerprint)
            }
            _ => Err(unknown()),
        }
    }

    /// Appends the key of a server nobody knew. One that cannot be written down is not trusted: it would be trusted again,
    /// whatever it is, at every login.
    fn learn(&self, path: &Path, key: &PublicKey, blob: &[u8], fingerprint: &str) -> Result<(), Reason> {
        let append = || -> std::io::Result<bool> {
            let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o644).open(path)?;
            // Two seats of one machine may meet the server at the same moment: the second finds what the first wrote.
            file.lock()?;
            let now = KnownHosts::load([path]);
            let mut others = now.exactly(&self.host, Marker::Key).peekable();
            if others.peek().is_some() {
                return Ok(others.any(|entry| entry.blob == blob));
            }
            let start = if ends_in_newline(&mut file)? { "" } else { "\n" };
            let line = format!("{start}{} {} {}\n", self.host.full, key_type(&key.algorithm()), STANDARD.encode(blob));
            file.write_all(line.as_bytes())?;
            Ok(true)
        };
        match append() {
            Ok(true) => {
                tracing::warn!("{}: trusted on first use: {fingerprint}, added to {}", self.host.full, path.display());
                Ok(())
            }
            Ok(false) => Err(Reason::HostKeyChanged(fingerprint.to_owned())),
            Err(error) => {
                tracing::error!("trust on first use: {}: {error}", path.display());
                Err(Reason::HostKeyUnknown(fingerprint.to_owned()))
            }
        }
    }
}

fn ends_in_newline(file: &mut File) -> std::io::Result<bool> {
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok(last == [b'\n'])
}

/// The type as known-hosts files have it: RSA keys are `ssh-rsa`, whatever signs with them.
fn key_type(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa".to_owned(),
        other => other.as_str().to_owned(),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A certificate whose authority we trust (PROTOCOL.certkeys): does it say that this is `host`, now?
fn check_certificate(certificate: &Certificate, host: &str, now: u64) -> Result<(), &'static str> {
    if certificate.cert_type() != CertType::Host {
        return Err("not a host certificate");
    }
    if matches!(certificate.signature().algorithm(), Algorithm::Dsa | Algorithm::Rsa { hash: None }) {
        return Err("certificate signed with SHA-1");
    }
    if !certificate.critical_options().is_empty() {
        return Err("certificate with an unknown critical option");
    }
    // No principals: valid for every host (ssh-keygen(1), "CERTIFICATES").
    let principals = certificate.valid_principals();
    if !principals.is_empty() && !principals.iter().any(|principal| wildcard(&principal.to_lowercase(), host)) {
        return Err("certificate for other hosts");
    }
    if now < certificate.valid_after() || now >= certificate.valid_before() {
        return Err("certificate expired or not yet valid");
    }
    // The caller has found the authority among ours; this verifies that it has signed.
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    certificate.validate_at(now, [&authority]).map_err(|_| "certificate with a wrong signature")
}

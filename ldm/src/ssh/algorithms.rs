//! What we negotiate, and russh's configuration.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::Algorithm;
use russh::{Limits, Preferred, SshId, cipher, client, compression, kex, mac};

/// A server that says nothing is asked after this long…
pub(super) const KEEPALIVE: Duration = Duration::from_secs(15);

/// …and given up after so many unanswered questions: 45 s in all.
pub(super) const KEEPALIVE_MAX: usize = 2;

/// Receive window of each channel. russh grants more as soon as data has arrived, not when it was read, so the window is
/// also what one busy channel can put in the others' way; 64 KiB (OpenSSH's for X11) would be slow over a long line.
pub(super) const WINDOW: u32 = 512 * 1024;

/// Largest packet we take.
const PACKET: u32 = 32 * 1024;

/// Messages that a channel's queue holds. Never the limit in practice ([`super::inbox`] is), only for a server that sends
/// its data byte by byte.
const QUEUE: usize = 64 * 1024;

/// russh's default of 1 GiB would begin a key exchange in the middle of traffic, during which it gives up the connection if
/// more than two windows of data were still under way, from all channels together. OpenSSH's own limit (64 GiB for AES) is
/// free of that, because the server then holds its data back itself; ours is the same, and for servers that have none.
const REKEY_BYTES: usize = 64 << 30;
const REKEY_TIME: Duration = Duration::from_hours(24);

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// With AES instructions, AES-GCM is 1.6 times as fast as ChaCha20; without them it is far slower.
const CIPHERS_WITH_AES: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_CTR,
    cipher::AES_192_CTR,
    cipher::AES_256_CTR,
];
const CIPHERS_WITHOUT_AES: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::AES_128_CTR,
    cipher::AES_192_CTR,
    cipher::AES_256_CTR,
];

const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes() -> bool {
    std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

/// russh's configuration for a server whose host key may be of these kinds.
pub(super) fn config(keys: Vec<Algorithm>, certificates: Vec<Algorithm>) -> Arc<client::Config> {
    Arc::new(client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-LDM_", env!("CARGO_PKG_VERSION")))),
        limits: Limits { rekey_write_limit: REKEY_BYTES, rekey_read_limit: REKEY_BYTES, rekey_time_limit: REKEY_TIME },
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        channel_buffer_size: QUEUE,
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: Cow::Owned(keys),
            host_key_certificates: Cow::Owned(certificates),
            cipher: Cow::Borrowed(if has_aes() { CIPHERS_WITH_AES } else { CIPHERS_WITHOUT_AES }),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVE_MAX,
        // Set on the socket in `link`, together with what russh does not set.
        nodelay: true,
        ..client::Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_weak_is_offered() {
        let config = config(vec![Algorithm::Ed25519], Vec::new());
        let names: Vec<&str> = (config.preferred.kex.iter().map(AsRef::as_ref))
            .chain(config.preferred.cipher.iter().map(AsRef::as_ref))
            .chain(config.preferred.mac.iter().map(AsRef::as_ref))
            .collect();
        for name in names {
            assert!(!name.ends_with("sha1") && !name.contains("sha1-") && !name.contains("cbc"), "{name}");
            assert!(!["none", "clear"].contains(&name) && !name.contains("group1-"), "{name}");
        }
    }
}

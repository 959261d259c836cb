//! The traffic secrets of a finished handshake, from which a bulk stream protects its records itself (`tls_record.rs`).
//!
//! rustls hands out the keys of both directions but not the secrets that the next keys come from. A key log that
//! belongs to one connection only catches those. (rustls's `KernelConnection` knows them too, but only unbuffered
//! connections have one, and those lack the exporter that a connection's token comes from.)

use std::sync::{Arc, Mutex};

use aws_lc_rs::aead::{self, LessSafeKey, NONCE_LEN, UnboundKey};
use aws_lc_rs::hkdf::{self, Prk};
use rustls::{ClientConfig, Connection, ConnectionTrafficSecrets, KeyLog, ServerConfig};
use zeroize::Zeroizing;

use super::tls_record::{Opener, Sealer};
use crate::error::{Error, Kind, Result};

const CLIENT_LABEL: &str = "CLIENT_TRAFFIC_SECRET_0";
const SERVER_LABEL: &str = "SERVER_TRAFFIC_SECRET_0";

/// How one direction's records are protected (RFC 8446 §B.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suite {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl Suite {
    fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Suite::Aes128Gcm => &aead::AES_128_GCM,
            Suite::Aes256Gcm => &aead::AES_256_GCM,
            Suite::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }

    /// The suite's hash, and the bytes of a secret.
    fn hash(self) -> (hkdf::Algorithm, usize) {
        match self {
            Suite::Aes256Gcm => (hkdf::HKDF_SHA384, 48),
            Suite::Aes128Gcm | Suite::ChaCha20Poly1305 => (hkdf::HKDF_SHA256, 32),
        }
    }

    /// Records under one key: below 2^24.5 for AES-GCM, as good as all for ChaCha20-Poly1305 (RFC 8446 §5.5).
    pub fn record_limit(self) -> u64 {
        match self {
            Suite::Aes128Gcm | Suite::Aes256Gcm => 1 << 24,
            Suite::ChaCha20Poly1305 => u64::MAX,
        }
    }
}

/// `application_traffic_secret_N` of one direction (RFC 8446 §7.2).
#[derive(Clone)]
pub(super) struct TrafficSecret {
    pub suite: Suite,
    bytes: Zeroizing<Vec<u8>>,
}

impl TrafficSecret {
    /// `bytes`: as many as the suite's hash has.
    pub fn new(suite: Suite, bytes: &[u8]) -> Option<TrafficSecret> {
        let fits = bytes.len() == suite.hash().1;
        fits.then(|| TrafficSecret { suite, bytes: Zeroizing::new(bytes.to_vec()) })
    }

    /// The secret after a key update.
    pub fn next(&self) -> TrafficSecret {
        let bytes = self.expand(b"traffic upd", self.bytes.len());
        TrafficSecret { suite: self.suite, bytes }
    }

    /// The record key and the IV that each record's nonce is made of (RFC 8446 §7.3).
    pub fn keys(&self) -> (LessSafeKey, [u8; NONCE_LEN]) {
        let (key, iv) = self.raw_keys();
        let key = UnboundKey::new(self.suite.algorithm(), &key).expect("as long as the algorithm's keys");
        (LessSafeKey::new(key), iv)
    }

    fn raw_keys(&self) -> (Zeroizing<Vec<u8>>, [u8; NONCE_LEN]) {
        let key = self.expand(b"key", self.suite.algorithm().key_len());
        let iv = self.expand(b"iv", NONCE_LEN);
        (key, iv[..].try_into().expect("expanded to this length"))
    }

    /// HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
    fn expand(&self, label: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
        struct Length(usize);
        impl hkdf::KeyType for Length {
            fn len(&self) -> usize {
                self.0
            }
        }
        const PREFIX: &[u8] = b"tls13 ";
        let label_length = [(PREFIX.len() + label.len()) as u8];
        let info = [&(length as u16).to_be_bytes()[..], &label_length, PREFIX, label, &[0]];
        let prk = Prk::new_less_safe(self.suite.hash().0, &self.bytes);
        let mut out = Zeroizing::new(vec![0; length]);
        prk.expand(&info, Length(length))
            .and_then(|okm| okm.fill(&mut out))
            .expect("shorter than 255 hashes");
        out
    }
}

/// Catches the first traffic secrets of the one connection whose configuration has it.
#[derive(Default)]
pub(super) struct SecretCatcher(Mutex<Caught>);

#[derive(Default)]
struct Caught {
    client: Zeroizing<Vec<u8>>,
    server: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for SecretCatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretCatcher")
    }
}

impl KeyLog for SecretCatcher {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        let mut caught = self.0.lock().unwrap();
        match label {
            CLIENT_LABEL => caught.client = Zeroizing::new(secret.to_vec()),
            SERVER_LABEL => caught.server = Zeroizing::new(secret.to_vec()),
            _ => {}
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == CLIENT_LABEL || label == SERVER_LABEL
    }
}

/// A configuration for one connection, whose secrets can be taken afterwards.
pub(super) fn for_one_client(config: &ClientConfig) -> (Arc<ClientConfig>, Arc<SecretCatcher>) {
    let catcher = Arc::new(SecretCatcher::default());
    let mut config = config.clone();
    config.key_log = catcher.clone();
    config.enable_secret_extraction = true;
    (Arc::new(config), catcher)
}

/// The same for the side that listens.
pub(super) fn for_one_server(config: &ServerConfig) -> (Arc<ServerConfig>, Arc<SecretCatcher>) {
    let catcher = Arc::new(SecretCatcher::default());
    let mut config = config.clone();
    config.key_log = catcher.clone();
    config.enable_secret_extraction = true;
    (Arc::new(config), catcher)
}

impl SecretCatcher {
    /// Takes a session apart after its handshake. Nothing may wait in it, neither to be read nor to be sent.
    pub fn take_over(&self, session: Connection) -> Result<(Sealer, Opener)> {
        let is_client = matches!(session, Connection::Client(_));
        let failed = |error: rustls::Error| {
            Error::new(Kind::Internal, format!("Cannot take over a TLS session: {error}"))
        };
        let extracted = session.dangerous_extract_secrets().map_err(failed)?;
        let caught = std::mem::take(&mut *self.0.lock().unwrap());
        let (ours, theirs) =
            if is_client { (caught.client, caught.server) } else { (caught.server, caught.client) };
        let (sent, sending) = extracted.tx;
        let (received, receiving) = extracted.rx;
        let sealer = Sealer::new(checked_secret(&ours, &sending)?, sent);
        let opener = Opener::new(checked_secret(&theirs, &receiving)?, received);
        Ok((sealer, opener))
    }
}

/// The caught secret, if it is the one that `current` comes from.
fn checked_secret(caught: &[u8], current: &ConnectionTrafficSecrets) -> Result<TrafficSecret> {
    let (suite, key, iv) = match current {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Suite::Aes128Gcm, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Suite::Aes256Gcm, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (Suite::ChaCha20Poly1305, key, iv),
        _ => return Err(Error::new(Kind::Internal, "a TLS session uses an unknown cipher")),
    };
    let secret = TrafficSecret::new(suite, caught)
        .ok_or_else(|| Error::new(Kind::Internal, "a TLS session did not tell its secrets"))?;
    let (own_key, own_iv) = secret.raw_keys();
    if own_key[..] != *key.as_ref() || own_iv[..] != *iv.as_ref() {
        // Keys cannot be updated before the first application data that this protocol knows.
        return Err(Error::new(Kind::Protocol, "the peer updated its keys during the handshake"));
    }
    Ok(secret)
}

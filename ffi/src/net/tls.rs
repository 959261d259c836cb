//! TLS 1.3 with raw Ed25519 public keys (RFC 7250): a peer is its key, there are no certificates and no names.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, RwLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName,
    PeerIncompatible, ServerConfig, SignatureScheme,
};
use zeroize::Zeroizing;

use super::{ALPN, PeerKey};
use crate::error::{Error, Kind, Result};

/// PKCS#8 v1 of an Ed25519 seed (RFC 8410 §7): these bytes, then the seed.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 §4): these bytes, then the key.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The keys that may get past a handshake, and whose they are.
#[derive(Clone, Debug, Default)]
pub struct AllowedKeys(Arc<RwLock<HashMap<PeerKey, PeerKey>>>);

impl AllowedKeys {
    pub fn insert(&self, key: PeerKey) {
        self.0.write().unwrap().insert(key, key);
    }

    /// Lets the machine with the key `owner` in under `key` too, which it uses at a relay.
    pub fn insert_relay_key(&self, key: PeerKey, owner: PeerKey) {
        self.0.write().unwrap().insert(key, owner);
    }

    /// Whether it is a machine's own key.
    pub fn contains(&self, key: &PeerKey) -> bool {
        self.owner(key) == Some(*key)
    }

    /// The machine that `key` stands for.
    pub fn owner(&self, key: &PeerKey) -> Option<PeerKey> {
        self.0.read().unwrap().get(key).copied()
    }
}

/// This machine's key, ready for handshakes.
pub struct Identity {
    provider: Arc<CryptoProvider>,
    key: Arc<CertifiedKey>,
    public_key: PeerKey,
}

impl Identity {
    /// Prepares the key whose Ed25519 seed is `seed`.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Identity> {
        let provider = Arc::new(provider());
        let mut der = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + seed.len()));
        der.extend_from_slice(&PKCS8_PREFIX);
        der.extend_from_slice(seed);
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice()));
        let signing = aws_lc_rs::sign::any_eddsa_type(match &der {
            PrivateKeyDer::Pkcs8(der) => der,
            _ => unreachable!("made above"),
        })
        .map_err(|_| {
            Error::new(Kind::InvalidArgument, "Cannot use the machine key: it is not an Ed25519 seed")
        })?;
        let spki = signing
            .public_key()
            .ok_or_else(|| Error::new(Kind::Internal, "the machine key has no public key"))?;
        let public_key = key_of_spki(spki.as_ref())
            .ok_or_else(|| Error::new(Kind::Internal, "the machine key has an unknown form"))?;
        let certificate = CertificateDer::from(spki.as_ref().to_vec());
        drop(spki);
        let key = Arc::new(CertifiedKey::new(vec![certificate], signing));
        Ok(Identity { provider, key, public_key })
    }

    pub fn public_key(&self) -> PeerKey {
        self.public_key
    }

    /// Negotiates `suite` or nothing.
    #[cfg(test)]
    pub fn limit_to(&mut self, suite: rustls::SupportedCipherSuite) {
        let provider = CryptoProvider { cipher_suites: vec![suite], ..(*self.provider).clone() };
        self.provider = Arc::new(provider);
    }

    /// The side that dials: takes exactly `peer_key`.
    pub fn client_config(&self, peer_key: PeerKey) -> Result<Arc<ClientConfig>> {
        let verifier = Verifier { provider: self.provider.clone(), rule: Rule::Exactly(peer_key) };
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(internal)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// The side that listens: takes the keys in `allowed`, as it is at the time of each handshake.
    pub fn server_config(&self, allowed: AllowedKeys) -> Result<Arc<ServerConfig>> {
        let verifier = Verifier { provider: self.provider.clone(), rule: Rule::OneOf(allowed) };
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(internal)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

/// aws-lc-rs with the suite that is fastest here first; the dialler's order counts.
pub(super) fn provider() -> CryptoProvider {
    let aes = [cipher_suite::TLS13_AES_128_GCM_SHA256, cipher_suite::TLS13_AES_256_GCM_SHA384];
    let chacha = [cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
    let cipher_suites = if has_aes() { [&aes[..], &chacha[..]] } else { [&chacha[..], &aes[..]] }.concat();
    CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() }
}

fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// The key that the peer of a finished handshake proved to own.
pub fn peer_key(certificates: Option<&[CertificateDer<'_>]>) -> Option<PeerKey> {
    key_of_spki(certificates?.first()?.as_ref())
}

fn key_of_spki(spki: &[u8]) -> Option<PeerKey> {
    spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}

/// Sorts a failed handshake: why, in plain words.
pub fn handshake_error(what: &str, error: &io::Error) -> Error {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (kind, state) = match cause {
        Some(rustls::Error::InvalidCertificate(_)) => {
            (Kind::PeerUnauthenticated, "the machine there has another key than expected".to_owned())
        }
        Some(rustls::Error::AlertReceived(alert)) if is_about_key(*alert) => {
            (Kind::PeerUnauthenticated, "the machine there does not accept this machine's key".to_owned())
        }
        Some(_) => (Kind::ConnectFailed, "the machine there does not speak this protocol".to_owned()),
        None => (Kind::ConnectFailed, super::address::plain(error)),
    };
    Error { kind, errno: error.raw_os_error().unwrap_or(0), text: format!("{what}: {state}") }
}

fn is_about_key(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateRequired
            | AlertDescription::UnsupportedCertificate
    )
}

fn internal(error: rustls::Error) -> Error {
    Error::new(Kind::Internal, format!("cannot set up TLS: {error}"))
}

enum Rule {
    Exactly(PeerKey),
    OneOf(AllowedKeys),
}

/// Checks a raw public key against the rule, and that the peer owns it.
struct Verifier {
    provider: Arc<CryptoProvider>,
    rule: Rule,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    fn check(
        &self,
        end: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
    ) -> std::result::Result<(), rustls::Error> {
        let fits = match (key_of_spki(end.as_ref()), &self.rule) {
            (Some(key), Rule::Exactly(expected)) => key == *expected,
            (Some(key), Rule::OneOf(allowed)) => allowed.contains(&key),
            (None, _) => false,
        };
        if fits && more.is_empty() {
            return Ok(());
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let spki = SubjectPublicKeyInfoDer::from(certificate.as_ref());
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &spki, signature, algorithms)
    }
}

fn no_tls12() -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
    Err(rustls::Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        self.check(end, more).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> std::result::Result<ClientCertVerified, rustls::Error> {
        self.check(end, more).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

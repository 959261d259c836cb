//! What an endpoint knows of a hub's relay, and whose certificates it believes there.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use iroh::tls::CaTlsConfig;
use iroh::{Endpoint, RelayConfig, RelayMap, RelayUrl};
use iroh_relay::RelayQuicConfig;
use n0_watcher::Watcher;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};

use super::Pin;
use crate::error::{Error, Kind, Result};

/// How long the relay has for an answer over TCP before address discovery is tried as well. iroh looks for both together
/// and would not use the relay before a blocked UDP port has cost 3 s.
const TCP_FIRST: Duration = Duration::from_secs(2);

/// How often an endpoint is looked at until it is at its relay.
const LOOK: Duration = Duration::from_millis(20);

/// How soon a report is asked for again, and how often: for 15 s, since one may run for 10 s already.
const ASK_AGAIN: Duration = Duration::from_millis(50);
const ASKED_AT_MOST: usize = 300;

/// A hub's relay, as the hub announces it.
#[derive(Clone)]
pub struct Hub {
    /// `https://host:port/` or `http://host:port/`.
    pub url: String,
    pub token: String,
    /// UDP port at the same host that tells machines their address.
    pub discovery_port: Option<u16>,
    /// Certificates to believe there besides those that the system believes.
    pub pins: Vec<Pin>,
}

/// The certificates that an endpoint was told to believe. Peers are known by their keys; this is only about relays.
#[derive(Clone, Default)]
pub struct Trust(Arc<RwLock<HashSet<Pin>>>);

impl Trust {
    /// Believes the certificates with these hashes too.
    pub fn believe(&self, pins: impl IntoIterator<Item = Pin>) {
        self.0.write().unwrap().extend(pins);
    }

    /// The settings of iroh's connections to relays.
    pub fn tls(&self) -> CaTlsConfig {
        let trust = self.clone();
        CaTlsConfig::custom_server_cert_verifier(Arc::new(move |provider| {
            let roots = CaTlsConfig::embedded().server_cert_verifier(provider.clone())?;
            let verifier = Verifier { trust: trust.clone(), roots, algorithms: algorithms(&provider) };
            Ok::<Arc<dyn ServerCertVerifier>, io::Error>(Arc::new(verifier))
        }))
    }
}

/// Where the hub's relay is.
pub fn url(hub: &Hub) -> Result<RelayUrl> {
    hub.url.parse().map_err(|_| {
        Error::new(Kind::InvalidArgument, format!("Cannot use the relay \"{}\": it is no URL", hub.url))
    })
}

/// What an endpoint knows of the hub's relay at `url` when it is made.
///
/// One that were told of it a moment later would look for relays twice in a row, and the second report of iroh (1.4.1), which
/// looks at nothing, may count as a wish to have no relay as its home.
pub fn known(trust: &Trust, url: &RelayUrl, hub: &Hub) -> RelayMap {
    trust.believe(hub.pins.iter().copied());
    RelayMap::from(config(url, hub, None))
}

/// Makes `endpoint` reachable over one more relay, at `url`, and has it find out its address there.
pub async fn join(endpoint: &Endpoint, trust: &Trust, url: &RelayUrl, hub: &Hub) {
    trust.believe(hub.pins.iter().copied());
    endpoint.insert_relay(url.clone(), Arc::new(config(url, hub, None))).await;
    find_address(endpoint, url, hub);
}

/// Has `endpoint` find out its address at the relay at `url` as soon as it is there.
pub fn find_address(endpoint: &Endpoint, url: &RelayUrl, hub: &Hub) {
    let config = Arc::new(config(url, hub, hub.discovery_port));
    let (endpoint, url) = (endpoint.clone(), url.clone());
    tokio::spawn(async move {
        let find = async {
            let _ = tokio::time::timeout(TCP_FIRST, connected(&endpoint)).await;
            if config.quic.is_some() || !has_home(&endpoint) {
                report(&endpoint, &url, &config).await;
            }
        };
        tokio::select! {
            () = find => {}
            () = endpoint.closed() => {}
        }
    });
}

fn config(url: &RelayUrl, hub: &Hub, discovery_port: Option<u16>) -> RelayConfig {
    RelayConfig::new(url.clone(), discovery_port.map(RelayQuicConfig::new)).with_auth_token(hub.token.clone())
}

/// Waits until `endpoint` is at a relay.
pub(super) async fn connected(endpoint: &Endpoint) {
    while !is_connected(endpoint) {
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether `endpoint` is at a relay now. [`Endpoint::home_relay_status`] does not tell: iroh (1.4.1) now and then forgets
/// which relay is its home while it goes on to connect to it.
pub(super) fn is_connected(endpoint: &Endpoint) -> bool {
    let counted = &endpoint.metrics().socket;
    counted.relay_conns_success.get() > counted.relay_conns_closed.get()
}

/// Whether `endpoint` keeps its connection to a relay when nothing comes over it.
fn has_home(endpoint: &Endpoint) -> bool {
    endpoint.home_relay_status().get().iter().any(|relay| relay.is_connected())
}

/// Has `endpoint` look at the relay at `url` anew, and find out its address there if `config` says where.
///
/// iroh (1.4.1) forgets a report that is asked for in the moment in which another one ends, and makes the next one 20 to 26 s
/// later. So it is asked for until one has begun.
async fn report(endpoint: &Endpoint, url: &RelayUrl, config: &Arc<RelayConfig>) {
    let reports = || endpoint.metrics().net_report.reports_full.get();
    let before = reports();
    for _ in 0..ASKED_AT_MOST {
        endpoint.insert_relay(url.clone(), config.clone()).await;
        tokio::time::sleep(ASK_AGAIN).await;
        if reports() > before {
            return;
        }
    }
}

/// Believes the certificates that the hub named, else those of the public authorities.
struct Verifier {
    trust: Trust,
    roots: Arc<dyn ServerCertVerifier>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let pin: Pin = Sha256::digest(certificate).into();
        if self.trust.0.read().unwrap().contains(&pin) {
            return Ok(ServerCertVerified::assertion());
        }
        self.roots.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn algorithms(provider: &CryptoProvider) -> WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}

//! Tells machines which address their packets come from (QUIC address discovery, iroh's `/iroh-qad/0`), so that they can
//! tell each other. A connection carries nothing else: no streams, no datagrams.
//!
//! A second port sees the same machine from another place: by that `doctor` learns whether a NAT gives every peer another port
//! (`reflection.rs`). Whoever asks for it (ALPN `/wormhole-knock/0`) is knocked at from there, once: its address is proved by then,
//! so nobody can have somebody else knocked at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) use iroh_relay::quic::ALPN_QUIC_ADDR_DISC;
use noq::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Pin, Trust};
use crate::error::{Error, Kind, Result};
use crate::net::{address, tls};

/// Connections at a time; more are refused, and those find their address out from the other machine or not at all.
const MAX_CONNECTIONS: usize = 4096;

/// From this many on a stranger has to show that its address is its own before anything is kept of it.
const RETRY_FROM: usize = MAX_CONNECTIONS / 4;

/// Clients send something every 25 s.
const IDLE: Duration = Duration::from_secs(60);

/// What may wait in all for being looked at, bytes.
const MAX_INCOMING_BYTES: u64 = 1 << 20;

/// How long the end may take to be told to the clients.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks to be knocked at from the other port.
pub(super) const ALPN_KNOCK: &[u8] = b"/wormhole-knock/0";

/// How long somebody is knocked at: a first packet and two more.
const KNOCK: Duration = Duration::from_millis(2000);

/// A running service.
pub struct Discovery {
    endpoint: noq::Endpoint,
    address: SocketAddr,
    other: Option<noq::Endpoint>,
    pin: Pin,
    open: Arc<Semaphore>,
    refused: Arc<AtomicU64>,
    accepting: JoinSet<()>,
}

impl Discovery {
    /// Listens on UDP under a certificate of its own, made now, which clients know by its hash; also at the next port, or at
    /// any where that is taken.
    pub fn open(at: SocketAddr) -> Result<Discovery> {
        let (config, pin) = listener_config()?;
        let endpoint =
            noq::Endpoint::server(config.clone(), at).map_err(|error| address::bind_error(at, &error))?;
        let address = endpoint
            .local_addr()
            .map_err(|error| Error::io("Cannot listen for address discovery", &error))?;
        let open = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let refused = Arc::new(AtomicU64::new(0));
        let next = [address.port().checked_add(1), Some(0)].into_iter().flatten();
        let other = next
            .map(|port| SocketAddr::new(at.ip(), port))
            .find_map(|at| noq::Endpoint::server(config.clone(), at).ok());
        let mut accepting = JoinSet::new();
        let knocker =
            other.clone().map(|other| Ok::<_, Error>(Knocker { from: other, config: knock_config()? }));
        let knocker = knocker.transpose()?;
        accepting.spawn(accept(endpoint.clone(), knocker, open.clone(), refused.clone()));
        if let Some(other) = &other {
            accepting.spawn(accept(other.clone(), None, open.clone(), refused.clone()));
        }
        Ok(Discovery { endpoint, address, other, pin, open, refused, accepting })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another port at the same address.
    pub fn other_port(&self) -> Option<u16> {
        self.other.as_ref()?.local_addr().ok().map(|address| address.port())
    }

    /// The certificate that clients must find.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// Connections that are there.
    pub fn inside(&self) -> usize {
        MAX_CONNECTIONS - self.open.available_permits()
    }

    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub async fn close(&self) {
        self.end();
        let idle = async {
            for endpoint in self.endpoints() {
                endpoint.wait_idle().await;
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, idle).await;
    }

    fn end(&self) {
        self.endpoints().for_each(|endpoint| endpoint.close(0_u8.into(), b""));
    }

    fn endpoints(&self) -> impl Iterator<Item = &noq::Endpoint> {
        [&self.endpoint].into_iter().chain(&self.other)
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.accepting.abort_all();
        self.end();
    }
}

/// Sends somebody a packet from another port than the one that it came to.
#[derive(Clone)]
struct Knocker {
    from: noq::Endpoint,
    config: noq::ClientConfig,
}

impl Knocker {
    /// A handshake that nobody is to answer.
    async fn knock(&self, at: SocketAddr) {
        let Ok(knock) = self.from.connect_with(self.config.clone(), at, "knock") else { return };
        let _ = tokio::time::timeout(KNOCK, knock).await;
    }
}

async fn accept(
    endpoint: noq::Endpoint,
    knocker: Option<Knocker>,
    open: Arc<Semaphore>,
    refused: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = open.clone().try_acquire_owned() else {
            refused.fetch_add(1, Ordering::Relaxed);
            incoming.refuse();
            continue;
        };
        let busy = MAX_CONNECTIONS - open.available_permits() >= RETRY_FROM;
        if busy && !incoming.remote_address_validated() && incoming.may_retry() {
            let _ = incoming.retry();
            continue;
        }
        let knocker = knocker.clone();
        connections.spawn(async move {
            let _permit = permit;
            let remote = incoming.remote_address();
            // A stranger's failed handshake concerns nobody here.
            let Ok(connection) = incoming.await else { return };
            if let Some(knocker) = knocker.filter(|_| wants_knock(&connection)) {
                tokio::select! {
                    () = knocker.knock(remote) => {}
                    _ = connection.closed() => return,
                }
            }
            connection.closed().await;
        });
    }
}

fn wants_knock(connection: &noq::Connection) -> bool {
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    data.is_some_and(|data| data.protocol.as_deref() == Some(ALPN_KNOCK))
}

fn knock_config() -> Result<noq::ClientConfig> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(Kind::Internal, format!("Cannot tell addresses from a second port: {error}"))
    };
    let crypto = Trust::default().tls().client_config(Arc::new(tls::provider()));
    let crypto = QuicClientConfig::try_from(crypto.map_err(|error| failed(&error))?);
    let mut config = noq::ClientConfig::new(Arc::new(crypto.map_err(|error| failed(&error))?));
    let mut transport = noq::TransportConfig::default();
    // Low, so that what is lost is soon sent again.
    transport.initial_rtt(Duration::from_millis(111));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// What a socket takes connections with, and the hash of the certificate, which is made now.
pub(super) fn listener_config() -> Result<(noq::ServerConfig, Pin)> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(Kind::Internal, format!("Cannot make a certificate for address discovery: {error}"))
    };
    let made =
        rcgen::generate_simple_self_signed(vec!["discovery".to_owned()]).map_err(|error| failed(&error))?;
    let certificate = made.cert.der().clone();
    let pin = Sha256::digest(&certificate).into();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut crypto = rustls::ServerConfig::builder_with_provider(Arc::new(tls::provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
        .map_err(|error| failed(&error))?;
    crypto.alpn_protocols = vec![ALPN_KNOCK.to_vec(), ALPN_QUIC_ADDR_DISC.to_vec()];
    let crypto = QuicServerConfig::try_from(crypto).map_err(|error| failed(&error))?;
    let mut config = noq::ServerConfig::with_crypto(Arc::new(crypto));
    config.incoming_buffer_size_total(MAX_INCOMING_BYTES);
    let mut transport = noq::TransportConfig::default();
    transport
        .max_concurrent_uni_streams(0_u8.into())
        .max_concurrent_bidi_streams(0_u8.into())
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IDLE.try_into().expect("a minute fits")))
        .send_observed_address_reports(true);
    config.transport_config(Arc::new(transport));
    Ok((config, pin))
}

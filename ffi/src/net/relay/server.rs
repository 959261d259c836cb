//! The relay's listeners and what it holds.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use iroh_relay::KeyCache;
use iroh_relay::http::{RELAY_PATH, RELAY_PROBE_PATH};
use iroh_relay::server::http_server::{
    BytesBody, Handlers, HyperError, RelayService, RelayServiceWithNotify,
};
use iroh_relay::server::streams::MaybeTlsStream;
use iroh_relay::server::{ClientRateLimit, Metrics};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::discovery::Discovery;
use super::gate::Gate;
use super::take_over::found;
use super::{Held, JOINED, Pin, token_for};
use crate::error::{Error, Kind, Result};
use crate::net::{address, tls};
use crate::transit_relay::{self, Asked, Counts, Joins, Limits};

/// How long a connection may take from its first byte until its key is proved.
const ENTRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that are on their way in, at a time; more have to wait in the system's queue.
const MAX_ENTERING: usize = 512;

/// Public keys of clients whose check is remembered, 40 bytes each.
const KEY_CACHE: usize = 8192;

/// Pause after the system could not give a connection: it has run out of something that others must give back.
const PAUSE: Duration = Duration::from_millis(100);

/// Certificate chain and key, as PEM.
pub struct TlsPem {
    pub cert: String,
    pub key: String,
}

/// What [`RelayServer::open`] needs.
pub struct Options {
    /// Where WebSockets are taken (TCP).
    pub listen: Vec<SocketAddr>,
    pub tls: Option<TlsPem>,
    /// Where addresses are told (UDP).
    pub discovery: Option<SocketAddr>,
    /// What the tokens are made with.
    pub secret: [u8; 32],
    pub max_clients: usize,
    /// What one client may send, bytes a second.
    pub client_bytes_per_second: Option<u32>,
    /// What connections that are joined may use.
    pub joins: Limits,
}

/// What a relay has done, for metrics.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub clients: usize,
    pub clients_total: u64,
    pub refused_total: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub packets_dropped: u64,
    /// Times that a client sent more than it may.
    pub limited_total: u64,
    pub discoveries: usize,
    pub discoveries_refused: u64,
}

/// A relay, until it is closed or dropped.
pub struct RelayServer {
    service: RelayService,
    gate: Arc<Gate>,
    metrics: Arc<Metrics>,
    secret: [u8; 32],
    joins: Joins,
    tls: Arc<RwLock<Option<TlsAcceptor>>>,
    discovery: Option<Discovery>,
    addresses: Vec<SocketAddr>,
    listeners: Mutex<JoinSet<()>>,
}

impl RelayServer {
    /// Listens. Where address discovery has no port the relay goes on without.
    pub async fn open(options: Options) -> Result<RelayServer> {
        let acceptor = options.tls.as_ref().map(acceptor).transpose()?;
        let tls = Arc::new(RwLock::new(acceptor));
        let gate = Arc::new(Gate::new(options.secret, options.max_clients));
        let metrics = Arc::new(Metrics::default());
        let limit = options
            .client_bytes_per_second
            .and_then(|rate| Some(ClientRateLimit::new(rate.try_into().ok()?)));
        let service = RelayService::new(
            handlers(),
            http::HeaderMap::new(),
            limit,
            KeyCache::new(KEY_CACHE),
            gate.clone(),
            metrics.clone(),
        );
        let mut listeners = JoinSet::new();
        let mut addresses = Vec::new();
        let entering = Arc::new(Semaphore::new(MAX_ENTERING));
        for listener in address::listen(&options.listen)? {
            let failed = |error| Error::io("Cannot listen for the relay", &error);
            addresses.push(listener.local_addr().map_err(failed)?);
            let listener = TcpListener::from_std(listener).map_err(failed)?;
            listeners.spawn(listen(listener, service.clone(), tls.clone(), entering.clone()));
        }
        let discovery = options.discovery.map(Discovery::open).transpose()?;
        let secret = options.secret;
        let listeners = Mutex::new(listeners);
        let joins = Joins::new(options.joins, JOINED);
        Ok(RelayServer { service, gate, metrics, secret, joins, tls, discovery, addresses, listeners })
    }

    /// Where WebSockets are taken.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where addresses are told, and the certificate there.
    pub fn discovery(&self) -> Option<(SocketAddr, Pin)> {
        self.discovery.as_ref().map(|discovery| (discovery.address(), discovery.pin()))
    }

    /// A second UDP port at which addresses are told.
    pub fn other_discovery_port(&self) -> Option<u16> {
        self.discovery.as_ref().and_then(Discovery::other_port)
    }

    /// A token that opens this relay.
    pub fn token(&self) -> String {
        token_for(&self.secret)
    }

    /// Takes new connections with another certificate; those that are there go on.
    pub fn renew(&self, pem: &TlsPem) -> Result<()> {
        *self.tls.write().unwrap() = Some(acceptor(pem)?);
        Ok(())
    }

    pub fn seen(&self) -> Seen {
        let metrics = &self.metrics;
        Seen {
            clients: self.gate.inside(),
            clients_total: metrics.accepts.get(),
            refused_total: self.gate.refused(),
            bytes_in: metrics.bytes_recv.get(),
            bytes_out: metrics.bytes_sent.get(),
            packets_dropped: metrics.send_packets_dropped.get(),
            limited_total: metrics.conns_rx_ratelimited_total.get(),
            discoveries: self.discovery.as_ref().map_or(0, Discovery::inside),
            discoveries_refused: self.discovery.as_ref().map_or(0, Discovery::refused),
        }
    }

    /// Joins a connection that came to the hub's own port to the other side of what it asks for, `src/wire/spec/relay_join.md`; done
    /// when they have hung up, or with the reason why it is not joined; then nothing was said to it. `from`: what it counts
    /// as, an address or any other text.
    ///
    /// # Errors
    /// UNSUPPORTED, at once, where connections of this process cannot be found.
    pub async fn join(
        &self,
        held: Held,
        from: &str,
        token: &str,
        asked: Asked,
    ) -> Result<Option<&'static str>> {
        if !self.gate.opens(token) {
            return Ok(Some("token"));
        }
        let from = from.parse().map_or_else(
            |_| *blake3::hash(from.as_bytes()).as_bytes().first_chunk().expect("it has 32 bytes"),
            transit_relay::key,
        );
        Ok(self.joins.join(found(held)?, from, asked).await.err().map(|why| why.name()))
    }

    /// What was joined so far, and is now.
    pub fn joined(&self) -> Counts {
        self.joins.counts()
    }

    /// Lets nobody in any more; what is relayed goes on.
    pub fn drain(&self) {
        self.joins.drain();
        self.listeners.lock().unwrap().abort_all();
    }

    /// Ends it all; idempotent.
    pub async fn close(&self) {
        self.drain();
        self.service.shutdown().await;
        if let Some(discovery) = &self.discovery {
            discovery.close().await;
        }
    }
}

fn handlers() -> Handlers {
    let mut handlers = Handlers::default();
    // By this clients see that the relay is there where UDP is blocked.
    handlers.insert(
        (Method::GET, RELAY_PROBE_PATH),
        Box::new(|_, response| {
            let nothing: BytesBody = Box::new(Full::new(Bytes::new()));
            Ok(response.status(StatusCode::OK).body(nothing)?)
        }),
    );
    handlers
}

async fn listen(
    listener: TcpListener,
    service: RelayService,
    tls: Arc<RwLock<Option<TlsAcceptor>>>,
    entering: Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = entering.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (service, acceptor) = (service.clone(), tls.read().unwrap().clone());
        tokio::spawn(async move {
            let _permit = permit;
            enter(stream, service, acceptor).await;
        });
    }
}

/// Brings a connection to the relay protocol. Whoever has not proved its key in time is hung up on: the relay itself
/// would wait for ever.
async fn enter(stream: TcpStream, service: RelayService, acceptor: Option<TlsAcceptor>) {
    // A second handle of the same socket, since the relay keeps the first.
    let Ok(handle) = SockRef::from(&stream).try_clone() else { return };
    let established = Arc::new(Notify::new());
    let known = established.notified();
    tokio::pin!(known);
    known.as_mut().enable();
    let service = RelayServiceWithNotify::new(service, established.clone());
    let is_client = Arc::new(AtomicBool::new(false));
    let service = Noting { service, is_client: is_client.clone() };
    let serving = async {
        let stream = match acceptor {
            Some(acceptor) => match acceptor.accept(stream).await {
                Ok(stream) => MaybeTlsStream::Tls(stream),
                Err(_) => return,
            },
            None => MaybeTlsStream::Plain(stream),
        };
        let served =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        if served.is_ok() && is_client.load(Ordering::Relaxed) {
            known.await;
        }
    };
    if tokio::time::timeout(ENTRY_TIMEOUT, serving).await.is_err() {
        let _ = handle.shutdown(std::net::Shutdown::Both);
    }
}

/// The relay's service, and whether somebody asked for the relay itself.
struct Noting {
    service: RelayServiceWithNotify,
    is_client: Arc<AtomicBool>,
}

impl Service<Request<Incoming>> for Noting {
    type Response = Response<BytesBody>;
    type Error = HyperError;
    type Future = <RelayServiceWithNotify as Service<Request<Incoming>>>::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if request.uri().path() == RELAY_PATH {
            self.is_client.store(true, Ordering::Relaxed);
        }
        self.service.call(request)
    }
}

fn acceptor(pem: &TlsPem) -> Result<TlsAcceptor> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(Kind::ConfigInvalid, format!("Cannot use the TLS certificate: {error}"))
    };
    let chain = CertificateDer::pem_slice_iter(pem.cert.as_bytes())
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).map_err(|error| failed(&error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(tls::provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| failed(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

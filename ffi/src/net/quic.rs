//! QUIC through the crate `iroh`, with relays, address lookup and port mapping off: packets go to the addresses
//! that were asked for and nowhere else.
//!
//! The dialler opens one bidirectional stream, the control stream, and writes the byte 1 on it, since a stream that
//! nothing was written on does not exist for the peer. The acceptor checks the dialler's key, then answers 1.
//! Every bulk stream is a unidirectional stream that its sender opens.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use iroh::endpoint::{
    BindError, BindOpts, ConnectError, ConnectingError, ConnectionError, PortmapperConfig, RecvStream,
    SendStream, VarInt, presets,
};
use iroh::{Endpoint, EndpointAddr, PublicKey, RelayMode, SecretKey};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;

use super::control::{Control, LINGER};
use super::life::Life;
use super::quic_config::{Congestion, transport_config};
use super::tls::AllowedKeys;
use super::{ALPN, Connection, Payload, PeerKey, Sink, Source, Stats};
use crate::error::{Error, Kind, Result};

const HELLO: u8 = 1;

/// Application close code for a key that is not allowed; every other code is the caller's.
const NOT_ALLOWED: u32 = 0x1_0001;

/// Above bulk streams, so that a cancel overtakes data.
const CONTROL_PRIORITY: i32 = 1;

/// Binds one endpoint to `addresses` (UDP).
pub(super) async fn bind(
    seed: &[u8; 32],
    addresses: &[SocketAddr],
    congestion: Congestion,
) -> Result<Endpoint> {
    let mut builder = Endpoint::builder(presets::Minimal)
        .crypto_provider(Arc::new(super::tls::provider()))
        .secret_key(SecretKey::from_bytes(seed))
        .alpns(vec![ALPN.to_vec()])
        .relay_mode(RelayMode::Disabled)
        .portmapper_config(PortmapperConfig::Disabled)
        .clear_address_lookup()
        .transport_config(transport_config(congestion).build())
        .clear_ip_transports();
    let mut has_default = [false; 2];
    for address in super::address::usable_for_udp(addresses)? {
        let default = &mut has_default[usize::from(address.is_ipv6())];
        // The first of each family routes everywhere; further ones only answer.
        let length = match (*default, address.is_ipv6()) {
            (false, _) => 0,
            (true, false) => 32,
            (true, true) => 128,
        };
        *default = true;
        builder = builder.bind_addr_with_opts(address, BindOpts::default().set_prefix_len(length)).map_err(
            |error| Error::new(Kind::InvalidArgument, format!("Cannot listen on {address}: {error}")),
        )?;
    }
    builder.bind().await.map_err(|error| match error {
        BindError::Sockets { source, .. } | BindError::CreateQuicEndpoint { source, .. } => {
            super::address::bind_error(addresses[0], &source)
        }
        error => Error::new(Kind::Internal, format!("Cannot start quic: {error}")),
    })
}

/// Connects to `address`, whose machine must own `peer_key`.
pub(super) async fn dial(endpoint: &Endpoint, address: SocketAddr, peer_key: PeerKey) -> Result<Connection> {
    let what = format!("Cannot connect to {address} over quic");
    let id = PublicKey::from_bytes(&peer_key).map_err(|_| {
        Error::new(Kind::InvalidArgument, format!("{what}: the peer's key is not an Ed25519 public key"))
    })?;
    let failed = |error: &ConnectionError| connect_error(&what, error);
    let target = EndpointAddr::new(id).with_ip_addr(address);
    let connection = endpoint.connect(target, ALPN).await.map_err(|error| match &error {
        ConnectError::Connection { source, .. }
        | ConnectError::Connecting { source: ConnectingError::ConnectionError { source, .. }, .. } => {
            failed(source)
        }
        error => Error::new(Kind::ConnectFailed, format!("{what}: {error}")),
    })?;
    let guard = CloseOnDrop(Some(connection));
    let connection = guard.0.as_ref().expect("just put");
    let (mut send, mut receive) = connection.open_bi().await.map_err(|error| failed(&error))?;
    let hello = async {
        send.write_all(&[HELLO]).await.map_err(std::io::Error::from)?;
        receive.read_u8().await
    };
    let answer = hello.await.map_err(|error| match connection.close_reason() {
        Some(reason) => failed(&reason),
        None => Error::new(Kind::ConnectFailed, format!("{what}: {}", super::address::plain(&error))),
    })?;
    if answer != HELLO {
        return Err(Error::new(Kind::Protocol, format!("{what}: the machine there answers {answer}")));
    }
    Ok(open(endpoint.clone(), guard.keep(), (send, receive), address.to_string()))
}

/// Brings one incoming handshake to its end; only keys in `allowed` get a connection.
pub(super) async fn accept(
    endpoint: &Endpoint,
    incoming: iroh::endpoint::Incoming,
    allowed: &AllowedKeys,
) -> Result<Connection> {
    let lost = |error: String| {
        Error::new(Kind::ConnectFailed, format!("Cannot accept a connection over quic: {error}"))
    };
    let remote = match incoming.remote_addr() {
        iroh::endpoint::IncomingAddr::Ip(address) => address.to_string(),
        other => format!("{other:?}"),
    };
    let accepting = incoming.accept().map_err(|error| lost(error.to_string()))?;
    let connection = accepting.await.map_err(|error| lost(error.to_string()))?;
    let guard = CloseOnDrop(Some(connection));
    let connection = guard.0.as_ref().expect("just put");
    if !allowed.contains(connection.remote_id().as_bytes()) {
        connection.close(VarInt::from_u32(NOT_ALLOWED), b"not allowed");
        let text = format!("Cannot accept a connection from {remote} over quic: its key is not allowed");
        return Err(Error::new(Kind::PeerUnauthenticated, text));
    }
    let (mut send, mut receive) = connection.accept_bi().await.map_err(|error| lost(error.to_string()))?;
    let hello = receive.read_u8().await.map_err(|error| lost(error.to_string()))?;
    if hello != HELLO {
        return Err(lost(format!("it begins with {hello}")));
    }
    send.write_all(&[HELLO]).await.map_err(|error| lost(error.to_string()))?;
    Ok(open(endpoint.clone(), guard.keep(), (send, receive), remote))
}

/// Closes a connection whose set-up was cancelled or failed.
struct CloseOnDrop(Option<iroh::endpoint::Connection>);

impl CloseOnDrop {
    fn keep(mut self) -> iroh::endpoint::Connection {
        self.0.take().expect("taken once")
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.close(VarInt::from_u32(0), b"");
        }
    }
}

fn connect_error(what: &str, error: &ConnectionError) -> Error {
    /// RFC 9001 §4.8: a TLS alert is this plus the alert's number.
    const CRYPTO: std::ops::Range<u64> = 0x100..0x200;
    const NO_APPLICATION_PROTOCOL: u64 = 0x100 + 120;
    let by_code = |code: u64, state: &str| match code {
        NO_APPLICATION_PROTOCOL => {
            (Kind::ConnectFailed, "the machine there does not speak this protocol".to_owned())
        }
        code if CRYPTO.contains(&code) => (Kind::PeerUnauthenticated, state.to_owned()),
        _ => (Kind::ConnectFailed, error.to_string()),
    };
    let other_key = "the machine there has another key than expected";
    let not_allowed = "the machine there does not accept this machine's key";
    let (kind, state) = match error {
        ConnectionError::TransportError(error) => by_code(error.code.into(), other_key),
        ConnectionError::ConnectionClosed(close) => by_code(close.error_code.into(), not_allowed),
        ConnectionError::ApplicationClosed(close) if close.error_code == VarInt::from_u32(NOT_ALLOWED) => {
            (Kind::PeerUnauthenticated, not_allowed.to_owned())
        }
        ConnectionError::TimedOut => (Kind::Timeout, "no answer".to_owned()),
        _ => (Kind::ConnectFailed, error.to_string()),
    };
    Error::new(kind, format!("{what}: {state}"))
}

fn open(
    endpoint: Endpoint,
    quic: iroh::endpoint::Connection,
    (send, receive): (SendStream, RecvStream),
    remote: String,
) -> Connection {
    let life = Life::new();
    let _ = send.set_priority(CONTROL_PRIORITY);
    let acknowledged = send.stopped();
    let control = Control::start(life.clone(), receive, send);
    let flushed = control.flushed();
    let (watched, supervised) = (quic.clone(), life.clone());
    tokio::spawn(async move {
        let end = tokio::select! {
            error = watched.closed() => return supervised.lose(plain(&error)),
            end = supervised.wait() => end,
        };
        if end.kind == Kind::Closed {
            // Closing discards what the peer has not acknowledged, so let the last frames arrive first.
            flushed.await;
            let _ = tokio::time::timeout(LINGER, acknowledged).await;
        }
        let (code, reason) = supervised.close_reason();
        watched.close(VarInt::from_u32(u32::from(code)), reason.as_bytes());
    });
    let peer_key = *quic.remote_id().as_bytes();
    let bulk = Bulk { quic, life: life.clone(), _endpoint: endpoint };
    Connection::new(peer_key, remote, control, super::Bulk::Quic(bulk), life)
}

fn plain(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(_) => "the peer closed it".to_owned(),
        ConnectionError::TimedOut => "the peer does not answer any more".to_owned(),
        error => error.to_string(),
    }
}

/// The reason below "connection lost".
fn cause(error: &dyn std::error::Error) -> String {
    match error.source().and_then(|source| source.downcast_ref::<ConnectionError>()) {
        Some(lost) => plain(lost),
        None => error.to_string(),
    }
}

pub(super) struct Bulk {
    quic: iroh::endpoint::Connection,
    life: Arc<Life>,
    /// iroh drops the connections of an endpoint that nobody holds.
    _endpoint: Endpoint,
}

impl Bulk {
    pub async fn open_sink(&self) -> Result<Box<dyn Sink>> {
        let stream = tokio::select! {
            stream = self.quic.open_uni() => stream.map_err(|error| self.life.bulk_error(plain(&error)))?,
            error = self.life.wait() => return Err(error),
        };
        Ok(Box::new(QuicSink {
            stream,
            life: self.life.clone(),
            runtime: Handle::current(),
            finished: false,
        }))
    }

    pub async fn next_source(&self) -> Result<Box<dyn Source>> {
        let stream = tokio::select! {
            stream = self.quic.accept_uni() => stream.map_err(|error| self.life.bulk_error(plain(&error)))?,
            error = self.life.wait() => return Err(error),
        };
        Ok(Box::new(QuicSource { stream, life: self.life.clone(), runtime: Handle::current() }))
    }

    /// Waits until the connection has told the peer that it is closed.
    pub async fn closed(&self) {
        let _ = tokio::time::timeout(2 * LINGER, self.quic.closed()).await;
    }

    pub fn fill_stats(&self, stats: &mut Stats) {
        for path in self.quic.paths().iter().filter(|path| path.is_selected()) {
            let seen = path.stats();
            stats.rtt_us = Some(seen.rtt.as_micros() as u64);
            stats.cwnd_bytes = Some(seen.cwnd);
            stats.congestion_events = Some(seen.congestion_events);
            // The controller's is in bits.
            stats.delivery_rate = seen.bandwidth_estimate.map(|bits| bits / 8);
            if let iroh::TransportAddr::Ip(address) = path.remote_addr() {
                stats.remote = address.to_string();
            }
        }
        stats.lost_packets = Some(self.quic.stats().lost_packets);
    }
}

struct QuicSink {
    stream: SendStream,
    life: Arc<Life>,
    runtime: Handle,
    finished: bool,
}

impl Sink for QuicSink {
    fn write(&mut self, head: &[u8], payload: Payload) -> Result<()> {
        let parts = [Bytes::copy_from_slice(head), payload.into_bytes()];
        let mut parts: Vec<Bytes> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let length = parts.iter().map(Bytes::len).sum();
        let (stream, life) = (&mut self.stream, &self.life);
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                error = life.wait() => Err(life.bulk_error(error)),
                written = stream.write_all_chunks(&mut parts) => written.map_err(|error| life.bulk_error(cause(&error))),
            }
        })?;
        self.life.count_sent(length);
        // noq copies everything into packets, and out of them below.
        self.life.count_copied(head.len() + length);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.life.check().map_err(|error| self.life.bulk_error(error))?;
        self.finished = true;
        self.stream.finish().map_err(|error| self.life.bulk_error(error))
    }
}

impl Drop for QuicSink {
    fn drop(&mut self) {
        // Dropping finishes the stream, but one that was not finished must look cut.
        if !self.finished {
            let _ = self.stream.reset(VarInt::from_u32(0));
        }
    }
}

struct QuicSource {
    stream: RecvStream,
    life: Arc<Life>,
    runtime: Handle,
}

impl Source for QuicSource {
    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let (stream, life) = (&mut self.stream, &self.life);
        let filled = self.runtime.block_on(async {
            let mut filled = 0;
            while filled < buffer.len() {
                let read = tokio::select! {
                    biased;
                    error = life.wait() => return Err(life.bulk_error(error)),
                    read = stream.read(&mut buffer[filled..]) => read.map_err(|error| life.bulk_error(cause(&error)))?,
                };
                match read {
                    Some(read) => filled += read,
                    None => break,
                }
            }
            Ok(filled)
        })?;
        self.life.count_received(filled);
        self.life.count_copied(filled);
        if filled == buffer.len() {
            return Ok(true);
        }
        if filled == 0 {
            return Ok(false);
        }
        Err(Error::new(Kind::ConnectionLost, "the bulk stream ended inside a frame"))
    }
}

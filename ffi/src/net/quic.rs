//! QUIC through the crate `iroh`, without address lookup: packets go to the addresses that were asked for and to those that
//! the peer itself names over an authenticated connection. An endpoint of its own is at the relay of a hub, if any
//! (`relay::join`): there iroh finds a direct path through NATs, if it can, and leaves the relay.
//!
//! The dialler opens one bidirectional stream, the control stream, and writes the byte 1 on it, since a stream that
//! nothing was written on does not exist for the peer. The acceptor checks the dialler's key, then answers 1.
//! Every bulk stream is a unidirectional stream that its sender opens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use iroh::endpoint::{
    BindError, BindOpts, ConnectError, ConnectingError, ConnectionError, IncomingAddr, NetReportConfig,
    PortmapperConfig, RecvStream, SendStream, VarInt, presets,
};
use iroh::{Endpoint, EndpointAddr, PublicKey, RelayMap, RelayMode, RelayUrl, SecretKey, TransportAddr};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;

use super::control::{Control, LINGER};
use super::life::Life;
use super::quic_config::{Congestion, transport_config};
use super::relay::{Batching, Trust};
use super::tls::AllowedKeys;
use super::{ALPN, Connection, Payload, PeerKey, Sink, Source, Stats};
use crate::error::{Error, Kind, Result};

const HELLO: u8 = 1;

/// Application close code for a key that is not allowed; every other code is the caller's.
const NOT_ALLOWED: u32 = 0x1_0001;

/// Above bulk streams, so that a cancel overtakes data.
const CONTROL_PRIORITY: i32 = 1;

/// How long a new connection over the relay waits for a direct path before it is used as it is: hole punching takes a few
/// round trips where it works, and bulk data had better not begin on the relay. Without delay on the line holes were there
/// after 10 to 142 ms; of 26 pairs on a quiet machine one took more than 0.4 s, and on a busy one more.
const DIRECT_PATIENCE: Duration = Duration::from_millis(1000);

/// The same where nothing has been heard yet that a direct path would need: from the relay, at which address the internet
/// sees this machine, and from the peer, where it is. Both come before such a connection is there, or a moment later; where
/// UDP does not pass, or one side wants nothing but the relay, never.
const HEARSAY_PATIENCE: Duration = Duration::from_millis(200);

/// What a round trip over the relay is taken for before one is known. A dialler's first packet is lost while the other machine
/// is only on its way to the relay, which takes it 0.3 s; with 333 ms, as everywhere else (RFC 9002 §6.2.2), it would be sent again after
/// 1 s, so after 0.15 and 0.45 s.
const RELAY_FIRST_RTT: Duration = Duration::from_millis(50);

/// How often it looks meanwhile.
const DIRECT_LOOK: Duration = Duration::from_millis(10);

/// How an endpoint is bound.
pub(super) struct BindOptions<'a> {
    pub seed: &'a [u8; 32],
    /// UDP; none where only the relay may be used.
    pub addresses: &'a [SocketAddr],
    pub congestion: Congestion,
    /// For an endpoint that is to be at a relay.
    pub relay: Option<RelayUse<'a>>,
}

/// How an endpoint uses relays.
pub(super) struct RelayUse<'a> {
    /// Those that it is at from the start; `relay::join` adds others.
    pub relays: RelayMap,
    pub trust: &'a Trust,
    /// Asks the router for a port (UPnP, NAT-PMP, PCP) once a relay is known.
    pub port_mapping: bool,
    /// What leads to relays: HTTP CONNECT, with its login.
    pub proxy: Option<&'a RelayUrl>,
}

/// Binds one endpoint.
pub(super) async fn bind(options: BindOptions<'_>) -> Result<Endpoint> {
    let BindOptions { seed, addresses, congestion, relay } = options;
    let transport = match &relay {
        Some(_) => transport_config(congestion).initial_rtt(RELAY_FIRST_RTT),
        None => transport_config(congestion),
    };
    let builder = Endpoint::builder(presets::Minimal)
        .crypto_provider(Arc::new(super::tls::provider()))
        .secret_key(SecretKey::from_bytes(seed))
        .alpns(vec![ALPN.to_vec()])
        .clear_address_lookup()
        .transport_config(transport.build())
        .clear_ip_transports();
    let mut builder = match relay {
        None => builder.relay_mode(RelayMode::Disabled).portmapper_config(PortmapperConfig::Disabled),
        Some(RelayUse { relays, trust, port_mapping, proxy }) => {
            let builder = builder
                .relay_mode(RelayMode::Custom(relays))
                .ca_tls_config(trust.tls())
                .net_report_config(net_report_config())
                .portmapper_config(match port_mapping {
                    true => PortmapperConfig::default(),
                    false => PortmapperConfig::Disabled,
                });
            match proxy {
                Some(proxy) => builder.proxy_url((**proxy).clone()),
                None => builder,
            }
        }
    };
    if addresses.is_empty() {
        builder = builder.add_custom_transport(Arc::new(Batching));
    }
    let mut has_default = [false; 2];
    for address in usable(addresses)? {
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
            super::address::bind_error(addresses.first().copied().unwrap_or(([0; 4], 0).into()), &source)
        }
        error => Error::new(Kind::Internal, format!("Cannot start quic: {error}")),
    })
}

fn usable(addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>> {
    if addresses.is_empty() { Ok(Vec::new()) } else { super::address::usable_for_udp(addresses) }
}

/// What iroh asks the relay to find out how this machine is connected: nothing that needs further services.
fn net_report_config() -> NetReportConfig {
    let mut config = NetReportConfig::minimal();
    // It chooses no relay that it has not reached, and where UDP is blocked this is how it is reached.
    config.https_probes = true;
    config
}

/// Whom to dial.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    /// What it proves: its machine key, or the one that it uses at the relay.
    pub key: PeerKey,
    /// Its machine key.
    pub peer_key: PeerKey,
}

impl Peer {
    pub fn machine(peer_key: PeerKey) -> Peer {
        Peer { key: peer_key, peer_key }
    }
}

/// Where to dial.
pub(super) enum Place {
    Address(SocketAddr),
    Relay(RelayUrl),
}

impl Place {
    /// As it is named in errors and to people.
    fn text(&self) -> String {
        match self {
            Place::Address(address) => address.to_string(),
            Place::Relay(url) => relay_text(url),
        }
    }
}

/// Connects to the machine at `place`, which must prove `key` and is known by `peer_key`.
pub(super) async fn dial(
    endpoint: &Endpoint,
    place: Place,
    Peer { key, peer_key }: Peer,
) -> Result<Connection> {
    let what = format!("Cannot connect to {} over quic", place.text());
    let id = PublicKey::from_bytes(&key).map_err(|_| {
        Error::new(Kind::InvalidArgument, format!("{what}: the peer's key is not an Ed25519 public key"))
    })?;
    let failed = |error: &ConnectionError| connect_error(&what, error);
    let target = match &place {
        Place::Address(address) => EndpointAddr::new(id).with_ip_addr(*address),
        Place::Relay(url) => EndpointAddr::new(id).with_relay_url(url.clone()),
    };
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
    prefer_direct(endpoint, connection).await;
    let remote = selected(connection).map_or_else(|| place.text(), |address| remote_text(&address));
    Ok(open(endpoint.clone(), guard.keep(), (send, receive), Known { peer_key, remote }))
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
        IncomingAddr::Ip(address) => address.to_string(),
        IncomingAddr::Relay { url, .. } => relay_text(&url),
        other => format!("{other:?}"),
    };
    let accepting = incoming.accept().map_err(|error| lost(error.to_string()))?;
    let connection = accepting.await.map_err(|error| lost(error.to_string()))?;
    let guard = CloseOnDrop(Some(connection));
    let connection = guard.0.as_ref().expect("just put");
    let Some(peer_key) = allowed.owner(connection.remote_id().as_bytes()) else {
        connection.close(VarInt::from_u32(NOT_ALLOWED), b"not allowed");
        let text = format!("Cannot accept a connection from {remote} over quic: its key is not allowed");
        return Err(Error::new(Kind::PeerUnauthenticated, text));
    };
    let (mut send, mut receive) = connection.accept_bi().await.map_err(|error| lost(error.to_string()))?;
    let hello = receive.read_u8().await.map_err(|error| lost(error.to_string()))?;
    if hello != HELLO {
        return Err(lost(format!("it begins with {hello}")));
    }
    send.write_all(&[HELLO]).await.map_err(|error| lost(error.to_string()))?;
    Ok(open(endpoint.clone(), guard.keep(), (send, receive), Known { peer_key, remote }))
}

/// Waits a little for a direct path where the connection goes over the relay.
async fn prefer_direct(endpoint: &Endpoint, connection: &iroh::endpoint::Connection) {
    let has_udp = !endpoint.bound_sockets().is_empty();
    let began = Instant::now();
    while matches!(selected(connection), Some(TransportAddr::Relay(_))) {
        let own = endpoint.addr();
        let heard = Heard {
            outside: own.ip_addrs().any(|address| super::address::is_outside(address.ip())),
            peer: connection.stats().frame_rx.add_address > 0,
        };
        if began.elapsed() >= direct_patience(has_udp, heard) {
            return;
        }
        tokio::time::sleep(DIRECT_LOOK).await;
    }
}

/// What a machine at a relay has heard of that a direct path needs.
#[derive(Clone, Copy, Debug)]
struct Heard {
    /// An own address on the internet: from the relay, from the router, or since it is there itself.
    outside: bool,
    /// Any of the peer's addresses.
    peer: bool,
}

fn direct_patience(has_udp: bool, heard: Heard) -> Duration {
    match (has_udp, heard) {
        (false, _) => Duration::ZERO,
        (true, Heard { outside: true, peer: true }) => DIRECT_PATIENCE,
        (true, _) => HEARSAY_PATIENCE,
    }
}

/// Where the connection's packets go now.
fn selected(connection: &iroh::endpoint::Connection) -> Option<TransportAddr> {
    connection.paths().iter().find(|path| path.is_selected()).map(|path| path.remote_addr().clone())
}

fn remote_text(address: &TransportAddr) -> String {
    match address {
        TransportAddr::Ip(address) => address.to_string(),
        TransportAddr::Relay(url) => relay_text(url),
        other => format!("{other:?}"),
    }
}

/// `relay host:port`: no `ip:port`, so that nobody takes it for one.
fn relay_text(url: &RelayUrl) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("relay {host}:{port}"),
        None => format!("relay {host}"),
    }
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

/// Who is at the other end, and where.
struct Known {
    peer_key: PeerKey,
    remote: String,
}

fn open(
    endpoint: Endpoint,
    quic: iroh::endpoint::Connection,
    (send, receive): (SendStream, RecvStream),
    Known { peer_key, remote }: Known,
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
            stats.remote = remote_text(path.remote_addr());
            stats.relayed = matches!(path.remote_addr(), TransportAddr::Relay(_));
        }
        let all = self.quic.stats();
        stats.lost_packets = Some(all.lost_packets);
        stats.packets_received = Some(all.udp_rx.datagrams);
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

#[cfg(test)]
#[path = "quic_test.rs"]
mod tests;

//! Links to peers: one authenticated connection with a control stream (frames, both ways) and any number
//! of one-way bulk streams, the same over TCP, QUIC and memory.
//!
//! This module never interprets a control frame or a bulk byte, and never trusts an address: a peer is its
//! Ed25519 key. `docs/design/contracts.md` §3 is the contract; `tcp.rs` documents the TCP preface.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Kind, Result};

pub mod address;
mod bbr;
#[cfg(test)]
mod bbr_test;
mod by_path;
pub mod congestion;
mod control;
mod delivery;
pub mod endpoint;
mod handshakes;
mod life;
pub mod mdns;
pub mod memory;
mod payload;
pub mod proxy;
pub mod proxy_door;
mod quic;
pub mod quic_config;
mod record_reader;
pub mod relay;
mod route;
mod tcp;
mod tcp_info;
mod tcp_stream;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod tls_record;
mod tls_secrets;
#[cfg(test)]
mod tls_testing;

use control::Control;
use life::Life;
pub use payload::Payload;

/// Protocol name in every TLS handshake; another major version of the wire gets another name.
pub const ALPN: &[u8] = b"wormhole/1";

/// 1 MiB: the most that one control frame may carry, checked before anything is allocated for it.
pub const MAX_CONTROL_FRAME_BYTES: usize = 1 << 20;

/// The most bulk streams that one connection may hold at a time, caps memory and sockets per peer.
pub const MAX_BULK_STREAMS: usize = 256;

/// An Ed25519 public key: who a peer is.
pub type PeerKey = [u8; 32];

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    Memory,
    Tcp,
    Quic,
}

impl TransportKind {
    /// The name that TypeScript uses.
    pub fn name(self) -> &'static str {
        match self {
            TransportKind::Memory => "memory",
            TransportKind::Tcp => "tcp",
            TransportKind::Quic => "quic",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Result<TransportKind> {
        match name {
            "memory" => Ok(TransportKind::Memory),
            "tcp" => Ok(TransportKind::Tcp),
            "quic" => Ok(TransportKind::Quic),
            _ => Err(Error::new(Kind::InvalidArgument, format!("Cannot use transport \"{name}\": unknown"))),
        }
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The sending end of a bulk stream. Blocking; owned by one dedicated thread, which is not an async worker.
///
/// Dropping it before [`Sink::finish`] makes the peer's read fail with `CONNECTION_LOST`.
pub trait Sink: Send {
    /// Sends `head`, then `payload`, whose bytes may be encrypted where they are.
    fn write(&mut self, head: &[u8], payload: Payload) -> Result<()>;
    /// Flushes and marks the end of the stream; the last call on a sink.
    fn finish(&mut self) -> Result<()>;
}

/// The receiving end of a bulk stream. Blocking, as [`Sink`].
pub trait Source: Send {
    /// Fills `buffer`; `Ok(false)` only at a clean end of stream before its first byte.
    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<bool>;
}

/// What [`Connection::stats`] tells.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Round trip as the transport estimates it, microseconds; none for memory and where the system does not tell.
    pub rtt_us: Option<u64>,
    /// Payload bytes of control and bulk streams.
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Bytes of bulk streams that were copied within this program, both directions; over TCP next to none.
    pub bytes_copied: u64,
    pub lost_packets: Option<u64>,
    /// UDP packets of QUIC, whatever was in them: a sign of life.
    pub packets_received: Option<u64>,
    /// Bytes that may be under way, over all bulk streams that are open.
    pub cwnd_bytes: Option<u64>,
    /// Bytes a second that the transport last saw delivered, over the same.
    pub delivery_rate: Option<u64>,
    /// Times that the transport took a loss for congestion.
    pub congestion_events: Option<u64>,
    /// Address of this end, where the link cannot do without it: TCP's.
    pub local: Option<IpAddr>,
    /// `ip:port` now, or `relay host:port`.
    pub remote: String,
    /// Whether a hub's relay carries the packets now.
    pub relayed: bool,
}

/// One authenticated link to a peer. Cheap to clone; dropping the last clone closes it.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    kind: TransportKind,
    peer_key: PeerKey,
    remote: String,
    control: Control,
    bulk: Bulk,
    life: Arc<Life>,
}

enum Bulk {
    Memory(memory::Bulk),
    Tcp(Arc<tcp::Bulk>),
    Quic(quic::Bulk),
}

impl Connection {
    fn new(peer_key: PeerKey, remote: String, control: Control, bulk: Bulk, life: Arc<Life>) -> Connection {
        let kind = match bulk {
            Bulk::Memory(_) => TransportKind::Memory,
            Bulk::Tcp(_) => TransportKind::Tcp,
            Bulk::Quic(_) => TransportKind::Quic,
        };
        Connection { inner: Arc::new(Inner { kind, peer_key, remote, control, bulk, life }) }
    }

    pub fn kind(&self) -> TransportKind {
        self.inner.kind
    }

    /// The key that the peer proved to own.
    pub fn peer_key(&self) -> PeerKey {
        self.inner.peer_key
    }

    /// The peer's `ip:port` (`memory` for a memory pair, `relay host:port` over a relay) when the connection was made.
    pub fn remote(&self) -> &str {
        &self.inner.remote
    }

    /// Queues one control frame of at most 1 MiB; ordered; waits while the queue is full.
    pub async fn send_control(&self, frame: Bytes) -> Result<()> {
        self.inner.control.send(frame).await
    }

    /// Gives the next control frame; none when the peer closed cleanly. Cancel-safe.
    pub async fn recv_control(&self) -> Result<Option<Bytes>> {
        self.inner.control.recv().await
    }

    /// Opens one more bulk stream, sending side. TCP takes one of the connections that [`Connection::bulk`] made.
    pub async fn open_sink(&self) -> Result<Box<dyn Sink>> {
        self.inner.life.check()?;
        match &self.inner.bulk {
            Bulk::Memory(bulk) => bulk.open_sink(),
            Bulk::Tcp(bulk) => bulk.open_sink(),
            Bulk::Quic(bulk) => bulk.open_sink().await,
        }
    }

    /// Gives the next bulk stream that the peer sends on. Cancel-safe.
    pub async fn next_source(&self) -> Result<Box<dyn Source>> {
        self.inner.life.check()?;
        match &self.inner.bulk {
            Bulk::Memory(bulk) => bulk.next_source().await,
            Bulk::Tcp(bulk) => bulk.next_source().await,
            Bulk::Quic(bulk) => bulk.next_source().await,
        }
    }

    /// Makes `streams` more bulk streams possible. Both sides call it with the same number: over TCP the dialler
    /// connects and the acceptor waits for it; the other transports need nothing.
    pub async fn bulk(&self, streams: usize) -> Result<()> {
        self.inner.life.check()?;
        if streams > MAX_BULK_STREAMS {
            return Err(too_many_streams(streams));
        }
        match &self.inner.bulk {
            Bulk::Tcp(bulk) => bulk.grow(streams).await,
            Bulk::Memory(_) | Bulk::Quic(_) => Ok(()),
        }
    }

    /// Gives what the transport knows about the link.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { remote: self.inner.remote.clone(), ..Stats::default() };
        (stats.bytes_sent, stats.bytes_received) = self.inner.life.bytes();
        stats.bytes_copied = self.inner.life.copied();
        match &self.inner.bulk {
            Bulk::Memory(_) => {}
            Bulk::Tcp(bulk) => bulk.fill_stats(&mut stats),
            Bulk::Quic(bulk) => bulk.fill_stats(&mut stats),
        }
        stats
    }

    /// Closes both directions; idempotent. Control frames that were queued are still sent (for at most a second);
    /// every blocked bulk call fails with `CONNECTION_LOST` at once. Only QUIC carries `code` and `reason`.
    pub fn close(&self, code: u16, reason: &str) {
        self.inner.close(code, reason);
    }

    /// Waits for the connection's end, without keeping it open, and gives the reason.
    pub fn ended(&self) -> impl Future<Output = Error> + Send + use<> {
        let life = self.inner.life.clone();
        async move { life.wait().await }
    }

    /// Waits until [`Connection::close`] has sent what it sends, so that the program may end.
    pub async fn settled(&self) {
        self.inner.control.flushed().await;
        if let Bulk::Quic(bulk) = &self.inner.bulk {
            bulk.closed().await;
        }
    }
}

impl Inner {
    fn close(&self, code: u16, reason: &str) {
        self.life.close(code, reason);
        self.control.finish();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close(0, "dropped");
    }
}

fn too_many_streams(wanted: usize) -> Error {
    let text = format!("Cannot open {wanted} bulk streams: a connection has at most {MAX_BULK_STREAMS}");
    Error::new(Kind::LimitExceeded, text)
}

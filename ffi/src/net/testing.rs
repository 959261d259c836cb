//! Pairs of connected connections over every transport, for the tests of this module and of `transfer/`.

use std::sync::Arc;
use std::time::Duration;

use super::congestion::LongPaths;
use super::endpoint::{Endpoint, Options};
use super::quic_config::Congestion;
use super::{Connection, TransportKind, memory};

/// Two ends of one connection; `dialler` made it.
pub struct Pair {
    pub dialler: Connection,
    pub acceptor: Connection,
    /// Kept open as long as the pair; none for memory.
    pub endpoints: Option<(Arc<Endpoint>, Arc<Endpoint>)>,
}

pub const ALL: [TransportKind; 3] = [TransportKind::Memory, TransportKind::Tcp, TransportKind::Quic];

/// What endpoints of tests send with over long paths: loopback has none.
pub fn long_paths() -> LongPaths {
    LongPaths { algorithm: "bbr".into(), min_rtt: Duration::from_millis(5) }
}

/// An endpoint on loopback whose key is made of `seed`.
pub async fn endpoint(seed: u8) -> Arc<Endpoint> {
    let bind = vec!["127.0.0.1:0".parse().unwrap()];
    let options = Options {
        seed: [seed; 32],
        bind,
        tcp: true,
        quic: true,
        congestion: Congestion::Bbr,
        long_paths: long_paths(),
    };
    Arc::new(Endpoint::open(options).await.unwrap())
}

/// Where `endpoint` listens for `kind`.
pub fn address(endpoint: &Endpoint, kind: TransportKind) -> std::net::SocketAddr {
    match kind {
        TransportKind::Quic => endpoint.quic_addresses()[0],
        _ => endpoint.tcp_addresses()[0],
    }
}

/// What takes milliseconds, on a machine that is busy with much else; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Connects two fresh machines with `bulk` bulk streams.
pub async fn pair(kind: TransportKind, bulk: usize) -> Pair {
    if kind == TransportKind::Memory {
        let (dialler, acceptor) = memory::pair();
        return Pair { dialler, acceptor, endpoints: None };
    }
    let (a, b) = (endpoint(1).await, endpoint(2).await);
    b.allow(a.public_key());
    // A dial that fails says why, rather than leave the other side waiting.
    let dial = async { a.dial(kind, address(&b, kind), b.public_key(), PATIENCE).await.unwrap() };
    let (dialler, acceptor) = tokio::join!(dial, b.accept());
    let acceptor = acceptor.unwrap();
    let (grown, expected) = tokio::join!(dialler.bulk(bulk), acceptor.bulk(bulk));
    grown.unwrap();
    expected.unwrap();
    Pair { dialler, acceptor, endpoints: Some((a, b)) }
}

/// A runtime as the queue's.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

//! The transit relay of a hub: joins two magic-wormhole clients that cannot reach each other and carries their bytes.
//!
//! What passes is sealed between the two; nothing of it is kept, looked at or logged. Which limits hold is decided in
//! `src/hub/transit.ts`. Spec: `src/wire/spec/transit_relay.md`.

mod addresses;
mod counters;
mod handshake;
mod joins;
mod serve;
mod waiting;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use self::addresses::Addresses;
pub use self::addresses::{AddressKey, key};
use self::counters::Counters;
pub use self::counters::{Counts, Refusal};
pub use self::handshake::{Asked, Token};
pub use self::joins::Joins;
use self::serve::Side;
use self::waiting::Waiting;
use crate::error::{Error, Result};
use crate::net::address;

/// Pause after the system could not give a connection: it has run out of something that others must give back.
const PAUSE: Duration = Duration::from_millis(100);

/// What one relay lets its clients use.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(from = "LimitsRead")]
pub struct Limits {
    /// Open connections, in all and from one address (an IPv6 /64).
    pub connections: usize,
    pub connections_per_address: usize,
    /// New connections of one address: at once, and per minute after that.
    pub connection_burst: u32,
    pub connections_per_minute: u32,
    /// Sides whose other side has not come.
    pub waiting: usize,
    /// Time for the first line.
    pub handshake: Duration,
    /// Time for the other side to come.
    pub wait: Duration,
    /// How long two that are joined may say nothing.
    pub idle: Duration,
}

/// A running relay; ends with everything it carries when it is closed or dropped.
pub struct Relay {
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
}

/// The same as TypeScript says it.
#[derive(serde::Deserialize)]
struct LimitsRead {
    connections: usize,
    connections_per_address: usize,
    connection_burst: u32,
    connections_per_minute: u32,
    waiting: usize,
    handshake_ms: u64,
    wait_ms: u64,
    idle_ms: u64,
}

impl From<LimitsRead> for Limits {
    fn from(read: LimitsRead) -> Limits {
        Limits {
            connections: read.connections,
            connections_per_address: read.connections_per_address,
            connection_burst: read.connection_burst,
            connections_per_minute: read.connections_per_minute,
            waiting: read.waiting,
            handshake: Duration::from_millis(read.handshake_ms),
            wait: Duration::from_millis(read.wait_ms),
            idle: Duration::from_millis(read.idle_ms),
        }
    }
}

struct Shared {
    limits: Limits,
    /// What both of a pair hear when they are joined.
    told: &'static [u8],
    addresses: Mutex<Addresses>,
    waiting: Mutex<Waiting<oneshot::Sender<Side>>>,
    counters: Counters,
    draining: AtomicBool,
}

impl Shared {
    fn new(limits: Limits, told: &'static [u8]) -> Arc<Shared> {
        Arc::new(Shared {
            addresses: Mutex::new(Addresses::new(&limits)),
            waiting: Mutex::default(),
            counters: Counters::default(),
            draining: AtomicBool::new(false),
            limits,
            told,
        })
    }
}

impl Relay {
    /// Listens on `host`, or on all of both families, at `port` (0: a free one, the same for both).
    ///
    /// # Errors
    /// ADDRESS_IN_USE and its kin when it cannot listen; INVALID_ARGUMENT for a host that there is not.
    pub async fn start(host: Option<&str>, port: u16, limits: Limits) -> Result<Relay> {
        let listeners = listen(host, port).await?;
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let shared = Shared::new(limits, b"ok\n");
        let accepting = tokio::spawn(accept(shared.clone(), listeners));
        Ok(Relay { shared, accepting: Mutex::new(Some(accepting)), addresses })
    }

    /// What is going on, and what has been.
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    /// From now on nobody is let in but the other side of somebody who waits.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Hangs up on everybody.
    pub async fn close(&self) {
        let accepting = self.accepting.lock().unwrap().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            let _ = accepting.await;
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.lock().unwrap().take() {
            accepting.abort();
        }
    }
}

async fn listen(host: Option<&str>, port: u16) -> Result<Vec<TcpListener>> {
    let listeners = match host {
        Some(host) => {
            let found = tokio::net::lookup_host((host, port)).await.ok().and_then(|mut all| all.next());
            let text = format!("Cannot listen on \"{host}\": there is no such host");
            let found = found.ok_or_else(|| Error::new(crate::error::Kind::InvalidArgument, text))?;
            address::listen(&[found])?
        }
        None => {
            let mut listeners = address::listen(&[SocketAddr::from(([0, 0, 0, 0], port))])?;
            let taken = listeners[0].local_addr().map_or(port, |at| at.port());
            // A machine without IPv6 has that much.
            match address::listen(&[SocketAddr::from(([0u16; 8], taken))]) {
                Ok(more) => listeners.extend(more),
                Err(error) if error.kind == crate::error::Kind::AddressInUse => return Err(error),
                Err(_) => {}
            }
            listeners
        }
    };
    let adopt = |listener| TcpListener::from_std(listener);
    let adopted: std::io::Result<Vec<_>> = listeners.into_iter().map(adopt).collect();
    adopted.map_err(|error| Error::io("Cannot listen", &error))
}

/// Lets clients in until the task is aborted; what it serves ends with it.
async fn accept(shared: Arc<Shared>, listeners: Vec<TcpListener>) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = next(&listeners) => match accepted {
                Ok((stream, from)) => {
                    if let Some(serving) = serve::admit(&shared, stream, from) {
                        clients.spawn(serving);
                    }
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

async fn next(listeners: &[TcpListener]) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listeners {
        [one] => one.accept().await,
        [one, two, ..] => tokio::select! { got = one.accept() => got, got = two.accept() => got },
        [] => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "joins_test.rs"]
mod joins_test;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
#[path = "transit_relay_test.rs"]
mod tests;

//! What happens at a relay, in numbers: never who, and never what.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a connection was ended before it was joined to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many at once, in all or of one address.
    Connections,
    ConnectionsPerMinute,
    /// Too many wait already.
    Waiting,
    BadHandshake,
    /// Spoke on before it was told to.
    Impatient,
    /// Said nothing.
    Silent,
    /// Nobody came.
    Lonely,
    Draining,
}

impl Refusal {
    /// As people and metrics have it.
    pub fn name(self) -> &'static str {
        REFUSALS.iter().find(|(each, _)| *each == self).expect("every reason is in the table").1
    }
}

const REFUSALS: [(Refusal, &str); 8] = [
    (Refusal::Connections, "connections"),
    (Refusal::ConnectionsPerMinute, "connections per minute"),
    (Refusal::Waiting, "waiting"),
    (Refusal::BadHandshake, "bad handshake"),
    (Refusal::Impatient, "impatient"),
    (Refusal::Silent, "silent"),
    (Refusal::Lonely, "lonely"),
    (Refusal::Draining, "draining"),
];

/// A reading of [`Counters`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Open connections, those that wait, and pairs that are joined.
    pub connections: u64,
    pub waiting: u64,
    pub pairs: u64,
    /// Pairs that ever were.
    pub joined: u64,
    /// Bytes carried, both directions together.
    pub bytes: u64,
    /// Counts by reason.
    pub refused: Vec<(&'static str, u64)>,
}

/// Live counts; every thread adds to them.
#[derive(Default)]
pub struct Counters {
    pub connections: AtomicU64,
    pub waiting: AtomicU64,
    pub pairs: AtomicU64,
    pub joined: AtomicU64,
    pub bytes: AtomicU64,
    refused: [AtomicU64; REFUSALS.len()],
}

impl Counters {
    pub fn refuse(&self, why: Refusal) {
        let at = REFUSALS.iter().position(|(each, _)| *each == why).expect("every reason is in the table");
        self.refused[at].fetch_add(1, Relaxed);
    }

    pub fn read(&self) -> Counts {
        let refused = REFUSALS.iter().zip(&self.refused);
        Counts {
            connections: self.connections.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            pairs: self.pairs.load(Relaxed),
            joined: self.joined.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            refused: refused.map(|((_, name), count)| (*name, count.load(Relaxed))).collect(),
        }
    }
}

/// Counts one more in a gauge until it is dropped.
pub struct During<'a>(&'a AtomicU64);

impl<'a> During<'a> {
    pub fn begin(gauge: &'a AtomicU64) -> During<'a> {
        gauge.fetch_add(1, Relaxed);
        During(gauge)
    }
}

impl Drop for During<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

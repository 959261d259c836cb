//! The connections that one transfer's bulk streams lie on, with what was moved over each.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::{Error, Kind, Result};
use crate::net::Connection;

/// One connection as a transfer sees it.
pub struct Link {
    /// Handle of the connection.
    pub id: u32,
    /// Streams with a running thread.
    pub streams: AtomicUsize,
    /// Bytes of all frames, with their headers.
    pub bytes_wire: AtomicU64,
    pub frames: AtomicU64,
    /// Microseconds that its threads spent waiting for it.
    pub blocked_us: AtomicU64,
    /// Streams are opened by one call at a time.
    pub opening: tokio::sync::Mutex<()>,
    ended: Mutex<Option<Error>>,
}

impl Link {
    pub fn has_ended(&self) -> bool {
        self.ended.lock().unwrap().is_some()
    }

    /// Counts a frame of `wire` bytes.
    pub fn moved(&self, wire: u64) {
        self.bytes_wire.fetch_add(wire, Ordering::Relaxed);
        self.frames.fetch_add(1, Ordering::Relaxed);
    }
}

/// All links that a session has had.
#[derive(Default)]
pub struct Links {
    all: Mutex<Vec<Arc<Link>>>,
}

impl Links {
    /// Gives the link of a connection; calls `on_end` once when that has ended.
    pub fn add(
        &self,
        id: u32,
        connection: &Connection,
        runtime: &tokio::runtime::Handle,
        on_end: impl FnOnce() + Send + 'static,
    ) -> Arc<Link> {
        let mut all = self.all.lock().unwrap();
        if let Some(link) = all.iter().find(|link| link.id == id) {
            return link.clone();
        }
        let link = Arc::new(Link {
            id,
            streams: AtomicUsize::new(0),
            bytes_wire: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            blocked_us: AtomicU64::new(0),
            opening: tokio::sync::Mutex::new(()),
            ended: Mutex::new(None),
        });
        all.push(link.clone());
        drop(all);
        let (watched, end) = (link.clone(), connection.ended());
        runtime.spawn(async move {
            *watched.ended.lock().unwrap() = Some(end.await);
            on_end();
        });
        link
    }

    /// Every link, in the order in which they came.
    pub fn all(&self) -> Vec<Arc<Link>> {
        self.all.lock().unwrap().clone()
    }

    /// Fails when there were links and every one has ended.
    pub fn check(&self) -> Result<()> {
        let all = self.all.lock().unwrap();
        let Some(last) = all.last() else { return Ok(()) };
        if !all.iter().all(|link| link.has_ended()) {
            return Ok(());
        }
        let end = last.ended.lock().unwrap().clone().expect("looked at just above");
        Err(Error::new(Kind::ConnectionLost, end.text))
    }
}

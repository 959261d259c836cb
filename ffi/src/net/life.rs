//! How a connection ends: the first reason wins, and everything that blocks on the connection is woken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::watch;

use crate::error::{Error, Kind, Result};

/// Something that a thread may be blocked in and that can be made to fail.
pub(super) trait Interrupt: Send + Sync {
    /// Makes every blocked and every later call fail; `error` is why the connection ended.
    fn interrupt(&self, error: &Error);
}

/// The state that every part of one connection shares.
pub(super) struct Life {
    end: watch::Sender<Option<Error>>,
    close: Mutex<(u16, String)>,
    blocked: Mutex<Vec<Weak<dyn Interrupt>>>,
    sent: AtomicU64,
    received: AtomicU64,
    copied: AtomicU64,
}

impl Life {
    pub fn new() -> Arc<Life> {
        Arc::new(Life {
            end: watch::Sender::new(None),
            close: Mutex::default(),
            blocked: Mutex::default(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            copied: AtomicU64::new(0),
        })
    }

    /// Ends the connection because this side wants to.
    pub fn close(&self, code: u16, reason: &str) {
        let mut close = self.close.lock().unwrap();
        if self.ended().is_none() {
            *close = (code, reason.to_owned());
        }
        drop(close);
        self.end(Error::new(Kind::Closed, "the connection is closed"));
    }

    /// What this side closed with.
    pub fn close_reason(&self) -> (u16, String) {
        self.close.lock().unwrap().clone()
    }

    /// Ends the connection because the peer did or the link broke.
    pub fn lose(&self, why: impl std::fmt::Display) {
        self.end(Error::new(Kind::ConnectionLost, format!("the connection was lost: {why}")));
    }

    /// Ends the connection with `error` unless it has ended.
    pub fn end(&self, error: Error) {
        let first = self.end.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(error.clone());
            }
            first
        });
        if !first {
            return;
        }
        let blocked = std::mem::take(&mut *self.blocked.lock().unwrap());
        for each in blocked.iter().filter_map(Weak::upgrade) {
            each.interrupt(&error);
        }
    }

    /// Why the connection ended, if it has.
    pub fn ended(&self) -> Option<Error> {
        self.end.borrow().clone()
    }

    /// Fails when the connection has ended.
    pub fn check(&self) -> Result<()> {
        self.ended().map_or(Ok(()), Err)
    }

    /// Waits for the end.
    pub async fn wait(&self) -> Error {
        let mut end = self.end.subscribe();
        let error = end.wait_for(Option::is_some).await.expect("the sender lives in self").clone();
        error.expect("waited for it")
    }

    /// Interrupts `blocked` when the connection ends, at once if it has.
    pub fn watch(&self, blocked: Arc<dyn Interrupt>) {
        {
            let mut all = self.blocked.lock().unwrap();
            all.retain(|each| each.strong_count() > 0);
            all.push(Arc::downgrade(&blocked));
        }
        if let Some(error) = self.ended() {
            blocked.interrupt(&error);
        }
    }

    /// The error of a bulk call that failed with `error`, which may only be the echo of the connection's end.
    pub fn bulk_error(&self, error: impl std::fmt::Display) -> Error {
        match self.ended() {
            Some(end) => Error::new(Kind::ConnectionLost, end.text),
            None => Error::new(Kind::ConnectionLost, format!("the bulk stream was lost: {error}")),
        }
    }

    pub fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that were copied from memory to memory of this program.
    pub fn count_copied(&self, bytes: usize) {
        self.copied.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn copied(&self) -> u64 {
        self.copied.load(Ordering::Relaxed)
    }

    /// Payload bytes sent and received.
    pub fn bytes(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }
}

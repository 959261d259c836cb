//! Transit's records: `length u32` (big endian), then a secretbox whose nonce is a counter.
//!
//! The counter makes a record that is replayed, reordered or left out fail before it is opened.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crypto_secretbox::aead::AeadInPlace;
use crypto_secretbox::{KeyInit, Nonce, Tag, XSalsa20Poly1305};

use crate::error::{Error, Kind, Result};
use crate::pairing::{KEY_BYTES, NONCE_BYTES};

/// Most content of a record that is taken; clients send 16 KiB to 1 MiB. Caps the memory that a peer can demand.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;

/// Content of each record that is sent: python's client copies what it has of a record at every arrival.
pub const SENT_RECORD_BYTES: usize = 64 * 1024;

const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 16;

/// What a record adds to its content.
const OVERHEAD: usize = LENGTH_BYTES + NONCE_BYTES + TAG_BYTES;

/// First size of the receive buffer.
const BUFFER_BYTES: usize = 1024 * 1024;

/// How long one call to the system waits before cancelling is looked at.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the peer may do nothing while something is expected of it.
const IDLE: Duration = Duration::from_secs(120);

/// The keys of both directions.
pub struct Keys {
    pub seal: [u8; KEY_BYTES],
    pub open: [u8; KEY_BYTES],
}

/// An encrypted connection to the peer. Used by one thread at a time.
pub struct Records {
    stream: TcpStream,
    seal: XSalsa20Poly1305,
    sealed: u64,
    open: XSalsa20Poly1305,
    opened: u64,
    inbox: Vec<u8>,
    /// The bytes of `inbox` that came and were not opened yet.
    start: usize,
    end: usize,
    outbox: Vec<u8>,
    /// How much of `outbox` has been sent.
    gone: usize,
    heard: Instant,
    idle: Duration,
}

impl Records {
    /// Takes over a connection after its handshake.
    pub fn new(stream: TcpStream, keys: &Keys) -> Result<Records> {
        let set_up = || {
            stream.set_nonblocking(false)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))
        };
        set_up().map_err(|error| Error::io("Cannot set up the connection", &error))?;
        Ok(Records {
            stream,
            seal: XSalsa20Poly1305::new(&keys.seal.into()),
            sealed: 0,
            open: XSalsa20Poly1305::new(&keys.open.into()),
            opened: 0,
            inbox: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            outbox: Vec::new(),
            gone: 0,
            heard: Instant::now(),
            idle: IDLE,
        })
    }

    /// Waits for the next record, at most until `until`; what came of it by then is kept. `most`: of its content.
    ///
    /// # Errors
    /// LIMIT_EXCEEDED for a longer record, CORRUPT for one that is not the next or not authentic, CONNECTION_LOST,
    /// PEER_FROZEN, CANCELLED.
    pub fn next(&mut self, until: Instant, most: usize, cancelled: &AtomicBool) -> Result<Option<&[u8]>> {
        loop {
            if let Some(length) = self.waiting(most)? {
                let at = self.start + LENGTH_BYTES;
                self.start += LENGTH_BYTES + length;
                return open(&self.open, &mut self.opened, &mut self.inbox[at..at + length]).map(Some);
            }
            if !self.fill(until, cancelled)? {
                return Ok(None);
            }
        }
    }

    /// Begins again to count how long the peer does nothing: it may for `idle`, or as long as usual.
    pub fn begin(&mut self, idle: Option<Duration>) {
        self.idle = idle.unwrap_or(IDLE);
        self.heard = Instant::now();
    }

    /// Gives the length of the next record (nonce, tag and content) when all of it is there.
    fn waiting(&self, most: usize) -> Result<Option<usize>> {
        let Some(prefix) = self.inbox[self.start..self.end].first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length < NONCE_BYTES + TAG_BYTES {
            return Err(Error::new(Kind::Protocol, "Cannot read from the other side: a record is malformed"));
        }
        if length - NONCE_BYTES - TAG_BYTES > most.min(MAX_RECORD_BYTES) {
            let text = format!("Cannot read from the other side: a record of {length} bytes is too long");
            return Err(Error::new(Kind::LimitExceeded, text));
        }
        Ok((self.end - self.start - LENGTH_BYTES >= length).then_some(length))
    }

    /// Reads once; false when `until` passed first.
    fn fill(&mut self, until: Instant, cancelled: &AtomicBool) -> Result<bool> {
        self.make_room();
        loop {
            match self.stream.read(&mut self.inbox[self.end..]) {
                Ok(0) => return Err(lost("the other side hung up")),
                Ok(count) => {
                    self.end += count;
                    self.heard = Instant::now();
                    return Ok(true);
                }
                Err(error) => self.waited(&error, cancelled)?,
            }
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }

    /// Makes room for the rest of the record that has begun.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.inbox.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // Its length was checked by `waiting` before.
        let needed = self.inbox.first_chunk().map_or(0, |prefix| u32::from_be_bytes(*prefix) as usize);
        if self.end >= LENGTH_BYTES && needed + LENGTH_BYTES > self.inbox.len() {
            self.inbox.resize(needed + LENGTH_BYTES, 0);
        }
    }

    /// Seals `content` as one record behind those that wait to be sent.
    pub fn seal(&mut self, content: &[u8]) -> Result<()> {
        let at = self.outbox.len();
        self.outbox.reserve(OVERHEAD + content.len());
        self.outbox.extend(((NONCE_BYTES + TAG_BYTES + content.len()) as u32).to_be_bytes());
        let nonce = nonce(self.sealed);
        self.outbox.extend(nonce);
        self.outbox.extend([0; TAG_BYTES]);
        self.outbox.extend(content);
        let (head, body) = self.outbox[at..].split_at_mut(OVERHEAD);
        let tag = self
            .seal
            .encrypt_in_place_detached(Nonce::from_slice(&nonce), b"", body)
            .map_err(|_| Error::new(Kind::Internal, "Cannot seal a record"))?;
        head[LENGTH_BYTES + NONCE_BYTES..].copy_from_slice(&tag);
        self.sealed += 1;
        Ok(())
    }

    /// Sends what waits, at most until `until`; true when nothing is left.
    pub fn flush(&mut self, until: Instant, cancelled: &AtomicBool) -> Result<bool> {
        while self.gone < self.outbox.len() {
            match self.stream.write(&self.outbox[self.gone..]) {
                Ok(0) => return Err(lost("the other side hung up")),
                Ok(count) => {
                    self.gone += count;
                    self.heard = Instant::now();
                }
                Err(error) => self.waited(&error, cancelled)?,
            }
            if Instant::now() >= until && self.gone < self.outbox.len() {
                return Ok(false);
            }
        }
        self.outbox.clear();
        self.gone = 0;
        Ok(true)
    }

    /// Ends the connection for whoever waits on it.
    pub fn hang_up(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Says that nothing more is sent, so that the peer gets all of it.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Sorts a call that did nothing: waiting on is no failure.
    fn waited(&self, error: &std::io::Error, cancelled: &AtomicBool) -> Result<()> {
        if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) {
            return Err(lost(&error.to_string().split(" (os error").next().unwrap_or("").to_lowercase()));
        }
        if cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Cancelled, "cancelled"));
        }
        if self.heard.elapsed() > self.idle {
            let text = format!("Cannot go on: the other side did nothing for {} s", self.idle.as_secs());
            return Err(Error::new(Kind::PeerFrozen, text));
        }
        Ok(())
    }
}

fn open<'a>(cipher: &XSalsa20Poly1305, opened: &mut u64, record: &'a mut [u8]) -> Result<&'a [u8]> {
    let (head, body) = record.split_at_mut(NONCE_BYTES + TAG_BYTES);
    let (given, tag) = head.split_at(NONCE_BYTES);
    if given != nonce(*opened) {
        let text = "Cannot read from the other side: a record is not the next one";
        return Err(Error::new(Kind::Corrupt, text));
    }
    cipher
        .decrypt_in_place_detached(Nonce::from_slice(given), b"", body, Tag::from_slice(tag))
        .map_err(|_| Error::new(Kind::Corrupt, "Cannot read from the other side: a record was changed"))?;
    *opened += 1;
    Ok(body)
}

/// The nonce of record `number`, counted from 0: big endian.
fn nonce(number: u64) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[NONCE_BYTES - 8..].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn lost(state: &str) -> Error {
    Error::new(Kind::ConnectionLost, format!("Cannot go on: the connection was lost: {state}"))
}

#[cfg(test)]
#[path = "record_test.rs"]
mod tests;

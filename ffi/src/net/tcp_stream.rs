//! One TLS connection as a bulk stream: a sink and a source over a non-blocking socket, driven on the threads of
//! their owners.
//!
//! The handshake was rustls's; from there on the records are protected here (`tls_record.rs`), so that a payload is
//! encrypted where it lies and decrypted to where it belongs. The wire stays plain TLS 1.3.

use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::event::{PollFd, PollFlags, poll};
use socket2::SockRef;

use super::life::{Interrupt, Life};
use super::tls_record::{
    FULL_RECORD_BYTES, Fault, HEADER_BYTES, MAX_CONTENT_BYTES, MAX_RECORD_BYTES, Opened, Opener, Sealer,
    TRAILER_BYTES,
};
use super::{Payload, Sink, Source};
use crate::error::{Error, Kind, Result};

/// Records that are sealed and sent at a time: less than 1 MiB, which the second-level cache still has when the kernel
/// copies it. A chunk of 4 MiB with its head and tail is six of these.
const BATCH_RECORDS: usize = 43;

/// The last record of a payload is this short. The receiver has to copy a record that ends where its buffer does,
/// since the encrypted type, one byte, follows the content.
const TAIL_BYTES: usize = 256;

/// Ciphertext that one system call may receive, likewise.
const RECEIVE_BYTES: usize = 16 * FULL_RECORD_BYTES;

/// With room for a record that begins at the end of that.
const WIRE_BYTES: usize = RECEIVE_BYTES + MAX_RECORD_BYTES;

/// Shorter records are opened where they are: what is no data, as a rule, does not touch the reader's buffer.
const MIN_DIRECT_BYTES: usize = 1024;

/// What lies between two records' contents: the trailer of one and the header of the next.
const EDGE_BYTES: usize = TRAILER_BYTES + HEADER_BYTES;

/// `MSG_NOSIGNAL`: a peer that is gone is an error, not a signal that ends the program.
#[cfg(target_os = "linux")]
const SEND_FLAGS: i32 = 0x4000;
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: i32 = 0;

/// What both halves use.
pub(super) struct TlsSocket {
    socket: TcpStream,
    /// Held while records are on their way out, so that they leave in the order of their numbers.
    sealer: Mutex<Sealer>,
    life: Arc<Life>,
    /// One direction has been used and ended: what is left of the stream is not used again.
    used_up: AtomicBool,
    /// The peer wants new keys from us before the next data.
    update_requested: AtomicBool,
    /// Data, or the end of the stream, came with the handshake, so the socket does not tell of it.
    has_input: bool,
}

/// What the handshake leaves behind.
pub(super) struct Established {
    /// Non-blocking.
    pub socket: TcpStream,
    pub sealer: Sealer,
    pub opener: Opener,
    /// Data that came with the handshake.
    pub early: Vec<u8>,
    /// The peer has ended its direction already.
    pub ended: bool,
}

/// A bulk stream: what its owner keeps an eye on, and the two halves.
pub(super) fn open(established: Established, life: Arc<Life>) -> (Arc<TlsSocket>, TlsSink, TlsSource) {
    let Established { socket, sealer, opener, early, ended } = established;
    let shared = Arc::new(TlsSocket {
        socket,
        sealer: Mutex::new(sealer),
        life,
        used_up: AtomicBool::new(false),
        update_requested: AtomicBool::new(false),
        has_input: ended || !early.is_empty(),
    });
    shared.life.watch(shared.clone());
    let sink = TlsSink { shared: shared.clone(), head: Vec::new(), finished: false };
    let (plain, start) = (0..early.len(), early.len());
    let source = TlsSource { shared: shared.clone(), opener, wire: early, start, end: start, plain, ended };
    (shared, sink, source)
}

impl TlsSocket {
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub fn is_used_up(&self) -> bool {
        self.used_up.load(Ordering::Relaxed)
    }

    /// Whether there is data, or the end of the stream, of which the socket does not tell.
    pub fn has_input(&self) -> bool {
        self.has_input
    }

    fn wait_for(&self, events: PollFlags) -> io::Result<()> {
        let mut fds = [PollFd::new(&self.socket, events)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn send_all(&self, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        while !parts.is_empty() {
            match SockRef::from(&self.socket).send_vectored_with_flags(parts, SEND_FLAGS) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => IoSlice::advance_slices(&mut parts, sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for(PollFlags::OUT)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the peer why its records are refused, if that is possible without waiting.
    fn refuse(&self, fault: Fault) {
        if let (Some(alert), Ok(mut sealer)) = (fault.alert, self.sealer.try_lock()) {
            let _ = SockRef::from(&self.socket).send_with_flags(&sealer.alert(alert), SEND_FLAGS);
        }
    }

    fn error(&self, error: io::Error) -> Error {
        self.life.bulk_error(super::address::plain(&error))
    }
}

impl Interrupt for TlsSocket {
    fn interrupt(&self, _: &Error) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

pub(super) struct TlsSink {
    shared: Arc<TlsSocket>,
    /// The head that is being sent, for encrypting it.
    head: Vec<u8>,
    finished: bool,
}

impl TlsSink {
    pub fn is_used_up(&self) -> bool {
        self.shared.is_used_up()
    }

    /// Sends head and payload in records of their own, so that the payload's are full ones as the receiver likes them.
    fn send(&mut self, payload: &mut [u8]) -> io::Result<()> {
        let shared = &*self.shared;
        let mut sealer = shared.sealer.lock().unwrap();
        let (body, tail) = payload.split_at_mut(payload.len().saturating_sub(TAIL_BYTES));
        let parts = [&mut self.head, body, tail];
        let mut contents = parts.into_iter().flat_map(|part| part.chunks_mut(MAX_CONTENT_BYTES)).peekable();
        let mut edges = [[0; EDGE_BYTES]; BATCH_RECORDS + 1];
        while contents.peek().is_some() {
            if shared.update_requested.swap(false, Ordering::AcqRel)
                || sealer.is_worn_out(BATCH_RECORDS as u64)
            {
                shared.send_all(&mut [IoSlice::new(&sealer.update_keys())])?;
            }
            let mut sealed: [&[u8]; BATCH_RECORDS] = [&[]; BATCH_RECORDS];
            let mut count = 0;
            for content in contents.by_ref().take(BATCH_RECORDS) {
                let (before, after) = edges[count..].split_at_mut(1);
                let (trailer, _) = after[0].split_first_chunk_mut().expect("an edge begins with a trailer");
                let header = sealer.seal(content, trailer);
                before[0][TRAILER_BYTES..].copy_from_slice(&header);
                sealed[count] = content;
                count += 1;
            }
            let mut parts = Vec::with_capacity(2 * count + 1);
            parts.push(IoSlice::new(&edges[0][TRAILER_BYTES..]));
            for index in 0..count {
                parts.push(IoSlice::new(sealed[index]));
                let is_last = index + 1 == count;
                parts.push(IoSlice::new(
                    &edges[index + 1][..if is_last { TRAILER_BYTES } else { EDGE_BYTES }],
                ));
            }
            shared.send_all(&mut parts)?;
        }
        Ok(())
    }
}

impl Sink for TlsSink {
    fn write(&mut self, head: &[u8], mut payload: Payload) -> Result<()> {
        self.head.clear();
        self.head.extend_from_slice(head);
        let length = head.len() + payload.as_ref().len();
        self.send(payload.bytes_mut()).map_err(|error| self.shared.error(error))?;
        self.shared.life.count_copied(head.len());
        self.shared.life.count_sent(length);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let mut sealer = self.shared.sealer.lock().unwrap();
        let sent = self.shared.send_all(&mut [IoSlice::new(&sealer.close_notify())]);
        drop(sealer);
        sent.map_err(|error| self.shared.error(error))?;
        self.finished = true;
        let _ = self.shared.socket.shutdown(Shutdown::Write);
        Ok(())
    }
}

impl Drop for TlsSink {
    fn drop(&mut self) {
        // Without close_notify the peer sees a cut, not an end.
        self.shared.used_up.store(true, Ordering::Relaxed);
        if !self.finished {
            let _ = self.shared.socket.shutdown(Shutdown::Write);
        }
    }
}

pub(super) struct TlsSource {
    shared: Arc<TlsSocket>,
    opener: Opener,
    /// From the socket; `start..end` is not decrypted yet and begins with a record.
    wire: Vec<u8>,
    start: usize,
    end: usize,
    /// Data in `wire` of a record that was longer than what its reader had room for.
    plain: Range<usize>,
    ended: bool,
}

/// Why a read failed.
enum Failure {
    Io(io::Error),
    Fault(Fault),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::Fault(fault)
    }
}

impl TlsSource {
    fn fill(&mut self, buffer: &mut [u8]) -> std::result::Result<usize, Failure> {
        let mut filled = 0;
        while filled < buffer.len() && !self.ended {
            if !self.plain.is_empty() {
                let length = self.plain.len().min(buffer.len() - filled);
                let from = self.plain.start..self.plain.start + length;
                buffer[filled..filled + length].copy_from_slice(&self.wire[from]);
                self.shared.life.count_copied(length);
                self.plain.start += length;
                filled += length;
            } else if let Some(length) = self.next_record()? {
                filled += self.open_record(length, &mut buffer[filled..])?;
            } else {
                self.receive()?;
            }
        }
        Ok(filled)
    }

    /// The length of the record that begins at `start`, once all of it is there.
    fn next_record(&self) -> std::result::Result<Option<usize>, Fault> {
        let Some(header) = self.wire[self.start..self.end].first_chunk() else { return Ok(None) };
        let length = Opener::record_bytes(*header)?;
        Ok((length <= self.end - self.start).then_some(length))
    }

    /// Opens the record at `start` into `out`, or where it is when that does not fit.
    fn open_record(&mut self, length: usize, out: &mut [u8]) -> std::result::Result<usize, Fault> {
        let record = &mut self.wire[self.start..self.start + length];
        let fits = length >= MIN_DIRECT_BYTES && Opener::room_for(length) <= out.len();
        let opened =
            if fits { self.opener.open_into(record, out)? } else { self.opener.open_in_place(record)? };
        let content = self.start + HEADER_BYTES;
        self.start += length;
        match opened {
            Opened::Data(length) if fits => return Ok(length),
            Opened::Data(length) => self.plain = content..content + length,
            Opened::Closed => self.ended = true,
            Opened::Quiet => {
                if self.opener.take_update_request() {
                    self.shared.update_requested.store(true, Ordering::Release);
                }
            }
        }
        Ok(0)
    }

    /// Waits for more ciphertext.
    fn receive(&mut self) -> io::Result<()> {
        if self.wire.len() != WIRE_BYTES {
            // What came with the handshake was data, and all of it is used.
            self.wire.resize(WIRE_BYTES, 0);
            (self.start, self.end) = (0, 0);
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if WIRE_BYTES - self.start < MAX_RECORD_BYTES {
            self.wire.copy_within(self.start..self.end, 0);
            self.shared.life.count_copied(self.end - self.start);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let until = self.start + self.reach();
        loop {
            match (&self.shared.socket).read(&mut self.wire[self.end..until]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.end += read;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.shared.wait_for(PollFlags::IN)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// How far from `start` the next read may go: to the end of the record there, and of as many more as there is room
    /// for if all are full ones. Then `wire` begins anew as a rule, with no part of a record to be moved.
    fn reach(&self) -> usize {
        let first = self.wire[self.start..self.end].first_chunk();
        let first = first.and_then(|header| Opener::record_bytes(*header).ok()).unwrap_or(FULL_RECORD_BYTES);
        let more = RECEIVE_BYTES.saturating_sub(self.start + first) / FULL_RECORD_BYTES;
        first + more * FULL_RECORD_BYTES
    }
}

impl Source for TlsSource {
    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let filled = self.fill(buffer).map_err(|failure| match failure {
            Failure::Io(error) => self.shared.error(error),
            Failure::Fault(fault) => {
                self.shared.refuse(fault);
                match self.shared.life.ended() {
                    Some(_) => self.shared.life.bulk_error("it was closed"),
                    None => fault.into(),
                }
            }
        })?;
        self.shared.life.count_received(filled);
        if filled == buffer.len() {
            return Ok(true);
        }
        if filled == 0 {
            return Ok(false);
        }
        Err(Error::new(Kind::ConnectionLost, "the bulk stream ended inside a frame"))
    }
}

impl Drop for TlsSource {
    fn drop(&mut self) {
        // A sender must not go on filling a stream that nobody reads.
        self.shared.used_up.store(true, Ordering::Relaxed);
        if !self.ended {
            let _ = self.shared.socket.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
#[path = "tcp_stream_test.rs"]
mod tests;

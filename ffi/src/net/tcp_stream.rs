//! One TLS connection as a bulk stream: a sink and a source over a non-blocking socket, driven on the threads of
//! their owners.
//!
//! Both halves share the TLS session under a lock that is never held while waiting for the socket, so the two
//! directions do not block each other. The issue "Speed" replaces this file with in-place AES-GCM.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::event::{PollFd, PollFlags, poll};
use rustls::Connection as Session;
use socket2::SockRef;

use super::life::{Interrupt, Life};
use super::{Payload, Sink, Source};
use crate::error::{Error, Kind, Result};

/// Ciphertext that one system call may send: 32 records of 16 KiB.
const SEND_BYTES: usize = 512 << 10;

/// Ciphertext that one system call may receive.
const RECEIVE_BYTES: usize = 256 << 10;

/// `MSG_NOSIGNAL`: a peer that is gone is an error, not a signal that ends the program.
#[cfg(target_os = "linux")]
const SEND_FLAGS: i32 = 0x4000;
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: i32 = 0;

/// The socket and session that both halves use.
pub(super) struct TlsSocket {
    socket: TcpStream,
    session: Mutex<Session>,
    life: Arc<Life>,
    /// One direction has been used and ended: what is left of the stream is not used again.
    used_up: AtomicBool,
}

impl TlsSocket {
    /// Takes over after the handshake; `socket` is non-blocking.
    pub fn new(socket: TcpStream, mut session: Session, life: Arc<Life>) -> Arc<TlsSocket> {
        session.set_buffer_limit(Some(SEND_BYTES));
        let socket = Arc::new(TlsSocket {
            socket,
            session: Mutex::new(session),
            life,
            used_up: AtomicBool::new(false),
        });
        socket.life.watch(socket.clone());
        socket
    }

    /// The two halves; once per socket.
    pub fn halves(self: &Arc<TlsSocket>) -> (TlsSink, TlsSource) {
        let sink = TlsSink { shared: self.clone(), finished: false };
        let source = TlsSource { shared: self.clone(), input: Vec::new(), start: 0, end: 0, ended: false };
        (sink, source)
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub fn is_used_up(&self) -> bool {
        self.used_up.load(Ordering::Relaxed)
    }

    /// Whether the session already holds plaintext or the end of the stream, of which the socket no longer tells.
    pub fn has_input(&self) -> bool {
        match self.session().process_new_packets() {
            Ok(state) => state.plaintext_bytes_to_read() > 0 || state.peer_has_closed(),
            Err(_) => true,
        }
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap()
    }

    fn wait_for(&self, events: PollFlags) -> io::Result<()> {
        let mut fds = [PollFd::new(&self.socket, events)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends the ciphertext that the session holds.
    fn flush(&self) -> io::Result<()> {
        loop {
            let mut session = self.session();
            while session.wants_write() {
                match session.write_tls(&mut Out(&self.socket)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if !session.wants_write() {
                return Ok(());
            }
            drop(session);
            self.wait_for(PollFlags::OUT)?;
        }
    }

    fn error(&self, error: io::Error) -> Error {
        if self.life.ended().is_none() && error.kind() == ErrorKind::InvalidData {
            return Error::new(Kind::Corrupt, format!("the bulk stream is damaged: {error}"));
        }
        self.life.bulk_error(super::address::plain(&error))
    }
}

impl Interrupt for TlsSocket {
    fn interrupt(&self, _: &Error) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Writes to the socket without ever raising SIGPIPE.
struct Out<'a>(&'a TcpStream);

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(self.0).send_with_flags(bytes, SEND_FLAGS)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        SockRef::from(self.0).send_vectored_with_flags(parts, SEND_FLAGS)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct TlsSink {
    shared: Arc<TlsSocket>,
    finished: bool,
}

impl TlsSink {
    pub fn is_used_up(&self) -> bool {
        self.shared.is_used_up()
    }

    fn write_part(&self, mut part: &[u8]) -> io::Result<()> {
        while !part.is_empty() {
            let written = self.shared.session().writer().write(part)?;
            part = &part[written..];
            if !part.is_empty() {
                self.shared.flush()?;
            }
        }
        Ok(())
    }
}

impl Sink for TlsSink {
    fn write(&mut self, head: &[u8], payload: Payload) -> Result<()> {
        for part in [head, payload.as_ref()] {
            self.write_part(part).map_err(|error| self.shared.error(error))?;
            self.shared.life.count_sent(part.len());
        }
        self.shared.flush().map_err(|error| self.shared.error(error))
    }

    fn finish(&mut self) -> Result<()> {
        self.shared.session().send_close_notify();
        self.shared.flush().map_err(|error| self.shared.error(error))?;
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
    /// Ciphertext from the socket; `start..end` is not yet given to the session.
    input: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
}

impl TlsSource {
    /// Fills `buffer` as far as the session and the received ciphertext go; true when the stream has ended.
    fn decrypt(&mut self, buffer: &mut [u8], filled: &mut usize) -> io::Result<bool> {
        let mut session = self.shared.session();
        loop {
            while *filled < buffer.len() {
                match session.reader().read(&mut buffer[*filled..]) {
                    Ok(0) => return Ok(true),
                    Ok(read) => *filled += read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if *filled == buffer.len() || self.start == self.end {
                return Ok(false);
            }
            self.start += session.read_tls(&mut &self.input[self.start..self.end])?;
            let state = session.process_new_packets();
            state.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        if self.input.is_empty() {
            self.input.resize(RECEIVE_BYTES, 0);
        }
        loop {
            match (&self.shared.socket).read(&mut self.input) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    (self.start, self.end) = (0, read);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.shared.wait_for(PollFlags::IN)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && !self.ended {
            self.ended = self.decrypt(buffer, &mut filled)?;
            if filled < buffer.len() && !self.ended {
                self.receive()?;
            }
        }
        Ok(filled)
    }
}

impl Source for TlsSource {
    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let filled = self.fill(buffer).map_err(|error| self.shared.error(error))?;
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

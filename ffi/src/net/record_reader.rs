//! A socket that gives rustls one TLS record at a time, so that after the handshake none of the peer's bytes are stuck
//! inside of rustls where `tls_record.rs` cannot have them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::tls_record::HEADER_BYTES;

/// Reads never go beyond the end of the record that they are in, until [`RecordReader::read_freely`].
pub(super) struct RecordReader {
    socket: TcpStream,
    /// The header of the record that is being read, as far as it has come.
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    /// Bytes of the body that have not come.
    body_left: usize,
    free: bool,
}

impl RecordReader {
    pub fn new(socket: TcpStream) -> RecordReader {
        RecordReader { socket, header: [0; HEADER_BYTES], header_bytes: 0, body_left: 0, free: false }
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Gives up the limit: rustls keeps the connection.
    pub fn read_freely(&mut self) {
        self.free = true;
    }

    /// The socket; none while a record has come only in part.
    pub fn into_socket(self) -> Option<TcpStream> {
        (self.header_bytes == 0).then_some(self.socket)
    }

    fn took(&mut self, bytes: &[u8]) {
        if self.header_bytes < HEADER_BYTES {
            self.header[self.header_bytes..self.header_bytes + bytes.len()].copy_from_slice(bytes);
            self.header_bytes += bytes.len();
            if self.header_bytes == HEADER_BYTES {
                self.body_left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
            }
        } else {
            self.body_left -= bytes.len();
        }
        if self.header_bytes == HEADER_BYTES && self.body_left == 0 {
            self.header_bytes = 0;
        }
    }
}

impl AsyncRead for RecordReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.free {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        let limit = match HEADER_BYTES - self.header_bytes {
            0 => self.body_left,
            missing => missing,
        };
        let limit = limit.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(limit));
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut part))?;
        self.took(part.filled());
        let read = part.filled().len();
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RecordReader {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

//! A peer's way to another by a hub that joins their connections and passes on, unseen, what they say
//! (`src/wire/spec/relay_join.md`).

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Error, Kind, Result};
use crate::hex;
use crate::net::address::plain;
use crate::net::proxy::{self, Proxy, Target};

/// What a hub says when it has joined a connection.
pub(super) const JOINED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: wormhole-join\r\n\r\n";

/// Longest head of a hub's answer; a proxy in front of it may add fields.
const MAX_ANSWER_BYTES: usize = 4096;

/// A hub that joins connections.
#[derive(Clone)]
pub struct JoinPlace {
    /// Name or address, without brackets.
    pub host: String,
    pub port: u16,
    /// Opens the relay.
    pub token: String,
    /// What connects there on this machine's behalf.
    pub proxy: Option<Arc<Proxy>>,
}

/// Which of the two somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinSide {
    Dialler,
    Acceptor,
}

/// One side of a pair that is to be joined.
#[derive(Clone)]
pub struct Join {
    pub place: JoinPlace,
    /// What both sides say, and nobody else knows.
    pub key: [u8; 32],
    pub side: JoinSide,
}

impl Join {
    /// Gives a connection whose other end is the other side, for which it waits; dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// CONNECT_FAILED, also when the hub refuses.
    pub async fn connect(&self) -> Result<TcpStream> {
        let mut stream = self.reach().await?;
        // An improvement only.
        let _ = stream.set_nodelay(true);
        let said = async {
            stream.write_all(self.request().as_bytes()).await?;
            answer(&mut stream).await
        };
        let failed = |state: String| Error::new(Kind::ConnectFailed, format!("{self}: {state}"));
        match said.await.map_err(|error| failed(plain(&error)))? {
            101 => Ok(stream),
            403 => Err(failed("the hub does not know its token".into())),
            503 => Err(failed("the hub has no room, or nobody came".into())),
            status => Err(failed(format!("the hub answers {status}"))),
        }
    }

    /// `host:port`.
    pub fn at(&self) -> String {
        let JoinPlace { host, port, .. } = &self.place;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    async fn reach(&self) -> Result<TcpStream> {
        let JoinPlace { host, port, proxy, .. } = &self.place;
        let failed =
            |error: io::Error| Error { kind: Kind::ConnectFailed, ..Error::io(self.to_string(), &error) };
        match (proxy, host.parse::<IpAddr>()) {
            (Some(proxy), Ok(ip)) => proxy::connect(proxy, &Target::Address((ip, *port).into())).await,
            (Some(proxy), Err(_)) => proxy::connect(proxy, &Target::Name(host.clone(), *port)).await,
            (None, Ok(ip)) => TcpStream::connect((ip, *port)).await.map_err(failed),
            (None, Err(_)) => TcpStream::connect((host.as_str(), *port)).await.map_err(failed),
        }
    }

    fn request(&self) -> String {
        let side = match self.side {
            JoinSide::Dialler => 0,
            JoinSide::Acceptor => 1,
        };
        let key = hex::encode(&self.key);
        format!(
            "GET /relay/join HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: wormhole-join\r\n\
             authorization: Bearer {}\r\nwormhole-join: {key} {side}\r\n\r\n",
            self.at(),
            self.place.token,
        )
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cannot connect over the hub at {}", self.at())
    }
}

/// Reads the head of an answer and gives its status.
async fn answer(stream: &mut TcpStream) -> io::Result<u16> {
    let mut head = Vec::new();
    // Byte by byte: what follows is the other side's.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_ANSWER_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    let status = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its answer is no HTTP"))
}

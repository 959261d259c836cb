//! A door on loopback that leads to one target through a proxy, for a WebSocket: Deno's own proxies take plain `ws:` for
//! ordinary requests, hang on some refusals and say little about others.
//!
//! It speaks the little of SOCKS5 (RFC 1928, RFC 1929) that its one visitor needs, who must know a random name and password:
//! other people on this machine get nothing out of it. One connection goes through, then the door is shut.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::proxy::{self, Proxy, Target};
use crate::error::{Error, Kind, Result};
use crate::hex;

/// How long the door stays open for its visitor, who was told of it at once.
const OPEN_FOR: Duration = Duration::from_secs(15);

/// How long whoever comes may take to name the password; others wait behind.
const GREETING: Duration = Duration::from_secs(2);

/// Random bytes of the name and of the password, which are hexadecimal.
const SECRET_BYTES: usize = 16;

/// An open door.
#[derive(Debug)]
pub struct Door {
    /// On 127.0.0.1.
    pub port: u16,
    pub user: String,
    pub password: String,
}

/// Connects to `target` through `proxy` and opens a door to it. Cancelling leaves nothing behind.
pub async fn open(proxy: &Proxy, target: &Target) -> Result<Door> {
    let failed = |error: io::Error| Error::io("Cannot open a way through the proxy", &error);
    let far = proxy::connect(proxy, target).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let (user, password) = (secret()?, secret()?);
    let door = Door { port, user: user.clone(), password: password.clone() };
    tokio::spawn(async move {
        let visitor = visitor(&listener, [user.as_bytes(), password.as_bytes()]);
        let Ok(Ok(mut near)) = tokio::time::timeout(OPEN_FOR, visitor).await else { return };
        drop(listener);
        let mut far = far;
        // However it ends: both sockets close, and each side sees that.
        let _ = copy_bidirectional(&mut near, &mut far).await;
    });
    Ok(door)
}

/// Waits for the one who knows the login.
async fn visitor(listener: &TcpListener, login: [&[u8]; 2]) -> io::Result<TcpStream> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        if let Ok(Ok(true)) = tokio::time::timeout(GREETING, greet(&mut stream, login)).await {
            return Ok(stream);
        }
    }
}

async fn greet(stream: &mut TcpStream, login: [&[u8]; 2]) -> io::Result<bool> {
    stream.set_nodelay(true)?;
    let [5, methods] = read(stream).await? else { return Ok(false) };
    if !bytes(stream, methods).await?.contains(&2) {
        return Ok(false);
    }
    stream.write_all(&[5, 2]).await?;
    let [1, length] = read(stream).await? else { return Ok(false) };
    let user = bytes(stream, length).await?;
    let [length] = read(stream).await?;
    let password = bytes(stream, length).await?;
    if !(same(&user, login[0]) & same(&password, login[1])) {
        return Ok(false);
    }
    stream.write_all(&[1, 0]).await?;
    // Where to is settled already, so what the visitor names is only read.
    let [5, 1, 0, kind] = read(stream).await? else { return Ok(false) };
    let length = match kind {
        1 => 4,
        3 => read::<1>(stream).await?[0],
        4 => 16,
        _ => return Ok(false),
    };
    bytes(stream, length).await?;
    read::<2>(stream).await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(true)
}

async fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut buffer = [0; N];
    stream.read_exact(&mut buffer).await?;
    Ok(buffer)
}

async fn bytes(stream: &mut TcpStream, length: u8) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    Ok(buffer)
}

/// Without telling by its time how much of it was right.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Something that nobody guesses, in hexadecimal.
pub(super) fn secret() -> Result<String> {
    let mut random = [0; SECRET_BYTES];
    getrandom::fill(&mut random)
        .map_err(|error| Error::new(Kind::Internal, format!("cannot draw a password: {error}")))?;
    Ok(hex::encode(&random))
}

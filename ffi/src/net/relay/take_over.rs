//! A connection that came to the hub's own port and is for the relay: taken out of the hands of the JavaScript runtime, which
//! tells no descriptors, and joined to the relay in the kernel.
//!
//! The runtime keeps its own descriptor open, and reads nothing from it, until this is over.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::error::{Error, Kind, Result};
use crate::splice;

/// Clients of a relay and the relay itself say something every 20 s.
const IDLE: Duration = Duration::from_secs(300);

const WHAT: &str = "Cannot pass a connection on to the relay";

/// A connection of this process that another part of it holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// Carries `held` to the relay at `relay` until one of them hangs up; `first` was read of it already.
///
/// # Errors
/// UNSUPPORTED, at once, where connections of this process cannot be found.
pub async fn take_over(held: Held, relay: SocketAddr, first: &[u8]) -> Result<()> {
    let failed = |error: io::Error| Error::io(WHAT, &error);
    let outer = found(held)?;
    let mut inner = TcpStream::connect(relay).await.map_err(failed)?;
    inner.set_nodelay(true).map_err(failed)?;
    inner.write_all(first).await.map_err(failed)?;
    splice::between(&outer, &inner, &AtomicU64::new(0), IDLE).await;
    // The runtime's descriptor would keep it open.
    let _ = socket2::SockRef::from(&outer).shutdown(std::net::Shutdown::Both);
    Ok(())
}

/// Gives the connection, which its holder keeps open.
///
/// # Errors
/// UNSUPPORTED where connections of this process cannot be found.
pub(super) fn found(held: Held) -> Result<TcpStream> {
    let failed = |error: io::Error| Error::io(WHAT, &error);
    let found = find(held).map_err(failed)?;
    let found = found.ok_or_else(|| Error::new(Kind::Unsupported, format!("{WHAT}: not found")))?;
    TcpStream::from_std(found).map_err(failed)
}

/// Gives another descriptor of the connection; none when this process has no such connection.
#[cfg(target_os = "linux")]
fn find(held: Held) -> io::Result<Option<std::net::TcpStream>> {
    use std::os::fd::BorrowedFd;

    let same = |found: rustix::net::SocketAddrAny, wanted: SocketAddr| {
        SocketAddr::try_from(found).is_ok_and(|found| {
            (found.ip().to_canonical(), found.port()) == (wanted.ip().to_canonical(), wanted.port())
        })
    };
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // SAFETY: it is open, as the folder says, or was until just now; then the calls below fail. The one that is
        // wanted stays open: its holder waits for us. Nothing is done to any other.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let Ok(remote) = rustix::net::getpeername(descriptor) else { continue };
        let Ok(local) = rustix::net::getsockname(descriptor) else { continue };
        if remote.is_some_and(|remote| same(remote, held.remote)) && same(local, held.local) {
            let stream = std::net::TcpStream::from(rustix::io::fcntl_dupfd_cloexec(descriptor, 3)?);
            stream.set_nonblocking(true)?;
            return Ok(Some(stream));
        }
    }
    Ok(None)
}

#[cfg(not(target_os = "linux"))]
fn find(_: Held) -> io::Result<Option<std::net::TcpStream>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_came_before_and_after_arrives_and_the_end_too() {
        let (door, relay) = (listener().await, listener().await);
        let mut client = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
        let (mut kept, remote) = door.accept().await.unwrap();
        client.write_all(b"first, then ").await.unwrap();
        let mut first = [0; 7];
        kept.read_exact(&mut first).await.unwrap();
        let held = Held { local: kept.local_addr().unwrap(), remote };
        let at = relay.local_addr().unwrap();
        let carrying = tokio::spawn(async move { take_over(held, at, &first).await });
        let (mut inner, _) = relay.accept().await.unwrap();
        client.write_all(b"more").await.unwrap();
        let mut got = [0; 16];
        inner.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"first, then more");
        inner.write_all(b"answer").await.unwrap();
        drop(inner);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
        drop(client);
        carrying.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_connection_of_somebody_else_is_not_found() {
        let held = Held { local: "127.0.0.1:1".parse().unwrap(), remote: "127.0.0.1:2".parse().unwrap() };
        let error = take_over(held, "127.0.0.1:3".parse().unwrap(), b"").await.unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
    }

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    }
}

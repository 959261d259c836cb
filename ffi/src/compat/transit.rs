//! Transit's connection: every way to the peer is tried at once, a handshake with keys of both tells the peer from
//! strangers, and the sender picks the first that is ready (`docs/transit.rst`, "Handshake" and "Relay").

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::record::Keys;
use crate::error::{Error, Kind, Result};
use crate::hex;
use crate::net::address;
use crate::pairing::{self, KEY_BYTES};

/// How long a connection may take to come about, and then for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long direct connections are tried before a relay is.
const RELAY_AFTER: Duration = Duration::from_secs(2);

/// Most connections that are under way at once; strangers who hold theirs open must not cost more.
const MAX_ATTEMPTS: usize = 64;

/// Most addresses that are given to the peer.
const MAX_OWN: usize = 16;

/// Which of the two this is; only the sender picks a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Sender,
    Receiver,
}

/// Where the peer waits for us.
pub struct Listening {
    listeners: Vec<std::net::TcpListener>,
    /// What the peer may dial.
    pub addresses: Vec<SocketAddr>,
}

impl Listening {
    /// Listens on free ports.
    pub fn start() -> Result<Listening> {
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let listeners = address::listen(&any.map(|ip| SocketAddr::new(ip, 0)))?;
        let mut addresses = Vec::new();
        let own = address::own()?;
        let outside = own.iter().any(|ip| !ip.is_loopback());
        for ip in own {
            // A machine with a network gives no loopback: it would lead the peer to itself.
            if (outside && ip.is_loopback()) || matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
                continue;
            }
            let same = |listener: &&std::net::TcpListener| {
                listener.local_addr().is_ok_and(|bound| bound.is_ipv4() == ip.is_ipv4())
            };
            let port =
                listeners.iter().find(same).and_then(|listener| Some(listener.local_addr().ok()?.port()));
            addresses.extend(port.map(|port| SocketAddr::new(ip, port)));
        }
        addresses.truncate(MAX_OWN);
        Ok(Listening { listeners, addresses })
    }
}

/// A place to dial; the host may be a name.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Place {
    pub host: String,
    pub port: u16,
}

/// A connection that both sides have agreed on.
pub struct Agreed {
    pub stream: std::net::TcpStream,
    pub remote: String,
    pub relayed: bool,
    pub keys: Keys,
}

/// What every attempt needs.
struct Attempt {
    role: Role,
    ours: Vec<u8>,
    theirs: Vec<u8>,
    relay: Vec<u8>,
    /// Whether the sender has picked one.
    picked: Mutex<bool>,
}

/// Connects to the peer, directly or through a relay, within `patience`.
///
/// # Errors
/// CONNECT_FAILED when none of the ways worked.
pub async fn connect(
    key: &[u8; KEY_BYTES],
    role: Role,
    listening: Option<Arc<Listening>>,
    (direct, relays): (Vec<Place>, Vec<Place>),
    patience: Duration,
) -> Result<Agreed> {
    let attempt = Arc::new(Attempt::new(key, role)?);
    let mut attempts = JoinSet::new();
    let listeners = listening.map_or(Ok(vec![]), |listening| listening.share())?;
    let wait = if direct.is_empty() && listeners.is_empty() { Duration::ZERO } else { RELAY_AFTER };
    let tried = direct.len() + relays.len();
    for place in direct {
        attempts.spawn(dial(attempt.clone(), place, false, Duration::ZERO));
    }
    for place in relays {
        attempts.spawn(dial(attempt.clone(), place, true, wait));
    }
    let accepting = listeners.len();
    let race = async {
        loop {
            let free = attempts.len() < MAX_ATTEMPTS;
            tokio::select! {
                Ok((stream, remote)) = accept(&listeners), if free && accepting > 0 => {
                    attempts.spawn(greet(attempt.clone(), stream, remote.to_string(), false));
                }
                Some(ended) = attempts.join_next() => {
                    if let Ok(Some(found)) = ended {
                        return found;
                    }
                }
                else => std::future::pending::<()>().await,
            }
        }
    };
    let (stream, remote, relayed) = match timeout(patience, race).await {
        Ok(found) => found,
        Err(_) => return Err(nobody(patience, tried)),
    };
    let stream = stream.into_std().map_err(|error| Error::io("Cannot use the connection", &error))?;
    Ok(Agreed { stream, remote, relayed, keys: record_keys(key, role)? })
}

fn nobody(patience: Duration, tried: usize) -> Error {
    let seconds = patience.as_secs();
    let text = format!(
        "Cannot connect to the other machine: no connection came about within {seconds} s; tried {tried} of its \
         addresses and waited for it"
    );
    Error::new(Kind::ConnectFailed, text)
}

type Found = (TcpStream, String, bool);

async fn dial(attempt: Arc<Attempt>, place: Place, relayed: bool, wait: Duration) -> Option<Found> {
    sleep(wait).await;
    let stream = timeout(HANDSHAKE, TcpStream::connect((&place.host[..], place.port))).await.ok()?.ok()?;
    let remote = stream.peer_addr().ok()?.to_string();
    greet(attempt, stream, remote, relayed).await
}

/// Does the handshake; `None` when it is not the peer, or another connection was picked.
async fn greet(attempt: Arc<Attempt>, mut stream: TcpStream, remote: String, relayed: bool) -> Option<Found> {
    if relayed {
        stream.write_all(&attempt.relay).await.ok()?;
        // Without a limit of its own: the peer may come to the relay much later.
        expect(&mut stream, b"ok\n").await?;
    }
    let agreed = async {
        stream.write_all(&attempt.ours).await.ok()?;
        expect(&mut stream, &attempt.theirs).await?;
        match attempt.role {
            Role::Receiver => expect(&mut stream, b"go\n").await,
            Role::Sender => attempt.pick(&mut stream).await,
        }
    };
    // A stranger must not hold one of the attempts for long.
    timeout(HANDSHAKE, agreed).await.ok()??;
    Some((stream, remote, relayed))
}

/// Reads exactly `expected`, or gives `None` at the first byte that differs.
async fn expect(stream: &mut TcpStream, expected: &[u8]) -> Option<()> {
    let mut buffer = vec![0; expected.len()];
    let mut used = 0;
    while used < expected.len() {
        let count = stream.read(&mut buffer[used..]).await.ok()?;
        if count == 0 || buffer[used..used + count] != expected[used..used + count] {
            return None;
        }
        used += count;
    }
    Some(())
}

async fn accept(listeners: &[TcpListener]) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listeners {
        [one] => one.accept().await,
        [one, two, ..] => tokio::select! { got = one.accept() => got, got = two.accept() => got },
        [] => std::future::pending().await,
    }
}

impl Listening {
    /// Gives the listeners for the runtime in use.
    fn share(&self) -> Result<Vec<TcpListener>> {
        let share = |listener: &std::net::TcpListener| TcpListener::from_std(listener.try_clone()?);
        self.listeners
            .iter()
            .map(share)
            .collect::<std::io::Result<_>>()
            .map_err(|error| Error::io("Cannot listen", &error))
    }
}

impl Attempt {
    fn new(key: &[u8; KEY_BYTES], role: Role) -> Result<Attempt> {
        let sender = format!("transit sender {} ready\n\n", derived_hex(key, "transit_sender")?).into_bytes();
        let receiver =
            format!("transit receiver {} ready\n\n", derived_hex(key, "transit_receiver")?).into_bytes();
        let mut side = [0; 8];
        pairing::random(&mut side)?;
        let token = derived_hex(key, "transit_relay_token")?;
        let relay = format!("please relay {token} for side {}\n", hex::encode(&side)).into_bytes();
        let (ours, theirs) = if role == Role::Sender { (sender, receiver) } else { (receiver, sender) };
        Ok(Attempt { role, ours, theirs, relay, picked: Mutex::new(false) })
    }

    /// As the sender: takes this connection if it is the first that is ready.
    async fn pick(&self, stream: &mut TcpStream) -> Option<()> {
        let mut picked = self.picked.lock().await;
        if *picked {
            let _ = stream.write_all(b"nevermind\n").await;
            return None;
        }
        stream.write_all(b"go\n").await.ok()?;
        *picked = true;
        Some(())
    }
}

fn record_keys(key: &[u8; KEY_BYTES], role: Role) -> Result<Keys> {
    let sender = derived(key, "transit_record_sender_key")?;
    let receiver = derived(key, "transit_record_receiver_key")?;
    Ok(match role {
        Role::Sender => Keys { seal: sender, open: receiver },
        Role::Receiver => Keys { seal: receiver, open: sender },
    })
}

fn derived(key: &[u8; KEY_BYTES], purpose: &str) -> Result<[u8; KEY_BYTES]> {
    let mut output = [0; KEY_BYTES];
    pairing::hkdf(key, None, purpose.as_bytes(), &mut output)?;
    Ok(output)
}

fn derived_hex(key: &[u8; KEY_BYTES], purpose: &str) -> Result<String> {
    Ok(hex::encode(&derived(key, purpose)?))
}

#[cfg(test)]
#[path = "transit_test.rs"]
mod tests;

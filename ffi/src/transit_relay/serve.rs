//! One client of a relay: its first line, its wait, and what it and its other side have to say to each other.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::addresses::{self, AddressKey};
use super::counters::{During, Refusal};
use super::handshake::{Asked, Line, MAX_LINE, parse};
use crate::splice;

/// How long somebody who is told off may take to hear it, and how much of what they still say is passed over: hanging
/// up on it would take the words away again.
const FAREWELL: Duration = Duration::from_secs(1);
const MAX_PASSED_OVER: usize = 64 * 1024;

/// A machine that went without a word is found out by probes: after a minute of silence, four in another minute.
const KEEPALIVE: Duration = Duration::from_secs(60);
const PROBE: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// Sides of one token that wait at a time: a client of ours makes 16 connections at once.
const MAX_WAITING_EACH: usize = 64;

/// A client with a first line.
pub struct Side {
    client: Client,
    asked: Asked,
    /// Gives the client back, to whoever brought it, when it was not joined.
    back: oneshot::Sender<Unjoined>,
}

/// A client that was not joined, and why.
pub type Unjoined = (Client, Refusal);

impl Side {
    fn refuse(self, why: Refusal) {
        self.client.shared.counters.refuse(why);
        // Whoever brought it may be gone; then so is the client.
        let _ = self.back.send((self.client, why));
    }
}

/// A connection, counted until it is dropped.
pub struct Client {
    stream: TcpStream,
    shared: Arc<Shared>,
    key: AddressKey,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.addresses.lock().unwrap().leave(self.key);
        self.shared.counters.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets a client in; `None` when it was refused, without a word: an answer would cost more than it is worth.
pub fn admit(
    shared: &Arc<Shared>,
    stream: TcpStream,
    from: SocketAddr,
) -> Option<impl Future<Output = ()> + use<>> {
    let client = enter(shared, stream, addresses::key(from.ip())).ok()?;
    Some(serve(client))
}

/// Counts a connection in, unless its address has or makes too many.
pub fn enter(shared: &Arc<Shared>, stream: TcpStream, key: AddressKey) -> Result<Client, Refusal> {
    if let Err(why) = shared.addresses.lock().unwrap().enter(key, Instant::now()) {
        shared.counters.refuse(why);
        return Err(why);
    }
    shared.counters.connections.fetch_add(1, Ordering::Relaxed);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(PROBE).with_retries(PROBES);
    let socket = SockRef::from(&stream);
    // A system that cannot do these still relays.
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_nodelay(true);
    Ok(Client { stream, shared: shared.clone(), key })
}

async fn serve(client: Client) {
    let shared = client.shared.clone();
    let asked = match timeout(shared.limits.handshake, first_line(&client.stream)).await {
        Ok(Ok(Ok(asked))) => asked,
        Ok(Ok(Err(why))) => {
            shared.counters.refuse(why);
            return tell_off(client, why).await;
        }
        Ok(Err(_)) => return,
        Err(_) => return shared.counters.refuse(Refusal::Silent),
    };
    if let Some((client, why)) = join(&shared, client, asked).await {
        tell_off(client, why).await;
    }
}

/// Reads until the line is whole.
async fn first_line(stream: &TcpStream) -> io::Result<Result<Asked, Refusal>> {
    // One more than a line: what comes after it is told from nothing.
    let mut buffer = [0; MAX_LINE + 1];
    let mut used = 0;
    loop {
        match read(stream, &mut buffer[used..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => used += count,
        }
        match parse(&buffer[..used]) {
            Line::Unfinished => {}
            Line::Whole(asked, false) => return Ok(Ok(asked)),
            Line::Whole(_, true) => return Ok(Err(Refusal::Impatient)),
            Line::Wrong => return Ok(Err(Refusal::BadHandshake)),
        }
    }
}

/// Joins a client to its other side, for which it waits; done when both are, or the client cannot be joined: it went, or is
/// given back.
pub async fn join(shared: &Shared, client: Client, asked: Asked) -> Option<Unjoined> {
    let (back, unjoined) = oneshot::channel();
    attend(shared, Side { client, asked, back }).await;
    // Whoever took this side over keeps it until it is done.
    unjoined.await.ok()
}

/// Joins a side to the other that waits for it, or waits for that.
async fn attend(shared: &Shared, mut side: Side) {
    loop {
        let (number, mut partner) = {
            let mut waiting = shared.waiting.lock().unwrap();
            while let Some(call) = waiting.take(&side.asked) {
                match call.send(side) {
                    Ok(()) => return,
                    Err(back) => side = back,
                }
            }
            if shared.draining.load(Ordering::Relaxed) {
                return side.refuse(Refusal::Draining);
            }
            if waiting.len() >= shared.limits.waiting || waiting.with(&side.asked.token) >= MAX_WAITING_EACH {
                return side.refuse(Refusal::Waiting);
            }
            let (call, partner) = oneshot::channel();
            (waiting.put(side.asked, call), partner)
        };
        let waited = {
            let _waiting = During::begin(&shared.counters.waiting);
            tokio::select! {
                partner = &mut partner => Ok(partner),
                why = spoke(&side.client.stream) => Err(why),
                () = sleep(shared.limits.wait) => Err(Some(Refusal::Lonely)),
            }
        };
        match waited {
            Ok(Ok(partner)) => return carry(shared, &side.client.stream, &partner.client.stream).await,
            Ok(Err(_)) => return,
            Err(why) => {
                let left = shared.waiting.lock().unwrap().leave(&side.asked.token, number);
                match why {
                    Some(why) => side.refuse(why),
                    None => drop(side),
                }
                if left {
                    return;
                }
                // Somebody came in that very moment: they wait now.
                match partner.await {
                    Ok(partner) => side = partner,
                    Err(_) => return,
                }
            }
        }
    }
}

/// Waits until a client that should wait does not; gives what it did wrong, or `None` when it went.
async fn spoke(stream: &TcpStream) -> Option<Refusal> {
    match stream.peek(&mut [0]).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(Refusal::Impatient),
    }
}

async fn carry(shared: &Shared, one: &TcpStream, other: &TcpStream) {
    let _pair = During::begin(&shared.counters.pairs);
    shared.counters.joined.fetch_add(1, Ordering::Relaxed);
    let told = async {
        write(one, shared.told).await?;
        write(other, shared.told).await
    };
    if matches!(timeout(FAREWELL, told).await, Ok(Ok(()))) {
        splice::between(one, other, &shared.counters.bytes, shared.limits.idle).await;
    }
}

async fn tell_off(client: Client, why: Refusal) {
    let words: &[u8] = match why {
        Refusal::BadHandshake => b"bad handshake\n",
        Refusal::Impatient => b"impatient\n",
        _ => return,
    };
    let told = async {
        write(&client.stream, words).await?;
        SockRef::from(&client.stream).shutdown(Shutdown::Write)?;
        let mut passed_over = 0;
        let mut buffer = [0; 1024];
        while passed_over < MAX_PASSED_OVER {
            match read(&client.stream, &mut buffer).await? {
                0 => break,
                count => passed_over += count,
            }
        }
        io::Result::Ok(())
    };
    let _ = timeout(FAREWELL, told).await;
}

async fn read(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

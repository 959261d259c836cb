//! The yardstick for relays: pours bytes from memory to memory through whatever is between two connections.
//!
//! ```text
//! relay_pour --relay URL --token TOKEN [--bytes N] [--pairs N]      two of iroh's clients at a relay, for each pair
//! relay_pour --join HOST:PORT --token TOKEN [--bytes N] [--pairs N]     two connections that a hub joins, for each pair
//! relay_pour --proxy HOST:PORT --sink PORT [--bytes N] [--pairs N]  to a TCP proxy that passes it on to PORT of this machine
//! ```
//!
//! Clients of a relay send as iroh's QUIC does: frames of 10 packets of 1,200 bytes. Both ends are in this process, what
//! is between them is not. Prints one line of JSON: `bytes` that arrived, `wall_s`, `cpu_s` (of this process).

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use iroh::SecretKey;
use iroh::dns::DnsResolver;
use iroh_relay::client::{Client, ClientBuilder};
use iroh_relay::protos::relay::{ClientToRelayMsg, Datagrams, RelayToClientMsg};
use n0_future::{SinkExt, StreamExt};
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use wormhole_ffi::net::relay::{Join, JoinPlace, JoinSide};

const PACKET_BYTES: u16 = 1200;
const FRAME_BYTES: usize = 10 * PACKET_BYTES as usize;

/// Below the 512 that a relay keeps for a client: what is more it drops.
const FRAMES_IN_FLIGHT: usize = 256;

/// What is written to or read from a TCP connection at a time.
const BLOCK_BYTES: usize = 256 << 10;

/// Whoever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Outcome<T> = Result<T, Failure>;

/// What is between the two ends.
#[derive(Clone)]
enum Between {
    Relay { url: String, token: String },
    Join { place: JoinPlace },
    Proxy { at: String },
}

fn main() -> Outcome<()> {
    let (mut relay, mut join, mut token, mut proxy, mut sink) = (None, None, String::new(), None, 0u16);
    let (mut bytes, mut pairs) = (1u64 << 30, 1u64);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--relay" => relay = Some(value),
            "--join" => join = Some(value),
            "--token" => token = value,
            "--proxy" => proxy = Some(value),
            "--sink" => sink = value.parse()?,
            "--bytes" => bytes = value.parse()?,
            "--pairs" => pairs = value.parse()?,
            _ => return Err(format!("there is no {name}").into()),
        }
    }
    let between = match (relay, join, proxy) {
        (Some(url), None, None) => Between::Relay { url, token },
        (None, Some(at), None) => {
            let (host, port) = at.split_once(':').ok_or("--join needs HOST:PORT")?;
            Between::Join {
                place: JoinPlace { host: host.to_owned(), port: port.parse()?, token, proxy: None },
            }
        }
        (None, None, Some(at)) => Between::Proxy { at },
        _ => return Err("say --relay, --join or --proxy".into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let each = bytes.div_ceil(pairs * FRAME_BYTES as u64) * FRAME_BYTES as u64;
    let pouring = async { tokio::time::timeout(PATIENCE, pour(between, sink, pairs, each)).await? };
    let (wall, cpu) = runtime.block_on(pouring)?;
    let moved = each * pairs;
    println!("{{\"bytes\":{moved},\"wall_s\":{wall:.4},\"cpu_s\":{cpu:.4}}}");
    Ok(())
}

/// Connects everybody, then pours; gives the seconds that this took, of the clock and of CPU.
async fn pour(between: Between, sink: u16, pairs: u64, bytes: u64) -> Outcome<(f64, f64)> {
    let mut work: Vec<tokio::task::JoinHandle<Outcome<()>>> = Vec::new();
    let gate = Arc::new(Semaphore::new(0));
    match between {
        Between::Relay { url, token } => {
            for pair in 0..pairs {
                let (sender, receiver) = (key(2 * pair), key(2 * pair + 1));
                let to = receiver.public();
                let sender = client(&url, &token, sender).await?;
                let receiver = client(&url, &token, receiver).await?;
                let gate = gate.clone();
                work.push(tokio::spawn(async move {
                    gate.acquire().await?.forget();
                    through_relay(sender, receiver, to, bytes).await
                }));
            }
        }
        Between::Join { place } => {
            for pair in 0..pairs {
                let mut key = [9; 32];
                key[..8].copy_from_slice(&pair.to_be_bytes());
                let near = Join { place: place.clone(), key, side: JoinSide::Dialler };
                let far = Join { side: JoinSide::Acceptor, ..near.clone() };
                let (near, far) = tokio::try_join!(near.connect(), far.connect())?;
                let gate = gate.clone();
                work.push(tokio::spawn(async move {
                    gate.acquire().await?.forget();
                    through_proxy(near, far, bytes).await
                }));
            }
        }
        Between::Proxy { at } => {
            let target = TcpListener::bind(("127.0.0.1", sink)).await?;
            for _ in 0..pairs {
                let near = TcpStream::connect(&at).await?;
                let far = target.accept().await?.0;
                let gate = gate.clone();
                work.push(tokio::spawn(async move {
                    gate.acquire().await?.forget();
                    through_proxy(near, far, bytes).await
                }));
            }
        }
    }
    let (began, cpu) = (Instant::now(), cpu_seconds());
    gate.add_permits(pairs as usize);
    for each in work {
        each.await??;
    }
    Ok((began.elapsed().as_secs_f64(), cpu_seconds() - cpu))
}

fn key(number: u64) -> SecretKey {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_bytes(&seed)
}

async fn client(url: &str, token: &str, key: SecretKey) -> Outcome<Client> {
    let url: iroh::RelayUrl = url.parse()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // Nothing is encrypted here, but the client wants to be told how it would be.
    let tls = iroh::tls::CaTlsConfig::embedded().client_config(provider)?;
    let builder =
        ClientBuilder::new(url, key, DnsResolver::new()).tls_client_config(tls).auth_token(token.to_owned());
    Ok(builder.connect().await?)
}

async fn through_relay(sender: Client, receiver: Client, to: iroh::EndpointId, bytes: u64) -> Outcome<()> {
    let (_hears, mut sink) = sender.split();
    let (mut stream, _says) = receiver.split();
    let in_flight = Arc::new(Semaphore::new(FRAMES_IN_FLIGHT));
    let room = in_flight.clone();
    let sending = tokio::spawn(async move {
        let datagrams = Datagrams {
            ecn: None,
            segment_size: NonZeroU16::new(PACKET_BYTES),
            contents: Bytes::from(vec![7; FRAME_BYTES]),
        };
        for _ in 0..bytes / FRAME_BYTES as u64 {
            room.acquire().await?.forget();
            let datagrams = datagrams.clone();
            sink.send(ClientToRelayMsg::Datagrams { dst_endpoint_id: to, datagrams }).await?;
        }
        Ok::<_, Failure>(sink)
    });
    let mut arrived = 0;
    while arrived < bytes {
        match stream.next().await.ok_or("the relay has closed")?? {
            RelayToClientMsg::Datagrams { datagrams, .. } => {
                arrived += datagrams.contents.len() as u64;
                in_flight.add_permits(datagrams.contents.len() / FRAME_BYTES);
            }
            RelayToClientMsg::Ping(_) | RelayToClientMsg::Pong(_) | RelayToClientMsg::Status(_) => {}
            other => return Err(format!("the relay says {other:?}").into()),
        }
    }
    sending.await??;
    Ok(())
}

async fn through_proxy(mut near: TcpStream, mut far: TcpStream, bytes: u64) -> Outcome<()> {
    let sending = tokio::spawn(async move {
        let block = vec![7; BLOCK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let length = left.min(BLOCK_BYTES as u64);
            near.write_all(&block[..length as usize]).await?;
            left -= length;
        }
        near.shutdown().await?;
        // Until the other end has everything.
        let _ = near.read_u8().await;
        Ok::<_, Failure>(())
    });
    let mut block = vec![0; BLOCK_BYTES];
    let mut arrived = 0;
    loop {
        match far.read(&mut block).await? {
            0 => break,
            length => arrived += length as u64,
        }
    }
    drop(far);
    sending.await??;
    if arrived != bytes {
        return Err(format!("only {arrived} bytes arrived").into());
    }
    Ok(())
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

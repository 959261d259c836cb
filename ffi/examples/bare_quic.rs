//! The yardstick for links: moves bytes from memory to memory, without files and hashes, and says what that cost.
//!
//! ```text
//! bare_quic [OPTIONS]                      both ends in this process, over loopback
//! bare_quic [OPTIONS] --listen IP:PORT     the receiving end
//! bare_quic [OPTIONS] --connect IP:PORT    the sending end
//!
//!   --lane bare|quic|tcp   plain iroh streams (default), or this library's bulk streams
//!   --bytes N              bytes to move, 1 GiB by default
//!   --streams N            streams, 4 by default
//!   --congestion cubic|bbr what QUIC sends with, bbr by default
//!   --tcp cubic|bbr|...    what TCP sends with, bbr by default
//!   --window N             bare: bytes that one stream may have in flight
//!   --send-window N        bare: bytes that all streams may have in flight
//!   --mtu N                bare: the largest UDP payload to look for
//!   --acks N               bare: packets between two acknowledgements
//! ```
//!
//! Prints one line of JSON per end: `bytes` (moved), `wall_s` (from the first byte to the last acknowledgement, or
//! from the first byte to the end of the streams), `cpu_s` (of this process meanwhile), `rate` (bytes/s), `lost`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use iroh::endpoint::{
    AckFrequencyConfig, Connection, IdleTimeout, MtuDiscoveryConfig, QuicTransportConfig, VarInt, presets,
};
use iroh::{Endpoint, EndpointAddr, RelayMode, SecretKey};
use rustix::time::{ClockId, clock_gettime};
use wormhole_ffi::net::congestion::LongPaths;
use wormhole_ffi::net::quic_config::{Congestion, transport_config};
use wormhole_ffi::net::{self, Payload, TransportKind};
use wormhole_ffi::transfer::pool::Pool;

const ALPN: &[u8] = b"wormhole-bare/1";
const PART_BYTES: usize = 1 << 20;
const RECEIVER: [u8; 32] = [1; 32];
const SENDER: [u8; 32] = [2; 32];

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Outcome<T> = Result<T, Failure>;

#[derive(Clone)]
struct Options {
    lane: String,
    bytes: u64,
    streams: usize,
    congestion: Congestion,
    tcp: String,
    window: Option<u32>,
    send_window: Option<u64>,
    mtu: Option<u16>,
    acks: Option<u32>,
    listen: Option<SocketAddr>,
    connect: Option<SocketAddr>,
}

impl Options {
    fn parse() -> Outcome<Options> {
        let mut options = Options {
            lane: "bare".into(),
            bytes: 1 << 30,
            streams: 4,
            congestion: Congestion::Bbr,
            tcp: "bbr".into(),
            window: None,
            send_window: None,
            mtu: None,
            acks: None,
            listen: None,
            connect: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--lane" => options.lane = value,
                "--bytes" => options.bytes = value.parse()?,
                "--streams" => options.streams = value.parse()?,
                "--congestion" => {
                    let of_name = Congestion::from_name(&value);
                    options.congestion = of_name.map_err(|error| error.text)?;
                }
                "--tcp" => options.tcp = value,
                "--window" => options.window = Some(value.parse()?),
                "--send-window" => options.send_window = Some(value.parse()?),
                "--mtu" => options.mtu = Some(value.parse()?),
                "--acks" => options.acks = Some(value.parse()?),
                "--listen" => options.listen = Some(value.parse()?),
                "--connect" => options.connect = Some(value.parse()?),
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        Ok(options)
    }

    fn transport(&self) -> QuicTransportConfig {
        let mut config = transport_config(self.congestion);
        if let Some(window) = self.window {
            config = config.stream_receive_window(VarInt::from_u32(window));
            config = config.receive_window(VarInt::from_u32(window.saturating_mul(self.streams as u32 + 1)));
        }
        if let Some(window) = self.send_window {
            config = config.send_window(window);
        }
        if let Some(mtu) = self.mtu {
            let mut discovery = MtuDiscoveryConfig::default();
            discovery.upper_bound(mtu);
            config = config.mtu_discovery_config(Some(discovery));
        }
        if let Some(acks) = self.acks {
            let mut frequency = AckFrequencyConfig::default();
            frequency.ack_eliciting_threshold(VarInt::from_u32(acks));
            config = config.ack_frequency_config(Some(frequency));
        }
        // A link whose round trip is a second loses the first flights of some handshakes.
        config = config.max_idle_timeout(Some(IdleTimeout::try_from(Duration::from_secs(30)).expect("fits")));
        config.build()
    }

    /// What each stream carries: whole parts.
    fn parts_per_stream(&self) -> u64 {
        (self.bytes / PART_BYTES as u64).div_ceil(self.streams as u64).max(1)
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Err(error) = runtime.block_on(run()) {
        eprintln!("bare_quic: {error}");
        std::process::exit(1);
    }
    // The threads of the lanes that are not `bare` may still be ending.
    runtime.shutdown_background();
}

async fn run() -> Outcome<()> {
    let options = Options::parse()?;
    let loopback: SocketAddr = "127.0.0.1:0".parse()?;
    match (options.listen, options.connect) {
        (Some(address), _) => Receiver::open(&options, address).await?.run().await,
        (None, Some(address)) => send(&options, address).await,
        (None, None) => {
            let receiver = Receiver::open(&options, loopback).await?;
            let address = receiver.address();
            tokio::try_join!(receiver.run(), send(&options, address)).map(|_| ())
        }
    }
}

/// Counts from the first byte on.
struct Meter {
    wall: Instant,
    cpu: f64,
}

impl Meter {
    fn start() -> Meter {
        Meter { wall: Instant::now(), cpu: cpu_seconds() }
    }

    fn report(&self, end: &str, bytes: u64, lost: Option<u64>) {
        let (wall, cpu) = (self.wall.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        let lost = lost.map_or("null".into(), |lost| lost.to_string());
        let rate = bytes as f64 / wall;
        println!(
            "{{\"end\":\"{end}\",\"bytes\":{bytes},\"wall_s\":{wall:.3},\"cpu_s\":{cpu:.3},\
             \"rate\":{rate:.0},\"lost\":{lost}}}"
        );
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What is sent: larger than the caches, so that reading it costs what it costs elsewhere.
fn parts() -> Vec<Bytes> {
    (0..64u32).map(|at| Bytes::from(vec![at as u8; PART_BYTES])).collect()
}

enum Receiver {
    Bare(Options, Endpoint),
    Net(Options, Arc<net::endpoint::Endpoint>),
}

impl Receiver {
    async fn open(options: &Options, address: SocketAddr) -> Outcome<Receiver> {
        if options.lane == "bare" {
            return Ok(Receiver::Bare(options.clone(), bind(options, RECEIVER, address).await?));
        }
        let endpoint = net_endpoint(options, RECEIVER, address).await?;
        endpoint.allow(*SecretKey::from_bytes(&SENDER).public().as_bytes());
        Ok(Receiver::Net(options.clone(), endpoint))
    }

    fn address(&self) -> SocketAddr {
        match self {
            Receiver::Bare(_, endpoint) => endpoint.bound_sockets()[0],
            Receiver::Net(options, endpoint) if options.lane == "tcp" => endpoint.tcp_addresses()[0],
            Receiver::Net(_, endpoint) => endpoint.quic_addresses()[0],
        }
    }

    async fn run(self) -> Outcome<()> {
        match self {
            Receiver::Bare(options, endpoint) => receive_bare(&options, &endpoint).await,
            Receiver::Net(options, endpoint) => receive_net(&options, &endpoint).await,
        }
    }
}

async fn send(options: &Options, address: SocketAddr) -> Outcome<()> {
    let any = SocketAddr::new(if address.ip().is_loopback() { address.ip() } else { [0, 0, 0, 0].into() }, 0);
    if options.lane == "bare" {
        return send_bare(options, &bind(options, SENDER, any).await?, address).await;
    }
    let endpoint = net_endpoint(options, SENDER, any).await?;
    send_net(options, &endpoint, address).await
}

async fn bind(options: &Options, seed: [u8; 32], address: SocketAddr) -> Outcome<Endpoint> {
    let endpoint = Endpoint::builder(presets::Minimal)
        .crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .secret_key(SecretKey::from_bytes(&seed))
        .alpns(vec![ALPN.to_vec()])
        .relay_mode(RelayMode::Disabled)
        .clear_address_lookup()
        .transport_config(options.transport())
        .clear_ip_transports()
        .bind_addr(address)?;
    Ok(endpoint.bind().await?)
}

async fn send_bare(options: &Options, endpoint: &Endpoint, address: SocketAddr) -> Outcome<()> {
    let target = EndpointAddr::new(SecretKey::from_bytes(&RECEIVER).public()).with_ip_addr(address);
    let connection = endpoint.connect(target, ALPN).await?;
    let (parts, count) = (parts(), options.parts_per_stream());
    let meter = Meter::start();
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..options.streams {
        let (connection, parts) = (connection.clone(), parts.clone());
        streams.spawn(async move {
            let mut stream = connection.open_uni().await?;
            for part in parts.iter().cycle().take(count as usize) {
                stream.write_chunk(part.clone()).await?;
            }
            stream.finish()?;
            stream.stopped().await?;
            Ok::<_, Failure>(())
        });
    }
    while let Some(stream) = streams.join_next().await {
        stream??;
    }
    let bytes = count * options.streams as u64 * PART_BYTES as u64;
    meter.report("sender", bytes, Some(connection.stats().lost_packets));
    connection.close(VarInt::from_u32(0), b"done");
    endpoint.close().await;
    Ok(())
}

async fn receive_bare(options: &Options, endpoint: &Endpoint) -> Outcome<()> {
    let connection: Connection = endpoint.accept().await.ok_or("closed")?.await?;
    let mut streams = tokio::task::JoinSet::new();
    let mut meter = None;
    for _ in 0..options.streams {
        let mut stream = connection.accept_uni().await?;
        meter.get_or_insert_with(Meter::start);
        streams.spawn(async move {
            let mut parts = vec![Bytes::new(); 32];
            let mut bytes = 0;
            while let Some(read) = stream.read_many_chunks(&mut parts).await? {
                bytes += parts[..read].iter().map(|part| part.len() as u64).sum::<u64>();
            }
            Ok::<_, Failure>(bytes)
        });
    }
    let mut bytes = 0;
    while let Some(stream) = streams.join_next().await {
        bytes += stream??;
    }
    meter.ok_or("no streams")?.report("receiver", bytes, None);
    connection.closed().await;
    endpoint.close().await;
    Ok(())
}

async fn net_endpoint(
    options: &Options,
    seed: [u8; 32],
    address: SocketAddr,
) -> Outcome<Arc<net::endpoint::Endpoint>> {
    let (tcp, quic) = (options.lane == "tcp", options.lane == "quic");
    let congestion = options.congestion;
    let long_paths = LongPaths { algorithm: options.tcp.clone(), min_rtt: Duration::ZERO };
    let options = net::endpoint::Options { seed, bind: vec![address], tcp, quic, congestion, long_paths };
    Ok(Arc::new(net::endpoint::Endpoint::open(options).await.map_err(|error| error.text)?))
}

async fn send_net(options: &Options, endpoint: &net::endpoint::Endpoint, address: SocketAddr) -> Outcome<()> {
    let kind = if options.lane == "tcp" { TransportKind::Tcp } else { TransportKind::Quic };
    let key = *SecretKey::from_bytes(&RECEIVER).public().as_bytes();
    let dial = endpoint.dial(kind, address, key, Duration::from_secs(30));
    let connection = dial.await.map_err(|error| error.text)?;
    let count = options.parts_per_stream();
    let pool = Pool::new(64 * PART_BYTES, PART_BYTES, options.streams);
    connection.bulk(options.streams).await.map_err(|error| error.text)?;
    let meter = Meter::start();
    let mut threads = Vec::new();
    for _ in 0..options.streams {
        let mut sink = connection.open_sink().await.map_err(|error| error.text)?;
        let pool = pool.clone();
        threads.push(std::thread::spawn(move || {
            for _ in 0..count {
                let mut part = pool.take().ok_or("closed")?;
                part.set_length(PART_BYTES);
                sink.write(&[], Payload::new(part)).map_err(|error| error.text)?;
            }
            sink.finish().map_err(|error| error.text)
        }));
    }
    // The peer says when it has everything.
    connection.recv_control().await.map_err(|error| error.text)?;
    let bytes = count * options.streams as u64 * PART_BYTES as u64;
    meter.report("sender", bytes, connection.stats().lost_packets);
    for thread in threads {
        thread.join().expect("no panic")?;
    }
    endpoint.close().await;
    Ok(())
}

async fn receive_net(options: &Options, endpoint: &net::endpoint::Endpoint) -> Outcome<()> {
    let connection = endpoint.accept().await.map_err(|error| error.text)?;
    connection.bulk(options.streams).await.map_err(|error| error.text)?;
    let mut threads = Vec::new();
    let mut meter = None;
    let (done, mut ended) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..options.streams {
        let mut source = connection.next_source().await.map_err(|error| error.text)?;
        meter.get_or_insert_with(Meter::start);
        let done = done.clone();
        threads.push(std::thread::spawn(move || {
            let mut buffer = vec![0; PART_BYTES];
            let mut bytes = 0;
            let read = loop {
                match source.read_exact(&mut buffer) {
                    Ok(true) => bytes += buffer.len() as u64,
                    Ok(false) => break Ok(bytes),
                    Err(error) => break Err(error.text),
                }
            };
            let _ = done.send(read);
        }));
    }
    let mut bytes = 0;
    for _ in 0..options.streams {
        bytes += ended.recv().await.ok_or("a thread died")??;
    }
    meter.ok_or("no streams")?.report("receiver", bytes, None);
    connection.send_control(Bytes::from_static(b"done")).await.map_err(|error| error.text)?;
    let _ = connection.recv_control().await;
    endpoint.close().await;
    Ok(())
}

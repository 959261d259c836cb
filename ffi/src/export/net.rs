//! `src/native/net.ts`: endpoints and connections.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::error::{Error, Kind, Result};
use crate::net::congestion::LongPaths;
use crate::net::endpoint::{Endpoint, Options, RelayOptions};
use crate::net::quic_config::Congestion;
use crate::net::relay::{DiscoveryPlace, Hub, Join, JoinPlace, JoinSide, RelayKey, look};
use crate::net::{Connection, PeerKey, TransportKind, address, memory};
use crate::op::{self, Context, Op, OpFuture};

use super::proxy::ProxyArgs;

pub const OPERATIONS: &[(&str, Op)] = &[
    ("net.endpoint", endpoint),
    ("net.use_relay", use_relay),
    ("net.renew_relay", renew_relay),
    ("net.reflect", reflect),
    ("net.allow", allow),
    ("net.accept", accept),
    ("net.dial", dial),
    ("net.meet", meet),
    ("net.memory_pair", memory_pair),
    ("net.send", send),
    ("net.recv", recv),
    ("net.bulk", bulk),
    ("net.stats", stats),
    ("net.close", close),
    ("net.close_endpoint", close_endpoint),
    ("net.addresses", addresses),
];

#[derive(Deserialize)]
struct EndpointArgs {
    secret_key: ByteBuf,
    bind: Vec<String>,
    tcp: bool,
    quic: bool,
    congestion: String,
    long_paths: LongPathsArgs,
}

#[derive(Deserialize)]
struct LongPathsArgs {
    algorithm: String,
    min_rtt_ms: u64,
}

#[derive(Serialize)]
struct EndpointResult {
    endpoint: u32,
    public_key: ByteBuf,
    tcp: Vec<String>,
    quic: Vec<String>,
}

#[derive(Deserialize)]
struct EndpointHandle {
    endpoint: u32,
}

#[derive(Deserialize)]
struct UseRelayArgs {
    endpoint: u32,
    id: ByteBuf,
    url: String,
    token: String,
    discovery_port: Option<u16>,
    pins: Vec<ByteBuf>,
    direct: bool,
    port_mapping: bool,
    proxy: Option<ProxyArgs>,
}

#[derive(Deserialize)]
struct ReflectArgs {
    host: String,
    port: u16,
    other_port: Option<u16>,
    pins: Vec<ByteBuf>,
}

#[derive(Serialize)]
struct ReflectResult {
    views: Vec<ViewResult>,
}

#[derive(Serialize)]
struct ViewResult {
    local_port: u16,
    seen: String,
    other: Option<String>,
    knocked: Option<bool>,
}

#[derive(Serialize)]
struct UseRelayResult {
    key: ByteBuf,
    proof: ByteBuf,
}

/// The key of a peer at a relay.
#[derive(Deserialize)]
struct RelayKeyArgs {
    relay: ByteBuf,
    key: ByteBuf,
    proof: ByteBuf,
}

impl RelayKeyArgs {
    fn read(&self) -> Result<RelayKey> {
        Ok(RelayKey {
            relay: fixed(&self.relay, "relay's id")?,
            key: key(&self.key, "relay's")?,
            proof: fixed(&self.proof, "proof")?,
        })
    }
}

#[derive(Deserialize)]
struct AllowArgs {
    endpoint: u32,
    peer_key: ByteBuf,
    relay_key: Option<RelayKeyArgs>,
}

#[derive(Deserialize)]
struct DialArgs {
    endpoint: u32,
    kind: String,
    /// One of these three.
    address: Option<String>,
    relay_key: Option<RelayKeyArgs>,
    join: Option<JoinArgs>,
    peer_key: ByteBuf,
    timeout_ms: u64,
    /// TCP only.
    proxy: Option<ProxyArgs>,
}

/// One side of a connection that a hub joins.
#[derive(Deserialize)]
struct JoinArgs {
    host: String,
    port: u16,
    token: String,
    proxy: Option<ProxyArgs>,
    key: ByteBuf,
}

impl JoinArgs {
    fn read(self, side: JoinSide) -> Result<Join> {
        let proxy = self.proxy.map(ProxyArgs::check).transpose()?.map(Arc::new);
        let place = JoinPlace { host: self.host, port: self.port, token: self.token, proxy };
        Ok(Join { place, key: fixed(&self.key, "key of a joined connection")?, side })
    }
}

#[derive(Deserialize)]
struct MeetArgs {
    endpoint: u32,
    join: JoinArgs,
    timeout_ms: u64,
}

#[derive(Serialize)]
struct ConnectionResult {
    connection: u32,
    kind: &'static str,
    peer_key: ByteBuf,
    remote: String,
}

#[derive(Serialize)]
struct MemoryPairResult {
    a: u32,
    b: u32,
}

#[derive(Deserialize)]
struct ConnectionHandle {
    connection: u32,
}

#[derive(Deserialize)]
struct SendArgs {
    connection: u32,
    frame: ByteBuf,
}

#[derive(Serialize)]
struct RecvResult {
    frame: Option<ByteBuf>,
}

#[derive(Deserialize)]
struct BulkArgs {
    connection: u32,
    streams: usize,
}

#[derive(Serialize)]
struct StatsResult {
    rtt_us: Option<u64>,
    bytes_sent: u64,
    bytes_received: u64,
    bytes_copied: u64,
    remote: String,
    relayed: bool,
    lost_packets: Option<u64>,
    packets_received: Option<u64>,
    cwnd_bytes: Option<u64>,
    delivery_rate: Option<u64>,
    congestion_events: Option<u64>,
    local: Option<String>,
}

#[derive(Deserialize)]
struct CloseArgs {
    connection: u32,
    #[serde(default)]
    code: u16,
    #[serde(default)]
    reason: String,
}

#[derive(Serialize)]
struct AddressesResult {
    addresses: Vec<String>,
}

fn fixed<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N]> {
    let error = || Error::new(Kind::InvalidArgument, format!("Cannot use the {what}: it is not {N} bytes"));
    bytes.try_into().map_err(|_| error())
}

fn key(bytes: &[u8], what: &str) -> Result<PeerKey> {
    let error =
        || Error::new(Kind::InvalidArgument, format!("Cannot use the {what} key: it is not 32 bytes"));
    bytes.try_into().map_err(|_| error())
}

fn connected(context: &Context, connection: Connection) -> Result<ConnectionResult> {
    let kind = connection.kind().name();
    let peer_key = ByteBuf::from(connection.peer_key());
    let remote = connection.remote().to_owned();
    Ok(ConnectionResult { connection: context.objects.insert(Arc::new(connection))?, kind, peer_key, remote })
}

fn endpoint(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: EndpointArgs| async move {
        let seed = key(&args.secret_key, "secret")?;
        let bind = args.bind.iter().map(|text| address::parse(text)).collect::<Result<Vec<_>>>()?;
        let LongPathsArgs { algorithm, min_rtt_ms } = args.long_paths;
        let long_paths = LongPaths { algorithm, min_rtt: Duration::from_millis(min_rtt_ms) };
        let congestion = match Congestion::from_name(&args.congestion)? {
            Congestion::Bbr => Congestion::BbrFrom(long_paths.min_rtt),
            other => other,
        };
        let endpoint =
            Endpoint::open(Options { seed, bind, tcp: args.tcp, quic: args.quic, congestion, long_paths })
                .await?;
        Ok(EndpointResult {
            public_key: ByteBuf::from(endpoint.public_key()),
            tcp: endpoint.tcp_addresses().iter().map(|address| address.to_string()).collect(),
            quic: endpoint.quic_addresses().iter().map(|address| address.to_string()).collect(),
            endpoint: context.objects.insert(Arc::new(endpoint))?,
        })
    })
}

fn use_relay(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: UseRelayArgs| async move {
        let pins = args.pins.iter().map(|pin| key(pin, "relay's")).collect::<Result<Vec<_>>>()?;
        let hub = Hub { url: args.url, token: args.token, discovery_port: args.discovery_port, pins };
        let id = fixed(&args.id, "relay's id")?;
        let proxy = args.proxy.map(ProxyArgs::check).transpose()?;
        let options = RelayOptions { id, direct: args.direct, port_mapping: args.port_mapping, proxy };
        let RelayKey { key, proof, .. } =
            context.objects.get::<Endpoint>(args.endpoint)?.use_relay(hub, options).await?;
        Ok(UseRelayResult { key: ByteBuf::from(key), proof: ByteBuf::from(proof) })
    })
}

fn reflect(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: ReflectArgs| async move {
        let pins = args.pins.iter().map(|pin| key(pin, "relay's")).collect::<Result<Vec<_>>>()?;
        let ReflectArgs { host, port, other_port, .. } = args;
        let views = look(DiscoveryPlace { host, port, other_port, pins }).await?;
        let views = views.into_iter().map(|view| ViewResult {
            local_port: view.local_port,
            seen: view.seen.to_string(),
            other: view.other.map(|other| other.to_string()),
            knocked: view.knocked,
        });
        Ok(ReflectResult { views: views.collect() })
    })
}

fn renew_relay(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: EndpointHandle| async move {
        context.objects.get::<Endpoint>(args.endpoint)?.renew_relay().await
    })
}

fn allow(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: AllowArgs| async move {
        let endpoint = context.objects.get::<Endpoint>(args.endpoint)?;
        let peer_key = key(&args.peer_key, "peer's")?;
        if let Some(relay_key) = &args.relay_key {
            endpoint.allow_at_relay(&relay_key.read()?, peer_key)?;
        }
        endpoint.allow(peer_key);
        Ok(())
    })
}

fn accept(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: EndpointHandle| async move {
        let connection = context.objects.get::<Endpoint>(args.endpoint)?.accept().await?;
        connected(&context, connection)
    })
}

fn dial(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: DialArgs| async move {
        let peer_key = key(&args.peer_key, "peer's")?;
        let timeout = Duration::from_millis(args.timeout_ms);
        let endpoint = context.objects.get::<Endpoint>(args.endpoint)?;
        let connection = match (&args.relay_key, &args.address, args.join) {
            (Some(relay_key), None, None) => {
                endpoint.dial_relay(&relay_key.read()?, peer_key, timeout).await?
            }
            (None, None, Some(join)) => {
                endpoint.dial_joined(join.read(JoinSide::Dialler)?, peer_key, timeout).await?
            }
            (None, Some(address), None) => {
                let kind = TransportKind::from_name(&args.kind)?;
                let address = address::parse(address)?;
                match args.proxy {
                    Some(_) if kind != TransportKind::Tcp => {
                        return Err(Error::new(Kind::Unsupported, format!("Cannot use a proxy for {kind}")));
                    }
                    Some(proxy) => endpoint.dial_through(proxy.check()?, address, peer_key, timeout).await?,
                    None => endpoint.dial(kind, address, peer_key, timeout).await?,
                }
            }
            _ => {
                let text = "Cannot connect: an address, a key at the relay, or what a hub joins is needed";
                return Err(Error::new(Kind::InvalidArgument, text));
            }
        };
        connected(&context, connection)
    })
}

/// Gives when the other machine was let in.
fn meet(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: MeetArgs| async move {
        let timeout = Duration::from_millis(args.timeout_ms);
        let endpoint = context.objects.get::<Endpoint>(args.endpoint)?;
        endpoint.meet_joined(args.join.read(JoinSide::Acceptor)?, timeout).await
    })
}

fn memory_pair(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, _: ciborium::Value| async move {
        let (a, b) = memory::pair();
        Ok(MemoryPairResult {
            a: context.objects.insert(Arc::new(a))?,
            b: context.objects.insert(Arc::new(b))?,
        })
    })
}

fn send(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SendArgs| async move {
        let connection = context.objects.get::<Connection>(args.connection)?;
        connection.send_control(args.frame.into_vec().into()).await
    })
}

fn recv(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ConnectionHandle| async move {
        let frame = context.objects.get::<Connection>(args.connection)?.recv_control().await?;
        Ok(RecvResult { frame: frame.map(|frame| ByteBuf::from(Vec::from(frame))) })
    })
}

fn bulk(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: BulkArgs| async move {
        context.objects.get::<Connection>(args.connection)?.bulk(args.streams).await
    })
}

fn stats(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ConnectionHandle| async move {
        let stats = context.objects.get::<Connection>(args.connection)?.stats();
        Ok(StatsResult {
            rtt_us: stats.rtt_us,
            bytes_sent: stats.bytes_sent,
            bytes_received: stats.bytes_received,
            bytes_copied: stats.bytes_copied,
            remote: stats.remote,
            relayed: stats.relayed,
            lost_packets: stats.lost_packets,
            packets_received: stats.packets_received,
            cwnd_bytes: stats.cwnd_bytes,
            delivery_rate: stats.delivery_rate,
            congestion_events: stats.congestion_events,
            local: stats.local.map(|ip| ip.to_string()),
        })
    })
}

/// Gives when the last frames have left, so that the program may end.
fn close(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: CloseArgs| async move {
        let connection = context.objects.remove::<Connection>(args.connection)?;
        connection.close(args.code, &args.reason);
        connection.settled().await;
        Ok(())
    })
}

fn close_endpoint(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: EndpointHandle| async move {
        context.objects.remove::<Endpoint>(args.endpoint)?.close().await;
        Ok(())
    })
}

fn addresses(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, _: ciborium::Value| async move {
        let addresses = address::own()?.iter().map(IpAddr::to_string).collect();
        Ok(AddressesResult { addresses })
    })
}

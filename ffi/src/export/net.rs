//! `src/native/net.ts`: this machine on the network, its connections and their control frames.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::error::{Error, Kind, Result};
use crate::net::endpoint::{Endpoint, Options};
use crate::net::{Connection, PeerKey, TransportKind, address, memory};
use crate::op::{self, Context, Op, OpFuture};

pub const OPERATIONS: &[(&str, Op)] = &[
    ("net.endpoint", endpoint),
    ("net.allow", allow),
    ("net.accept", accept),
    ("net.dial", dial),
    ("net.memory_pair", memory_pair),
    ("net.send", send),
    ("net.recv", recv),
    ("net.bulk", bulk),
    ("net.stats", stats),
    ("net.close", close),
    ("net.close_endpoint", close_endpoint),
    ("net.addresses", addresses),
];

/// Longest wait that a dial may ask for.
const MAX_DIAL_MS: u64 = 10 * 60_000;

#[derive(Deserialize)]
struct EndpointArgs {
    secret_key: ByteBuf,
    bind: Vec<String>,
    tcp: bool,
    quic: bool,
}

#[derive(Serialize)]
struct EndpointResult {
    endpoint: u32,
    public_key: ByteBuf,
    tcp: Vec<String>,
    quic: Vec<String>,
}

fn endpoint(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: EndpointArgs| async move {
        let bind = args.bind.iter().map(|text| address::parse(text)).collect::<Result<Vec<_>>>()?;
        let options = Options { seed: key_of(&args.secret_key)?, bind, tcp: args.tcp, quic: args.quic };
        let endpoint = Endpoint::open(options).await?;
        Ok(EndpointResult {
            public_key: ByteBuf::from(endpoint.public_key().to_vec()),
            tcp: endpoint.tcp_addresses().iter().map(ToString::to_string).collect(),
            quic: endpoint.quic_addresses().iter().map(ToString::to_string).collect(),
            endpoint: context.objects.insert(Arc::new(endpoint))?,
        })
    })
}

#[derive(Deserialize)]
struct AllowArgs {
    endpoint: u32,
    peer_key: ByteBuf,
}

fn allow(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: AllowArgs| async move {
        context.objects.get::<Endpoint>(args.endpoint)?.allow(key_of(&args.peer_key)?);
        Ok(())
    })
}

#[derive(Deserialize)]
struct EndpointHandle {
    endpoint: u32,
}

#[derive(Serialize)]
struct ConnectionResult {
    connection: u32,
    kind: &'static str,
    peer_key: ByteBuf,
    remote: String,
}

fn opened(context: &Context, connection: Connection) -> Result<ConnectionResult> {
    Ok(ConnectionResult {
        kind: connection.kind().name(),
        peer_key: ByteBuf::from(connection.peer_key().to_vec()),
        remote: connection.remote().to_string(),
        connection: context.objects.insert(Arc::new(connection))?,
    })
}

fn accept(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: EndpointHandle| async move {
        let endpoint = context.objects.get::<Endpoint>(args.endpoint)?;
        let connection = endpoint.accept().await?;
        opened(&context, connection)
    })
}

#[derive(Deserialize)]
struct DialArgs {
    endpoint: u32,
    kind: String,
    address: String,
    peer_key: ByteBuf,
    timeout_ms: u64,
}

fn dial(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: DialArgs| async move {
        let endpoint = context.objects.get::<Endpoint>(args.endpoint)?;
        let kind = TransportKind::from_name(&args.kind)?;
        let timeout = Duration::from_millis(args.timeout_ms.min(MAX_DIAL_MS));
        let address = address::parse(&args.address)?;
        let connection = endpoint.dial(kind, address, key_of(&args.peer_key)?, timeout).await?;
        opened(&context, connection)
    })
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Serialize)]
struct PairResult {
    a: u32,
    b: u32,
}

fn memory_pair(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, _: Nothing| async move {
        let (a, b) = memory::pair();
        Ok(PairResult { a: context.objects.insert(Arc::new(a))?, b: context.objects.insert(Arc::new(b))? })
    })
}

#[derive(Deserialize)]
struct SendArgs {
    connection: u32,
    frame: ByteBuf,
}

fn send(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SendArgs| async move {
        let connection = context.objects.get::<Connection>(args.connection)?;
        connection.send_control(Bytes::from(args.frame.into_vec())).await
    })
}

#[derive(Deserialize)]
struct ConnectionHandle {
    connection: u32,
}

#[derive(Serialize)]
struct RecvResult {
    frame: Option<ByteBuf>,
}

fn recv(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ConnectionHandle| async move {
        let connection = context.objects.get::<Connection>(args.connection)?;
        let frame = connection.recv_control().await?;
        Ok(RecvResult { frame: frame.map(|frame| ByteBuf::from(frame.to_vec())) })
    })
}

#[derive(Deserialize)]
struct BulkArgs {
    connection: u32,
    streams: usize,
}

fn bulk(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: BulkArgs| async move {
        context.objects.get::<Connection>(args.connection)?.bulk(args.streams).await
    })
}

#[derive(Serialize)]
struct StatsResult {
    rtt_us: Option<u64>,
    bytes_sent: u64,
    bytes_received: u64,
    lost_packets: Option<u64>,
    remote: String,
}

fn stats(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ConnectionHandle| async move {
        let stats = context.objects.get::<Connection>(args.connection)?.stats();
        Ok(StatsResult {
            rtt_us: stats.rtt_us,
            bytes_sent: stats.bytes_sent,
            bytes_received: stats.bytes_received,
            lost_packets: stats.lost_packets,
            remote: stats.remote,
        })
    })
}

#[derive(Deserialize)]
struct CloseArgs {
    connection: u32,
    code: u16,
    reason: String,
}

/// Completes when the peer can know: what was queued is sent.
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
        let endpoint = context.objects.remove::<Endpoint>(args.endpoint)?;
        endpoint.close().await;
        Ok(())
    })
}

#[derive(Serialize)]
struct AddressesResult {
    addresses: Vec<String>,
}

fn addresses(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, _: Nothing| async move {
        let own = op::blocking(address::own).await?;
        Ok(AddressesResult { addresses: own.iter().map(ToString::to_string).collect() })
    })
}

fn key_of(bytes: &[u8]) -> Result<PeerKey> {
    bytes.try_into().map_err(|_| Error::new(Kind::InvalidArgument, "a key is not 32 bytes"))
}

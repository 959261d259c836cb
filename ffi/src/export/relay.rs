//! `src/native/relay.ts`: the relay of a hub.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::error::{Error, Kind, Result};
use crate::net::address;
use crate::net::relay::{self, Held, Options, RelayServer, TlsPem};
use crate::op::{self, Context, Op, OpFuture};
use crate::transit_relay::{Asked, Counts, Limits};

pub const OPERATIONS: &[(&str, Op)] = &[
    ("relay.open", open),
    ("relay.token", token),
    ("relay.renew", renew),
    ("relay.seen", seen),
    ("relay.take_over", take_over),
    ("relay.join", join),
    ("relay.close", close),
];

#[derive(Deserialize)]
struct OpenArgs {
    listen: Vec<String>,
    tls: Option<TlsArgs>,
    discovery: Option<String>,
    secret: ByteBuf,
    max_clients: usize,
    client_bytes_per_second: Option<u32>,
    joins: Limits,
}

#[derive(Deserialize)]
struct TlsArgs {
    cert: String,
    key: String,
}

impl From<TlsArgs> for TlsPem {
    fn from(TlsArgs { cert, key }: TlsArgs) -> TlsPem {
        TlsPem { cert, key }
    }
}

#[derive(Serialize)]
struct OpenResult {
    relay: u32,
    addresses: Vec<String>,
    discovery: Option<DiscoveryResult>,
}

#[derive(Serialize)]
struct DiscoveryResult {
    address: String,
    other_port: Option<u16>,
    pin: ByteBuf,
}

#[derive(Deserialize)]
struct RelayHandle {
    relay: u32,
}

#[derive(Deserialize)]
struct RenewArgs {
    relay: u32,
    tls: TlsArgs,
}

#[derive(Deserialize)]
struct TakeOverArgs {
    relay: u32,
    /// `ip:port` each.
    local: String,
    remote: String,
    first: ByteBuf,
}

#[derive(Serialize)]
struct TokenResult {
    token: String,
}

#[derive(Serialize)]
struct SeenResult {
    clients: usize,
    clients_total: u64,
    refused_total: u64,
    bytes_in: u64,
    bytes_out: u64,
    packets_dropped: u64,
    limited_total: u64,
    discoveries: usize,
    discoveries_refused: u64,
    joined: Counts,
}

#[derive(Deserialize)]
struct JoinArgs {
    relay: u32,
    /// `ip:port` each.
    local: String,
    remote: String,
    from: String,
    token: String,
    /// 64 hex digits.
    key: String,
    side: u8,
}

#[derive(Serialize)]
struct JoinResult {
    /// Why it was not joined.
    refused: Option<&'static str>,
}

fn open(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: OpenArgs| async move {
        let secret = args.secret.as_slice().try_into().map_err(|_| {
            Error::new(Kind::InvalidArgument, "Cannot open a relay: its secret is not 32 bytes")
        })?;
        let relay = RelayServer::open(Options {
            listen: args.listen.iter().map(|text| address::parse(text)).collect::<Result<_>>()?,
            tls: args.tls.map(TlsPem::from),
            discovery: args.discovery.as_deref().map(address::parse).transpose()?,
            secret,
            max_clients: args.max_clients,
            client_bytes_per_second: args.client_bytes_per_second,
            joins: args.joins,
        })
        .await?;
        Ok(OpenResult {
            addresses: relay.addresses().iter().map(|address| address.to_string()).collect(),
            discovery: relay.discovery().map(|(address, pin)| DiscoveryResult {
                address: address.to_string(),
                other_port: relay.other_discovery_port(),
                pin: ByteBuf::from(pin),
            }),
            relay: context.objects.insert(Arc::new(relay))?,
        })
    })
}

fn token(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: RelayHandle| async move {
        Ok(TokenResult { token: context.objects.get::<RelayServer>(args.relay)?.token() })
    })
}

fn renew(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: RenewArgs| async move {
        context.objects.get::<RelayServer>(args.relay)?.renew(&args.tls.into())
    })
}

fn seen(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: RelayHandle| async move {
        let relay = context.objects.get::<RelayServer>(args.relay)?;
        let seen = relay.seen();
        Ok(SeenResult {
            joined: relay.joined(),
            clients: seen.clients,
            clients_total: seen.clients_total,
            refused_total: seen.refused_total,
            bytes_in: seen.bytes_in,
            bytes_out: seen.bytes_out,
            packets_dropped: seen.packets_dropped,
            limited_total: seen.limited_total,
            discoveries: seen.discoveries,
            discoveries_refused: seen.discoveries_refused,
        })
    })
}

/// Done when the connection is over.
fn take_over(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: TakeOverArgs| async move {
        let at = context.objects.get::<RelayServer>(args.relay)?.addresses()[0];
        let held = Held { local: address::parse(&args.local)?, remote: address::parse(&args.remote)? };
        relay::take_over(held, at, &args.first).await
    })
}

/// Done when the connection is over, or was not joined.
fn join(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: JoinArgs| async move {
        let relay = context.objects.get::<RelayServer>(args.relay)?;
        let held = Held { local: address::parse(&args.local)?, remote: address::parse(&args.remote)? };
        let token = args.key.as_bytes().try_into().map_err(|_| {
            Error::new(Kind::InvalidArgument, "Cannot join a connection: its key is not 64 digits")
        })?;
        let asked = Asked { token, side: Some([args.side; 16]) };
        Ok(JoinResult { refused: relay.join(held, &args.from, &args.token, asked).await? })
    })
}

fn close(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: RelayHandle| async move {
        context.objects.remove::<RelayServer>(args.relay)?.close().await;
        Ok(())
    })
}

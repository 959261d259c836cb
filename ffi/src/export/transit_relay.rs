//! `src/native/transit_relay.ts`: the transit relay of a hub.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::op::{self, Context, Op, OpFuture};
use crate::transit_relay::{Limits, Relay};

pub const OPERATIONS: &[(&str, Op)] = &[
    ("transit_relay.start", start),
    ("transit_relay.counts", counts),
    ("transit_relay.drain", drain),
    ("transit_relay.close", close),
];

#[derive(Deserialize)]
struct StartArgs {
    host: Option<String>,
    port: u16,
    connections: usize,
    connections_per_address: usize,
    connection_burst: u32,
    connections_per_minute: u32,
    waiting: usize,
    handshake_ms: u64,
    wait_ms: u64,
    idle_ms: u64,
}

#[derive(Serialize)]
struct StartResult {
    relay: u32,
    /// `ip:port` each.
    addresses: Vec<String>,
}

#[derive(Deserialize)]
struct RelayHandle {
    relay: u32,
}

/// Listens and relays from now on.
fn start(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: StartArgs| async move {
        let limits = Limits {
            connections: args.connections,
            connections_per_address: args.connections_per_address,
            connection_burst: args.connection_burst,
            connections_per_minute: args.connections_per_minute,
            waiting: args.waiting,
            handshake: Duration::from_millis(args.handshake_ms),
            wait: Duration::from_millis(args.wait_ms),
            idle: Duration::from_millis(args.idle_ms),
        };
        let relay = Relay::start(args.host.as_deref(), args.port, limits).await?;
        let addresses = relay.addresses.iter().map(ToString::to_string).collect();
        Ok(StartResult { relay: context.objects.insert(Arc::new(relay))?, addresses })
    })
}

/// Says what is going on.
fn counts(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: RelayHandle| async move {
        Ok(context.objects.get::<Relay>(args.relay)?.counts())
    })
}

/// Lets nobody in any more but the other side of somebody who waits.
fn drain(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: RelayHandle| async move {
        context.objects.get::<Relay>(args.relay)?.drain();
        Ok(())
    })
}

/// Hangs up on everybody; a dead handle is no failure.
fn close(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: RelayHandle| async move {
        if let Ok(relay) = context.objects.remove::<Relay>(args.relay) {
            relay.close().await;
        }
        Ok(())
    })
}

//! `src/native/transit_relay.ts`: the transit relay of a hub.

use std::sync::Arc;

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
    limits: Limits,
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
        let relay = Relay::start(args.host.as_deref(), args.port, args.limits).await?;
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

//! The relay of a hub: forwards sealed QUIC packets between machines that cannot reach each other, over WebSockets.
//!
//! `iroh-relay` speaks its protocol; this module decides whom it serves and how much it may hold. It never sees more of
//! a packet than whom it is for. `src/hub/relay.ts` runs it; who a client is, it proves with its machine key.

mod batching;
mod client;
mod discovery;
mod door;
mod gate;
mod join;
mod key;
mod reflection;
mod server;
mod take_over;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

pub(super) use batching::Batching;
pub use client::{Hub, Trust};
pub(super) use client::{find_address, join, known, url};
pub(super) use door::ProxyDoor;
pub use gate::token_for;
use join::JOINED;
pub use join::{Join, JoinPlace, JoinSide};
pub use key::{RelayId, RelayKey};
pub use reflection::{DiscoveryPlace, View, look};
pub use server::{Options, RelayServer, Seen, TlsPem};
pub use take_over::{Held, take_over};

/// SHA-256 of a certificate.
pub type Pin = [u8; 32];

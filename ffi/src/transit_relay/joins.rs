//! Sides that another part of this process brings, with what they ask for: joined as a transit relay joins its own clients,
//! under the same limits, and told in other words.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpStream;

use super::addresses::AddressKey;
use super::counters::{Counts, Refusal};
use super::handshake::Asked;
use super::{Limits, Shared, serve};

/// Joins connections until it is dropped; what it has joined goes on as long as those who wait for it do.
pub struct Joins(Arc<Shared>);

impl Joins {
    /// `told`: what both of a pair hear when they are joined. `limits.handshake` is not used.
    pub fn new(limits: Limits, told: &'static [u8]) -> Joins {
        Joins(Shared::new(limits, told))
    }

    pub fn counts(&self) -> Counts {
        self.0.counters.read()
    }

    /// From now on nobody is let in but the other side of somebody who waits.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Joins `stream`, which comes from `from`, to the other side of what it asks for. Done when they have both hung up, or when
    /// it is known why it cannot be joined; then nothing was said to it.
    pub async fn join(&self, stream: TcpStream, from: AddressKey, asked: Asked) -> Result<(), Refusal> {
        let client = serve::enter(&self.0, stream, from)?;
        match serve::join(&self.0, client, asked).await {
            Some((_client, why)) => Err(why),
            None => Ok(()),
        }
    }
}

//! SPAKE2 in its symmetric form over Ed25519, as python-spake2 and magic-wormhole speak it.

use crypto_secretbox::aead::rand_core::{self, CryptoRng, RngCore};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::Zeroizing;

use super::{KEY_BYTES, random};
use crate::error::{Error, Kind, Result};

/// `S` and one group element.
pub const MESSAGE_BYTES: usize = 33;

/// Random bytes that a scalar is reduced from.
const SCALAR_SEED_BYTES: usize = 64;

/// One exchange. It keeps what the crate's state is made from instead of that state, because this
/// can be zeroised and the crate's cannot; the exponentiation is done again at the end.
pub struct Exchange {
    password: Zeroizing<Vec<u8>>,
    id: Vec<u8>,
    scalar_seed: Zeroizing<[u8; SCALAR_SEED_BYTES]>,
}

impl Exchange {
    /// Starts an exchange; gives it and the message for the peer.
    pub fn start(password: &[u8], id: &[u8]) -> Result<(Exchange, [u8; MESSAGE_BYTES])> {
        let mut scalar_seed = Zeroizing::new([0; SCALAR_SEED_BYTES]);
        random(&mut scalar_seed[..])?;
        Exchange::start_with(password, id, scalar_seed)
    }

    /// Starts with a given scalar (little endian, reduced); for vectors.
    fn start_with(
        password: &[u8],
        id: &[u8],
        scalar_seed: Zeroizing<[u8; SCALAR_SEED_BYTES]>,
    ) -> Result<(Exchange, [u8; MESSAGE_BYTES])> {
        let password = Zeroizing::new(password.to_vec());
        let exchange = Exchange { password, id: id.to_vec(), scalar_seed };
        let (_, message) = exchange.state();
        let message = message
            .try_into()
            .map_err(|_| Error::new(Kind::Internal, "SPAKE2 gave a message of another length"))?;
        Ok((exchange, message))
    }

    /// Ends the exchange with the peer's message; both sides have the same key if the password was.
    ///
    /// # Errors
    /// PROTOCOL for a message that is no group element, or our own sent back.
    pub fn finish(self, peer: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>> {
        let (state, own) = self.state();
        if own == peer {
            return Err(Error::new(Kind::Protocol, "Cannot pair: the peer sent our own message back"));
        }
        let key = state
            .finish(peer)
            .map_err(|_| Error::new(Kind::Protocol, "Cannot pair: the peer's message is malformed"))?;
        let key = Zeroizing::new(key);
        let mut output = Zeroizing::new([0; KEY_BYTES]);
        if key.len() != KEY_BYTES {
            return Err(Error::new(Kind::Internal, "SPAKE2 gave a key of another length"));
        }
        output.copy_from_slice(&key);
        Ok(output)
    }

    fn state(&self) -> (Spake2<Ed25519Group>, Vec<u8>) {
        let (password, id) = (Password::new(&*self.password), Identity::new(&self.id));
        Spake2::start_symmetric_with_rng(&password, &id, Given { bytes: &self.scalar_seed[..] })
    }
}

/// A random source that gives known bytes once.
struct Given<'a> {
    bytes: &'a [u8],
}

impl CryptoRng for Given<'_> {}

impl RngCore for Given<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, output: &mut [u8]) {
        // Panics, never repeats, should the crate ever ask for more than one scalar's worth.
        let (given, rest) = self.bytes.split_at(output.len());
        output.copy_from_slice(given);
        self.bytes = rest;
    }

    fn try_fill_bytes(&mut self, output: &mut [u8]) -> std::result::Result<(), rand_core::Error> {
        self.fill_bytes(output);
        Ok(())
    }
}

#[cfg(test)]
#[path = "spake_test.rs"]
mod tests;

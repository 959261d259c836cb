//! The cryptography of pairing: SPAKE2, HKDF, secretbox, randomness. Short, pure, synchronous.
//!
//! Which messages carry what is decided in `src/pairing/`; secrets that live here are zeroised.

pub mod spake;

use crypto_secretbox::aead::Aead;
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::error::{Error, Kind, Result};

/// Length of keys, seeds and public keys.
pub const KEY_BYTES: usize = 32;

/// Random bytes in front of a sealed message.
pub const NONCE_BYTES: usize = 24;

/// What [`seal`] adds: the nonce and Poly1305's tag.
pub const SEAL_BYTES: usize = NONCE_BYTES + 16;

/// Fills `output` with HKDF-SHA256 (RFC 5869) of `key`, without salt unless given one.
///
/// # Errors
/// INVALID_ARGUMENT when `output` is longer than 255 hashes.
pub fn hkdf(key: &[u8], salt: Option<&[u8]>, info: &[u8], output: &mut [u8]) -> Result<()> {
    Hkdf::<Sha256>::new(salt, key)
        .expand(info, output)
        .map_err(|_| Error::new(Kind::InvalidArgument, "HKDF gives at most 8160 bytes"))
}

/// Encrypts `message`: a random nonce, then NaCl's secretbox.
pub fn seal(key: &[u8; KEY_BYTES], message: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES];
    random(&mut nonce)?;
    let sealed = XSalsa20Poly1305::new(key.into())
        .encrypt((&nonce).into(), message)
        .map_err(|_| Error::new(Kind::Internal, "Cannot seal a message"))?;
    Ok([&nonce[..], &sealed].concat())
}

/// Decrypts what [`seal`] made.
///
/// # Errors
/// CORRUPT when it was not sealed with this key, or was changed.
pub fn open(key: &[u8; KEY_BYTES], sealed: &[u8]) -> Result<Vec<u8>> {
    let corrupt = || Error::new(Kind::Corrupt, "Cannot open a sealed message: it was made with another key");
    let (nonce, body) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(corrupt)?;
    XSalsa20Poly1305::new(key.into()).decrypt(nonce.into(), body).map_err(|_| corrupt())
}

/// Fills `output` from the system's random source.
pub fn random(output: &mut [u8]) -> Result<()> {
    getrandom::fill(output)
        .map_err(|error| Error::new(Kind::Internal, format!("the system gives no randomness: {error}")))
}

/// Gives the Ed25519 public key (RFC 8032) of a secret key.
pub fn ed25519_public(seed: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    *iroh::SecretKey::from_bytes(seed).public().as_bytes()
}

#[cfg(test)]
#[path = "pairing_test.rs"]
mod tests;

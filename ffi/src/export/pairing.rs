//! `src/native/pairing.ts`: SPAKE2, HKDF, secretbox, randomness, public keys.

use std::sync::{Arc, Mutex, OnceLock};

use super::{bytes, bytes_mut, guarded};
use crate::error::{Error, Kind, Result};
use crate::handles::Handles;
use crate::pairing::spake::{Exchange, MESSAGE_BYTES};
use crate::pairing::{self, KEY_BYTES, SEAL_BYTES};

/// An exchange that is used once.
type OneUse = Mutex<Option<Exchange>>;

fn exchanges() -> &'static Handles {
    static EXCHANGES: OnceLock<Handles> = OnceLock::new();
    EXCHANGES.get_or_init(Handles::default)
}

/// Starts SPAKE2; writes the message for the peer (33 bytes) and gives a handle.
///
/// # Safety
/// `password` and `id` are valid for their lengths, `message` for 33 bytes; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_pairing_start(
    password: *const u8,
    password_length: usize,
    id: *const u8,
    id_length: usize,
    message: *mut u8,
    error: *mut u8,
) -> i64 {
    // SAFETY: the buffers live for this call; the exchange copies what it keeps.
    unsafe {
        guarded(error, || {
            let (exchange, ours) = Exchange::start(bytes(password, password_length), bytes(id, id_length))?;
            bytes_mut(message, MESSAGE_BYTES).copy_from_slice(&ours);
            Ok(exchanges().insert::<OneUse>(Arc::new(Mutex::new(Some(exchange))))? as i64)
        })
    }
}

/// Ends SPAKE2 with the peer's message; writes the key (32 bytes). The handle is dead afterwards, even on failure.
///
/// # Safety
/// `peer` is valid for `peer_length` bytes, `key` for 32; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_pairing_finish(
    handle: u32,
    peer: *const u8,
    peer_length: usize,
    key: *mut u8,
    error: *mut u8,
) -> i64 {
    // SAFETY: the buffers live for this call, as documented.
    unsafe {
        guarded(error, || {
            let exchange = exchanges().remove::<OneUse>(handle)?.lock().unwrap().take();
            let exchange = exchange.ok_or_else(|| Error::new(Kind::Closed, "the exchange is over"))?;
            let shared = exchange.finish(bytes(peer, peer_length))?;
            bytes_mut(key, KEY_BYTES).copy_from_slice(&shared[..]);
            Ok(0)
        })
    }
}

/// Forgets an exchange that will not be finished; a dead handle is no error.
#[unsafe(no_mangle)]
pub extern "C" fn wh_pairing_close(handle: u32) {
    // SAFETY: no error buffer is given.
    unsafe {
        guarded(std::ptr::null_mut(), || {
            exchanges().remove::<OneUse>(handle)?;
            Ok(0)
        });
    }
}

/// Fills `output` with HKDF-SHA256 of `key` and `info`, without salt.
///
/// # Safety
/// Every pointer is valid for the length that follows it; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_pairing_hkdf(
    key: *const u8,
    key_length: usize,
    info: *const u8,
    info_length: usize,
    output: *mut u8,
    output_length: usize,
    error: *mut u8,
) -> i64 {
    // SAFETY: the buffers live for this call, as documented.
    unsafe {
        guarded(error, || {
            let output = bytes_mut(output, output_length);
            pairing::hkdf(bytes(key, key_length), None, bytes(info, info_length), output)?;
            Ok(0)
        })
    }
}

/// Seals `length` bytes of `message` into the `length + 40` at `output`.
///
/// # Safety
/// `key` is valid for 32 bytes, the others as said; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_pairing_seal(
    key: *const u8,
    message: *const u8,
    length: usize,
    output: *mut u8,
    error: *mut u8,
) -> i64 {
    // SAFETY: the buffers live for this call, as documented.
    unsafe {
        guarded(error, || {
            let sealed = pairing::seal(key_at(key)?, bytes(message, length))?;
            bytes_mut(output, length + SEAL_BYTES).copy_from_slice(&sealed);
            Ok(sealed.len() as i64)
        })
    }
}

/// Opens `length` sealed bytes into `output`, which has room for `length`; gives the message's length.
///
/// # Safety
/// `key` is valid for 32 bytes, the others as said; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_pairing_open(
    key: *const u8,
    sealed: *const u8,
    length: usize,
    output: *mut u8,
    error: *mut u8,
) -> i64 {
    // SAFETY: the buffers live for this call, as documented.
    unsafe {
        guarded(error, || {
            let message = zeroize::Zeroizing::new(pairing::open(key_at(key)?, bytes(sealed, length))?);
            bytes_mut(output, message.len()).copy_from_slice(&message);
            Ok(message.len() as i64)
        })
    }
}

/// Fills `output` with random bytes.
///
/// # Safety
/// `output` is valid for `length` bytes; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_pairing_random(output: *mut u8, length: usize, error: *mut u8) -> i64 {
    // SAFETY: the buffer lives for this call, as documented.
    unsafe { guarded(error, || pairing::random(bytes_mut(output, length)).map(|()| 0)) }
}

/// Writes the Ed25519 public key of the 32 bytes at `seed` to the 32 at `output`.
///
/// # Safety
/// Both are valid for 32 bytes; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_pairing_public(seed: *const u8, output: *mut u8, error: *mut u8) -> i64 {
    // SAFETY: the buffers live for this call, as documented.
    unsafe {
        guarded(error, || {
            bytes_mut(output, KEY_BYTES).copy_from_slice(&pairing::ed25519_public(key_at(seed)?));
            Ok(0)
        })
    }
}

/// Borrows a key of the caller.
///
/// # Safety
/// `pointer` is valid for 32 bytes during the call.
unsafe fn key_at<'a>(pointer: *const u8) -> Result<&'a [u8; KEY_BYTES]> {
    // SAFETY: as this function's contract says.
    let key = unsafe { bytes(pointer, KEY_BYTES) };
    key.try_into().map_err(|_| Error::new(Kind::InvalidArgument, "a key has 32 bytes"))
}

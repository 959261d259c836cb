//! The only `extern "C"` functions, one file per module of `src/native/`.
//!
//! Every export catches panics. Pointers are borrowed for the call only. Functions that can fail
//! write `{kind, errno, text}` as CBOR into the caller's error buffer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};
use crate::op::{self, Op};

pub mod codec;
pub mod compat;
#[cfg(target_os = "linux")]
pub mod copy;
mod engine;
pub mod file_lock;
pub mod files;
pub mod hash;
pub mod leftover;
pub mod mdns;
pub mod memory;
pub mod net;
pub mod pack;
pub mod pairing;
pub mod proxy;
pub mod queue;
pub mod receive;
pub mod relay;
pub mod reuse;
pub mod send;
pub mod sync;
pub mod transit_relay;
pub mod walk;

/// Operations by name, one table per module.
pub const OPERATIONS: &[&[(&str, Op)]] = &[
    queue::OPERATIONS,
    hash::OPERATIONS,
    leftover::OPERATIONS,
    codec::OPERATIONS,
    compat::OPERATIONS,
    #[cfg(target_os = "linux")]
    copy::OPERATIONS,
    files::OPERATIONS,
    walk::OPERATIONS,
    net::OPERATIONS,
    pack::OPERATIONS,
    mdns::OPERATIONS,
    memory::OPERATIONS,
    proxy::OPERATIONS,
    send::OPERATIONS,
    receive::OPERATIONS,
    relay::OPERATIONS,
    transit_relay::OPERATIONS,
    reuse::OPERATIONS,
    sync::OPERATIONS,
];

/// Size of the caller's error buffer; longer texts are cut.
pub const ERROR_BYTES: usize = 1024;

/// Runs `body` and turns its error, or a panic, into `-1` with the error written to `error`.
///
/// # Safety
/// `error` is null or points to [`ERROR_BYTES`] writable bytes that nobody else touches during the call.
pub unsafe fn guarded(error: *mut u8, body: impl FnOnce() -> Result<i64>) -> i64 {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(failure)) => failure,
        Err(payload) => op::panicked(Some(payload)),
    };
    if !error.is_null() {
        // SAFETY: the caller owns ERROR_BYTES bytes at `error` for the length of this call.
        let buffer = unsafe { std::slice::from_raw_parts_mut(error, ERROR_BYTES) };
        write_error(buffer, &failure);
    }
    -1
}

/// Borrows `length` bytes of the caller for the call.
///
/// # Safety
/// `pointer` is valid for `length` bytes until the export returns, or `length` is 0.
pub unsafe fn bytes<'a>(pointer: *const u8, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: as this function's contract says; Deno keeps the buffer alive during the call.
    unsafe { std::slice::from_raw_parts(pointer, length) }
}

/// Borrows `length` writable bytes of the caller for the call.
///
/// # Safety
/// As [`bytes`], and nobody else touches them.
pub unsafe fn bytes_mut<'a>(pointer: *mut u8, length: usize) -> &'a mut [u8] {
    if length == 0 {
        return &mut [];
    }
    // SAFETY: as this function's contract says.
    unsafe { std::slice::from_raw_parts_mut(pointer, length) }
}

/// A path that crossed the seam as bytes.
#[derive(serde::Deserialize)]
#[serde(from = "serde_bytes::ByteBuf")]
pub struct LocalPath(pub std::path::PathBuf);

impl From<serde_bytes::ByteBuf> for LocalPath {
    fn from(bytes: serde_bytes::ByteBuf) -> LocalPath {
        use std::os::unix::ffi::OsStringExt;
        LocalPath(std::ffi::OsString::from_vec(bytes.into_vec()).into())
    }
}

/// Layout of the error buffer: `length u32` then the CBOR of `{kind, errno, text}`.
fn write_error(buffer: &mut [u8], failure: &Error) {
    let mut cut = failure.clone();
    if cut.text.len() > 900 {
        let end = (0..=900).rev().find(|&i| cut.text.is_char_boundary(i)).unwrap_or(0);
        cut.text.truncate(end);
    }
    let record = crate::queue::encode_error(&cut);
    buffer[..4].copy_from_slice(&(record.len() as u32).to_le_bytes());
    buffer[4..4 + record.len()].copy_from_slice(&record);
}

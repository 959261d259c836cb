//! The native half of Wormhole: it carries the bytes that TypeScript decides about.
//!
//! `export/` holds the only `extern "C"` functions; everything else is plain Rust. See
//! `docs/design/native-seam.md` for the contract with `src/native/`.

pub mod chunk;
pub mod compat;
#[cfg(target_os = "linux")]
pub mod copy;
pub mod error;
pub mod export;
pub mod handles;
pub mod hex;
pub mod io;
pub mod net;
pub mod op;
pub mod pairing;
pub mod queue;
mod splice;
pub mod store;
pub mod transfer;
pub mod transit_relay;
pub mod workers;

/// Version of the seam's symbols, operations and record layouts; `src/native/library.ts` holds the same number.
pub const ABI_VERSION: u32 = 1;

//! Bulk bytes to and from magic-wormhole clients: their transit connection, its records, and zipped folders.
//!
//! Which messages are exchanged before, and what is accepted, is decided in `src/compat/`. Written from the public
//! protocol documents (`docs/transit.rst`, `docs/file-transfer-protocol.rst`); spec: `src/wire/spec/compat.md`.

pub mod incoming;
pub mod outgoing;
pub mod pack;
pub mod record;
pub mod transit;
pub mod unpack;

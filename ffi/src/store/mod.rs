//! Packs: files of the store that hold many chunks; the format is `docs/design/packs.md`.
//!
//! Nothing here decides what is kept or for how long; what a pack says is checked before it is given on.

pub mod pack;
pub mod pack_read;
pub mod pack_write;

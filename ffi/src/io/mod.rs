//! Files and directories: walking, reading, staging and placing, all relative to open directories.
//!
//! Nothing here decides what to send or where to put it, and nothing here trusts a name: every
//! path that came from a peer is resolved by [`beneath`].

// The widths of stat's fields differ between systems.
#![allow(clippy::unnecessary_cast)]

pub mod ahead;
pub mod backend;
pub mod beneath;
pub mod change;
pub mod columns;
mod commit;
pub(crate) mod ignores;
pub mod kept;
pub mod leftover;
pub(crate) mod listing;
pub mod local;
pub(crate) mod long_path;
pub mod name;
pub mod read;
pub mod recent;
pub(crate) mod remove;
pub mod space;
pub mod sparse;
pub mod stage;
pub mod stage_small;
pub mod stamp;
pub mod walk;

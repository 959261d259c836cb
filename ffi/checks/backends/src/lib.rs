//! The backends alone: they use nothing else of the crate.
#![allow(clippy::unnecessary_cast)]

#[path = "../../../src/io/backend/mod.rs"]
pub mod backend;

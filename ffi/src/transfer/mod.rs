//! The transfer engine: moves the ranges that TypeScript asks for between disks and bulk streams.
//!
//! It never decides what moves: `send` reads, hashes, encodes and writes what was pushed; `receive`
//! verifies and places what was expected. Each bulk stream has one dedicated thread.

pub mod arrivals;
pub mod encode;
pub mod expect;
pub mod frame;
pub mod hashed;
pub mod ledger;
pub mod leftover;
pub mod links;
mod pack;
pub mod pieces;
pub mod place;
mod place_small;
pub mod pool;
mod ranges;
pub mod receive;
pub mod receive_streams;
pub mod remember;
pub mod report;
pub mod send;
pub mod send_streams;
pub mod source;
pub mod target;
mod tree;
pub mod version;
pub mod work;

#[cfg(test)]
mod broken_tests;
#[cfg(test)]
mod mutated_tests;
#[cfg(test)]
mod tests;

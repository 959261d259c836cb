//! The transfer engine: moves the ranges that TypeScript asks for between disks and bulk streams.
//!
//! It never decides what moves: `send` reads, hashes, encodes and writes what was pushed; `receive`
//! verifies and places what was expected. Each bulk stream has one dedicated thread.

pub mod encode;
pub mod expect;
pub mod frame;
mod pack;
mod place_small;
pub mod pool;
pub mod receive;
pub mod report;
pub mod send;
pub mod source;
pub mod target;
pub mod work;

#[cfg(test)]
mod mutated_tests;
#[cfg(test)]
mod tests;

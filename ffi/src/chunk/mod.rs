//! What is done to bytes on their way: hashing and compressing. Which bytes and how is decided above.

pub mod cdc;
pub mod codec;
pub mod estimate;
pub mod hash;
pub mod magic;

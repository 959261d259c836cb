//! The table and footer that end a pack: docs/design/packs.md.

use crate::chunk::hash::{HASH_BYTES, hash};
use crate::error::{Error, Kind, Result};
use crate::hex;

/// `id 32, length u32` for each chunk.
pub const ROW_BYTES: usize = HASH_BYTES + 4;

/// `BLAKE3 of the table 32, count u32, version u32, magic 8`.
pub const FOOTER_BYTES: usize = HASH_BYTES + 16;

const MAGIC: &[u8; 8] = b"WHpack\r\n";
const VERSION: u32 = 1;

/// The longest chunk there is (`bulk_chunk_size`, and what content-defined cutting makes).
pub const MAX_CHUNK_BYTES: u32 = 16 << 20;

/// Chunks of one pack: caps the memory for its table at 2.25 MiB, whatever the footer says.
pub const MAX_CHUNKS: usize = 1 << 16;

/// One chunk of a pack; each begins where the one before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedChunk {
    pub id: [u8; HASH_BYTES],
    pub length: u32,
}

/// Gives the bytes that follow the chunks, and the pack's name.
pub fn encode(chunks: &[PackedChunk]) -> (Vec<u8>, [u8; HASH_BYTES]) {
    let mut bytes = Vec::with_capacity(ROW_BYTES * chunks.len() + FOOTER_BYTES);
    for chunk in chunks {
        bytes.extend_from_slice(&chunk.id);
        bytes.extend_from_slice(&chunk.length.to_le_bytes());
    }
    let name = hash(&bytes);
    bytes.extend_from_slice(&name);
    bytes.extend_from_slice(&(chunks.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(MAGIC);
    (bytes, name)
}

/// What a footer says.
#[derive(Debug, PartialEq, Eq)]
pub struct Footer {
    /// BLAKE3 of the table, which the pack is named for.
    pub name: [u8; HASH_BYTES],
    pub count: usize,
}

/// Reads a footer.
///
/// # Errors
/// CORRUPT when it is none; VERSION_UNSUPPORTED when a newer program wrote it; LIMIT_EXCEEDED.
pub fn decode_footer(bytes: &[u8; FOOTER_BYTES]) -> Result<Footer> {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    if bytes[FOOTER_BYTES - MAGIC.len()..] != MAGIC[..] {
        return Err(damaged("it does not end as a pack does"));
    }
    let version = number(HASH_BYTES + 4);
    if version != VERSION {
        let text = format!("it has version {version}, and this program knows version {VERSION}");
        return Err(Error::new(Kind::VersionUnsupported, text));
    }
    let count = number(HASH_BYTES) as usize;
    if count == 0 || count > MAX_CHUNKS {
        let text = format!("it has {count} chunks, and a pack has 1 to {MAX_CHUNKS}");
        return Err(Error::new(Kind::LimitExceeded, text));
    }
    Ok(Footer { name: bytes[..HASH_BYTES].try_into().expect("32 bytes"), count })
}

/// Reads the table of a pack of `size` bytes.
///
/// # Errors
/// CORRUPT when it is not the footer's, or the chunks are not as long as the file is.
pub fn decode_table(bytes: &[u8], footer: &Footer, size: u64) -> Result<Vec<PackedChunk>> {
    if hash(bytes) != footer.name {
        return Err(damaged("its table is not the one that was written"));
    }
    let chunks: Vec<PackedChunk> = bytes
        .chunks_exact(ROW_BYTES)
        .map(|row| PackedChunk {
            id: row[..HASH_BYTES].try_into().expect("32 bytes"),
            length: u32::from_le_bytes(row[HASH_BYTES..].try_into().expect("4 bytes")),
        })
        .collect();
    if chunks.iter().any(|chunk| chunk.length == 0 || chunk.length > MAX_CHUNK_BYTES) {
        return Err(damaged("a chunk in it has an impossible length"));
    }
    let plain: u64 = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
    if plain + (bytes.len() + FOOTER_BYTES) as u64 != size {
        return Err(damaged("its chunks are not as long as it is"));
    }
    Ok(chunks)
}

/// The name of a pack's file.
pub fn file_name(name: &[u8; HASH_BYTES]) -> String {
    format!("{}.pack", hex::encode(name))
}

pub(super) fn damaged(state: &str) -> Error {
    Error::new(Kind::Corrupt, state)
}

#[cfg(test)]
#[path = "pack_test.rs"]
mod tests;

//! BLAKE3-256 of buffers, file ranges and streams.

use std::cell::RefCell;
use std::fs::File;
use std::sync::Mutex;

use crate::error::{Error, Kind, Result};
use crate::io::read::read_at;
use crate::workers;

/// BLAKE3-256 of a plaintext chunk is its id.
pub const HASH_BYTES: usize = 32;

/// Bytes read at once; the caller may cancel between them.
pub const STEP_BYTES: usize = 1 << 20;

/// Hashes one buffer.
pub fn hash(bytes: &[u8]) -> [u8; HASH_BYTES] {
    *blake3::hash(bytes).as_bytes()
}

/// Hashes `offset..offset + length` of `file`, or less when it ends before; gives the hash and how much it was.
///
/// # Errors
/// CANCELLED as soon as `cancelled` says so, asked before each MiB.
pub fn hash_range(
    file: &File,
    offset: u64,
    length: u64,
    cancelled: &dyn Fn() -> bool,
) -> Result<([u8; HASH_BYTES], u64)> {
    thread_local! {
        /// Kept from one file to the next: a fresh one would be filled with zeros, 1 MiB for each small file.
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(STEP_BYTES, 0);
        let mut hasher = blake3::Hasher::new();
        let mut done = 0;
        while done < length {
            if cancelled() {
                return Err(Error::new(Kind::Cancelled, "cancelled"));
            }
            let want = buffer.len().min((length - done).try_into().unwrap_or(usize::MAX));
            let read = read_at(file, &mut buffer[..want], offset.saturating_add(done))?;
            hasher.update(&buffer[..read]);
            done += read as u64;
            if read < want {
                break;
            }
        }
        Ok((*hasher.finalize().as_bytes(), done))
    })
}

/// Hashes `file` in chunks of `chunk_bytes` (the last may be shorter); gives the hashes, concatenated, and the size.
///
/// # Errors
/// INVALID_ARGUMENT for `chunk_bytes` 0; CANCELLED as [`hash_range`]; SOURCE_CHANGED when it shrinks meanwhile. What is
/// added meanwhile is left out.
pub fn hash_chunks(
    file: &File,
    chunk_bytes: u64,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<(Vec<u8>, u64)> {
    if chunk_bytes == 0 {
        return Err(Error::new(Kind::InvalidArgument, "a chunk needs at least one byte"));
    }
    let size = file.metadata().map_err(|error| Error::io("Cannot look at a file", &error))?.len();
    Ok((hash_parts(file, (0, size), chunk_bytes, cancelled)?, size))
}

/// Hashes `offset..end` of `file` in chunks of `chunk_bytes` (the last may be shorter), several at once; gives the hashes,
/// concatenated.
///
/// # Errors
/// CANCELLED as [`hash_range`]; SOURCE_CHANGED when the file ends before.
pub fn hash_parts(
    file: &File,
    (offset, end): (u64, u64),
    chunk_bytes: u64,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<u8>> {
    let count = end.saturating_sub(offset).div_ceil(chunk_bytes);
    let hashes = workers::map(count as usize, |index| {
        let at = offset + index as u64 * chunk_bytes;
        let length = chunk_bytes.min(end - at);
        match hash_range(file, at, length, cancelled)? {
            (hash, read) if read == length => Ok(hash),
            _ => Err(Error::new(Kind::SourceChanged, "Cannot read a file: it became shorter meanwhile")),
        }
    })?;
    Ok(hashes.concat())
}

/// A hash of bytes that come in parts.
#[derive(Default)]
pub struct Streaming(Mutex<blake3::Hasher>);

impl Streaming {
    pub fn update(&self, bytes: &[u8]) {
        self.0.lock().unwrap().update(bytes);
    }

    /// The hash of everything so far.
    pub fn digest(&self) -> [u8; HASH_BYTES] {
        *self.0.lock().unwrap().finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;

    use super::*;
    use crate::hex;

    #[test]
    fn hash_matches_blake3s_own_vectors() {
        // BLAKE3 test_vectors.json: input_len 0, 1 and 1025 of the bytes 0, 1, …, 250, 0, …
        let input: Vec<u8> = (0..1025).map(|i| (i % 251) as u8).collect();
        let table = [
            (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
            (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
            (1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
        ];
        for (length, expected) in table {
            assert_eq!(hex::encode(&hash(&input[..length])), expected);
            let streaming = Streaming::default();
            input[..length].chunks(100).for_each(|part| streaming.update(part));
            assert_eq!(hex::encode(&streaming.digest()), expected);
        }
    }

    #[test]
    fn ranges_and_chunks_of_a_file_are_hashed() {
        let data: Vec<u8> = (0..3 * STEP_BYTES + 17).map(|i| (i * 7 % 253) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&data).unwrap();
        let never = || false;
        let size = data.len() as u64;
        assert_eq!(hash_range(&file, 0, u64::MAX, &never).unwrap(), (hash(&data), size));
        assert_eq!(hash_range(&file, 5, 100, &never).unwrap(), (hash(&data[5..105]), 100));
        assert_eq!(hash_range(&file, size, 9, &never).unwrap(), (hash(b""), 0));
        let chunk = STEP_BYTES + 3;
        let expected: Vec<u8> = data.chunks(chunk).flat_map(hash).collect();
        assert_eq!(hash_chunks(&file, chunk as u64, &never).unwrap(), (expected, size));
        assert_eq!(hash_chunks(&file, size, &never).unwrap(), (hash(&data).to_vec(), size));
        assert_eq!(hash_chunks(&tempfile::tempfile().unwrap(), 4, &never).unwrap(), (vec![], 0));
        assert_eq!(hash_chunks(&file, 0, &never).unwrap_err().kind, Kind::InvalidArgument);
    }

    #[test]
    fn hashing_stops_between_mebibytes() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10 * STEP_BYTES as u64).unwrap();
        let asked = Cell::new(0);
        let result = hash_range(&file, 0, u64::MAX, &|| {
            asked.set(asked.get() + 1);
            asked.get() > 3
        });
        assert_eq!((result.unwrap_err().kind, asked.get()), (Kind::Cancelled, 4));
    }
}

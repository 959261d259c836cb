//! Content-defined chunks (FastCDC, Xia et al. 2020, through the crate `fastcdc`): cuts follow the content, so an
//! insertion moves only the cuts around it.

use std::fs::File;

use fastcdc::v2020::FastCDC;

use super::hash::hash;
use crate::error::{Error, Kind, Result};
use crate::io::read::read_at;

/// Sizes of chunks, part of the protocol (spec/chunks.md §2): both ends must cut alike.
pub const MIN_BYTES: usize = 256 * 1024;
pub const AVERAGE_BYTES: usize = 1024 * 1024;
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Read ahead of the cut: at least one whole chunk, and few moves of what is left.
const BUFFER_BYTES: usize = 4 * MAX_BYTES;

/// The chunks of one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CutFile {
    /// 32 bytes per chunk.
    pub ids: Vec<u8>,
    /// Bytes of each chunk.
    pub sizes: Vec<u32>,
    /// Bytes of the file.
    pub size: u64,
}

/// Cuts and hashes all of `file`.
///
/// # Errors
/// CANCELLED as soon as `cancelled` says so, asked before each chunk; what the disk says.
pub fn cut_file(file: &File, cancelled: &dyn Fn() -> bool) -> Result<CutFile> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut cut = CutFile::default();
    let (mut start, mut end, mut at_end) = (0, 0, false);
    loop {
        if cancelled() {
            return Err(Error::new(Kind::Cancelled, "cancelled"));
        }
        if end - start < MAX_BYTES && !at_end {
            buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
            let read = read_at(file, &mut buffer[end..], cut.size + end as u64)?;
            at_end = read < BUFFER_BYTES - end;
            end += read;
        }
        if start == end {
            return Ok(cut);
        }
        let rest = &buffer[start..end];
        let (_, length) = FastCDC::new(rest, MIN_BYTES, AVERAGE_BYTES, MAX_BYTES).cut(0, rest.len());
        cut.ids.extend_from_slice(&hash(&rest[..length]));
        cut.sizes.push(length as u32);
        cut.size += length as u64;
        start += length;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn noise(bytes: usize, seed: u64) -> Vec<u8> {
        let mut output = vec![0; bytes];
        blake3::Hasher::new_keyed(&[seed as u8; 32]).finalize_xof().fill(&mut output);
        output
    }

    fn cut(bytes: &[u8]) -> CutFile {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        cut_file(&file, &|| false).unwrap()
    }

    /// How many chunks of `new` are not in `old`.
    fn missing(old: &CutFile, new: &CutFile) -> usize {
        let known: std::collections::HashSet<&[u8]> = old.ids.chunks(32).collect();
        new.ids.chunks(32).filter(|id| !known.contains(id)).count()
    }

    #[test]
    fn chunks_cover_the_file_within_the_limits_and_are_named_by_their_bytes() {
        for size in [0, 1, MIN_BYTES, MAX_BYTES, BUFFER_BYTES, BUFFER_BYTES + MAX_BYTES + 17] {
            let data = noise(size, 1);
            let result = cut(&data);
            assert_eq!(result.size, size as u64);
            let mut at = 0;
            for (i, &length) in result.sizes.iter().enumerate() {
                let chunk = &data[at..at + length as usize];
                assert_eq!(result.ids[32 * i..32 * (i + 1)], hash(chunk));
                assert!(chunk.len() <= MAX_BYTES);
                assert!(chunk.len() >= MIN_BYTES || i + 1 == result.sizes.len());
                at += chunk.len();
            }
            assert_eq!(at, size);
        }
    }

    #[test]
    fn one_byte_put_in_the_middle_changes_few_chunks() {
        let old = noise(64 << 20, 2);
        let mut new = old.clone();
        new.insert(new.len() / 2, 7);
        assert!(missing(&cut(&old), &cut(&new)) <= 3);
        new.remove(1000);
        assert!(missing(&cut(&old), &cut(&new)) <= 6);
    }

    #[test]
    fn cuts_do_not_depend_on_how_the_file_is_read() {
        let data = noise(3 * BUFFER_BYTES, 3);
        let whole = cut(&data);
        let direct: Vec<u32> = FastCDC::new(&data, MIN_BYTES, AVERAGE_BYTES, MAX_BYTES)
            .map(|chunk| chunk.length as u32)
            .collect();
        assert_eq!(whole.sizes, direct);
    }

    #[test]
    fn cutting_stops_between_chunks() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(100 << 20).unwrap();
        let asked = std::cell::Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > 3
        };
        assert_eq!(cut_file(&file, &stop).unwrap_err().kind, Kind::Cancelled);
    }
}

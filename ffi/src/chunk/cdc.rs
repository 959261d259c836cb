//! Content-defined chunks (FastCDC, Xia et al. 2020, through the crate `fastcdc`): cuts follow the content, so an
//! insertion moves only the cuts around it.
//!
//! Where a chunk ends depends on nothing but the bytes from its start on. So a long file is cut in several places at once,
//! each from an arbitrary start: as soon as the cuts from before meet one of those cuts, all later ones are the same.

use std::fs::File;
use std::ops::Range;

use fastcdc::v2020::FastCDC;

use super::hash::{HASH_BYTES, hash};
use crate::error::{Error, Kind, Result};
use crate::io::read::read_at;
use crate::workers;

/// Sizes of chunks, part of the protocol (spec/chunks.md §2): both ends must cut alike.
pub const MIN_BYTES: usize = 256 * 1024;
pub const AVERAGE_BYTES: usize = 1024 * 1024;
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Read ahead of the cut: at least one whole chunk, and few moves of what is left.
const BUFFER_BYTES: usize = 4 * MAX_BYTES;

/// Least bytes that a thread cuts: the first cuts of each, until they meet, are made twice.
const MIN_SEGMENT_BYTES: u64 = 16 * MAX_BYTES as u64;

/// Threads that cut one file, each with a buffer.
const MAX_SEGMENTS: u64 = 4;

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

/// Cuts and hashes all of `file`; what is added to it meanwhile may be left out.
///
/// # Errors
/// CANCELLED as soon as `cancelled` says so, asked before each chunk; what the disk says.
pub fn cut_file(file: &File, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<CutFile> {
    let size = file.metadata().map_err(|error| Error::io("Cannot look at a file", &error))?.len();
    let segment = (size / MAX_SEGMENTS.min(workers::threads() as u64)).next_multiple_of(MAX_BYTES as u64);
    cut_in_segments(file, size, segment.max(MIN_SEGMENT_BYTES), cancelled)
}

fn cut_in_segments(
    file: &File,
    size: u64,
    segment: u64,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<CutFile> {
    let count = size.div_ceil(segment).max(1);
    let segments = workers::map(count as usize, |index| {
        let start = index as u64 * segment;
        // The last one finds the end by itself.
        let end = if index as u64 + 1 == count { u64::MAX } else { start + segment };
        let mut chunks = Vec::new();
        let mut cutter = Cutter::new(file, start);
        while cutter.offset() < end
            && let Some(chunk) = cutter.next(cancelled)?
        {
            chunks.push(chunk);
        }
        Ok(chunks)
    })?;
    let mut cut = CutFile::default();
    for chunks in &segments {
        cut.join(file, chunks, cancelled)?;
    }
    Ok(cut)
}

/// One chunk where it was found.
struct Chunk {
    range: Range<u64>,
    id: [u8; HASH_BYTES],
}

impl CutFile {
    /// Adds what a segment has from where the cuts before it end, and what lies between them.
    fn join(&mut self, file: &File, chunks: &[Chunk], cancelled: &dyn Fn() -> bool) -> Result<()> {
        let Some(end) = chunks.last().map(|chunk| chunk.range.end) else { return Ok(()) };
        let mut between: Option<Cutter<'_>> = None;
        while self.size < end {
            if let Ok(index) = chunks.binary_search_by_key(&self.size, |chunk| chunk.range.start) {
                chunks[index..].iter().for_each(|chunk| self.push(chunk));
                return Ok(());
            }
            let cutter = between.get_or_insert_with(|| Cutter::new(file, self.size));
            let Some(chunk) = cutter.next(cancelled)? else { return Ok(()) };
            self.push(&chunk);
        }
        Ok(())
    }

    fn push(&mut self, chunk: &Chunk) {
        self.ids.extend_from_slice(&chunk.id);
        self.sizes.push((chunk.range.end - chunk.range.start) as u32);
        self.size = chunk.range.end;
    }
}

/// Cuts from one place on.
struct Cutter<'a> {
    file: &'a File,
    buffer: Vec<u8>,
    /// What of the buffer is not cut yet.
    rest: Range<usize>,
    /// Where in the file the buffer's `rest` ends.
    read: u64,
    at_end: bool,
}

impl<'a> Cutter<'a> {
    fn new(file: &'a File, start: u64) -> Cutter<'a> {
        Cutter { file, buffer: vec![0; BUFFER_BYTES], rest: 0..0, read: start, at_end: false }
    }

    /// Where the next chunk begins.
    fn offset(&self) -> u64 {
        self.read - self.rest.len() as u64
    }

    fn next(&mut self, cancelled: &dyn Fn() -> bool) -> Result<Option<Chunk>> {
        if cancelled() {
            return Err(Error::new(Kind::Cancelled, "cancelled"));
        }
        if self.rest.len() < MAX_BYTES && !self.at_end {
            self.buffer.copy_within(self.rest.clone(), 0);
            self.rest = 0..self.rest.len();
            let read = read_at(self.file, &mut self.buffer[self.rest.end..], self.read)?;
            self.at_end = read < BUFFER_BYTES - self.rest.end;
            self.rest.end += read;
            self.read += read as u64;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let start = self.offset();
        let rest = &self.buffer[self.rest.clone()];
        let (_, length) = FastCDC::new(rest, MIN_BYTES, AVERAGE_BYTES, MAX_BYTES).cut(0, rest.len());
        let id = hash(&rest[..length]);
        self.rest.start += length;
        Ok(Some(Chunk { range: start..start + length as u64, id }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};

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
    fn a_file_that_is_cut_in_several_places_at_once_has_the_same_chunks() {
        let mut data = noise(40 << 20, 4);
        // Without a cut for some chunks of the greatest size, in and between the segments.
        data[9 << 20..30 << 20].fill(7);
        data.extend_from_slice(&noise((5 << 20) + 17, 5));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&data).unwrap();
        let size = data.len() as u64;
        let cut = |segment| cut_in_segments(&file, size, segment, &|| false).unwrap();
        let whole = cut(size);
        assert_eq!(whole.size, size);
        for segment in [1 << 18, 1_000_003, 4 << 20, 7 << 20, 16 << 20, size - 1, 2 * size] {
            assert_eq!(cut(segment), whole, "{segment}");
        }
        assert_eq!(cut_in_segments(&file, 20 << 20, 5 << 20, &|| false).unwrap(), whole, "it grew meanwhile");
        assert_eq!(
            cut_in_segments(&file, 99 << 20, 5 << 20, &|| false).unwrap(),
            whole,
            "it shrank meanwhile"
        );
    }

    #[test]
    fn cutting_stops_between_chunks() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(100 << 20).unwrap();
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) >= 3;
        assert_eq!(cut_file(&file, &stop).unwrap_err().kind, Kind::Cancelled);
    }
}

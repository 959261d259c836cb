//! What the sender learns of large files while it reads them: where they are, and their chunk ids.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::sync::{Mutex, OnceLock};

use super::frame::{FLAG_DATA, Record};
use super::leftover::record;
use super::remember::MAX_FILES;
use crate::io::stamp::Stamp;
use crate::io::walk::FileRef;

/// The grid of chunk lists: 4 MiB (`src/wire/spec/chunks.md` §2).
const GRID_BYTES: u64 = 4 * 1024 * 1024;

/// Longer files are not remembered: TypeScript keeps no longer lists, and of a hole each chunk takes memory.
const MAX_LIST_BYTES: u64 = (1 << 20) * GRID_BYTES;

/// The large files of one send session.
#[derive(Default)]
pub struct Hashed {
    /// None: nothing is remembered.
    least_bytes: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<u32, FileRef>,
    /// Records of files that are still being read.
    pending: HashMap<u32, Vec<u8>>,
    /// Records that TypeScript has not heard of.
    ready: Vec<u8>,
}

impl Hashed {
    /// Remembers files of at least `least_bytes`.
    pub fn new(least_bytes: u64) -> Hashed {
        Hashed { least_bytes: Some(least_bytes), ..Hashed::default() }
    }

    /// Takes note of listed files.
    pub fn list(&self, files: &[FileRef]) {
        let mut state = self.state.lock().unwrap();
        for file in files.iter().filter(|file| self.is_large(file)) {
            if state.files.len() < MAX_FILES {
                state.files.insert(file.id, file.clone());
            }
        }
    }

    /// A file of which this may tell where it is, for as long as the session lives.
    pub fn find(&self, entry: u32) -> Option<FileRef> {
        self.state.lock().unwrap().files.get(&entry).cloned()
    }

    /// Takes note of a range that was read: its records cover it, their `data` is concatenated.
    pub fn read(&self, file: &FileRef, (offset, length): (u64, u64), records: &[Record], data: &[u8]) {
        let is_chunk = offset.is_multiple_of(GRID_BYTES) && length == GRID_BYTES.min(file.size - offset);
        if !is_chunk || !self.is_large(file) {
            return;
        }
        let id = match records {
            [one] if one.is(FLAG_DATA) => one.hash,
            [_] if length == GRID_BYTES => *zeros(),
            _ => hash_with_holes(records, data),
        };
        let record = record(file.id, offset, length as u32, &id);
        self.state.lock().unwrap().pending.entry(file.id).or_default().extend_from_slice(&record);
    }

    /// Takes note of a range that is a hole.
    pub fn hole(&self, file: &FileRef, range: Range<u64>) {
        if !self.is_large(file) {
            return;
        }
        let mut offset = range.start.next_multiple_of(GRID_BYTES);
        let mut records = Vec::new();
        while offset < range.end {
            let length = GRID_BYTES.min(file.size - offset);
            if offset + length > range.end {
                break;
            }
            let id = if length == GRID_BYTES { *zeros() } else { hash_of_zeros(length) };
            records.extend_from_slice(&record(file.id, offset, length as u32, &id));
            offset += length;
        }
        self.state.lock().unwrap().pending.entry(file.id).or_default().extend_from_slice(&records);
    }

    /// Tells what was noted of a file, which was read to its end and is as it was listed; or forgets it.
    pub fn finish(&self, file: &FileRef, is_unchanged: bool) {
        let mut state = self.state.lock().unwrap();
        let Some(records) = state.pending.remove(&file.id) else { return };
        if is_unchanged {
            state.ready.extend_from_slice(&records);
        }
    }

    /// Records of [`super::leftover::RECORD_BYTES`] since the last call.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.state.lock().unwrap().ready)
    }

    fn is_large(&self, file: &FileRef) -> bool {
        self.least_bytes.is_some_and(|least| (least..=MAX_LIST_BYTES).contains(&file.size))
    }
}

/// Where a listed file is, absolute, and its stamp at that time.
pub fn place_of(file: &FileRef) -> (Vec<u8>, Stamp) {
    let path = file.path();
    let absolute = std::path::absolute(&path).unwrap_or(path);
    (absolute.into_os_string().into_vec(), Stamp::from(file))
}

/// The id of a chunk of the grid that is all zeros.
fn zeros() -> &'static [u8; 32] {
    static ZEROS: OnceLock<[u8; 32]> = OnceLock::new();
    ZEROS.get_or_init(|| hash_of_zeros(GRID_BYTES))
}

fn hash_of_zeros(length: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    add_zeros(&mut hasher, length);
    *hasher.finalize().as_bytes()
}

fn hash_with_holes(records: &[Record], data: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    for record in records {
        if record.is(FLAG_DATA) {
            let end = at + record.length as usize;
            hasher.update(&data[at..end]);
            at = end;
        } else {
            add_zeros(&mut hasher, record.length);
        }
    }
    *hasher.finalize().as_bytes()
}

fn add_zeros(hasher: &mut blake3::Hasher, mut length: u64) {
    static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];
    while length > 0 {
        let part = length.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..part as usize]);
        length -= part;
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::io::local;
    use crate::transfer::pool::Pool;
    use crate::transfer::ranges::read_chunk;
    use crate::transfer::source::Source;

    const GRID: usize = GRID_BYTES as usize;

    fn source(path: &Path) -> Source {
        let Stamp { dev, ino, size, mtime_ns, ctime_ns } = local::stamp_at(path).unwrap();
        let directory = Arc::from(path.parent().unwrap());
        let name = path.file_name().unwrap().into();
        let source = Source::new(FileRef { id: 5, directory, name, size, mtime_ns, ctime_ns, dev, ino });
        source.remaining.fetch_add(size, std::sync::atomic::Ordering::AcqRel);
        source
    }

    /// Reads a file in ranges of `step`, as a sender's threads do, and gives what was told.
    fn read(path: &Path, hashed: &Hashed, step: usize, before_last: impl FnOnce()) -> Vec<u8> {
        let source = source(path);
        let mut buffer = Pool::new(32 << 20, GRID, 1).take().unwrap();
        let mut before_last = Some(before_last);
        let size = source.reference.size as usize;
        for offset in (0..size).step_by(step) {
            let length = step.min(size - offset);
            if offset + length == size {
                before_last.take().unwrap()();
            } else {
                assert!(hashed.take().is_empty(), "told before the end");
            }
            let _ = read_chunk(&source, offset as u64, length, &mut buffer, hashed);
        }
        hashed.take()
    }

    #[test]
    fn chunks_are_told_with_their_holes_once_the_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let size = 3 * GRID + 5000;
        let mut content = vec![0; size];
        content[100..200].fill(7);
        content[GRID - 10..GRID].fill(8);
        content[2 * GRID..3 * GRID].fill(9);
        let file = File::create(&path).unwrap();
        file.set_len(size as u64).unwrap();
        for range in [100..200, GRID - 10..GRID, 2 * GRID..3 * GRID] {
            file.write_all_at(&content[range.clone()], range.start as u64).unwrap();
        }
        let expected: Vec<u8> = content
            .chunks(GRID)
            .enumerate()
            .flat_map(|(index, chunk)| {
                let id = blake3::hash(chunk);
                record(5, (index * GRID) as u64, chunk.len() as u32, id.as_bytes())
            })
            .collect();
        assert!(read(&path, &Hashed::new(size as u64), GRID, || ()) == expected);
        assert!(read(&path, &Hashed::new(size as u64 + 1), GRID, || ()).is_empty(), "too small");
        assert!(read(&path, &Hashed::default(), GRID, || ()).is_empty());
        let last = &expected[3 * 48..];
        assert!(read(&path, &Hashed::new(1), GRID / 2, || ()) == last, "the only whole chunk");
    }

    #[test]
    fn a_hole_is_told_chunk_by_chunk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let size = 4 * GRID_BYTES + 5000;
        File::create(&path).unwrap().set_len(size).unwrap();
        let file = source(&path).reference;
        let hashed = Hashed::new(1);
        for (range, offsets) in [
            (0..size, vec![0, GRID_BYTES, 2 * GRID_BYTES, 3 * GRID_BYTES, 4 * GRID_BYTES]),
            (GRID_BYTES + 1..3 * GRID_BYTES, vec![2 * GRID_BYTES]),
            (3 * GRID_BYTES..4 * GRID_BYTES + 4999, vec![3 * GRID_BYTES]),
        ] {
            hashed.hole(&file, range);
            hashed.finish(&file, true);
            let of_zeros = |offset: u64| {
                let length = GRID_BYTES.min(size - offset) as usize;
                record(5, offset, length as u32, blake3::hash(&vec![0; length]).as_bytes())
            };
            assert!(hashed.take() == offsets.into_iter().flat_map(of_zeros).collect::<Vec<u8>>());
        }
        hashed.hole(&FileRef { size: MAX_LIST_BYTES + 1, ..file.clone() }, 0..MAX_LIST_BYTES);
        hashed.finish(&file, true);
        assert!(hashed.take().is_empty(), "longer than any list");
    }

    #[test]
    fn a_file_that_changed_tells_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![1; GRID + 1]).unwrap();
        let hashed = Hashed::new(1);
        let change = || {
            let file = File::options().write(true).open(&path).unwrap();
            file.write_all_at(&[2], 0).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        };
        assert!(read(&path, &hashed, GRID, change).is_empty());
        assert_eq!(read(&path, &hashed, GRID, || ()).len(), 2 * 48);
    }

    #[test]
    fn large_files_are_found_as_they_were_listed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "text").unwrap();
        let file = source(&path).reference;
        let hashed = Hashed::new(4);
        hashed.list(&[file.clone(), FileRef { id: 6, size: 3, ..file }]);
        std::fs::remove_file(&path).unwrap();
        let (found, stamp) = place_of(&hashed.find(5).unwrap());
        assert_eq!((&found[..], stamp.size), (path.as_os_str().as_encoded_bytes(), 4));
        assert!(hashed.find(6).is_none());
    }
}

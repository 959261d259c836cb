//! What earlier transfers that died had received: matched with a new manifest by the sender's word that a file is the
//! same one (its version), and taken over with the ranges that were verified.
//!
//! Whose word counts is TypeScript's decision: it names the leftovers, and gives no versions where it does not trust.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::error::{Error, Kind, Result};
use crate::io::columns::{Columns, KIND_DIRECTORY, KIND_FILE, NO_PARENT};
use crate::io::leftover::LeftoverFolder;
use crate::io::name::quoted;
use crate::io::recent::Recent;
use crate::io::stage::Staging;

/// One verified range: entry u32, length u32, offset u64, chunk id 32 bytes (zeros: a hole or unknown); little endian.
pub const RECORD_BYTES: usize = 48;

/// Files that are remembered of all leftovers; more come again. Caps memory at about 200 MiB.
const MAX_FILES: usize = 1 << 20;

/// Ranges of one file that are taken over; what lies beyond comes again. Caps what is asked of the sender at once.
const MAX_RANGES: usize = 1024;

/// A page of an earlier manifest, and each entry's version (0: none).
pub struct LeftoverPage {
    pub columns: Columns,
    pub versions: Vec<u64>,
}

/// Version and size: what a file is known by across transfers.
type Key = (u64, u64);

struct LeftoverFile {
    folder: usize,
    /// Path in the old staging.
    path: Vec<u8>,
    records: Vec<Record>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Record([u8; RECORD_BYTES]);

impl Record {
    fn entry(&self) -> u32 {
        u32::from_le_bytes(self.0[..4].try_into().expect("4 bytes"))
    }

    fn range(&self) -> Range<u64> {
        let length = u64::from(u32::from_le_bytes(self.0[4..8].try_into().expect("4 bytes")));
        let offset = u64::from_le_bytes(self.0[8..16].try_into().expect("8 bytes"));
        offset..offset.saturating_add(length)
    }
}

/// Encodes one verified range.
pub fn record(entry: u32, offset: u64, length: u32, id: &[u8; 32]) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..4].copy_from_slice(&entry.to_le_bytes());
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..16].copy_from_slice(&offset.to_le_bytes());
    bytes[16..].copy_from_slice(id);
    bytes
}

/// The verified ranges that TypeScript has not journaled yet; kept only where it asks for them.
#[derive(Default)]
pub struct Verified(Mutex<Option<Log>>);

struct Log {
    untold: Vec<u8>,
    /// Bytes of `untold` that are not in `recent` yet.
    unwritten: usize,
    recent: Option<Recent>,
}

impl Verified {
    /// A log that keeps what is noted until it is taken, and writes it to `recent` too.
    pub fn kept(recent: Option<Recent>) -> Verified {
        Verified(Mutex::new(Some(Log { untold: Vec::new(), unwritten: 0, recent })))
    }

    /// Takes note of a range that is verified and written; longer ones than a record can say are several.
    pub fn note(&self, entry: u32, offset: u64, length: u64, id: &[u8; 32]) {
        let mut log = self.0.lock().unwrap();
        let Some(log) = &mut *log else { return };
        let mut at = 0;
        while at < length {
            let part = (length - at).min(u64::from(u32::MAX)) as u32;
            log.untold.extend_from_slice(&record(entry, offset + at, part, id));
            log.unwritten += RECORD_BYTES;
            at += u64::from(part);
        }
    }

    /// Writes down what was noted, so that it outlives this process even when it is killed now.
    pub fn flush(&self) {
        if let Some(log) = &mut *self.0.lock().unwrap() {
            log.flush();
        }
    }

    pub fn take(&self) -> Vec<u8> {
        let mut log = self.0.lock().unwrap();
        let Some(log) = &mut *log else { return Vec::new() };
        log.flush();
        std::mem::take(&mut log.untold)
    }
}

impl Log {
    fn flush(&mut self) {
        let unwritten = std::mem::take(&mut self.unwritten);
        let new = &self.untold[self.untold.len() - unwritten..];
        // Where it cannot be written the journal alone remembers, a moment later.
        if !new.is_empty() && self.recent.as_ref().is_some_and(|recent| recent.append(new).is_err()) {
            self.recent = None;
        }
    }
}

/// Everything that earlier transfers left for one receive session.
#[derive(Default)]
pub struct Leftovers {
    folders: Vec<LeftoverFolder>,
    files: HashMap<Key, Vec<LeftoverFile>>,
    /// Which entry of the new manifest gets which file: hard links have one version, and two transfers may each have
    /// brought another part of the same file.
    promised: HashMap<u32, LeftoverFile>,
    count: usize,
}

impl Leftovers {
    /// Takes one leftover in; `verified` are blobs of records.
    ///
    /// # Errors
    /// CORRUPT when pages and records do not fit together: the journal is damaged.
    pub fn add(&mut self, folder: LeftoverFolder, pages: &[LeftoverPage], verified: &[&[u8]]) -> Result<()> {
        let mut records: HashMap<u32, Vec<Record>> = HashMap::new();
        let recent = folder.recent();
        for blob in verified.iter().copied().chain([&recent[..]]) {
            let (each, rest) = blob.as_chunks::<RECORD_BYTES>();
            if !rest.is_empty() {
                return Err(damaged());
            }
            for bytes in each {
                let record = Record(*bytes);
                records.entry(record.entry()).or_default().push(record);
            }
        }
        for records in records.values_mut() {
            // The journal has most of what the folder says.
            records.sort_unstable();
            records.dedup();
        }
        let index = self.folders.len();
        let mut directories: HashMap<u32, Arc<[u8]>> = HashMap::new();
        for LeftoverPage { columns, versions } in pages {
            if versions.len() != columns.count as usize {
                return Err(damaged());
            }
            for (entry, &version) in columns.iter().zip(versions) {
                let path = || match entry.parent {
                    NO_PARENT => Some(entry.id.to_string().into_bytes()),
                    parent => directories.get(&parent).map(|above| [&above[..], b"/", entry.name].concat()),
                };
                if entry.kind == KIND_DIRECTORY {
                    if let Some(path) = path() {
                        directories.insert(entry.id, path.into());
                    }
                } else if entry.kind == KIND_FILE
                    && version != 0
                    && self.count < MAX_FILES
                    && let Some(records) = records.remove(&entry.id)
                    && let Some(path) = path()
                {
                    let file = LeftoverFile { folder: index, path, records };
                    self.files.entry((version, entry.size)).or_default().push(file);
                    self.count += 1;
                }
            }
        }
        self.folders.push(folder);
        Ok(())
    }

    /// Chooses a file for each of a page's entries that has one, and gives the records of those, with the page's own
    /// entry ids. Keep them before [`Leftovers::take`], so that a crash between the two loses nothing.
    pub fn records_for(&mut self, columns: &Columns, versions: &[u64]) -> Vec<u8> {
        let mut blob = Vec::new();
        for (entry, &version) in columns.iter().zip(versions) {
            if entry.kind != KIND_FILE || version == 0 {
                continue;
            }
            let Some(files) = self.files.get_mut(&(version, entry.size)) else { continue };
            let folders = &self.folders;
            // The newest first; what has changed hands, or lost its bytes with the power, is passed over.
            let Some(file) = std::iter::from_fn(|| files.pop())
                .find(|file| folders[file.folder].has(&file.path, entry.size).unwrap_or(false))
            else {
                continue;
            };
            for record in &file.records {
                blob.extend_from_slice(&entry.id.to_le_bytes());
                blob.extend_from_slice(&record.0[4..]);
            }
            self.promised.insert(entry.id, file);
        }
        blob
    }

    /// Moves the file that [`Leftovers::records_for`] chose for `entry` to `path` in `staging` and gives its verified
    /// ranges: sorted, apart, within `size`.
    ///
    /// # Errors
    /// NOT_FOUND when it has gone since; then nothing may come to be at `path`, which the journal has records of.
    pub fn take(
        &mut self,
        (entry, size): (u32, u64),
        staging: &Staging,
        path: &[u8],
    ) -> Result<Option<Vec<Range<u64>>>> {
        let Some(file) = self.promised.remove(&entry) else { return Ok(None) };
        if self.folders[file.folder].give(&file.path, size, staging, path)? {
            return Ok(Some(merged(&file.records, size)));
        }
        let text =
            format!("Cannot go on with {}: what an earlier transfer left of it has gone", quoted(path));
        Err(Error::new(Kind::NotFound, text))
    }

    /// Names of the folders of which nothing is left to take.
    pub fn spent(&self) -> Vec<&[u8]> {
        let mut waiting = vec![false; self.folders.len()];
        let left = self.files.values().flatten().chain(self.promised.values());
        left.for_each(|file| waiting[file.folder] = true);
        let spent = self.folders.iter().zip(&waiting).filter(|(_, waits)| !**waits);
        spent.map(|(folder, _)| folder.name()).collect()
    }

    /// Removes the folders with these names: nothing more is wanted of them.
    pub fn remove(&mut self, names: &[Vec<u8>]) -> Result<()> {
        let wanted = |folder: &&LeftoverFolder| names.iter().any(|name| name == folder.name());
        self.folders.iter().filter(wanted).try_for_each(LeftoverFolder::remove)
    }
}

/// Gives what lies between `ranges` up to `size`.
pub fn gaps(ranges: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let mut gaps = Vec::new();
    let mut at = 0;
    for range in ranges {
        if range.start > at {
            gaps.push(at..range.start);
        }
        at = range.end;
    }
    if at < size {
        gaps.push(at..size);
    }
    gaps
}

fn merged(records: &[Record], size: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = records
        .iter()
        .map(Record::range)
        .filter(|range| range.start < range.end && range.end <= size)
        .collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        let count = merged.len();
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ if count == MAX_RANGES => break,
            _ => merged.push(range),
        }
    }
    merged
}

fn damaged() -> Error {
    Error::new(Kind::Corrupt, "Cannot use what an earlier transfer left: its journal is damaged")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use proptest::prelude::*;

    use super::*;
    use crate::io::columns::Entry;

    fn page(entries: &[(u8, u32, &[u8], u64)], versions: &[u64]) -> LeftoverPage {
        let mut columns = Columns::new(0);
        for &(kind, parent, name, size) in entries {
            columns.push(&Entry { id: 0, kind, parent, name, mode: 0o644, size, mtime: 0, target: b"" });
        }
        LeftoverPage { columns, versions: versions.to_vec() }
    }

    #[test]
    fn a_file_of_the_same_version_is_taken_over_with_its_ranges() {
        let folder = tempfile::tempdir().unwrap();
        let old = Staging::create(folder.path()).unwrap();
        old.make_directory(b"0").unwrap();
        old.create_file(b"0/a", 10).unwrap().write_all_at(b"abcd", 2).unwrap();
        old.keep();
        let name = old.name().to_vec();
        drop(old);

        let staging = Staging::create_beside(folder.path(), std::slice::from_ref(&name)).unwrap();
        let left = LeftoverFolder::open(staging.destination(), &name).unwrap().unwrap();
        let old_page = page(&[(KIND_DIRECTORY, NO_PARENT, b"d", 0), (KIND_FILE, 0, b"a", 10)], &[0, 77]);
        let blob = [record(1, 2, 2, &[1; 32]), record(1, 4, 2, &[2; 32])].concat();
        let mut leftovers = Leftovers::default();
        leftovers.add(left, &[old_page], &[&blob]).unwrap();

        // Another name at another place in the new manifest.
        let new_page = page(&[(KIND_FILE, NO_PARENT, b"x", 9), (KIND_FILE, NO_PARENT, b"b", 10)], &[77, 77]);
        let records = leftovers.records_for(&new_page.columns, &new_page.versions);
        assert_eq!(records, [record(1, 2, 2, &[1; 32]), record(1, 4, 2, &[2; 32])].concat());
        assert!(leftovers.take((0, 9), &staging, b"0").unwrap().is_none());
        let taken = leftovers.take((1, 10), &staging, b"1").unwrap().unwrap();
        assert!(taken.iter().eq(std::iter::once(&(2..6))));
        assert!(leftovers.take((1, 10), &staging, b"2").unwrap().is_none());
        assert!(staging.has(b"1").unwrap());
        assert_eq!(leftovers.spent(), [&name[..]]);
        leftovers.remove(std::slice::from_ref(&name)).unwrap();
        assert!(!folder.path().join(std::str::from_utf8(&name).unwrap()).exists());
    }

    /// Two names of one file, each brought by half.
    fn leave_links(destination: &std::path::Path) -> (Vec<u8>, LeftoverPage, Vec<u8>) {
        let old = Staging::create_beside(destination, &[]).unwrap();
        for (path, offset) in [(b"0", 0), (b"1", 5)] {
            old.create_file(path, 10).unwrap().write_all_at(b"abcde", offset).unwrap();
        }
        old.keep();
        let links = page(&[(KIND_FILE, NO_PARENT, b"a", 10), (KIND_FILE, NO_PARENT, b"b", 10)], &[77, 77]);
        let blob = [record(0, 0, 5, &[1; 32]), record(1, 5, 5, &[2; 32])].concat();
        (old.name().to_vec(), links, blob)
    }

    #[test]
    fn files_of_one_version_keep_their_own_records() {
        let folder = tempfile::tempdir().unwrap();
        let (name, links, blob) = leave_links(folder.path());
        let staging = Staging::create_beside(folder.path(), std::slice::from_ref(&name)).unwrap();
        let left = LeftoverFolder::open(staging.destination(), &name).unwrap().unwrap();
        let mut leftovers = Leftovers::default();
        leftovers.add(left, std::slice::from_ref(&links), &[&blob]).unwrap();
        let records = leftovers.records_for(&links.columns, &links.versions);
        assert_eq!(records.len(), 2 * RECORD_BYTES, "one record for each of the two");
        for entry in [0u32, 1] {
            let path = entry.to_string();
            let ranges = leftovers.take((entry, 10), &staging, path.as_bytes()).unwrap().unwrap();
            let (records, _) = records.as_chunks::<RECORD_BYTES>();
            let told =
                records.iter().map(|bytes| Record(*bytes)).find(|record| record.entry() == entry).unwrap();
            assert_eq!(ranges, [told.range()]);
            let mut bytes = [0; 5];
            let file = staging.open_file(path.as_bytes()).unwrap();
            file.read_exact_at(&mut bytes, told.range().start).unwrap();
            assert_eq!(&bytes, b"abcde", "the records are those of the file that was taken");
        }
    }

    #[test]
    fn no_records_are_given_of_a_file_that_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (name, links, blob) = leave_links(folder.path());
        let tree = folder.path().join(std::str::from_utf8(&name).unwrap()).join("tree");
        std::fs::remove_file(tree.join("1")).unwrap();
        let staging = Staging::create_beside(folder.path(), std::slice::from_ref(&name)).unwrap();
        let left = LeftoverFolder::open(staging.destination(), &name).unwrap().unwrap();
        let mut leftovers = Leftovers::default();
        leftovers.add(left, std::slice::from_ref(&links), &[&blob]).unwrap();
        let records = leftovers.records_for(&links.columns, &links.versions);
        assert_eq!(records, record(0, 0, 5, &[1; 32]));
        std::fs::remove_file(tree.join("0")).unwrap();
        assert_eq!(leftovers.take((0, 10), &staging, b"0").unwrap_err().kind, Kind::NotFound);
        assert!(leftovers.take((1, 10), &staging, b"1").unwrap().is_none());
    }

    #[test]
    fn a_damaged_journal_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let leave = || {
            let old = Staging::create(folder.path()).unwrap();
            old.keep();
            let name = old.name().to_vec();
            let destination = old.destination().try_clone_to_owned().unwrap();
            drop(old);
            LeftoverFolder::open(std::os::fd::AsFd::as_fd(&destination), &name).unwrap().unwrap()
        };
        let mut leftovers = Leftovers::default();
        let result = leftovers.add(leave(), &[], &[&[0; RECORD_BYTES - 1]]);
        assert_eq!(result.unwrap_err().kind, Kind::Corrupt);
        let result = leftovers.add(leave(), &[page(&[(KIND_FILE, NO_PARENT, b"a", 1)], &[])], &[]);
        assert_eq!(result.unwrap_err().kind, Kind::Corrupt);
    }

    proptest! {
        #[test]
        fn ranges_and_gaps_cover_the_file_once(
            records in prop::collection::vec((0u64..100, 0u32..20), 0..40),
            size in 1u64..100,
        ) {
            let blob: Vec<Record> =
                records.iter().map(|&(offset, length)| Record(record(0, offset, length, &[0; 32]))).collect();
            let ranges = merged(&blob, size);
            let mut bytes = vec![0; size as usize];
            for range in ranges.iter().chain(&gaps(&ranges, size)) {
                prop_assert!(range.start < range.end && range.end <= size);
                bytes[range.start as usize..range.end as usize].iter_mut().for_each(|byte| *byte += 1);
            }
            prop_assert!(bytes.iter().all(|&byte| byte == 1));
        }
    }
}

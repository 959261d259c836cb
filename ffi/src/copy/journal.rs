//! The journal of a copy that may be stopped: which folder has which hidden name, and how far large files are.
//!
//! Append-only. Each record is `length u32, payload, checksum` (little endian; the first 8 bytes of the payload's BLAKE3);
//! the first that is cut or damaged ends it. What it says is believed only as far as the disk agrees.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Mutex;

use super::meta::Meta;
use crate::error::{Error, Kind, Result};
use crate::io::name::quoted_path;

/// First bytes of a journal, with the version of its format.
const MAGIC: &[u8; 16] = b"wormhole-copy 1\n";

/// Longest record: a path of 4096 bytes and a name; caps what is allocated for a damaged length.
const MAX_RECORD_BYTES: usize = 16 * 1024;

/// Longest journal that is read; one record for each 64 MiB and each new folder makes a few MiB at most.
const MAX_JOURNAL_BYTES: u64 = 1 << 30;

const CHECKSUM_BYTES: usize = 8;

const STAGED: u8 = 1;
const PART: u8 = 2;

/// Files from that size on are gone on with in the middle, and are noted each so many bytes.
pub const PART_BYTES: u64 = 64 << 20;

/// Which content of which file: anything else at its place is not it.
pub type Source = [u8; 48];

pub fn source_of(meta: &Meta) -> Source {
    let numbers =
        [meta.device, meta.inode, meta.size, meta.mtime.0 as u64, meta.mtime.1 as u64, meta.ctime.0 as u64];
    let mut source = [0; 48];
    for (bytes, number) in source.chunks_exact_mut(8).zip(numbers) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    source
}

/// A part of a file that is on the disk under a hidden name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: CString,
    pub done: u64,
}

#[derive(Debug, Default)]
struct Known {
    /// Hidden names of folders, by the paths that they will have.
    staged: HashMap<Vec<u8>, CString>,
    parts: HashMap<Source, Part>,
}

pub struct Journal {
    file: Mutex<File>,
    known: Mutex<Known>,
}

impl Journal {
    /// Begins a journal, in place of the one that is there.
    pub fn begin(path: &Path) -> Result<Journal> {
        let failed = |error: &std::io::Error| Error::io(format!("Cannot open {}", quoted_path(path)), error);
        let mut file = File::create(path).map_err(|error| failed(&error))?;
        file.write_all(MAGIC).map_err(|error| failed(&error))?;
        Ok(Journal { file: Mutex::new(file), known: Mutex::default() })
    }

    /// Opens the journal, or begins one.
    ///
    /// # Errors
    /// VERSION_UNSUPPORTED when the file is something else.
    pub fn open(path: &Path) -> Result<Journal> {
        let failed = |error: &std::io::Error| Error::io(format!("Cannot open {}", quoted_path(path)), error);
        let options = || {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options
        };
        let mut file = options().open(path).map_err(|error| failed(&error))?;
        let mut bytes = Vec::new();
        (&file).take(MAX_JOURNAL_BYTES).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
        let mut known = Known::default();
        let mut end = 0;
        if !bytes.is_empty() {
            // Shorter: the run was stopped while it began.
            if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) {
                let text = format!("Cannot open {}: it is no journal of a copy", quoted_path(path));
                return Err(Error::new(Kind::VersionUnsupported, text));
            }
            if bytes.len() >= MAGIC.len() {
                end = MAGIC.len() + read_records(&bytes[MAGIC.len()..], &mut known);
            }
        }
        // What is damaged is written over: records behind it would never be read.
        file.set_len(end as u64).map_err(|error| failed(&error))?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(|error| failed(&error))?;
        if end == 0 {
            file.write_all(MAGIC).map_err(|error| failed(&error))?;
        }
        Ok(Journal { file: Mutex::new(file), known: Mutex::new(known) })
    }

    /// The hidden name that an earlier run gave to the folder that will be `path`.
    pub fn staged(&self, path: &[u8]) -> Option<CString> {
        self.known.lock().unwrap().staged.get(path).cloned()
    }

    /// Notes the hidden name of a new folder.
    pub fn note_staged(&self, path: &[u8], name: &CStr) -> Result<()> {
        let mut payload = vec![STAGED];
        put(&mut payload, path);
        put(&mut payload, name.to_bytes());
        self.append(&payload)
    }

    /// What an earlier run has of this file.
    pub fn part(&self, source: &Source) -> Option<Part> {
        self.known.lock().unwrap().parts.get(source).cloned()
    }

    /// Whether `name` is that of a part of a file, or of a folder that is not complete.
    pub fn is_known(&self, name: &CStr) -> bool {
        let known = self.known.lock().unwrap();
        known.parts.values().map(|part| &part.name).chain(known.staged.values()).any(|each| **each == *name)
    }

    /// Notes how much of a file is on the disk.
    pub fn note_part(&self, source: &Source, name: &CStr, done: u64) -> Result<()> {
        let mut payload = vec![PART];
        payload.extend_from_slice(source);
        payload.extend_from_slice(&done.to_le_bytes());
        put(&mut payload, name.to_bytes());
        let part = Part { name: name.to_owned(), done };
        self.known.lock().unwrap().parts.insert(*source, part);
        self.append(&payload)
    }

    /// Notes that the part `name` is no more: the file is complete.
    pub fn forget_part(&self, source: &Source, name: &CStr) -> Result<()> {
        let mut payload = vec![PART];
        payload.extend_from_slice(source);
        payload.extend_from_slice(&0u64.to_le_bytes());
        put(&mut payload, name.to_bytes());
        self.known.lock().unwrap().parts.remove(source);
        self.append(&payload)
    }

    fn append(&self, payload: &[u8]) -> Result<()> {
        let mut record = Vec::with_capacity(payload.len() + 12);
        record.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        record.extend_from_slice(payload);
        record.extend_from_slice(&blake3::hash(payload).as_bytes()[..CHECKSUM_BYTES]);
        // One write for one record: records of several threads do not mix.
        let written = self.file.lock().unwrap().write_all(&record);
        written.map_err(|error| Error::io("Cannot write the journal", &error))
    }
}

fn put(payload: &mut Vec<u8>, bytes: &[u8]) {
    payload.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    payload.extend_from_slice(bytes);
}

/// Takes in all whole records; gives where they end.
fn read_records(bytes: &[u8], known: &mut Known) -> usize {
    let mut at = 0;
    loop {
        let mut rest = &bytes[at..];
        let Some(length) = take_number(&mut rest).filter(|&length| length <= MAX_RECORD_BYTES) else {
            return at;
        };
        let Some((payload, rest)) = rest.split_at_checked(length) else { return at };
        let Some((checksum, _)) = rest.split_at_checked(CHECKSUM_BYTES) else { return at };
        if checksum != &blake3::hash(payload).as_bytes()[..CHECKSUM_BYTES]
            || read_record(payload, known).is_none()
        {
            return at;
        }
        at += 4 + length + CHECKSUM_BYTES;
    }
}

fn read_record(payload: &[u8], known: &mut Known) -> Option<()> {
    let (&kind, mut rest) = payload.split_first()?;
    match kind {
        STAGED => {
            let path = take(&mut rest)?.to_vec();
            let name = hidden_name(take(&mut rest)?)?;
            known.staged.insert(path, name);
        }
        PART => {
            let (source, after) = rest.split_at_checked(48)?;
            let (done, mut after) = after.split_at_checked(8)?;
            let name = hidden_name(take(&mut after)?)?;
            let done = u64::from_le_bytes(done.try_into().ok()?);
            let source: Source = source.try_into().ok()?;
            match done {
                0 => drop(known.parts.remove(&source)),
                done => drop(known.parts.insert(source, Part { name, done })),
            }
        }
        _ => return None,
    }
    Some(())
}

/// Start of every hidden name.
pub const HIDDEN: &[u8] = b".wormhole-copy-";

/// Whether only a copy makes such a name: its tag, its thread and a number, in hex. What a person has named like that is the person's.
pub fn is_hidden(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(HIDDEN) else { return false };
    let parts = || rest.split(|&byte| byte == b'-');
    parts().count() == 3 && parts().all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_hexdigit))
}

/// A name that a journal gives is one that only a copy makes.
fn hidden_name(name: &[u8]) -> Option<CString> {
    if is_hidden(name) { CString::new(name).ok() } else { None }
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_number(rest)?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_le_bytes(*number) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Source = [7; 48];

    fn written(path: &Path) -> Vec<u8> {
        let journal = Journal::open(path).unwrap();
        journal.note_staged(b"/target/tree", c".wormhole-copy-1-0-1").unwrap();
        journal.note_part(&SOURCE, c".wormhole-copy-1-0-2", 1 << 26).unwrap();
        journal.note_part(&SOURCE, c".wormhole-copy-1-0-2", 1 << 27).unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn the_last_of_what_was_noted_is_known_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        written(&path);
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.staged(b"/target/tree").as_deref(), Some(c".wormhole-copy-1-0-1"));
        let part = Part { name: c".wormhole-copy-1-0-2".into(), done: 1 << 27 };
        assert_eq!(journal.part(&SOURCE), Some(part));
        assert!(journal.is_known(c".wormhole-copy-1-0-2") && journal.is_known(c".wormhole-copy-1-0-1"));
        assert!(!journal.is_known(c".wormhole-copy-1-0-3"));
        journal.forget_part(&SOURCE, c".wormhole-copy-1-0-2").unwrap();
        assert_eq!(Journal::open(&path).unwrap().part(&SOURCE), None);
    }

    #[test]
    fn a_journal_cut_or_changed_anywhere_tells_what_precedes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let whole = written(&path);
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let journal = Journal::open(&path).unwrap();
            assert!(journal.part(&SOURCE).is_none_or(|part| part.done == 1 << 26), "{cut}");
            // And it can be gone on with.
            journal.note_part(&[1; 48], c".wormhole-copy-1-0-3", 1).unwrap();
            assert!(Journal::open(&path).unwrap().part(&[1; 48]).is_some(), "{cut}");
        }
        for at in MAGIC.len()..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            std::fs::write(&path, &bytes).unwrap();
            let journal = Journal::open(&path).unwrap();
            assert!(journal.part(&SOURCE).is_none_or(|part| part.done == 1 << 26), "{at}");
        }
    }

    #[test]
    fn something_else_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes");
        std::fs::write(&path, "my notes").unwrap();
        assert_eq!(Journal::open(&path).err().unwrap().kind, Kind::VersionUnsupported);
        assert_eq!(std::fs::read(&path).unwrap(), b"my notes");
    }

    #[test]
    fn names_that_no_copy_makes_are_not_believed() {
        for name in [&b"file"[..], b".wormhole-copy-1/../../x", b"", b".wormhole-copy-\0"] {
            assert_eq!(hidden_name(name), None);
        }
    }
}

//! Unpacking a folder that came as a zip archive: nothing outside the staging folder, no links, within bounds.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::{Error, Kind, Result};
use crate::io::beneath;
use crate::io::name::quoted;
use crate::io::stage::Staging;

/// Most bytes of an archive's directory: the library holds all of it in memory. About half a million entries.
const MAX_DIRECTORY_BYTES: u64 = 64 * 1024 * 1024;

/// Deepest path; each level is a directory that is opened on the way.
const MAX_DEPTH: usize = 256;

const BUFFER_BYTES: usize = 256 * 1024;

/// What an archive may become at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub bytes: u64,
    /// Files and directories.
    pub entries: u64,
}

/// What an archive became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    pub files: u64,
    pub directories: u64,
    pub bytes: u64,
}

/// Unpacks `archive` into the staged directory `folder`.
///
/// # Errors
/// HOSTILE_NAME for a name that would leave the folder, two entries of one name, and a link or special file;
/// LIMIT_EXCEEDED beyond `bounds`; CORRUPT for a damaged archive; UNSUPPORTED for one that is encrypted or packed in
/// another way.
pub fn unpack(
    archive: File,
    staging: &Staging,
    folder: &[u8],
    bounds: Bounds,
    cancelled: &AtomicBool,
) -> Result<Unpacked> {
    let allowed = Rc::new(Cell::new(MAX_DIRECTORY_BYTES));
    let metered = Metered { file: archive, allowed: allowed.clone() };
    let mut archive = ZipArchive::new(io::BufReader::new(metered)).map_err(|error| {
        if allowed.get() == 0 { too_much("its list of entries is too long") } else { damaged(&error) }
    })?;
    allowed.set(u64::MAX);
    if archive.len() as u64 > bounds.entries {
        return Err(too_much("it has more entries than were offered"));
    }
    if archive.has_duplicate_names() {
        return Err(hostile("two entries have the same name"));
    }
    let mut work = Work {
        staging,
        made: HashSet::new(),
        bounds,
        done: Unpacked::default(),
        buffer: vec![0; BUFFER_BYTES],
    };
    for index in 0..archive.len() {
        if cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Cancelled, "cancelled"));
        }
        let mut entry = archive.by_index(index).map_err(|error| damaged(&error))?;
        let (name, mode) = (entry.name_raw().to_vec(), entry.unix_mode());
        let directory = name.ends_with(b"/");
        let name = name.strip_suffix(b"/").unwrap_or(&name);
        check(name, mode, directory)?;
        let path = [folder, b"/", name].concat();
        if directory {
            work.directory(&path, folder.len())?;
        } else {
            work.file(&path, folder.len(), mode, &mut entry, cancelled)?;
        }
    }
    work.finish_directories(folder)?;
    Ok(work.done)
}

struct Work<'a> {
    staging: &'a Staging,
    /// Paths of the directories that exist.
    made: HashSet<Vec<u8>>,
    bounds: Bounds,
    done: Unpacked,
    buffer: Vec<u8>,
}

impl Work<'_> {
    /// Makes the directory `path` and those above it, below the first `root` bytes of it.
    fn directory(&mut self, path: &[u8], root: usize) -> Result<()> {
        let ends = (root + 1..path.len()).filter(|&at| path[at] == b'/').chain([path.len()]);
        for end in ends {
            if self.made.contains(&path[..end]) {
                continue;
            }
            self.staging.make_directory(&path[..end])?;
            self.made.insert(path[..end].to_vec());
            self.done.directories += 1;
            if self.done.directories + self.done.files > self.bounds.entries {
                return Err(too_much("it has more entries than were offered"));
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &[u8],
        root: usize,
        mode: Option<u32>,
        content: &mut impl Read,
        cancelled: &AtomicBool,
    ) -> Result<()> {
        let cut = path.iter().rposition(|&byte| byte == b'/').unwrap_or(root);
        if cut > root {
            self.directory(&path[..cut], root)?;
        }
        let mut file = self.staging.create_file(path, 0)?;
        loop {
            // The library compares the checksum at the end of each entry.
            let count = content.read(&mut self.buffer).map_err(|error| damaged(&ZipError::Io(error)))?;
            if count == 0 {
                break;
            }
            self.done.bytes += count as u64;
            if self.done.bytes > self.bounds.bytes {
                return Err(too_much("it unpacks to more than was offered"));
            }
            if cancelled.load(Ordering::Relaxed) {
                return Err(Error::new(Kind::Cancelled, "cancelled"));
            }
            file.write_all(&self.buffer[..count])
                .map_err(|error| Error::io(format!("Cannot write {}", quoted(path)), &error))?;
        }
        // Of the mode only "executable" is taken, where the umask lets it.
        let usual = self.staging.file_mode();
        let execute = if mode.is_some_and(|mode| mode & 0o100 != 0) { (usual & 0o444) >> 2 } else { 0 };
        file.set_permissions(std::fs::Permissions::from_mode(usual | execute))
            .map_err(|error| Error::io(format!("Cannot set the mode of {}", quoted(path)), &error))?;
        self.done.files += 1;
        Ok(())
    }

    fn finish_directories(&mut self, folder: &[u8]) -> Result<()> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_nanos() as i64);
        let mut paths: Vec<_> = self.made.drain().collect();
        paths.push(folder.to_vec());
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        let mode = self.staging.directory_mode();
        paths.iter().try_for_each(|path| self.staging.finish_directory(path, mode, now))
    }
}

fn check(name: &[u8], mode: Option<u32>, directory: bool) -> Result<()> {
    if beneath::check(name).is_err()
        || name.contains(&b'\\')
        || name.split(|&b| b == b'/').count() > MAX_DEPTH
    {
        return Err(hostile(&format!("the name {} would leave its folder", quoted(name))));
    }
    let kind = mode.unwrap_or(0) & 0o170000;
    let expected = if directory { 0o040000 } else { 0o100000 };
    if kind != 0 && kind != expected {
        return Err(hostile(&format!("{} is a symbolic link or a special file", quoted(name))));
    }
    Ok(())
}

fn hostile(state: &str) -> Error {
    Error::new(Kind::HostileName, format!("Cannot unpack the folder: {state}"))
}

fn too_much(state: &str) -> Error {
    Error::new(Kind::LimitExceeded, format!("Cannot unpack the folder: {state}"))
}

fn damaged(error: &ZipError) -> Error {
    let kind = match error {
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => Kind::Unsupported,
        _ => Kind::Corrupt,
    };
    Error::new(kind, format!("Cannot unpack the folder: {error}"))
}

/// A file of which only so many bytes may be read.
struct Metered {
    file: File,
    allowed: Rc<Cell<u64>>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let left = self.allowed.get();
        if count as u64 > left {
            self.allowed.set(0);
            return Err(io::Error::other("too long"));
        }
        self.allowed.set(left - count as u64);
        Ok(count)
    }
}

impl Seek for Metered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
#[path = "unpack_test.rs"]
mod tests;

//! Reading what a walk found, and noticing that it is no longer what the walk saw.

use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, FileType, Mode, OFlags, SeekFrom, fstat, openat, seek};
use rustix::io::{Errno, pread};

use super::long_path;
use super::name::quoted_path;
use super::walk::{FileRef, ctime_ns, mtime_ns};
use crate::error::{Error, Kind, Result};

/// Longest path that is opened in one call; longer ones are opened directory first.
pub const MAX_PATH_BYTES: usize = 1000;

/// Opens the file that the walk saw.
///
/// # Errors
/// SOURCE_CHANGED when something else has taken its place; NOT_FOUND when it is gone.
pub fn open_source(source: &FileRef) -> Result<File> {
    let path = source.path();
    // NONBLOCK: a FIFO that took the file's place must not block.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = if path.as_os_str().len() <= MAX_PATH_BYTES {
        openat(CWD, &path, flags, Mode::empty())
    } else {
        long_path::open_directory(&source.directory)
            .and_then(|directory| openat(&directory, source.name.as_bytes(), flags, Mode::empty()))
    };
    let file: OwnedFd = opened.map_err(|errno| match errno {
        Errno::LOOP | Errno::NXIO => replaced(source),
        errno => Error::io(format!("Cannot open {}", quoted_path(&path)), &errno.into()),
    })?;
    let stat = fstat(&file)
        .map_err(|errno| Error::io(format!("Cannot open {}", quoted_path(&path)), &errno.into()))?;
    let same = FileType::from_raw_mode(stat.st_mode as _) == FileType::RegularFile
        && (stat.st_dev as u64, stat.st_ino as u64) == (source.dev, source.ino);
    if same { Ok(File::from(file)) } else { Err(replaced(source)) }
}

/// Tells whether the open file still has the size and times that the walk saw.
pub fn unchanged(file: &File, source: &FileRef) -> Result<bool> {
    let stat = fstat(file)
        .map_err(|errno| Error::io(format!("Cannot read {}", quoted_path(&source.path())), &errno.into()))?;
    Ok(stat.st_size as u64 == source.size
        && mtime_ns(&stat) == source.mtime_ns
        && ctime_ns(&stat) == source.ctime_ns)
}

/// Gives the parts of `offset..offset + length` that hold data; the rest are holes, read as zeros.
///
/// `known` is what the last call found, the default at first: some file systems (tmpfs) look
/// at every page up to the next hole, so neither a dense file nor a long hole must be asked for each of its chunks.
/// Everything is data where the file system cannot tell. Moves the file's position.
pub fn data_ranges(file: &File, offset: u64, length: u64, known: &mut Extent) -> Vec<Range<u64>> {
    let end = offset.saturating_add(length);
    let mut ranges = Vec::new();
    let mut at = offset;
    while at < end {
        if !(known.hole_start..known.data.end).contains(&at) {
            let data = data_extent(file, at).unwrap_or(u64::MAX..u64::MAX);
            *known = Extent { hole_start: at, data };
        }
        if known.data.start >= end {
            break;
        }
        ranges.push(known.data.start.max(at)..known.data.end.min(end));
        at = known.data.end;
    }
    ranges
}

/// A run of data and the hole before it, as far as it was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    pub hole_start: u64,
    /// Begins at the highest number when only a hole follows.
    pub data: Range<u64>,
}

/// Gives the first run of data at or after `offset`, up to the next hole; none when only holes follow.
fn data_extent(file: &File, offset: u64) -> Option<Range<u64>> {
    let start = match seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return None,
        Err(_) => return Some(offset..u64::MAX),
    };
    match seek(file, SeekFrom::Hole(start)) {
        Ok(end) if end > start => Some(start..end),
        // The file shrank between the two calls, which the check after reading notices.
        Ok(_) => None,
        Err(_) => Some(start..u64::MAX),
    }
}

/// Reads at `offset` until `buffer` is full or the file ends; gives the bytes read.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match pread(file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::io("Cannot read a file", &errno.into())),
        }
    }
    Ok(filled)
}

/// The error for a file whose place something else has taken.
pub fn replaced(source: &FileRef) -> Error {
    let path = quoted_path(&source.path());
    Error::new(Kind::SourceChanged, format!("Cannot read {path}: something else has taken its place"))
}

#[cfg(test)]
#[path = "read_test.rs"]
mod tests;

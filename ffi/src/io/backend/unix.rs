//! What every Unix backend does the same way: opening by name beneath a directory, looking, attributes.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, fchmod, fstat, futimens, openat,
    unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::{Handle, ReadFailure, Seen};

/// NONBLOCK: a FIFO that took the file's place must not block.
pub fn source_flags() -> OFlags {
    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK
}

/// EXCL: what is there already is not ours, and a symlink is not followed.
pub fn new_flags() -> OFlags {
    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Opens a listed file for reading.
pub fn open_source(directory: Handle<'_>, name: &OsStr) -> Result<File, ReadFailure> {
    retry_on_intr(|| openat(directory, name.as_bytes(), source_flags(), Mode::empty()))
        .map(File::from)
        .map_err(not_opened)
}

/// What a failed open of a listed file means: a symlink or a socket has taken its place, or it cannot be opened.
pub fn not_opened(errno: Errno) -> ReadFailure {
    match errno {
        Errno::LOOP | Errno::NXIO | Errno::MLINK => ReadFailure::Replaced,
        errno => ReadFailure::Open(errno.into()),
    }
}

/// Looks at an open file; `None` when it is no regular file.
pub fn look(file: &File) -> io::Result<Option<Seen>> {
    let stat = fstat(file)?;
    let regular = FileType::from_raw_mode(stat.st_mode as _) == FileType::RegularFile;
    Ok(regular.then_some(Seen {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        size: stat.st_size as u64,
        mtime_ns: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        ctime_ns: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
    }))
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// Makes a file that must not be there yet.
pub fn create_new(directory: Handle<'_>, name: &OsStr, mode: u32) -> io::Result<File> {
    let mode = Mode::from_raw_mode(mode as _);
    let made = retry_on_intr(|| openat(directory, name.as_bytes(), new_flags(), mode))?;
    Ok(File::from(made))
}

/// Sets a file's mode, if one is given, and its time.
pub fn set_attributes(file: &File, mode: Option<u32>, mtime_ns: i64) -> io::Result<()> {
    if let Some(mode) = mode {
        fchmod(file, Mode::from_raw_mode(mode as _))?;
    }
    Ok(futimens(file, &times(mtime_ns))?)
}

/// The time of last modification alone.
pub fn times(mtime_ns: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: mtime_ns.div_euclid(1_000_000_000),
            tv_nsec: mtime_ns.rem_euclid(1_000_000_000) as _,
        },
    }
}

/// Removes a file.
pub fn remove(directory: Handle<'_>, name: &OsStr) -> io::Result<()> {
    Ok(unlinkat(directory, name.as_bytes(), AtFlags::empty())?)
}

pub fn read_once(file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(space, offset)
}

pub fn write_once(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.write_at(bytes, offset)
}

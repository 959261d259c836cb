//! What the engines do with the disk, behind one interface: many small files at once, ranges of large ones, copies.
//!
//! A backend never decides what is read or where it goes, and never follows a symlink in a name that it is given.
//! [`select`] tells which of them run here. This folder uses nothing else of the crate, so that `ffi/checks/backends`
//! can type-check it for systems that the rest of the crate is not written for.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_vendor = "apple")]
pub mod macos;
pub mod plain;
pub mod select;
#[cfg(unix)]
mod unix;
#[cfg(target_os = "linux")]
pub mod uring;
#[cfg(windows)]
pub mod windows;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

/// An open directory or file of somebody else.
#[cfg(unix)]
pub type Handle<'a> = std::os::fd::BorrowedFd<'a>;
/// An open directory or file of somebody else.
#[cfg(windows)]
pub type Handle<'a> = std::os::windows::io::BorrowedHandle<'a>;

/// A file as it was when it was listed; anything else at its place is not it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub mtime_ns: i64,
    /// Time of the last change of content or attributes; 0 where the system keeps none.
    pub ctime_ns: i64,
}

/// A small file to be read whole.
pub struct ReadFile<'a> {
    /// The open directory that `name` is relative to.
    pub directory: Handle<'a>,
    /// As a rule one component; a symlink as the last one is not followed.
    pub name: &'a OsStr,
    /// Room for its bytes: `seen.size` of them.
    pub space: &'a mut [u8],
    pub seen: Seen,
}

/// Why a file could not be read.
#[derive(Debug)]
pub enum ReadFailure {
    Open(io::Error),
    Read(io::Error),
    /// Something else has taken its place.
    Replaced,
    /// It is the file, but not as it was listed.
    Changed,
}

/// A small file to be made, with all of its bytes.
pub struct CreateFile<'a> {
    /// The open directory that `name` is relative to.
    pub directory: Handle<'a>,
    /// One component.
    pub name: &'a OsStr,
    pub bytes: &'a [u8],
    /// Permission bits.
    pub mode: u32,
    /// Creating a file with `mode` gives it exactly that: no umask or ACL takes bits away.
    pub mode_is_kept: bool,
    pub mtime_ns: i64,
}

/// Why a file could not be made; nothing of it is left.
#[derive(Debug)]
pub enum CreateFailure {
    Create(io::Error),
    Write(io::Error),
    /// Its mode or time could not be set.
    Attributes(io::Error),
}

/// A part of one file that goes into another.
#[derive(Clone, Copy, Debug)]
pub struct CopyRange {
    pub from_offset: u64,
    pub to_offset: u64,
    pub length: u64,
}

/// One way to read and write files. Every call blocks until it is done; nothing is under way after it.
pub trait Backend: Send + Sync {
    /// Its name in `WORMHOLE_DEBUG_IO`.
    fn name(&self) -> &'static str;

    /// Reads whole small files; gives one result for each, in order.
    ///
    /// A file counts as read only when, after its last byte was read, it was still the one that was listed.
    fn read_files(&self, files: &mut [ReadFile<'_>]) -> Vec<Result<(), ReadFailure>> {
        files.iter_mut().map(plain::read_file).collect()
    }

    /// Makes small files that must not be there yet; gives one result for each, in order.
    fn create_files(&self, files: &[CreateFile<'_>]) -> Vec<Result<(), CreateFailure>> {
        files.iter().map(plain::create_file).collect()
    }

    /// Reads at `offset` until `space` is full or the file ends; gives the bytes read.
    fn read_at(&self, file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
        plain::read_at(file, space, offset)
    }

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        plain::write_at(file, bytes, offset)
    }

    /// Copies a range, or what there is of it before the file ends; gives the bytes copied.
    fn copy_range(&self, from: &File, to: &File, range: CopyRange) -> io::Result<u64> {
        plain::copy_range(from, to, range)
    }

    /// Makes the new file `name` share the storage of `from`; false, with nothing made, where that is impossible.
    fn clone_file(&self, from: &File, directory: Handle<'_>, name: &OsStr) -> io::Result<bool> {
        let _ = (from, directory, name);
        Ok(false)
    }

    /// Makes sure that `file` has room for `size` bytes; it has that size afterwards.
    fn preallocate(&self, file: &File, size: u64) -> io::Result<()> {
        file.set_len(size)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod compliance_test;

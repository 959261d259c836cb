//! macOS: clones where the volume can (APFS), copies inside the kernel, room set aside before writing.
//!
//! Regular files are always ready for kqueue, so there is nothing for it to wait for: batches are plain calls.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    CloneFlags, CopyfileFlags, FallocateFlags, copyfile_state_alloc, copyfile_state_free, fallocate,
    fclonefileat, fcopyfile,
};
use rustix::io::Errno;

use super::{Backend, CopyRange, Handle, plain};

/// System calls of macOS.
pub struct Macos;

impl Backend for Macos {
    fn name(&self) -> &'static str {
        "macos"
    }

    /// `fcopyfile` copies whole files only: a part goes through memory.
    fn copy_range(&self, from: &File, to: &File, range: CopyRange) -> io::Result<u64> {
        let size = from.metadata()?.len();
        let whole = range.from_offset == 0 && range.to_offset == 0 && range.length >= size;
        if whole && to.metadata()?.len() == 0 && copy_whole(from, to).is_ok() {
            return Ok(to.metadata()?.len());
        }
        plain::copy_range(from, to, range)
    }

    fn clone_file(&self, from: &File, directory: Handle<'_>, name: &OsStr) -> io::Result<bool> {
        match fclonefileat(from, directory, name.as_bytes(), CloneFlags::NOFOLLOW) {
            Ok(()) => Ok(true),
            Err(Errno::XDEV | Errno::NOTSUP | Errno::INVAL | Errno::NOSYS) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn preallocate(&self, file: &File, size: u64) -> io::Result<()> {
        if size > 0 {
            match fallocate(file, FallocateFlags::empty(), 0, size) {
                Err(Errno::NOTSUP | Errno::NOSYS | Errno::INVAL) | Ok(()) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        file.set_len(size)
    }
}

fn copy_whole(from: &File, to: &File) -> Result<(), Errno> {
    let state = copyfile_state_alloc()?;
    // SAFETY: the state was made above and is freed below, once.
    let result = unsafe { fcopyfile(from, to, state, CopyfileFlags::DATA) };
    // SAFETY: as above; nothing uses it afterwards.
    unsafe { copyfile_state_free(state) }?;
    result
}

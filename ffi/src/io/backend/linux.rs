//! Linux system calls: reads that do not wait come first, copies stay inside the kernel.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, FallocateFlags, copy_file_range, fadvise, fallocate, ioctl_ficlone, sendfile};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::plain::judge;
use super::{Backend, CopyRange, Handle, ReadFailure, ReadFile, plain, platform};

/// Files of one batch that are open at once while the disk fetches them.
const MAX_LATE: usize = 8;

/// Bytes given to one `sendfile` or `copy_file_range`: Linux moves at most 2 GiB at once.
const MAX_COPY_BYTES: u64 = 1 << 30;

/// System calls of Linux, without io_uring.
#[derive(Default)]
pub struct Linux {
    /// Set where `preadv2` cannot say that it would wait.
    waits_always: AtomicBool,
}

/// A file whose bytes are on their way from the disk.
struct Late {
    index: usize,
    file: File,
    filled: usize,
}

impl Backend for Linux {
    fn name(&self) -> &'static str {
        "linux"
    }

    /// What lies in the page cache is read at once; of the rest, [`MAX_LATE`] files at a time are fetched together.
    fn read_files(&self, files: &mut [ReadFile<'_>]) -> Vec<Result<(), ReadFailure>> {
        let mut results: Vec<Result<(), ReadFailure>> = Vec::with_capacity(files.len());
        let mut late: Vec<Late> = Vec::new();
        for index in 0..files.len() {
            let file = &mut files[index];
            let opened = match platform::open_source(file.directory, file.name) {
                Err(ReadFailure::Open(error)) if has_too_many_files(&error) && !late.is_empty() => {
                    finish(&mut late, files, &mut results);
                    platform::open_source(files[index].directory, files[index].name)
                }
                result => result,
            };
            let file = &mut files[index];
            let result = opened.and_then(|opened| match self.read_cached(&opened, file.space) {
                Ok(filled) if filled == file.space.len() => {
                    judge(platform::look(&opened), &file.seen, Ok(filled), filled)
                }
                // Short or not there: what is missing is asked for now and read after the others.
                Ok(filled) => {
                    let _ = fadvise(&opened, filled as u64, None, Advice::WillNeed);
                    late.push(Late { index, file: opened, filled });
                    Ok(())
                }
                Err(error) => judge(platform::look(&opened), &file.seen, Err(error), 0),
            });
            results.push(result);
            if late.len() == MAX_LATE {
                finish(&mut late, files, &mut results);
            }
        }
        finish(&mut late, files, &mut results);
        results
    }

    fn copy_range(&self, from: &File, to: &File, range: CopyRange) -> io::Result<u64> {
        let mut copied = 0;
        while copied < range.length {
            let part = CopyRange {
                from_offset: range.from_offset + copied,
                to_offset: range.to_offset + copied,
                length: (range.length - copied).min(MAX_COPY_BYTES),
            };
            match copy_part(from, to, part) {
                Ok(length) if length > 0 => copied += length,
                Err(Errno::INTR) => {}
                // The end, or a file system that says so wrongly; or the kernel cannot do it between these files.
                Ok(_)
                | Err(
                    Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM | Errno::BADF,
                ) => {
                    let length = range.length - copied;
                    return Ok(copied + plain::copy_range(from, to, CopyRange { length, ..part })?);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(copied)
    }

    fn clone_file(&self, from: &File, directory: Handle<'_>, name: &OsStr) -> io::Result<bool> {
        let made = platform::create_new(directory, name, 0o600)?;
        let Err(errno) = ioctl_ficlone(&made, from) else { return Ok(true) };
        platform::remove(directory, name)?;
        match errno {
            Errno::XDEV | Errno::NOTSUP | Errno::INVAL | Errno::NOTTY | Errno::NOSYS | Errno::PERM => {
                Ok(false)
            }
            errno => Err(errno.into()),
        }
    }

    fn preallocate(&self, file: &File, size: u64) -> io::Result<()> {
        if size == 0 {
            return file.set_len(0);
        }
        loop {
            match fallocate(file, FallocateFlags::empty(), 0, size) {
                Err(Errno::INTR) => {}
                Err(Errno::NOTSUP | Errno::NOSYS) => break,
                result => {
                    result?;
                    break;
                }
            }
        }
        file.set_len(size)
    }
}

impl Linux {
    /// Reads what the page cache has of a file's start; less when the rest would have to be waited for.
    fn read_cached(&self, file: &File, space: &mut [u8]) -> io::Result<usize> {
        if space.is_empty() || self.waits_always.load(Ordering::Relaxed) {
            return plain::read_at(file, space, 0);
        }
        loop {
            match preadv2(file, &mut [IoSliceMut::new(space)], 0, ReadWriteFlags::NOWAIT) {
                Ok(read) => return Ok(read),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::NOTSUP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                    self.waits_always.store(true, Ordering::Relaxed);
                    return plain::read_at(file, space, 0);
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Reads the rest of the files that the disk was asked for.
fn finish(late: &mut Vec<Late>, files: &mut [ReadFile<'_>], results: &mut [Result<(), ReadFailure>]) {
    for Late { index, file, filled } in late.drain(..) {
        let ReadFile { space, seen, .. } = &mut files[index];
        let read = plain::read_at(&file, &mut space[filled..], filled as u64).map(|rest| filled + rest);
        results[index] = judge(platform::look(&file), seen, read, space.len());
    }
}

fn has_too_many_files(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::MFILE.raw_os_error())
}

/// Copies inside the kernel: sharing or copying within a file system, else from page cache to page cache.
fn copy_part(from: &File, to: &File, part: CopyRange) -> Result<u64, Errno> {
    let length = part.length as usize;
    let (mut from_offset, mut to_offset) = (part.from_offset, part.to_offset);
    match copy_file_range(from, Some(&mut from_offset), to, Some(&mut to_offset), length) {
        Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM) => {}
        result => return result.map(|copied| copied as u64),
    }
    // sendfile writes at the file's position.
    rustix::fs::seek(to.as_fd(), rustix::fs::SeekFrom::Start(part.to_offset))?;
    let mut from_offset = part.from_offset;
    sendfile(to, from, Some(&mut from_offset), length).map(|copied| copied as u64)
}

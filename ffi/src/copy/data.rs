//! The bytes of one file: which method, which parts of it, and whether the copy has them.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    Advice, FallocateFlags, Mode, OFlags, SeekFrom, fadvise, fallocate, fdatasync, ftruncate, openat, seek,
};
use rustix::io::{Errno, pread, pwrite};

use super::entry::Place;
use super::failure::{Failure, Outcome, source, target};
use super::journal::source_of;
use super::meta::Meta;
use super::methods;
use super::options::{Method, Sparse};
use super::report::Count;
use super::worker::Worker;

/// One read and write of a thread.
pub const DEFAULT_BUFFER_BYTES: usize = 256 * 1024;

/// What of a file is to be copied.
pub struct Job<'a> {
    pub meta: &'a Meta,
    /// Where to begin: an earlier run has copied what precedes.
    pub start: u64,
    /// The hidden name under which progress is noted in the journal.
    pub part: Option<CString>,
}

/// Copies everything from one open file to a new one; `written` counts what was reported as copied.
pub fn copy(
    worker: &mut Worker,
    files: (&OwnedFd, &OwnedFd),
    Job { meta, start, part }: Job<'_>,
    written: &mut u64,
) -> Outcome<Method> {
    let mut job = Bytes { worker, from: files.0, to: files.1, meta, start, part, written };
    job.tell(start);
    match job.worker.run.options.method {
        Method::Auto => job.automatic(),
        Method::Reflink => job.reflink().map(|()| Method::Reflink),
        method => job.by(method),
    }
}

/// The bytes of one file on their way.
pub struct Bytes<'a> {
    pub worker: &'a mut Worker,
    pub from: &'a OwnedFd,
    pub to: &'a OwnedFd,
    pub meta: &'a Meta,
    start: u64,
    pub part: Option<CString>,
    pub written: &'a mut u64,
}

impl Bytes<'_> {
    fn automatic(&mut self) -> Outcome<Method> {
        let size = self.meta.size;
        let sparse = self.worker.run.options.sparse;
        let is_plain = sparse == Sparse::Fill || !self.meta.may_have_holes();
        // First also for small files: sharing moves no bytes from the disk, nor to it.
        if self.start == 0 && size > 0 && sparse == Sparse::Keep && !self.is_refused(Method::Reflink) {
            match self.reflink() {
                Ok(()) => return Ok(Method::Reflink),
                // Said of this file, as of one without copy on write.
                Err(Failure::Target(_, Errno::INVAL)) => {}
                Err(Failure::Target(_, errno)) if methods::is_refusal(errno) => self.refuse(Method::Reflink),
                Err(failure) => return Err(failure),
            }
        }
        if size < self.worker.buffer.as_mut().len() as u64 && is_plain && sparse != Sparse::Make {
            self.whole()?;
            return Ok(Method::ReadWrite);
        }
        if self.worker.run.options.direct_io && !self.is_refused(Method::Direct) {
            match self.by(Method::Direct) {
                Err(Failure::Source(_, errno) | Failure::Target(_, errno))
                    if methods::is_refusal(errno) && *self.written == self.start =>
                {
                    self.refuse(Method::Direct);
                }
                result => return result,
            }
        }
        if sparse == Sparse::Keep && !self.is_refused(Method::CopyFileRange) {
            match self.by(Method::CopyFileRange) {
                Err(Failure::Target(_, errno))
                    if methods::is_refusal(errno) && *self.written == self.start =>
                {
                    self.refuse(Method::CopyFileRange);
                }
                result => return result,
            }
        }
        self.by(Method::ReadWrite)
    }

    fn is_refused(&self, method: Method) -> bool {
        !self.worker.refused.is_empty() && self.worker.refused.contains(&(self.meta.device, 0, method))
    }

    fn refuse(&mut self, method: Method) {
        self.worker.refused.insert((self.meta.device, 0, method));
    }

    /// A small file: one read that also sees its end, one write.
    fn whole(&mut self) -> Outcome<()> {
        let size = self.meta.size as usize;
        if size == 0 {
            return self.until_it_ends();
        }
        let buffer = self.worker.buffer.as_mut();
        let mut filled = 0;
        // A regular file's read is short only at its end; what grew is seen by its size afterwards.
        while filled < size {
            match pread(self.from, &mut buffer[filled..size + 1], filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(source("read")(errno)),
            }
        }
        if filled != size {
            return Err(Failure::Changed);
        }
        if self.worker.run.options.preallocate {
            self.preallocate()?;
        }
        write_all(self.to, &self.worker.buffer.as_ref()[..size], 0)?;
        self.tell(size as u64);
        Ok(())
    }

    /// An empty file; or one of procfs, whose size nobody knows before it is read.
    fn until_it_ends(&mut self) -> Outcome<()> {
        let mut at = 0;
        loop {
            self.go_on()?;
            match pread(self.from, self.worker.buffer.as_mut(), at) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    write_all(self.to, &self.worker.buffer.as_ref()[..read], at)?;
                    at += read as u64;
                    self.tell(read as u64);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(source("read")(errno)),
            }
        }
    }

    fn reflink(&mut self) -> Outcome<()> {
        rustix::fs::ioctl_ficlone(self.to, self.from)
            .map_err(target("share the storage of its source with"))?;
        self.tell(self.meta.size);
        Ok(())
    }

    /// All data by one method, holes left out where they shall stay.
    fn by(&mut self, method: Method) -> Outcome<Method> {
        let size = self.meta.size;
        let keeps_holes = self.worker.run.options.sparse != Sparse::Fill && self.meta.may_have_holes();
        if self.worker.run.options.preallocate && !keeps_holes {
            self.preallocate()?;
        }
        let mut at = self.start;
        while at < size {
            let (start, end) = match keeps_holes {
                true => data_from(self.from, at, size)?,
                false => (at, size),
            };
            if start < end {
                match self.worker.run.options.sparse {
                    Sparse::Make => methods::read_write_without_zeros(self, start, end)?,
                    _ => methods::copy_range(self, method, start, end)?,
                }
            }
            at = end.max(start);
        }
        if (keeps_holes || self.start > 0 || self.worker.run.options.sparse == Sparse::Make) && size > 0 {
            ftruncate(self.to, size).map_err(target("write"))?;
        }
        Ok(if self.worker.run.options.sparse == Sparse::Make { Method::ReadWrite } else { method })
    }

    fn preallocate(&mut self) -> Outcome<()> {
        if self.meta.size == 0 {
            return Ok(());
        }
        loop {
            match fallocate(self.to, FallocateFlags::empty(), 0, self.meta.size) {
                Err(Errno::INTR) => {}
                Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(()),
                Err(errno) => return Err(target("make room for")(errno)),
            }
        }
    }

    /// Counts bytes that are copied.
    pub fn tell(&mut self, bytes: u64) {
        *self.written += bytes;
        self.worker.count(Count::Bytes, bytes);
    }

    /// Notes that everything up to `done` is on the disk, once it is.
    pub fn note(&self, done: u64) -> Outcome<()> {
        let (Some(name), Some(journal)) = (&self.part, &self.worker.run.journal) else { return Ok(()) };
        fdatasync(self.to).map_err(target("write"))?;
        journal.note_part(&source_of(self.meta), name, done).map_err(Failure::Other)
    }

    /// Fails when the copy is cancelled.
    pub fn go_on(&self) -> Outcome<()> {
        if self.worker.is_stopped() { Err(Failure::Cancelled) } else { Ok(()) }
    }
}

/// The next part of a file that is no hole, from `at` on; both ends are `size` when only a hole follows.
pub fn data_from(file: &OwnedFd, at: u64, size: u64) -> Outcome<(u64, u64)> {
    let start = match seek(file, SeekFrom::Data(at)) {
        Ok(start) => start.min(size),
        Err(Errno::NXIO) => return Ok((size, size)),
        // A file system that knows no holes.
        Err(Errno::INVAL | Errno::NOTSUP) => return Ok((at, size)),
        Err(errno) => return Err(source("read")(errno)),
    };
    match seek(file, SeekFrom::Hole(start)) {
        Ok(end) => Ok((start, end.clamp(start, size))),
        Err(Errno::NXIO | Errno::INVAL | Errno::NOTSUP) => Ok((start, size)),
        Err(errno) => Err(source("read")(errno)),
    }
}

pub fn write_all(to: &OwnedFd, bytes: &[u8], offset: u64) -> Outcome<()> {
    let mut at = 0;
    while at < bytes.len() {
        match pwrite(to, &bytes[at..], offset + at as u64) {
            Ok(0) => return Err(target("write")(Errno::IO)),
            Ok(written) => at += written,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(target("write")(errno)),
        }
    }
    Ok(())
}

/// Reads the copy back from the disk and compares BLAKE3 of both.
pub fn verify(worker: &mut Worker, (from, to): (&OwnedFd, &OwnedFd), meta: &Meta) -> Outcome<()> {
    // Only pages that are on the disk can be dropped from the cache; on tmpfs there is nothing else.
    fdatasync(to).map_err(target("write"))?;
    let _ = fadvise(to, 0, None, Advice::DontNeed);
    let copied = hash(worker, to, meta.size, target("read back"))?;
    let original = hash(worker, from, meta.size, source("read"))?;
    if copied == original { Ok(()) } else { Err(Failure::Differs) }
}

/// Whether source and target hold the same bytes; their sizes are equal.
pub fn same_bytes(worker: &mut Worker, place: &Place<'_>) -> Outcome<bool> {
    let Some(directory) = place.target else { return Ok(false) };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let from = openat(place.source, place.source_name, flags, Mode::empty()).map_err(source("open"))?;
    let to = openat(directory, place.target_name, flags, Mode::empty()).map_err(target("open"))?;
    Ok(hash(worker, &from, u64::MAX, source("read"))? == hash(worker, &to, u64::MAX, target("read"))?)
}

fn hash(
    worker: &mut Worker,
    file: &OwnedFd,
    size: u64,
    failed: impl Fn(Errno) -> Failure,
) -> Outcome<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    while at < size {
        if worker.is_stopped() {
            return Err(Failure::Cancelled);
        }
        match pread(file, worker.buffer.as_mut(), at) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&worker.buffer.as_ref()[..read]);
                at += read as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(hasher.finalize())
}

/// Tells the kernel that a large file is read from its start to its end.
pub fn expect_sequential(file: &OwnedFd) {
    let _ = fadvise(file.as_fd(), 0, None, Advice::Sequential);
}

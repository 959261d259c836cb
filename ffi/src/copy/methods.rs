//! Ways to move a range of bytes from one open file to another.

use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, ftruncate};
use rustix::io::{Errno, pread};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use super::data::{Bytes, expect_sequential, write_all};
use super::failure::{Failure, Outcome, source, target};
use super::journal::PART_BYTES;
use super::options::Method;
use super::ring;

/// What the kernel is asked to move at once: the copy can be stopped in between, and progress be seen.
const STEP_BYTES: u64 = 16 << 20;

/// Room of the pipe that bytes are spliced through; what an unprivileged user may have (`pipe-max-size`).
const PIPE_BYTES: usize = 1 << 20;

/// Part of a file that is mapped at once.
const MAP_BYTES: u64 = 64 << 20;

/// Alignment that direct I/O is done with; no disk in use asks for more.
const DIRECT_BYTES: u64 = 4096;

/// Granularity in which zeros become holes: a page and the usual block.
const ZERO_BYTES: usize = 4096;

/// What a kernel or file system answers that cannot do something, rather than failing at it.
pub fn is_refusal(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::XDEV
            | Errno::INVAL
            | Errno::NOTSUP
            | Errno::NOSYS
            | Errno::NOTTY
            | Errno::PERM
            | Errno::BADF
            | Errno::TXTBSY
            | Errno::OVERFLOW
    )
}

/// Copies `start..end`; a source that ends before has changed. Notes in the journal how far it is, where there is one.
pub fn copy_range(bytes: &mut Bytes<'_>, method: Method, start: u64, end: u64) -> Outcome<()> {
    let mut at = start;
    while at < end {
        let next = if bytes.part.is_some() { end.min(at + PART_BYTES) } else { end };
        copy_part(bytes, method, at, next)?;
        bytes.note(next)?;
        at = next;
    }
    Ok(())
}

fn copy_part(bytes: &mut Bytes<'_>, method: Method, start: u64, end: u64) -> Outcome<()> {
    match method {
        Method::CopyFileRange => copy_file_range(bytes, start, end),
        Method::Splice => through_pipe(bytes, start, end),
        Method::IoUring => ring::copy_range(bytes, start, end),
        Method::Direct => direct(bytes, start, end),
        Method::Mmap => mapped(bytes, start, end),
        Method::Auto | Method::Reflink | Method::ReadWrite => read_write(bytes, start, end),
    }
}

fn copy_file_range(bytes: &mut Bytes<'_>, start: u64, end: u64) -> Outcome<()> {
    let mut at = start;
    while at < end {
        bytes.go_on()?;
        let (mut from_at, mut to_at) = (at, at);
        let length = (end - at).min(STEP_BYTES) as usize;
        match rustix::fs::copy_file_range(bytes.from, Some(&mut from_at), bytes.to, Some(&mut to_at), length)
        {
            Ok(0) => return Err(Failure::Changed),
            Ok(copied) => {
                at += copied as u64;
                bytes.tell(copied as u64);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(target("copy to")(errno)),
        }
    }
    Ok(())
}

fn read_write(bytes: &mut Bytes<'_>, start: u64, end: u64) -> Outcome<()> {
    expect_sequential(bytes.from);
    let mut at = start;
    while at < end {
        bytes.go_on()?;
        let read = read_some(bytes, at, end)?;
        write_all(bytes.to, &bytes.worker.buffer.as_ref()[..read], at)?;
        at += read as u64;
        bytes.tell(read as u64);
    }
    Ok(())
}

/// As reading and writing, but blocks of zeros are left out; the file's size is set afterwards.
pub fn read_write_without_zeros(bytes: &mut Bytes<'_>, start: u64, end: u64) -> Outcome<()> {
    expect_sequential(bytes.from);
    let mut at = start;
    while at < end {
        bytes.go_on()?;
        let read = read_some(bytes, at, end)?;
        let buffer = &bytes.worker.buffer.as_ref()[..read];
        for (offset, run) in runs_of_data(buffer) {
            write_all(bytes.to, run, at + offset as u64)?;
        }
        at += read as u64;
        bytes.tell(read as u64);
    }
    Ok(())
}

/// The parts of `buffer` that are not whole blocks of zeros.
fn runs_of_data(buffer: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let blocks = |from: usize| buffer[from..].chunks(ZERO_BYTES);
        let is_zero = |block: &[u8]| block.iter().all(|&byte| byte == 0);
        at += blocks(at).take_while(|block| is_zero(block)).map(<[u8]>::len).sum::<usize>();
        let length = blocks(at).take_while(|block| !is_zero(block)).map(<[u8]>::len).sum::<usize>();
        let run = (at, &buffer[at..at + length]);
        at += length;
        (length > 0).then_some(run)
    })
}

fn read_some(bytes: &mut Bytes<'_>, at: u64, end: u64) -> Outcome<usize> {
    let buffer = bytes.worker.buffer.as_mut();
    let length = buffer.len().min((end - at).try_into().unwrap_or(usize::MAX));
    loop {
        match pread(bytes.from, &mut buffer[..length], at) {
            Ok(0) => return Err(Failure::Changed),
            Ok(read) => return Ok(read),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(source("read")(errno)),
        }
    }
}

fn through_pipe(bytes: &mut Bytes<'_>, start: u64, end: u64) -> Outcome<()> {
    if bytes.worker.pipe.is_none() {
        let pipe = pipe_with(PipeFlags::CLOEXEC).map_err(target("copy to"))?;
        let _ = fcntl_setpipe_size(&pipe.1, PIPE_BYTES);
        bytes.worker.pipe = Some(pipe);
    }
    let (exit, entrance) = bytes.worker.pipe.take().expect("just made");
    let result = spliced(bytes, (&exit, &entrance), start, end);
    // A pipe with something left in it is of no use any more.
    if result.is_ok() {
        bytes.worker.pipe = Some((exit, entrance));
    }
    result
}

fn spliced(
    bytes: &mut Bytes<'_>,
    (exit, entrance): (&OwnedFd, &OwnedFd),
    start: u64,
    end: u64,
) -> Outcome<()> {
    let mut at = start;
    while at < end {
        bytes.go_on()?;
        let length = (end - at).min(PIPE_BYTES as u64) as usize;
        let mut from_at = at;
        let moved = match splice(bytes.from, Some(&mut from_at), entrance, None, length, SpliceFlags::MOVE) {
            Ok(0) => return Err(Failure::Changed),
            Ok(moved) => moved as u64,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(source("read")(errno)),
        };
        let mut to_at = at;
        while to_at < at + moved {
            let left = (at + moved - to_at) as usize;
            match splice(exit, None, bytes.to, Some(&mut to_at), left, SpliceFlags::MOVE) {
                Ok(0) => return Err(target("write")(Errno::IO)),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(target("write")(errno)),
            }
        }
        at += moved;
        bytes.tell(moved);
    }
    Ok(())
}

/// Past the page cache on both sides. The last block is written whole and the file cut to its size.
fn direct(bytes: &mut Bytes<'_>, start: u64, end: u64) -> Outcome<()> {
    if !start.is_multiple_of(DIRECT_BYTES) {
        return read_write(bytes, start, end);
    }
    set_direct(bytes.from, true).map_err(source("read past the page cache"))?;
    set_direct(bytes.to, true).map_err(target("write past the page cache"))?;
    let result = direct_range(bytes, start, end);
    let _ = set_direct(bytes.from, false);
    let _ = set_direct(bytes.to, false);
    result
}

fn direct_range(bytes: &mut Bytes<'_>, start: u64, end: u64) -> Outcome<()> {
    let mut at = start;
    while at < end {
        bytes.go_on()?;
        let buffer = bytes.worker.buffer.as_mut();
        let room = buffer.len() / DIRECT_BYTES as usize * DIRECT_BYTES as usize;
        let wanted = (room as u64).min((end - at).next_multiple_of(DIRECT_BYTES)) as usize;
        let read = match pread(bytes.from, &mut buffer[..wanted], at) {
            Ok(0) => return Err(Failure::Changed),
            Ok(read) => read.min((end - at) as usize),
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(source("read past the page cache")(errno)),
        };
        let whole = read.next_multiple_of(DIRECT_BYTES as usize);
        buffer[read..whole].fill(0);
        // A read that ends inside of a block, before the end, is one that the file system cut: the rest is not aligned.
        if whole != read && at + (read as u64) < end {
            set_direct(bytes.from, false).map_err(source("read"))?;
            set_direct(bytes.to, false).map_err(target("write"))?;
            return read_write(bytes, at, end);
        }
        write_all(bytes.to, &bytes.worker.buffer.as_ref()[..whole], at)?;
        if whole != read {
            ftruncate(bytes.to, at + read as u64).map_err(target("write"))?;
        }
        at += read as u64;
        bytes.tell(read as u64);
    }
    Ok(())
}

fn set_direct(file: &OwnedFd, on: bool) -> Result<(), Errno> {
    let flags = fcntl_getfl(file)?;
    fcntl_setfl(file, if on { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT })
}

/// Written from a mapping of the source. A page that a shrinking source no longer has makes the write fail with EFAULT:
/// this process touches none of them itself.
fn mapped(bytes: &mut Bytes<'_>, start: u64, end: u64) -> Outcome<()> {
    let mut at = start / DIRECT_BYTES * DIRECT_BYTES;
    let mut skip = (start - at) as usize;
    while at < end {
        bytes.go_on()?;
        let length = (end - at).min(MAP_BYTES) as usize;
        // SAFETY: a new mapping where the kernel finds room, read only.
        let map =
            unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, bytes.from, at) };
        let map = map.map_err(source("map"))?;
        // SAFETY: the mapping just made; only a hint.
        let _ = unsafe { madvise(map, length, Advice::Sequential) };
        // SAFETY: `length` bytes that stay mapped until `munmap` below. They may change, but nothing in this process
        // reads them: they are only handed to `write`.
        let mapped = unsafe { std::slice::from_raw_parts(map.cast::<u8>(), length) };
        let result = write_all(bytes.to, &mapped[skip..], at + skip as u64);
        // SAFETY: mapped above with this length; the slice is not used after this.
        let _ = unsafe { munmap(map, length) };
        match result {
            Err(Failure::Target(_, Errno::FAULT)) => return Err(Failure::Changed),
            result => result?,
        }
        bytes.tell((length - skip) as u64);
        at += length as u64;
        skip = 0;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_data_leave_out_whole_blocks_of_zeros_only() {
        let mut buffer = vec![0u8; 5 * ZERO_BYTES + 10];
        buffer[ZERO_BYTES + 7] = 1;
        buffer[3 * ZERO_BYTES] = 2;
        buffer[4 * ZERO_BYTES - 1] = 3;
        let runs: Vec<(usize, usize)> = runs_of_data(&buffer).map(|(at, run)| (at, run.len())).collect();
        assert_eq!(runs, [(ZERO_BYTES, ZERO_BYTES), (3 * ZERO_BYTES, ZERO_BYTES)]);
        assert_eq!(runs_of_data(&[]).count(), 0);
        assert_eq!(runs_of_data(&[0; 100]).count(), 0);
        assert_eq!(runs_of_data(&[1; 100]).map(|(at, run)| (at, run.len())).next(), Some((0, 100)));
    }
}

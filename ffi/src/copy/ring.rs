//! A range of bytes through io_uring: reads and writes with registered buffers, several under way at once.

use std::cell::RefCell;
use std::os::fd::AsRawFd;

use io_uring::squeue::Entry;
use io_uring::types::Fd;
use io_uring::{IoUring, opcode};
use rustix::io::{Errno, pread};

use super::data::{Bytes, write_all};
use super::failure::{Failure, Outcome, source, target};
use crate::transfer::pool::{Buffer, Pool};

/// Reads and writes under way when nobody says otherwise.
const DEFAULT_DEPTH: usize = 8;

/// Most of them: the buffers of a ring are as many.
const MAX_DEPTH: usize = 128;

thread_local! {
    /// The thread's ring; it ends with the thread.
    static RING: RefCell<Option<Ring>> = const { RefCell::new(None) };
}

struct Ring {
    ring: IoUring,
    slots: Vec<Slot>,
    /// The kernel has the buffers pinned; where that is refused (a limit of locked memory) they are named each time.
    is_registered: bool,
}

/// A buffer and what is done with it.
struct Slot {
    buffer: Buffer,
    offset: u64,
    length: usize,
    is_write: bool,
}

impl Ring {
    fn new(depth: usize, buffer_bytes: usize) -> std::io::Result<Ring> {
        let depth = if depth == 0 { DEFAULT_DEPTH } else { depth.min(MAX_DEPTH) };
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(depth as u32)
            // Before 6.1.
            .or_else(|_| IoUring::new(depth as u32))?;
        let pool = Pool::new(depth * buffer_bytes, buffer_bytes, depth);
        let slots = (0..depth).map(|_| {
            let mut buffer = pool.take().expect("a pool of so many buffers");
            buffer.set_length(buffer_bytes);
            Slot { buffer, offset: 0, length: 0, is_write: false }
        });
        let mut slots: Vec<Slot> = slots.collect();
        let vectors: Vec<rustix::io::IoSliceMut<'_>> =
            slots.iter_mut().map(|slot| rustix::io::IoSliceMut::new(slot.buffer.as_mut())).collect();
        // SAFETY: an IoSliceMut is an iovec (std guarantees it); the buffers live as long as the ring, which is dropped
        // first (field order), and nothing is under way by then.
        let is_registered = unsafe {
            let vectors = std::slice::from_raw_parts(vectors.as_ptr().cast(), vectors.len());
            ring.submitter().register_buffers(vectors).is_ok()
        };
        Ok(Ring { ring, slots, is_registered })
    }

    /// The entry for what a slot is about to do.
    fn entry(&mut self, index: usize, bytes: &Bytes<'_>) -> Entry {
        let is_registered = self.is_registered;
        let slot = &mut self.slots[index];
        let (offset, length, number) = (slot.offset, slot.length as u32, index as u16);
        let pointer = slot.buffer.as_mut().as_mut_ptr();
        let entry = match (slot.is_write, is_registered) {
            (false, true) => opcode::ReadFixed::new(Fd(bytes.from.as_raw_fd()), pointer, length, number)
                .offset(offset)
                .build(),
            (false, false) => {
                opcode::Read::new(Fd(bytes.from.as_raw_fd()), pointer, length).offset(offset).build()
            }
            (true, true) => opcode::WriteFixed::new(Fd(bytes.to.as_raw_fd()), pointer, length, number)
                .offset(offset)
                .build(),
            (true, false) => {
                opcode::Write::new(Fd(bytes.to.as_raw_fd()), pointer, length).offset(offset).build()
            }
        };
        entry.user_data(index as u64)
    }

    fn push(&mut self, index: usize, bytes: &Bytes<'_>) {
        let entry = self.entry(index, bytes);
        // SAFETY: buffers and files outlive the range, which ends only when nothing is under way. There is room: a slot
        // has one entry at most, and the queue is as large as there are slots.
        unsafe { self.ring.submission().push(&entry) }.expect("room for every slot");
    }

    fn copy(&mut self, bytes: &mut Bytes<'_>, start: u64, end: u64) -> Outcome<()> {
        let mut next = start;
        let mut under_way = 0;
        let mut failure = None;
        for index in 0..self.slots.len() {
            under_way += usize::from(self.read_next(index, bytes, &mut next, end));
        }
        while under_way > 0 {
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                // A signal, or completions to take out first.
                Err(error)
                    if matches!(
                        error.raw_os_error().map(Errno::from_raw_os_error),
                        Some(Errno::INTR | Errno::AGAIN | Errno::BUSY)
                    ) => {}
                // The kernel may still write into the buffers: nothing safe is left to do.
                Err(_) => std::process::abort(),
            }
            let done: Vec<(usize, i32)> = self
                .ring
                .completion()
                .map(|completion| (completion.user_data() as usize, completion.result()))
                .collect();
            for (index, result) in done {
                under_way -= 1;
                let ended = self.ended(index, result, bytes).and_then(|()| bytes.go_on());
                if let Err(error) = ended {
                    failure.get_or_insert(error);
                }
                if failure.is_some() {
                    continue;
                }
                let slot = &mut self.slots[index];
                if slot.is_write {
                    under_way += usize::from(self.read_next(index, bytes, &mut next, end));
                } else {
                    slot.is_write = true;
                    self.push(index, bytes);
                    under_way += 1;
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Begins to read the next part into a free slot; false when there is none.
    fn read_next(&mut self, index: usize, bytes: &Bytes<'_>, next: &mut u64, end: u64) -> bool {
        if *next >= end {
            return false;
        }
        let slot = &mut self.slots[index];
        slot.length = slot.buffer.as_ref().len().min((end - *next).try_into().unwrap_or(usize::MAX));
        (slot.offset, slot.is_write) = (*next, false);
        *next += slot.length as u64;
        self.push(index, bytes);
        true
    }

    /// Takes in what the kernel says of a slot, and does at once what it did in part only.
    fn ended(&mut self, index: usize, result: i32, bytes: &mut Bytes<'_>) -> Outcome<()> {
        let slot = &mut self.slots[index];
        let mut done = match (result < 0).then(|| Errno::from_raw_os_error(-result)) {
            None => result as usize,
            // The last: the kernel had no worker to do it in.
            Some(Errno::INTR | Errno::AGAIN | Errno::CANCELED) => 0,
            Some(errno) if slot.is_write => return Err(target("write")(errno)),
            Some(errno) => return Err(source("read")(errno)),
        };
        if slot.is_write {
            write_all(bytes.to, &slot.buffer.as_ref()[done..slot.length], slot.offset + done as u64)?;
            bytes.tell(slot.length as u64);
            return Ok(());
        }
        while done < slot.length {
            match pread(bytes.from, &mut slot.buffer.as_mut()[done..slot.length], slot.offset + done as u64) {
                Ok(0) => return Err(Failure::Changed),
                Ok(read) => done += read,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(source("read")(errno)),
            }
        }
        Ok(())
    }
}

/// Copies `start..end` through this thread's ring.
pub fn copy_range(bytes: &mut Bytes<'_>, start: u64, end: u64) -> Outcome<()> {
    let depth = bytes.worker.run.options.queue_depth;
    let buffer_bytes = bytes.worker.buffer.as_ref().len();
    RING.with_borrow_mut(|ring| {
        if ring.is_none() {
            let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::NOSYS);
            *ring = Some(
                Ring::new(depth, buffer_bytes).map_err(|error| source("use io_uring for")(errno(error)))?,
            );
        }
        let ring = ring.as_mut().expect("just made");
        ring.copy(bytes, start, end)
    })
}

//! io_uring: whole batches of system calls with one or two entries into the kernel.
//!
//! Opening, reading and closing go through the ring in three waves and not as linked chains of direct descriptors:
//! whether a file is still the one that was listed can only be asked of an ordinary descriptor, after its last byte.
//! Creating has nothing to ask, so each file is one chain open - write - close on a direct descriptor.
//!
//! What waits, as every creation does, the kernel gives to a worker thread of its own. Where it cannot make one, as
//! under many signals or at a limit of processes, it cancels what the worker would have done (`create_worker_cont`
//! in `io_uring/io-wq.c`): that is then done with system calls.

use std::cell::RefCell;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{DestinationSlot, Fd, Fixed};
use io_uring::{IoUring, Probe, opcode};
use rustix::fs::{AtFlags, utimensat};
use rustix::io::Errno;

use super::linux::Linux;
use super::plain::{creation_mode, judge};
use super::{Backend, CopyRange, CreateFailure, CreateFile, Handle, ReadFailure, ReadFile, plain, platform};

/// Room of a ring. Larger batches are cut.
const RING_ENTRIES: u32 = 96;

/// Files of one batch that are under way at once.
const FILES: usize = RING_ENTRIES as usize / 3;

/// Bytes of one read or write of a large range; several are under way at once.
const PART_BYTES: usize = 256 * 1024;

/// io_uring where it can do an operation at all, system calls for the rest.
#[derive(Default)]
pub struct Uring {
    linux: Linux,
}

thread_local! {
    /// The thread's ring; it ends with the thread.
    static RING: RefCell<Option<Ring>> = const { RefCell::new(None) };
}

impl Uring {
    /// Makes a ring and asks what it can do.
    ///
    /// # Errors
    /// Why io_uring cannot be used here, in words.
    pub fn probe() -> Result<Uring, String> {
        let ring = Ring::new().map_err(|error| match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSYS) => "this kernel has no io_uring".to_string(),
            Some(Errno::PERM | Errno::ACCESS) => "this system or container forbids io_uring".to_string(),
            Some(Errno::NOMEM) => "the limit of locked memory is too low for io_uring".to_string(),
            _ => format!("io_uring fails: {error}"),
        })?;
        let mut probe = Probe::new();
        ring.ring.submitter().register_probe(&mut probe).map_err(|_| {
            "this kernel's io_uring is too old (5.6 opens files, 5.19 has what is used)".to_string()
        })?;
        let needed = [opcode::OpenAt::CODE, opcode::Read::CODE, opcode::Write::CODE, opcode::Close::CODE];
        if !needed.iter().all(|&code| probe.is_supported(code)) || !ring.has_slots {
            return Err("this kernel's io_uring is too old (5.19 has what is used)".to_string());
        }
        Ok(Uring::default())
    }
}

impl Backend for Uring {
    fn name(&self) -> &'static str {
        "uring"
    }

    fn read_files(&self, files: &mut [ReadFile<'_>]) -> Vec<Result<(), ReadFailure>> {
        with_ring(|ring| files.chunks_mut(FILES).flat_map(|batch| ring.read_batch(batch)).collect())
            .unwrap_or_else(|| self.linux.read_files(files))
    }

    fn create_files(&self, files: &[CreateFile<'_>]) -> Vec<Result<(), CreateFailure>> {
        with_ring(|ring| files.chunks(FILES).flat_map(|batch| ring.create_batch(batch)).collect())
            .unwrap_or_else(|| self.linux.create_files(files))
    }

    fn read_at(&self, file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
        with_ring(|ring| {
            let mut filled = 0;
            for group in space.chunks_mut(PART_BYTES * FILES) {
                let read = ring.read_parts(file, group, offset + filled as u64)?;
                filled += read;
                if read < group.len() {
                    break;
                }
            }
            Ok(filled)
        })
        .unwrap_or_else(|| plain::read_at(file, space, offset))
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        with_ring(|ring| {
            let groups = bytes.chunks(PART_BYTES * FILES).zip((offset..).step_by(PART_BYTES * FILES));
            groups.into_iter().try_for_each(|(group, at)| ring.write_parts(file, group, at))
        })
        .unwrap_or_else(|| plain::write_at(file, bytes, offset))
    }

    // The ring has no copy_file_range, and hands a splice to a worker thread.
    fn copy_range(&self, from: &File, to: &File, range: CopyRange) -> io::Result<u64> {
        self.linux.copy_range(from, to, range)
    }

    fn clone_file(&self, from: &File, directory: Handle<'_>, name: &OsStr) -> io::Result<bool> {
        self.linux.clone_file(from, directory, name)
    }

    fn preallocate(&self, file: &File, size: u64) -> io::Result<()> {
        self.linux.preallocate(file, size)
    }
}

/// Runs `work` with this thread's ring; `None` when it can have none any more (a limit, a filter set meanwhile).
fn with_ring<T>(work: impl FnOnce(&mut Ring) -> T) -> Option<T> {
    RING.with_borrow_mut(|ring| {
        if ring.is_none() {
            *ring = Ring::new().ok().filter(|ring| ring.has_slots);
        }
        ring.as_mut().map(work)
    })
}

struct Ring {
    ring: IoUring,
    /// Slots for direct descriptors are registered.
    has_slots: bool,
    results: Vec<i32>,
}

impl Ring {
    fn new() -> io::Result<Ring> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(RING_ENTRIES)
            // Before 6.1.
            .or_else(|_| IoUring::new(RING_ENTRIES))?;
        let has_slots = ring.submitter().register_files_sparse(FILES as u32).is_ok();
        Ok(Ring { ring, has_slots, results: Vec::new() })
    }

    /// Runs at most [`RING_ENTRIES`] entries; afterwards `results` has what each gave, and none is under way.
    ///
    /// # Safety
    /// What the entries point to lives until this returns.
    unsafe fn run(&mut self, entries: &[Entry]) -> &[i32] {
        self.results.clear();
        self.results.resize(entries.len(), 0);
        for (index, entry) in entries.iter().enumerate() {
            let entry = entry.clone().user_data(index as u64);
            // SAFETY: as this function's contract says: it returns when all have completed. There is room: the
            // queue is as large as `entries` may be, and empty.
            unsafe { self.ring.submission().push(&entry) }.expect("room for a batch");
        }
        let mut missing = entries.len();
        while missing > 0 {
            match self.ring.submit_and_wait(missing) {
                Ok(_) => {}
                // A signal, or completions to take out first.
                Err(error)
                    if matches!(
                        error.raw_os_error().map(Errno::from_raw_os_error),
                        Some(Errno::INTR | Errno::AGAIN | Errno::BUSY)
                    ) => {}
                // The kernel may still write into the caller's buffers: nothing safe is left to do.
                Err(_) => std::process::abort(),
            }
            for completion in self.ring.completion() {
                self.results[completion.user_data() as usize] = completion.result();
                missing -= 1;
            }
        }
        &self.results
    }

    fn read_batch(&mut self, files: &mut [ReadFile<'_>]) -> Vec<Result<(), ReadFailure>> {
        let names: Vec<CString> = files.iter().map(|file| name_of(file.name)).collect();
        let opens: Vec<Entry> = files
            .iter()
            .zip(&names)
            .map(|(file, name)| {
                opcode::OpenAt::new(Fd(file.directory.as_raw_fd()), name.as_ptr())
                    .flags(platform::source_flags().bits() as i32)
                    .build()
            })
            .collect();
        // SAFETY: the names live until the end of this function, the directories longer.
        let opened: Vec<Result<File, ReadFailure>> = unsafe { self.run(&opens) }
            .iter()
            .zip(files.iter())
            .map(|(&result, file)| match errno_of(result) {
                Some(errno) if is_undone(errno) => platform::open_source(file.directory, file.name),
                Some(errno) => Err(platform::not_opened(errno)),
                // SAFETY: the kernel has just made this descriptor for us.
                None => Ok(unsafe { File::from_raw_fd(result as RawFd) }),
            })
            .collect();
        let reads: Vec<Entry> = files
            .iter_mut()
            .zip(&opened)
            .map(|(file, opened)| match opened {
                Ok(opened) => read_entry(opened, file.space, 0),
                Err(_) => opcode::Nop::new().build(),
            })
            .collect();
        // SAFETY: the spaces and the open files outlive the call.
        let read = unsafe { self.run(&reads) }.to_vec();
        let mut results = Vec::with_capacity(files.len());
        let mut closes = Vec::with_capacity(files.len());
        for ((file, opened), read) in files.iter_mut().zip(opened).zip(read) {
            results.push(opened.and_then(|opened| {
                let read = whole(read, file.space.len(), |done| {
                    plain::read_at(&opened, &mut file.space[done..], done as u64)
                });
                let result = judge(platform::look(&opened), &file.seen, read, file.space.len());
                closes.push(opened.into_raw_fd());
                result
            }));
        }
        let entries: Vec<Entry> = closes.iter().map(|&fd| opcode::Close::new(Fd(fd)).build()).collect();
        // SAFETY: the entries point to nothing.
        let closed = unsafe { self.run(&entries) };
        for (&fd, _) in closes.iter().zip(closed).filter(|(_, result)| **result == CANCELED) {
            // SAFETY: the kernel did not begin to close it, and nobody else has it.
            drop(unsafe { File::from_raw_fd(fd) });
        }
        results
    }

    fn create_batch(&mut self, files: &[CreateFile<'_>]) -> Vec<Result<(), CreateFailure>> {
        let names: Vec<CString> = files.iter().map(|file| name_of(file.name)).collect();
        let mut entries = Vec::with_capacity(3 * files.len());
        for (index, (file, name)) in files.iter().zip(&names).enumerate() {
            let slot = index as u32;
            let target = DestinationSlot::try_from_slot_target(slot).expect("few slots");
            // A direct descriptor belongs to the ring; CLOEXEC is refused for it.
            let flags = platform::new_flags().difference(rustix::fs::OFlags::CLOEXEC);
            let open = opcode::OpenAt::new(Fd(file.directory.as_raw_fd()), name.as_ptr())
                .flags(flags.bits() as i32)
                .mode(creation_mode(file).0)
                .file_index(Some(target));
            let write = opcode::Write::new(Fixed(slot), file.bytes.as_ptr(), file.bytes.len() as u32);
            entries.push(open.build().flags(Flags::IO_LINK));
            // Hard: the slot is closed whatever became of the write.
            entries.push(write.build().flags(Flags::IO_HARDLINK));
            entries.push(opcode::Close::new(Fixed(slot)).build());
        }
        // SAFETY: names, bytes and directories outlive the call.
        let results = unsafe { self.run(&entries) }.to_vec();
        files.iter().zip(results.chunks_exact(3)).map(|(file, results)| finish(file, results)).collect()
    }

    fn read_parts(&mut self, file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
        let parts = space.chunks_mut(PART_BYTES).zip((offset..).step_by(PART_BYTES));
        let entries: Vec<Entry> = parts.map(|(part, at)| read_entry(file, part, at)).collect();
        // SAFETY: the space and the file outlive the call.
        let results = unsafe { self.run(&entries) }.to_vec();
        let mut filled = 0;
        for (part, result) in space.chunks_mut(PART_BYTES).zip(results) {
            let wanted = part.len();
            let at = offset + filled as u64;
            let read =
                whole(result, wanted, |done| plain::read_at(file, &mut part[done..], at + done as u64))?;
            filled += read;
            if read < wanted {
                break;
            }
        }
        Ok(filled)
    }

    fn write_parts(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let parts = || bytes.chunks(PART_BYTES).zip((offset..).step_by(PART_BYTES));
        let entries: Vec<Entry> = parts()
            .map(|(part, at)| {
                opcode::Write::new(Fd(file.as_raw_fd()), part.as_ptr(), part.len() as u32).offset(at).build()
            })
            .collect();
        // SAFETY: the bytes and the file outlive the call.
        let results = unsafe { self.run(&entries) }.to_vec();
        for ((part, at), result) in parts().zip(results) {
            whole(result, part.len(), |done| {
                plain::write_at(file, &part[done..], at + done as u64).map(|()| part.len() - done)
            })?;
        }
        Ok(())
    }
}

/// What remains of one created file: its time, and its mode where creating did not set it.
fn finish(file: &CreateFile<'_>, results: &[i32]) -> Result<(), CreateFailure> {
    match errno_of(results[0]) {
        Some(errno) if is_undone(errno) => return plain::create_file(file),
        Some(errno) => return Err(CreateFailure::Create(errno.into())),
        None => {}
    }
    let written = match errno_of(results[1]) {
        Some(errno) if is_undone(errno) => None,
        Some(errno) => {
            let _ = platform::remove(file.directory, file.name);
            return Err(CreateFailure::Write(errno.into()));
        }
        None => Some(results[1] as usize),
    };
    let (_, mode) = creation_mode(file);
    if written == Some(file.bytes.len()) && mode.is_none() {
        let times = platform::times(file.mtime_ns);
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        return utimensat(file.directory, file.name.as_bytes(), &times, flags).map_err(|errno| {
            let _ = platform::remove(file.directory, file.name);
            CreateFailure::Attributes(errno.into())
        });
    }
    // Written in part, or with a mode that needs an open file: from the start, with system calls.
    platform::remove(file.directory, file.name).map_err(CreateFailure::Create)?;
    plain::create_file(file)
}

fn read_entry(file: &File, space: &mut [u8], offset: u64) -> Entry {
    opcode::Read::new(Fd(file.as_raw_fd()), space.as_mut_ptr(), space.len() as u32).offset(offset).build()
}

/// Completes what the ring did in part; `rest` goes on after so many bytes and gives how many more it did.
fn whole(result: i32, wanted: usize, rest: impl FnOnce(usize) -> io::Result<usize>) -> io::Result<usize> {
    let done = match errno_of(result) {
        Some(errno) if is_undone(errno) => 0,
        Some(errno) => return Err(errno.into()),
        None => result as usize,
    };
    if done == wanted { Ok(done) } else { rest(done).map(|more| done + more) }
}

/// The result of what the kernel did not begin.
const CANCELED: i32 = -Errno::CANCELED.raw_os_error();

/// Whether an operation failed only because it was interrupted, or had no worker to run in.
fn is_undone(errno: Errno) -> bool {
    matches!(errno, Errno::INTR | Errno::AGAIN | Errno::CANCELED)
}

fn errno_of(result: i32) -> Option<Errno> {
    (result < 0).then(|| Errno::from_raw_os_error(-result))
}

/// A name for the kernel; one with NUL in it, which no file has, becomes empty and fails there.
fn name_of(name: &OsStr) -> CString {
    CString::new(name.as_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_the_kernel_canceled_is_done_with_system_calls() {
        let dir = tempfile::tempdir().unwrap();
        let opened = File::open(dir.path()).unwrap();
        let file = CreateFile {
            directory: opened.as_fd(),
            name: OsStr::new("f"),
            bytes: b"text",
            mode: 0o640,
            mode_is_kept: true,
            mtime_ns: 0,
        };
        finish(&file, &[CANCELED; 3]).unwrap();
        assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"text");
        // Opened, but not written.
        fs::write(dir.path().join("f"), "").unwrap();
        finish(&file, &[0, CANCELED, CANCELED]).unwrap();
        assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"text");
        // What is there is not replaced, whichever way it was found out.
        assert!(matches!(finish(&file, &[CANCELED; 3]), Err(CreateFailure::Create(_))));
        let existing = -Errno::EXIST.raw_os_error();
        assert!(matches!(finish(&file, &[existing, CANCELED, CANCELED]), Err(CreateFailure::Create(_))));
        assert_eq!(whole(CANCELED, 4, |done| Ok(4 - done)).unwrap(), 4);
    }
}

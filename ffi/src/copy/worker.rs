//! One thread of a copy: its buffers, and what everything that it does needs.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_deque::Worker as Deque;
use rustix::fs::Mode;
use rustix::io::Errno;

use super::crew::Job;
use super::failure::Failure;
use super::folder::Folder;
use super::meta::{Meta, noun};
use super::options::{Method, Preserve};
use super::report::{Change, Count, Problem, What};
use super::run::Run;
use super::{enter, entry, extras};
use crate::error::{Error, Kind};
use crate::io::name::quoted;
use crate::transfer::pool::{Buffer, Pool};

/// First pause before a transient failure is tried again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub struct Worker {
    pub run: Arc<Run>,
    pub index: usize,
    stack: Deque<Job>,
    /// Page-aligned; its length is the size of one read.
    pub buffer: Buffer,
    /// Names of extended attributes.
    pub names: Vec<u8>,
    /// Value of one.
    pub value: Vec<u8>,
    /// Pairs of devices and methods that the kernel refused between them.
    pub refused: HashSet<(u64, u64, Method)>,
    /// Both ends of a pipe for splicing.
    pub pipe: Option<(OwnedFd, OwnedFd)>,
    /// This thread's umask is 0, so files get the mode that they are made with.
    pub has_own_umask: bool,
    /// What the process takes away from the modes of new files.
    pub umask: u32,
    /// First attribute of the entry at hand that could not be set.
    pub noted: Option<Failure>,
    temporaries: u64,
}

impl Worker {
    pub fn new(run: Arc<Run>, index: usize, stack: Deque<Job>, pool: &Pool) -> Worker {
        let (has_own_umask, umask) = own_umask();
        let mut buffer = pool.take().expect("as many buffers as threads");
        buffer.set_length(pool.buffer_bytes());
        Worker {
            buffer,
            run,
            index,
            stack,
            names: Vec::new(),
            value: Vec::new(),
            refused: HashSet::new(),
            pipe: None,
            has_own_umask,
            umask,
            noted: None,
            temporaries: 0,
        }
    }

    /// Works until the copy is over.
    pub fn work(mut self) {
        let run = self.run.clone();
        while let Some(job) = run.crew.next(&self.stack, self.index) {
            let handled = catch_unwind(AssertUnwindSafe(|| {
                self.handle(job);
                if run.crew.is_last() {
                    run.all_done();
                }
            }));
            if let Err(panic) = handled {
                // What the job held is not let go of, so the copy would never be over.
                run.stop();
                let error = crate::op::panicked(Some(panic));
                run.report.problem(Problem { path: Vec::new(), error });
                run.report.set_done(true);
            }
        }
    }

    fn handle(&mut self, job: Job) {
        let folder = match job {
            Job::Root(index) => return enter::root(self, index),
            Job::Enter { folder, listing, index } => {
                if !self.is_stopped() {
                    let name = listing.name(index);
                    enter::directory(self, &folder, name, name);
                }
                folder
            }
            Job::Entries { folder, listing, from, to } => {
                for index in from..to {
                    if self.is_stopped() {
                        break;
                    }
                    let name = listing.name(index);
                    entry::copy(self, &folder, (name, name), listing.file_type(index));
                }
                folder
            }
            Job::Again { folder, source_name, target_name } => {
                if !self.is_stopped() {
                    let names = (source_name.as_c_str(), target_name.as_c_str());
                    entry::copy(self, &folder, names, rustix::fs::FileType::Unknown);
                }
                folder
            }
            Job::Delete(extras) => {
                for extra in &extras {
                    if !self.is_stopped() {
                        extras::remove(self, extra);
                    }
                }
                return;
            }
            Job::Reveal { folder } => {
                enter::reveal(self, &folder);
                if let Some(parent) = folder.parent.clone() {
                    self.leave(parent);
                }
                return;
            }
        };
        self.leave(folder);
    }

    /// One job of `folder` is done; the folder and those above it are finished when it was their last.
    pub fn leave(&mut self, folder: Arc<Folder>) {
        let mut folder = folder;
        while folder.is_last() {
            let Some(parent) = folder.parent.clone() else { break };
            if !enter::finish(self, &folder) {
                break;
            }
            folder = parent;
        }
    }

    pub fn push(&self, job: Job) {
        self.run.crew.push(&self.stack, job);
    }

    pub fn preserve(&self) -> Preserve {
        self.run.options.preserve
    }

    pub fn count(&self, count: Count, number: u64) {
        self.run.report.add(self.index, count, number);
    }

    pub fn uncount(&self, count: Count, number: u64) {
        self.run.report.subtract(self.index, count, number);
    }

    /// The copy was cancelled, or cannot go on.
    pub fn is_stopped(&self) -> bool {
        self.run.stopped.load(Ordering::Relaxed)
    }

    /// A name for what is not complete; unlike any other of this run.
    pub fn temporary_name(&mut self) -> CString {
        self.temporaries += 1;
        let name = format!(".wormhole-copy-{}-{:x}-{:x}", self.run.tag, self.index, self.temporaries);
        CString::new(name).expect("no NUL in it")
    }

    /// Waits before try number `attempt`; false when the copy is stopped meanwhile.
    pub fn pause(&self, attempt: u32) -> bool {
        let pause = (FIRST_PAUSE * 2u32.saturating_pow(attempt.min(16))).min(LONGEST_PAUSE);
        !self.run.wait_for_stop(pause)
    }

    /// Reports what became of an entry, when each change is asked for.
    pub fn change(&self, folder: &Folder, target_name: &CStr, what: What, meta: &Meta) {
        if self.run.options.itemize {
            let bytes = if meta.kind() == super::meta::KIND_FILE { meta.size } else { 0 };
            let path = folder.target_path(target_name);
            self.run.report.change(Change { path, what, kind: meta.kind(), bytes, method: None });
        }
    }

    /// As [`Worker::change`] for a file whose bytes were copied.
    pub fn change_by(&self, folder: &Folder, target_name: &CStr, what: What, meta: &Meta, method: Method) {
        if self.run.options.itemize {
            let path = folder.target_path(target_name);
            let change = Change { path, what, kind: meta.kind(), bytes: meta.size, method: Some(method) };
            self.run.report.change(change);
        }
    }

    /// Reports a failure of an entry; the copy goes on unless nothing more can be written.
    pub fn problem(&self, folder: &Folder, (source, target): (&CStr, &CStr), failure: Failure) {
        let is_full = failure.is_full();
        let error = match failure {
            Failure::Cancelled => return,
            Failure::Other(error) => error,
            Failure::Changed => Error::new(
                Kind::SourceChanged,
                format!("Cannot copy {}: it changes while it is copied", quoted(&folder.source_path(source))),
            ),
            Failure::Differs => Error::new(
                Kind::Corrupt,
                format!(
                    "Cannot verify {}: what was read back is not what {} holds",
                    quoted(&folder.target_path(target)),
                    quoted(&folder.source_path(source))
                ),
            ),
            Failure::Source(verb, errno) => system(verb, &folder.source_path(source), errno),
            Failure::Target(verb, errno) => system(verb, &folder.target_path(target), errno),
        };
        // Once the disk is full every thread says so; one sentence is enough.
        if is_full && self.run.stop() {
            return;
        }
        self.count(Count::Failed, 1);
        self.run.report.problem(Problem { path: folder.source_path(source), error });
    }

    /// Reports the attribute of an entry that could not be set; what was copied stays.
    pub fn tell_noted(&mut self, folder: &Folder, names: (&CStr, &CStr)) {
        let error = match self.noted.take() {
            None => return,
            // No room for an attribute says nothing about room for files.
            Some(Failure::Target(verb, errno)) => system(verb, &folder.target_path(names.1), errno),
            Some(failure) => return self.problem(folder, names, failure),
        };
        self.problem(folder, names, Failure::Other(error));
    }

    /// Whether an attribute that could not be carried over is a failure; what is not is counted.
    pub fn is_worth_telling(&self, errno: Errno) -> bool {
        let is_told = match errno {
            Errno::PERM | Errno::ACCESS => self.preserve().required || self.run.is_privileged,
            Errno::NOTSUP | Errno::NOSYS => self.preserve().required,
            _ => true,
        };
        if !is_told {
            self.count(Count::AttributesLeft, 1);
        }
        is_told
    }
}

/// The error of an entry whose place is taken by something of another kind.
pub fn in_the_way(folder: &Folder, target_name: &CStr, there: &Meta) -> Failure {
    let kind =
        if there.kind() == super::meta::KIND_DIRECTORY { Kind::IsDirectory } else { Kind::NotDirectory };
    let path = quoted(&folder.target_path(target_name));
    Failure::Other(Error::new(kind, format!("Cannot replace {path}: it is {}", noun(there.file_type()))))
}

pub fn system(verb: &str, path: &[u8], errno: Errno) -> Error {
    Error::io(format!("Cannot {verb} {}", quoted(path)), &errno.into())
}

/// Gives this thread a umask of its own, 0, and tells what the process's is.
fn own_umask() -> (bool, u32) {
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: only what umask and chdir change is no longer shared with other threads; descriptors still are.
    match unsafe { unshare_unsafe(UnshareFlags::FS) } {
        Ok(()) => (true, rustix::process::umask(Mode::empty()).as_raw_mode()),
        // A sandbox forbids it: every mode is set after a file is made, and what the umask is cannot be asked
        // without changing it for everybody.
        Err(_) => (false, 0o022),
    }
}

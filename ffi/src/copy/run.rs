//! One copy from its first thread to its last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::crew::{Crew, Job};
use super::data::DEFAULT_BUFFER_BYTES;
use super::folder::Folder;
use super::links::Links;
use super::options::{Fsync, Options, Root};
use super::report::{News, Problem, Report};
use super::worker::{Worker, system};
use crate::error::{Error, Kind, Result};
use crate::io::ignores::Rules;
use crate::transfer::pool::Pool;

/// More threads than that gain nothing and cost a buffer each.
const MAX_THREADS: usize = 256;

/// Smallest and largest size of one read and write.
const BUFFER_BYTES: std::ops::RangeInclusive<usize> = 4096..=64 << 20;

/// What the threads of one copy share.
pub struct Run {
    pub options: Options,
    pub roots: Vec<Root>,
    pub rules: Option<Rules>,
    pub report: Report,
    pub crew: Crew,
    pub links: Links,
    /// Part of every temporary name.
    pub tag: String,
    pub is_privileged: bool,
    pub stopped: AtomicBool,
    stop_lock: Mutex<()>,
    stop_wake: Condvar,
    /// Folders that are complete but for their names; they get them when everything is on the disk.
    hidden: Mutex<Vec<Arc<Folder>>>,
    /// Target folders of the roots, whose file systems are synchronised at the end.
    pub synchronised: Mutex<Vec<Arc<Folder>>>,
    /// Directories into which nothing may be copied from above: device and inode of what the roots are put into.
    pub forbidden: Mutex<Vec<(u64, u64)>>,
}

/// A copy in progress. Dropping it stops it and removes what is not complete.
pub struct Copy {
    pub run: Arc<Run>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Copy {
    /// Starts the threads.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a pattern or a number that cannot be used.
    pub fn open(roots: Vec<Root>, options: Options) -> Result<Copy> {
        if options.delete {
            return Err(Error::new(Kind::Unsupported, "Cannot delete while copying: not possible yet"));
        }
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            threads => threads,
        };
        let threads = match options.max_files_in_flight {
            0 => threads,
            files => threads.min(files),
        };
        if threads > MAX_THREADS {
            let text = format!("threads is {threads}: it must be at most {MAX_THREADS}");
            return Err(Error::new(Kind::InvalidArgument, text));
        }
        let buffer_bytes = match options.buffer_size {
            0 => DEFAULT_BUFFER_BYTES,
            bytes if BUFFER_BYTES.contains(&bytes) => bytes,
            bytes => {
                let text = format!(
                    "buffer_size is {bytes}: it must be from {} to {}",
                    BUFFER_BYTES.start(),
                    BUFFER_BYTES.end()
                );
                return Err(Error::new(Kind::InvalidArgument, text));
            }
        };
        let mut random = [0; 4];
        getrandom::fill(&mut random)
            .map_err(|_| Error::new(Kind::Internal, "the system gives no random bytes"))?;
        let (crew, stacks) = Crew::new(threads);
        let run = Arc::new(Run {
            rules: Rules::from_globs(&options.exclude)?,
            report: Report::new(threads),
            crew,
            links: Links::default(),
            tag: format!("{:08x}", u32::from_le_bytes(random)),
            is_privileged: rustix::process::geteuid().is_root(),
            stopped: AtomicBool::new(false),
            stop_lock: Mutex::default(),
            stop_wake: Condvar::new(),
            hidden: Mutex::default(),
            synchronised: Mutex::default(),
            forbidden: Mutex::default(),
            options,
            roots,
        });
        for index in (0..run.roots.len()).rev() {
            run.crew.inject(Job::Root(index));
        }
        if run.roots.is_empty() {
            run.report.set_done(true);
        }
        let pool = Pool::new(buffer_bytes * threads, buffer_bytes, threads);
        let copy = Copy { run: run.clone(), threads: Mutex::default() };
        for (index, stack) in stacks.into_iter().enumerate() {
            let (run, pool) = (run.clone(), pool.clone());
            let work = move || Worker::new(run, index, stack, &pool).work();
            let thread = std::thread::Builder::new().name(format!("wormhole-copy-{index}")).spawn(work);
            let thread = thread.map_err(|error| Error::io("Cannot start a thread", &error))?;
            copy.threads.lock().unwrap().push(thread);
        }
        Ok(copy)
    }

    /// Waits until there is something to tell, at most `patience`.
    pub fn next(&self, patience: Duration) -> News {
        self.run.report.next(patience)
    }

    /// Begins to stop: what is under way is removed, what is complete stays.
    pub fn cancel(&self) {
        self.run.stop();
    }

    /// Stops and waits until nothing is under way.
    pub fn close(&self) {
        self.run.stop();
        self.run.report.give_up();
        self.run.crew.close();
        for thread in self.threads.lock().unwrap().drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.close();
    }
}

impl Run {
    /// Nothing new is begun from now on; true when that was so already.
    pub fn stop(&self) -> bool {
        let was_stopped = self.stopped.swap(true, Ordering::AcqRel);
        let _guard = self.stop_lock.lock().unwrap();
        self.stop_wake.notify_all();
        was_stopped
    }

    /// Waits; true when the copy is stopped.
    pub fn wait_for_stop(&self, pause: Duration) -> bool {
        let guard = self.stop_lock.lock().unwrap();
        let is_running = |_: &mut ()| !self.stopped.load(Ordering::Acquire);
        let _ = self.stop_wake.wait_timeout_while(guard, pause, is_running).unwrap();
        self.stopped.load(Ordering::Acquire)
    }

    /// `folder` is complete: it gets its name when everything is on the disk.
    pub fn hide_until_synchronised(&self, folder: Arc<Folder>) {
        self.hidden.lock().unwrap().push(folder);
    }

    /// The last job is done: forces to the disk what must be there, and gives folders that waited for it their names.
    pub fn all_done(&self) {
        let hidden = std::mem::take(&mut *self.hidden.lock().unwrap());
        if self.options.fsync == Fsync::End && !self.options.dry_run {
            self.synchronise();
        }
        if hidden.is_empty() {
            self.report.set_done(true);
            return;
        }
        for folder in hidden {
            self.crew.inject(Job::Reveal { folder });
        }
    }

    /// Forces the targets' file systems to their disks, each once.
    fn synchronise(&self) {
        let mut devices = Vec::new();
        for folder in self.synchronised.lock().unwrap().iter() {
            let Some(target) = folder.target() else { continue };
            if devices.contains(&folder.target_id.0) {
                continue;
            }
            devices.push(folder.target_id.0);
            if let Err(errno) = rustix::fs::syncfs(&*target) {
                let path = folder.target_path(c"");
                let error = system("write what was copied to the disk of", &path, errno);
                self.report.problem(Problem { path, error });
            }
        }
    }
}

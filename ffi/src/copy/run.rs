//! One copy from its first thread to its last.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::cores;
use super::crew::{Crew, Job};
use super::data::DEFAULT_BUFFER_BYTES;
use super::extras::Extra;
use super::folder::Folder;
use super::journal::{HIDDEN, Journal};
use super::links::Links;
use super::options::{Fsync, Options, Root};
use super::report::{Count, News, Problem, Report};
use super::tally::{self, Tally};
use super::worker::{Worker, system};
use crate::error::{Error, Kind, Result};
use crate::io::ignores::Rules;
use crate::transfer::pool::Pool;

/// More threads than that gain nothing and cost a buffer each.
const MAX_THREADS: usize = 256;

/// Smallest and largest size of one read and write.
const BUFFER_BYTES: std::ops::RangeInclusive<usize> = 4096..=64 << 20;

/// Entries that one job deletes.
const DELETE_BATCH: usize = 64;

/// How far the deleting of extra entries is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Deleting {
    #[default]
    NotYet,
    /// Everything else is done; somebody has to say whether.
    Asked,
    Answered,
}

/// What the threads of one copy share.
pub struct Run {
    pub options: Options,
    pub roots: Vec<Root>,
    pub rules: Option<Rules>,
    /// Of a copy that may be stopped and gone on with; parts of files are noted in it only where this run goes on with another.
    pub journal: Option<Journal>,
    pub report: Report,
    pub crew: Crew,
    pub links: Links,
    /// What there is in all, where it is counted ahead.
    pub tally: Tally,
    /// Part of every temporary name.
    pub tag: String,
    pub is_privileged: bool,
    pub stopped: AtomicBool,
    stop_lock: Mutex<()>,
    stop_wake: Condvar,
    /// Folders that are complete but for their names; they get them when everything is on the disk.
    hidden: Mutex<Vec<Arc<Folder>>>,
    /// What the targets have and the sources have not.
    pub extras: Mutex<Vec<Extra>>,
    deleting: Mutex<Deleting>,
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
            journal: match options.journal.as_deref() {
                Some(path) if options.resume => Some(Journal::open(path)?),
                // Nobody asked for it: a copy does without.
                path => path.and_then(|path| Journal::begin(path).ok()),
            },
            report: Report::new(threads),
            crew,
            links: Links::default(),
            tally: Tally::default(),
            tag: format!("{:08x}", u32::from_le_bytes(random)),
            is_privileged: rustix::process::geteuid().is_root(),
            stopped: AtomicBool::new(false),
            stop_lock: Mutex::default(),
            stop_wake: Condvar::new(),
            hidden: Mutex::default(),
            extras: Mutex::default(),
            deleting: Mutex::default(),
            synchronised: Mutex::default(),
            forbidden: Mutex::default(),
            options,
            roots,
        });
        run.crew.inject_all((0..run.roots.len()).map(Job::Root).collect());
        if run.roots.is_empty() {
            run.report.set_done(true);
        }
        let pool = Pool::new(buffer_bytes * threads, buffer_bytes, threads);
        let copy = Copy { run: run.clone(), threads: Mutex::default() };
        // Two threads that share a core for good would be worse than none that is pinned.
        let cores =
            Some(cores::allowed_from_here()).filter(|cores| run.options.pin && cores.len() >= threads);
        for (index, stack) in stacks.into_iter().enumerate() {
            let (run, pool) = (run.clone(), pool.clone());
            let core = cores.as_ref().map(|cores| cores[index]);
            copy.spawn(index.to_string(), move || {
                if let Some(core) = core {
                    cores::pin(core);
                }
                Worker::new(run, index, stack, &pool).work();
            })?;
        }
        if run.options.count_ahead {
            copy.spawn("count".into(), move || tally::count_ahead(&run))?;
        }
        Ok(copy)
    }

    fn spawn(&self, name: String, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name(format!("wormhole-copy-{name}")).spawn(work);
        let thread = thread.map_err(|error| Error::io("Cannot start a thread", &error))?;
        self.threads.lock().unwrap().push(thread);
        Ok(())
    }

    /// Waits until there is something to tell, at most `patience`.
    pub fn next(&self, patience: Duration) -> News {
        self.run.report.next(patience)
    }

    /// Answers [`Copy::deletions`]: deletes what was listed, or ends the copy without.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when nothing was asked, or it was answered already.
    pub fn delete(&self, go: bool) -> Result<()> {
        let mut deleting = self.run.deleting.lock().unwrap();
        if *deleting != Deleting::Asked {
            return Err(Error::new(Kind::InvalidArgument, "Cannot delete: the copy does not wait for that"));
        }
        *deleting = Deleting::Answered;
        let mut extras = std::mem::take(&mut *self.run.extras.lock().unwrap());
        if !go || extras.is_empty() {
            self.run.report.set_done(true);
            return Ok(());
        }
        let mut jobs = Vec::new();
        while !extras.is_empty() {
            let rest = extras.len().saturating_sub(DELETE_BATCH);
            jobs.push(Job::Delete(extras.split_off(rest)));
        }
        self.run.crew.inject_all(jobs);
        Ok(())
    }

    /// Entries that the sources do not have, those of them that are directories, and all entries of the targets' folders
    /// that were there before; once everything else is done.
    pub fn deletions(&self) -> Option<(u64, u64, u64)> {
        if *self.run.deleting.lock().unwrap() == Deleting::NotYet {
            return None;
        }
        let total = |count| self.run.report.total(count);
        Some((total(Count::Extra), total(Count::ExtraDirectories), total(Count::TargetEntries)))
    }

    /// Begins to stop: what is under way is removed, what is complete stays.
    pub fn cancel(&self) {
        self.run.stop();
        let mut deleting = self.run.deleting.lock().unwrap();
        if *deleting == Deleting::Asked {
            *deleting = Deleting::Answered;
            self.run.report.set_done(true);
        }
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

    /// Whether a hidden name is one of this run.
    pub fn is_own(&self, name: &CStr) -> bool {
        name.to_bytes().strip_prefix(HIDDEN).is_some_and(|rest| rest.starts_with(self.tag.as_bytes()))
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
        // Who stops a copy does not wait for the disk.
        if self.options.fsync == Fsync::End && !self.options.dry_run && !self.stopped.load(Ordering::Acquire)
        {
            self.synchronise();
        }
        if !hidden.is_empty() {
            self.crew.inject_all(hidden.into_iter().map(|folder| Job::Reveal { folder }).collect());
            return;
        }
        let mut deleting = self.deleting.lock().unwrap();
        let is_stopped = self.stopped.load(Ordering::Acquire);
        if self.options.delete && *deleting == Deleting::NotYet && !is_stopped {
            *deleting = Deleting::Asked;
            self.report.nudge();
            return;
        }
        self.report.set_done(true);
    }

    /// Forces the targets' file systems to their disks, each once.
    fn synchronise(&self) {
        let mut devices = Vec::new();
        for folder in self.synchronised.lock().unwrap().iter() {
            let Ok(Some(target)) = folder.target() else { continue };
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

//! The threads' work: each has a stack of its own, takes from the other end of another's when that is empty, and sleeps
//! when there is nothing anywhere.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex};

use crossbeam_deque::{Injector, Steal, Stealer, Worker as Deque};

use super::extras::Extra;
use super::folder::Folder;
use super::listing::Listing;

/// A piece of work. Each but the first holds one `pending` of its folder.
pub enum Job {
    /// One of the things that the person named.
    Root(usize),
    /// A directory of `folder`.
    Enter { folder: Arc<Folder>, listing: Arc<Listing>, index: usize },
    /// Entries of `folder` that are no directories.
    Entries { folder: Arc<Folder>, listing: Arc<Listing>, from: usize, to: usize },
    /// An entry that waited for another name of the same file, which failed.
    Again { folder: Arc<Folder>, source_name: CString, target_name: CString },
    /// The last part of a folder that waited with a hidden name until everything was on the disk.
    Reveal { folder: Arc<Folder> },
    /// Entries of the target that the source has not, confirmed.
    Delete(Vec<Extra>),
}

pub struct Crew {
    stealers: Vec<Stealer<Job>>,
    injector: Injector<Job>,
    /// Jobs that are not done, wherever they are.
    outstanding: AtomicUsize,
    sleeping: AtomicUsize,
    closed: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
    steals: AtomicU64,
    sleeps: AtomicU64,
}

impl Crew {
    /// A crew and the stacks of its threads.
    pub fn new(threads: usize) -> (Crew, Vec<Deque<Job>>) {
        let stacks: Vec<Deque<Job>> = (0..threads).map(|_| Deque::new_lifo()).collect();
        let crew = Crew {
            stealers: stacks.iter().map(Deque::stealer).collect(),
            injector: Injector::new(),
            outstanding: AtomicUsize::new(0),
            sleeping: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            lock: Mutex::default(),
            wake: Condvar::new(),
            steals: AtomicU64::new(0),
            sleeps: AtomicU64::new(0),
        };
        (crew, stacks)
    }

    /// Adds jobs from outside of the threads; none is the last before all are added.
    pub fn inject_all(&self, jobs: Vec<Job>) {
        self.outstanding.fetch_add(jobs.len(), Ordering::AcqRel);
        for job in jobs {
            self.injector.push(job);
            self.wake_one();
        }
    }

    /// Adds a job to a thread's own stack: it is done next unless another thread takes it.
    pub fn push(&self, stack: &Deque<Job>, job: Job) {
        self.outstanding.fetch_add(1, Ordering::AcqRel);
        stack.push(job);
        self.wake_one();
    }

    /// Tells that a job is done; true when none is left.
    pub fn is_last(&self) -> bool {
        self.outstanding.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Waits for a job; `None` once the crew is closed.
    pub fn next(&self, stack: &Deque<Job>, thread: usize) -> Option<Job> {
        loop {
            if let Some(job) = self.find(stack, thread) {
                return Some(job);
            }
            let guard = self.lock.lock().unwrap();
            self.sleeping.fetch_add(1, Ordering::SeqCst);
            // Whoever pushes looks at `sleeping` after the push, so either it sees this thread or the thread sees the job.
            fence(Ordering::SeqCst);
            let job = self.find(stack, thread);
            if job.is_none() && !self.closed.load(Ordering::Acquire) {
                self.sleeps.fetch_add(1, Ordering::Relaxed);
                drop(self.wake.wait(guard).unwrap());
            }
            self.sleeping.fetch_sub(1, Ordering::SeqCst);
            if job.is_some() {
                return job;
            }
            if self.closed.load(Ordering::Acquire) {
                return None;
            }
        }
    }

    fn find(&self, stack: &Deque<Job>, thread: usize) -> Option<Job> {
        if let Some(job) = stack.pop() {
            return Some(job);
        }
        let others = (1..self.stealers.len()).map(|step| (thread + step) % self.stealers.len());
        let mut steal = self.injector.steal();
        for other in others {
            if let Steal::Success(job) = steal {
                return Some(job);
            }
            let next = self.stealers[other].steal();
            if let Steal::Success(_) = next {
                self.steals.fetch_add(1, Ordering::Relaxed);
            }
            steal = if next.is_empty() && steal.is_retry() { steal } else { next };
        }
        match steal {
            Steal::Success(job) => Some(job),
            Steal::Empty => None,
            // Another thread was in the way; there may be something still.
            Steal::Retry => self.find(stack, thread),
        }
    }

    fn wake_one(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) > 0 {
            let _guard = self.lock.lock().unwrap();
            self.wake.notify_one();
        }
    }

    /// Lets the threads end once they find nothing to do.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let _guard = self.lock.lock().unwrap();
        self.wake.notify_all();
    }

    /// Jobs that were taken from another thread, and how often one slept.
    pub fn steals_and_sleeps(&self) -> (u64, u64) {
        (self.steals.load(Ordering::Relaxed), self.sleeps.load(Ordering::Relaxed))
    }
}

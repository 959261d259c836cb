//! What a copy tells while it runs: counters of each thread, failures, changes. Bounded: who tells waits for who listens.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use super::options::Method;
use crate::error::Error;

/// Failures and changes that may wait to be told; after that the threads wait as well.
const MAX_WAITING: usize = 16 * 1024;

/// Failures and changes that one call tells.
const MAX_TOLD: usize = 1024;

macro_rules! counts {
    ($($name:ident,)*) => {
        /// One counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Count { $($name,)* }
        const COUNTS: usize = [$(Count::$name,)*].len();
    };
}

counts! {
    Files, Directories, Symlinks, Specials, Hardlinks, Bytes, Unchanged, UnchangedBytes, Failed, TotalFiles, TotalBytes, AttributesLeft,
    Deleted, Extra, ExtraDirectories, TargetEntries,
    Reflink, CopyFileRange, Splice, IoUring, ReadWrite, Direct, Mmap,
}

/// The counter of a method; what `auto` did is counted as what it chose.
pub fn count_of(method: Method) -> Count {
    match method {
        Method::Reflink => Count::Reflink,
        Method::CopyFileRange => Count::CopyFileRange,
        Method::Splice => Count::Splice,
        Method::IoUring => Count::IoUring,
        Method::Auto | Method::ReadWrite => Count::ReadWrite,
        Method::Direct => Count::Direct,
        Method::Mmap => Count::Mmap,
    }
}

/// What a method is called where it is chosen.
pub fn name_of(method: Method) -> &'static str {
    match method {
        Method::Auto => "auto",
        Method::Reflink => "reflink",
        Method::CopyFileRange => "copy_file_range",
        Method::Splice => "splice",
        Method::IoUring => "io_uring",
        Method::ReadWrite => "read_write",
        Method::Direct => "direct",
        Method::Mmap => "mmap",
    }
}

/// Something that could not be copied.
#[derive(Clone, Debug)]
pub struct Problem {
    pub path: Vec<u8>,
    pub error: Error,
}

/// What happened, or would happen, to one entry of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    New,
    Content,
    Attributes,
    Delete,
    /// Another kind of entry takes its place.
    Kind,
}

impl What {
    pub fn name(self) -> &'static str {
        match self {
            What::New => "new",
            What::Content => "content",
            What::Attributes => "attributes",
            What::Delete => "delete",
            What::Kind => "kind",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Change {
    pub path: Vec<u8>,
    pub what: What,
    pub kind: u8,
    pub bytes: u64,
    /// How the bytes of a file were moved.
    pub method: Option<Method>,
}

/// Counters of one thread, on cache lines of their own.
#[repr(align(128))]
#[derive(Default)]
struct Row([AtomicU64; COUNTS]);

#[derive(Default)]
struct Waiting {
    problems: Vec<Problem>,
    changes: Vec<Change>,
    /// There is something else to look at.
    is_nudged: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.problems.is_empty() && self.changes.is_empty() && !self.is_nudged
    }
}

pub struct Report {
    rows: Vec<Row>,
    waiting: Mutex<Waiting>,
    told: Condvar,
    news: Condvar,
    /// Nobody waits to tell any more: the copy was given up.
    deaf: AtomicBool,
    done: AtomicBool,
}

/// One answer to "what is new?".
pub struct News {
    pub done: bool,
    pub problems: Vec<Problem>,
    pub changes: Vec<Change>,
}

impl Report {
    pub fn new(threads: usize) -> Report {
        Report {
            rows: (0..threads).map(|_| Row::default()).collect(),
            waiting: Mutex::default(),
            told: Condvar::new(),
            news: Condvar::new(),
            deaf: AtomicBool::new(false),
            done: AtomicBool::new(false),
        }
    }

    /// Adds to a counter; each thread has its own row.
    pub fn add(&self, thread: usize, count: Count, number: u64) {
        self.rows[thread].0[count as usize].fetch_add(number, Ordering::Relaxed);
    }

    /// Takes back what was counted too early.
    pub fn subtract(&self, thread: usize, count: Count, number: u64) {
        self.rows[thread].0[count as usize].fetch_sub(number, Ordering::Relaxed);
    }

    pub fn total(&self, count: Count) -> u64 {
        let cells = self.rows.iter().map(|row| row.0[count as usize].load(Ordering::Relaxed));
        // A thread's row may go below zero: one adds, another takes back.
        cells.fold(0, u64::wrapping_add)
    }

    pub fn problem(&self, problem: Problem) {
        self.tell(|waiting| waiting.problems.push(problem));
    }

    pub fn change(&self, change: Change) {
        self.tell(|waiting| waiting.changes.push(change));
    }

    fn tell(&self, put: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.waiting.lock().unwrap();
        while waiting.problems.len().max(waiting.changes.len()) >= MAX_WAITING && !self.is_deaf() {
            waiting = self.told.wait(waiting).unwrap();
        }
        put(&mut waiting);
        self.news.notify_all();
    }

    fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Acquire)
    }

    /// Whoever waits to tell goes on: nobody listens any more.
    pub fn give_up(&self) {
        self.deaf.store(true, Ordering::Release);
        let _waiting = self.waiting.lock().unwrap();
        self.told.notify_all();
    }

    pub fn set_done(&self, done: bool) {
        let _waiting = self.waiting.lock().unwrap();
        self.done.store(done, Ordering::Release);
        self.news.notify_all();
    }

    /// Ends the wait of whoever listens, once.
    pub fn nudge(&self) {
        self.waiting.lock().unwrap().is_nudged = true;
        self.news.notify_all();
    }

    /// Waits until there is something to tell, the copy is done, or `patience` has passed.
    pub fn next(&self, patience: Duration) -> News {
        let until = Instant::now() + patience;
        let mut waiting = self.waiting.lock().unwrap();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if !waiting.is_empty() || self.done.load(Ordering::Acquire) || left.is_zero() {
                break;
            }
            waiting = self.news.wait_timeout(waiting, left).unwrap().0;
        }
        let problems = take(&mut waiting.problems);
        let changes = take(&mut waiting.changes);
        waiting.is_nudged = false;
        let done = waiting.is_empty() && self.done.load(Ordering::Acquire);
        self.told.notify_all();
        News { done, problems, changes }
    }
}

fn take<T>(from: &mut Vec<T>) -> Vec<T> {
    let many = from.len().min(MAX_TOLD);
    from.drain(..many).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: usize) -> Change {
        Change { path: number.to_string().into_bytes(), what: What::New, kind: 1, bytes: 0, method: None }
    }

    #[test]
    fn next_tells_everything_in_order_before_it_says_done() {
        let report = Report::new(1);
        for number in 0..1500 {
            report.change(change(number));
        }
        report.set_done(true);
        let first = report.next(Duration::from_secs(60));
        assert_eq!((first.changes.len(), first.done), (MAX_TOLD, false));
        let second = report.next(Duration::from_secs(60));
        assert_eq!(second.changes[0].path, MAX_TOLD.to_string().into_bytes());
        assert_eq!((second.changes.len(), second.done), (1500 - MAX_TOLD, true));
    }

    #[test]
    fn who_tells_waits_for_who_listens_until_nobody_does() {
        let report = Report::new(1);
        for number in 0..MAX_WAITING {
            report.change(change(number));
        }
        std::thread::scope(|scope| {
            let teller = scope.spawn(|| (0..MAX_TOLD).for_each(|number| report.change(change(number))));
            assert_eq!(report.next(Duration::from_secs(60)).changes.len(), MAX_TOLD);
            teller.join().unwrap();
            let teller = scope.spawn(|| report.change(change(0)));
            report.give_up();
            teller.join().unwrap();
        });
    }

    #[test]
    fn counters_of_all_threads_count_together() {
        let report = Report::new(2);
        report.add(0, Count::Bytes, 5);
        report.subtract(1, Count::Bytes, 2);
        assert_eq!(report.total(Count::Bytes), 3);
    }
}

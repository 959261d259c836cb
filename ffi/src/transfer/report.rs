//! What an engine tells TypeScript: counters, failures and the error that ended it, in batches.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_bytes::ByteBuf;
use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::io::name::quoted;

/// How often a running engine reports, so that TypeScript is not woken for every chunk.
const REPORT_EVERY: Duration = Duration::from_millis(80);

/// While no more than this moved since the last report, somebody may be waiting for it and for nothing else: a few
/// ranges of a file, a page of small files. Less than one frame of bulk data.
const PROMPT_BYTES: u64 = 256 * 1024;

/// How long such news waits for more, which is then told with it.
const PROMPT_AFTER: Duration = Duration::from_millis(1);

/// Failures kept for the next report; TypeScript never has more entries than this under way.
const MAX_FAILURES: usize = 65_536;

/// One entry that could not be moved.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    pub entry: u32,
    pub path: ByteBuf,
    pub kind: u16,
    pub text: String,
}

impl Failure {
    pub fn new(entry: u32, path: &[u8], error: &Error) -> Failure {
        Failure { entry, path: ByteBuf::from(path), kind: error.kind as u16, text: error.text.clone() }
    }

    /// A failure in staging, told with the path that the person knows.
    pub fn placed(entry: u32, staged: &[u8], final_path: &[u8], error: &Error) -> Failure {
        let text = error.text.replace(&quoted(staged), &quoted(final_path));
        Failure { entry, path: ByteBuf::from(final_path), kind: error.kind as u16, text }
    }
}

/// Counters since the engine started.
#[derive(Default)]
pub struct Report {
    /// Plaintext bytes that were read (send) or verified and written (receive).
    pub bytes: AtomicU64,
    /// Payload bytes on the wire, after compression, with frame headers.
    pub bytes_wire: AtomicU64,
    pub files_done: AtomicU64,
    /// Microseconds that threads spent waiting for the link; see [`Report::blocked`] for those that still wait.
    pub blocked_us: AtomicU64,
    /// Threads that wait for the link just now, and the sum of when they began, in microseconds of `started`.
    waiting: Mutex<(u64, u64)>,
    started: Started,
    failures: Mutex<Vec<Failure>>,
    fatal: Mutex<Option<Error>>,
    /// `bytes` at the last report.
    reported: AtomicU64,
    urgent: AtomicBool,
    news: Notify,
}

/// When the engine was made.
struct Started(Instant);

impl Default for Started {
    fn default() -> Started {
        Started(Instant::now())
    }
}

impl Report {
    /// Does `work`, which waits for the link, and counts the time.
    pub fn waiting<T>(&self, work: impl FnOnce() -> T) -> T {
        let begin = self.now_us();
        let change = |by: &dyn Fn(&mut (u64, u64))| by(&mut self.waiting.lock().unwrap());
        change(&|(threads, begins)| (*threads, *begins) = (*threads + 1, *begins + begin));
        let result = work();
        change(&|(threads, begins)| {
            (*threads, *begins) = (*threads - 1, *begins - begin);
            self.blocked_us.fetch_add(self.now_us() - begin, Ordering::Relaxed);
        });
        result
    }

    /// Threads that wait for the link just now.
    pub fn waiting_threads(&self) -> u64 {
        self.waiting.lock().unwrap().0
    }

    /// Microseconds that threads have waited for the link until now. A frame takes seconds on a slow link: those that
    /// are under way count as well.
    pub fn blocked(&self) -> u64 {
        let (threads, begins) = *self.waiting.lock().unwrap();
        let now = self.now_us();
        self.blocked_us.load(Ordering::Relaxed) + (threads * now).saturating_sub(begins)
    }

    fn now_us(&self) -> u64 {
        self.started.0.elapsed().as_micros() as u64
    }

    /// Counts moved bytes; TypeScript hears of it with the next report.
    pub fn moved(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.news.notify_one();
    }

    pub fn file_done(&self) {
        self.files_done.fetch_add(1, Ordering::Relaxed);
    }

    pub fn failed(&self, failure: Failure) {
        let mut failures = self.failures.lock().unwrap();
        if failures.len() < MAX_FAILURES {
            failures.push(failure);
        }
        drop(failures);
        self.news.notify_one();
    }

    /// Ends the engine with `error`; the first one counts.
    pub fn fail(&self, error: Error) {
        self.fatal.lock().unwrap().get_or_insert(error);
        self.hurry();
    }

    /// Tells TypeScript at once: something was finished.
    pub fn hurry(&self) {
        self.urgent.store(true, Ordering::Release);
        self.news.notify_one();
    }

    pub fn is_fatal(&self) -> bool {
        self.fatal.lock().unwrap().is_some()
    }

    pub fn check(&self) -> Result<()> {
        match &*self.fatal.lock().unwrap() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    pub fn take_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut *self.failures.lock().unwrap())
    }

    /// Waits for news; coalesces what happens within [`REPORT_EVERY`] unless it is urgent, or little and the end of it.
    pub async fn wait(&self) -> Result<()> {
        self.news.notified().await;
        let until = Instant::now() + REPORT_EVERY;
        while !self.urgent.swap(false, Ordering::AcqRel) {
            let moved = self.bytes.load(Ordering::Relaxed) - self.reported.load(Ordering::Relaxed);
            let quiet = if moved <= PROMPT_BYTES { until.min(Instant::now() + PROMPT_AFTER) } else { until };
            if tokio::time::timeout_at(quiet.into(), self.news.notified()).await.is_err() {
                break;
            }
        }
        self.reported.store(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        self.check()
    }
}

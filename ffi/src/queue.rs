//! The submission/completion queue: TypeScript submits, Rust completes, one wait is outstanding.
//!
//! A completion record is `token u32, status u8, 3 bytes zero, length u32, payload` (little endian);
//! status 0 carries the result's CBOR, status 1 the CBOR of `{kind, errno, text}`.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context as TaskContext, Poll};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};
use crate::handles::Handles;
use crate::op;

/// Bytes of a completion record before its payload.
pub const RECORD_HEADER_BYTES: usize = 12;

const STATUS_OK: u8 = 0;
const STATUS_ERROR: u8 = 1;

struct Completion {
    token: u32,
    status: u8,
    payload: Vec<u8>,
}

#[derive(Default)]
struct State {
    done: VecDeque<Completion>,
    woken: bool,
    waiting: bool,
}

/// One queue with its async runtime and the objects that its operations opened.
pub struct Queue {
    state: Mutex<State>,
    ready: Condvar,
    cancels: Mutex<HashMap<u32, oneshot::Sender<()>>>,
    closed: AtomicBool,
    runtime: Mutex<Option<tokio::runtime::Runtime>>,
    handle: tokio::runtime::Handle,
    pub objects: Handles,
}

#[derive(Serialize)]
struct ErrorRecord<'a> {
    kind: u16,
    errno: i32,
    text: &'a str,
}

impl Queue {
    /// Starts the runtime: `threads` async workers; blocking work has threads of its own.
    pub fn open(threads: usize) -> Result<Arc<Queue>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.clamp(1, 64))
            .thread_name("wormhole-io")
            .enable_all()
            .build()
            .map_err(|error| Error::io("Cannot start the native runtime", &error))?;
        Ok(Arc::new(Queue {
            state: Mutex::default(),
            ready: Condvar::new(),
            cancels: Mutex::default(),
            closed: AtomicBool::new(false),
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            objects: Handles::default(),
        }))
    }

    /// The async runtime, for threads that drive async streams.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.handle
    }

    /// Starts operation `name`; its completion carries `token`, which must not be in use.
    pub fn submit(self: &Arc<Queue>, token: u32, name: &str, args: &[u8]) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(Kind::Closed, "the queue is closed"));
        }
        let start = op::find(name)
            .ok_or_else(|| Error::new(Kind::Unsupported, format!("no native operation \"{name}\"")))?;
        let (cancel, cancelled) = oneshot::channel();
        self.cancels.lock().unwrap().insert(token, cancel);
        let future = {
            let _inside = self.handle.enter();
            CatchUnwind(start(self.clone(), args))
        };
        let queue = self.clone();
        self.handle.spawn(async move {
            let result = tokio::select! {
                biased;
                result = future => result,
                _ = cancelled => Err(if queue.closed.load(Ordering::Acquire) {
                    Error::new(Kind::Closed, "the queue is closed")
                } else {
                    Error::new(Kind::Cancelled, "cancelled")
                }),
            };
            queue.complete(token, result);
        });
        Ok(())
    }

    /// Ends the operation behind `token` with `CANCELLED` unless it has completed.
    pub fn cancel(&self, token: u32) {
        if let Some(cancel) = self.cancels.lock().unwrap().remove(&token) {
            let _ = cancel.send(());
        }
    }

    /// Writes waiting completions into `buffer`, blocking until there is one.
    ///
    /// Gives the bytes written; 0 when woken or closed; a negative size when the first record
    /// needs that much more room than `buffer` has.
    pub fn wait(&self, buffer: &mut [u8]) -> i64 {
        let mut state = self.state.lock().unwrap();
        if state.waiting {
            return 0;
        }
        state.waiting = true;
        while state.done.is_empty() && !state.woken && !self.closed.load(Ordering::Acquire) {
            state = self.ready.wait(state).unwrap();
        }
        state.waiting = false;
        state.woken = false;
        let mut used = 0;
        while let Some(next) = state.done.front() {
            let size = RECORD_HEADER_BYTES + next.payload.len();
            if used + size > buffer.len() {
                return if used == 0 { -(size as i64) } else { used as i64 };
            }
            let record = &mut buffer[used..used + size];
            record[0..4].copy_from_slice(&next.token.to_le_bytes());
            record[4..8].copy_from_slice(&[next.status, 0, 0, 0]);
            record[8..12].copy_from_slice(&(next.payload.len() as u32).to_le_bytes());
            record[12..].copy_from_slice(&next.payload);
            used += size;
            state.done.pop_front();
        }
        used as i64
    }

    /// Ends an outstanding wait, now or as soon as it begins.
    pub fn wake(&self) {
        self.state.lock().unwrap().woken = true;
        self.ready.notify_all();
    }

    /// Stops every operation and closes every object; an outstanding wait returns 0.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.cancels.lock().unwrap().clear();
        self.objects.clear();
        if let Some(runtime) = self.runtime.lock().unwrap().take() {
            runtime.shutdown_background();
        }
        self.wake();
    }

    fn complete(&self, token: u32, result: Result<Vec<u8>>) {
        self.cancels.lock().unwrap().remove(&token);
        let completion = match result {
            Ok(payload) => Completion { token, status: STATUS_OK, payload },
            Err(error) => Completion { token, status: STATUS_ERROR, payload: encode_error(&error) },
        };
        self.state.lock().unwrap().done.push_back(completion);
        self.ready.notify_one();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.lock().unwrap().take() {
            runtime.shutdown_background();
        }
    }
}

/// The CBOR of `{kind, errno, text}`.
pub fn encode_error(error: &Error) -> Vec<u8> {
    let record = ErrorRecord { kind: error.kind as u16, errno: error.errno, text: &error.text };
    op::encode(&record).unwrap_or_default()
}

/// Turns a panic while polling into an error, so that one bad operation does not end the program.
struct CatchUnwind(op::OpFuture);

impl Future for CatchUnwind {
    type Output = Result<Vec<u8>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let inner = self.0.as_mut();
        match std::panic::catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(poll) => poll,
            Err(payload) => Poll::Ready(Err(op::panicked(Some(payload)))),
        }
    }
}

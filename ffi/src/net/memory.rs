//! A connection inside one process, with the semantics of the others: bounded, ordered, closable.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};

use bytes::{Buf, Bytes};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::control::Control;
use super::life::{Interrupt, Life};
use super::{Connection, MAX_BULK_STREAMS, Payload, PeerKey, Sink, Source};
use crate::error::{Error, Kind, Result};

/// What a bulk stream holds before `write` blocks.
const PIPE_BYTES: usize = 8 << 20;

/// What the control stream holds before `send` blocks.
const CONTROL_PIPE_BYTES: usize = 256 << 10;

/// A key that no machine has, since there is no peer to prove one.
const NOBODY: PeerKey = [0; 32];

/// Makes two connections that talk to each other, on the current runtime.
pub fn pair() -> (Connection, Connection) {
    let (a_control, b_control) = tokio::io::duplex(CONTROL_PIPE_BYTES);
    let (a_opens, b_accepts) = mpsc::channel(MAX_BULK_STREAMS);
    let (b_opens, a_accepts) = mpsc::channel(MAX_BULK_STREAMS);
    (side(a_control, a_opens, a_accepts), side(b_control, b_opens, b_accepts))
}

fn side(
    control: tokio::io::DuplexStream,
    opens: mpsc::Sender<Arc<Pipe>>,
    accepts: mpsc::Receiver<Arc<Pipe>>,
) -> Connection {
    let life = Life::new();
    let (reader, writer) = tokio::io::split(control);
    let control = Control::start(life.clone(), reader, writer);
    let bulk = Bulk { life: life.clone(), opens, accepts: AsyncMutex::new(accepts) };
    Connection::new(NOBODY, "memory".to_owned(), control, super::Bulk::Memory(bulk), life)
}

pub(super) struct Bulk {
    life: Arc<Life>,
    opens: mpsc::Sender<Arc<Pipe>>,
    accepts: AsyncMutex<mpsc::Receiver<Arc<Pipe>>>,
}

impl Bulk {
    pub fn open_sink(&self) -> Result<Box<dyn Sink>> {
        let pipe = Arc::new(Pipe::default());
        self.life.watch(pipe.clone());
        match self.opens.try_send(pipe.clone()) {
            Ok(()) => Ok(Box::new(MemorySink { pipe, life: self.life.clone(), finished: false })),
            Err(mpsc::error::TrySendError::Full(_)) => Err(super::too_many_streams(MAX_BULK_STREAMS + 1)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.life.bulk_error("the peer is gone")),
        }
    }

    pub async fn next_source(&self) -> Result<Box<dyn Source>> {
        let next = async { self.accepts.lock().await.recv().await };
        let pipe = tokio::select! {
            biased;
            error = self.life.wait() => return Err(error),
            pipe = next => pipe.ok_or_else(|| self.life.bulk_error("the peer is gone"))?,
        };
        self.life.watch(pipe.clone());
        Ok(Box::new(MemorySource { pipe, life: self.life.clone() }))
    }
}

#[derive(Default)]
struct Pipe {
    state: Mutex<PipeState>,
    changed: Condvar,
}

#[derive(Default)]
struct PipeState {
    parts: VecDeque<Bytes>,
    held: usize,
    finished: bool,
    broken: bool,
}

impl Pipe {
    fn break_off(&self) {
        let mut state = self.state.lock().unwrap();
        state.broken = true;
        // Nobody reads them any more, and they are buffers that another stream may be waiting for.
        state.parts.clear();
        drop(state);
        self.changed.notify_all();
    }
}

impl Interrupt for Pipe {
    fn interrupt(&self, _: &Error) {
        self.break_off();
    }
}

struct MemorySink {
    pipe: Arc<Pipe>,
    life: Arc<Life>,
    finished: bool,
}

impl Sink for MemorySink {
    fn write(&mut self, head: &[u8], payload: Payload) -> Result<()> {
        let parts = [Bytes::copy_from_slice(head), payload.into_bytes()];
        self.life.count_copied(head.len());
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let mut state = self.pipe.state.lock().unwrap();
            while state.held >= PIPE_BYTES && !state.broken {
                state = self.pipe.changed.wait(state).unwrap();
            }
            if state.broken {
                return Err(self.life.bulk_error("the peer stopped reading"));
            }
            let length = part.len();
            state.held += length;
            state.parts.push_back(part);
            self.pipe.changed.notify_all();
            self.life.count_sent(length);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let mut state = self.pipe.state.lock().unwrap();
        if state.broken {
            return Err(self.life.bulk_error("the peer stopped reading"));
        }
        state.finished = true;
        self.finished = true;
        self.pipe.changed.notify_all();
        Ok(())
    }
}

impl Drop for MemorySink {
    fn drop(&mut self) {
        if !self.finished {
            self.pipe.break_off();
        }
    }
}

struct MemorySource {
    pipe: Arc<Pipe>,
    life: Arc<Life>,
}

impl Source for MemorySource {
    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            let mut state = self.pipe.state.lock().unwrap();
            while state.parts.is_empty() && !state.finished && !state.broken {
                state = self.pipe.changed.wait(state).unwrap();
            }
            if state.broken {
                return Err(self.life.bulk_error("the peer broke it off"));
            }
            let Some(front) = state.parts.front_mut() else {
                if filled == 0 {
                    return Ok(false);
                }
                return Err(Error::new(Kind::ConnectionLost, "the bulk stream ended inside a frame"));
            };
            let take = front.len().min(buffer.len() - filled);
            front.copy_to_slice(&mut buffer[filled..filled + take]);
            if front.is_empty() {
                state.parts.pop_front();
            }
            state.held -= take;
            filled += take;
            self.pipe.changed.notify_all();
        }
        self.life.count_received(filled);
        self.life.count_copied(filled);
        Ok(true)
    }
}

impl Drop for MemorySource {
    fn drop(&mut self) {
        self.pipe.break_off();
    }
}

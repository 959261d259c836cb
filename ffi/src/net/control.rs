//! The control stream: `length u32 LE`, then that many bytes, over any ordered byte stream.
//!
//! A connection that is closed with a reason ends with a close mark instead of a length.
//! A reader and a writer task own the stream, so that a cancelled `send` or `recv` never cuts a frame.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::MAX_CONTROL_FRAME_BYTES;
use super::life::Life;
use crate::error::{Error, Kind, Result};

/// Frames that may wait to be sent, so at most 8 MiB.
const OUTGOING_FRAMES: usize = 8;

/// What may wait to be received. Many small frames must fit: QUIC's own buffer takes only 2048 of them (`quic.rs`).
const INCOMING_FRAMES: usize = 4096;
const INCOMING_BYTES: usize = 8 << 20;

/// Small frames are read, and written, many at a time.
const BATCH_BYTES: usize = 64 << 10;

/// How long a closing connection may take to send what is queued, and to hear the peer's end.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// In place of a length: the sender closes with the error number in the low 16 bits, and nothing follows.
const CLOSE_MARK: u32 = 0xffff_0000;

/// A frame with its share of [`INCOMING_BYTES`].
struct Incoming {
    frame: Bytes,
    _share: OwnedSemaphorePermit,
}

pub(super) struct Control {
    life: Arc<Life>,
    outgoing: Mutex<Option<mpsc::Sender<Bytes>>>,
    incoming: AsyncMutex<mpsc::Receiver<Result<Incoming>>>,
    /// The peer ended its stream between two frames.
    ended_cleanly: Arc<AtomicBool>,
    flushed: watch::Receiver<bool>,
}

impl Control {
    /// Starts the tasks on the current runtime.
    pub fn start<R, W>(life: Arc<Life>, reader: R, writer: W) -> Control
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (outgoing, to_write) = mpsc::channel(OUTGOING_FRAMES);
        let (to_read, incoming) = mpsc::channel(INCOMING_FRAMES);
        let (flushed_sender, flushed) = watch::channel(false);
        let ended_cleanly = Arc::new(AtomicBool::new(false));
        tokio::spawn(read_all(
            life.clone(),
            BufReader::with_capacity(BATCH_BYTES, reader),
            to_read,
            ended_cleanly.clone(),
        ));
        tokio::spawn(write_all(life.clone(), writer, to_write, flushed_sender));
        Control {
            life,
            outgoing: Mutex::new(Some(outgoing)),
            incoming: AsyncMutex::new(incoming),
            ended_cleanly,
            flushed,
        }
    }

    pub async fn send(&self, frame: Bytes) -> Result<()> {
        self.life.check()?;
        if frame.len() > MAX_CONTROL_FRAME_BYTES {
            return Err(too_long("send", frame.len()));
        }
        let outgoing = self.outgoing.lock().unwrap().clone();
        let closed = || Error::new(Kind::Closed, "the connection is closed");
        let outgoing = outgoing.ok_or_else(closed)?;
        tokio::select! {
            sent = outgoing.send(frame) => match sent {
                Ok(()) => Ok(()),
                Err(_) => Err(self.life.ended().unwrap_or_else(closed)),
            },
            error = self.life.wait() => Err(error),
        }
    }

    pub async fn recv(&self) -> Result<Option<Bytes>> {
        match self.incoming.lock().await.recv().await {
            Some(incoming) => incoming.map(|incoming| Some(incoming.frame)),
            None if self.ended_cleanly.load(Ordering::Acquire) => Ok(None),
            None => Err(self.life.wait().await),
        }
    }

    /// Ends the sending direction after what is queued.
    pub fn finish(&self) {
        self.outgoing.lock().unwrap().take();
    }

    /// Waits until the writer has ended.
    pub fn flushed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut flushed = self.flushed.clone();
        async move {
            let _ = flushed.wait_for(|flushed| *flushed).await;
        }
    }
}

async fn read_all<R: AsyncRead + Unpin>(
    life: Arc<Life>,
    mut reader: R,
    frames: mpsc::Sender<Result<Incoming>>,
    ended_cleanly: Arc<AtomicBool>,
) {
    let room = Arc::new(Semaphore::new(INCOMING_BYTES));
    let work = async {
        loop {
            match read_frame(&mut reader).await {
                Ok(Some(frame)) => {
                    life.count_received(frame.len());
                    let share = room.clone().acquire_many_owned(frame.len() as u32).await;
                    let _share = share.expect("never closed");
                    if frames.send(Ok(Incoming { frame, _share })).await.is_err() {
                        return;
                    }
                }
                Ok(None) => {
                    ended_cleanly.store(true, Ordering::Release);
                    return life.lose("the peer closed it");
                }
                Err(error) => {
                    life.end(error.clone());
                    let _ = frames.try_send(Err(error));
                    return;
                }
            }
        }
    };
    let end = tokio::select! {
        biased;
        () = work => return,
        end = life.wait() => end,
    };
    drop(frames);
    if end.kind == Kind::Closed {
        // A socket closed with unread bytes resets the link, and the peer may lose our last frames with it.
        let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut reader, &mut tokio::io::sink())).await;
    }
}

async fn read_frame<R: AsyncRead + Unpin>(reader: &mut R) -> Result<Option<Bytes>> {
    let mut length = [0; 4];
    let first = reader.read(&mut length).await.map_err(lost)?;
    if first == 0 {
        return Ok(None);
    }
    reader.read_exact(&mut length[first..]).await.map_err(lost)?;
    let length = u32::from_le_bytes(length);
    if length & CLOSE_MARK == CLOSE_MARK
        && let Some((kind, ..)) = Kind::ALL.iter().find(|(_, _, number)| *number == length as u16)
    {
        return Err(Error::new(*kind, "the peer closed the connection"));
    }
    let length = length as usize;
    if length > MAX_CONTROL_FRAME_BYTES {
        return Err(too_long("receive", length));
    }
    let mut frame = BytesMut::zeroed(length);
    reader.read_exact(&mut frame).await.map_err(lost)?;
    Ok(Some(frame.freeze()))
}

async fn write_all<W: AsyncWrite + Unpin>(
    life: Arc<Life>,
    mut writer: W,
    mut frames: mpsc::Receiver<Bytes>,
    flushed: watch::Sender<bool>,
) {
    let work = async {
        while let Some(frame) = frames.recv().await {
            let mut batch = Vec::with_capacity(4 + frame.len());
            put(&mut batch, &frame);
            let mut payload = frame.len();
            while batch.len() < BATCH_BYTES
                && let Ok(frame) = frames.try_recv()
            {
                put(&mut batch, &frame);
                payload += frame.len();
            }
            life.count_sent(payload);
            writer.write_all(&batch).await?;
            writer.flush().await?;
        }
        let (code, _) = life.close_reason();
        if code != 0 {
            writer.write_all(&(CLOSE_MARK | u32::from(code)).to_le_bytes()).await?;
        }
        writer.shutdown().await
    };
    tokio::pin!(work);
    tokio::select! {
        biased;
        result = &mut work => if let Err(error) = result { life.end(lost(error)) },
        end = life.wait() => if end.kind == Kind::Closed {
            let _ = tokio::time::timeout(LINGER, &mut work).await;
        }
    }
    flushed.send_replace(true);
}

fn put(batch: &mut Vec<u8>, frame: &[u8]) {
    batch.extend_from_slice(&(frame.len() as u32).to_le_bytes());
    batch.extend_from_slice(frame);
}

fn lost(error: io::Error) -> Error {
    Error::new(Kind::ConnectionLost, format!("the connection was lost: {}", super::address::plain(&error)))
}

fn too_long(verb: &str, length: usize) -> Error {
    let text =
        format!("Cannot {verb} a control frame of {length} bytes: the limit is {MAX_CONTROL_FRAME_BYTES}");
    Error::new(Kind::LimitExceeded, text)
}

//! The sender's bulk streams: opened and ended while the transfer runs, one thread each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::frame;
use super::ledger::Redo;
use super::links::Link;
use super::pool::Pool;
use super::send::{SendSession, Stream};
use crate::error::{Error, Kind, Result};
use crate::net::{Connection, Payload, Sink};

impl SendSession {
    /// Brings the streams on a connection, which `id` names, to `wanted`: opens more, or lets some end after the frame
    /// at hand.
    ///
    /// # Errors
    /// What keeps a stream from being opened; those opened before stay.
    pub async fn streams(
        self: &Arc<SendSession>,
        (id, connection): (u32, &Connection),
        wanted: usize,
        runtime: &tokio::runtime::Handle,
    ) -> Result<()> {
        let Some(pool) = self.pool.lock().unwrap().clone() else {
            return Err(Error::new(Kind::InvalidArgument, "the send session has not been started"));
        };
        self.report.check()?;
        let session = Arc::downgrade(self);
        let link = self.links.add(id, connection, runtime, move || {
            let Some(session) = session.upgrade() else { return };
            session.work.ledger(|ledger| ledger.link_failed(id));
            session.report.hurry();
        });
        let _one = link.opening.lock().await;
        let open: Vec<u32> = self.work.ledger(|ledger| {
            let open: Vec<u32> = ledger.open_on(id).collect();
            open.iter().skip(wanted).for_each(|&stream| ledger.retire(stream));
            open
        });
        // Half of them may be kept for standard input, and no stream may wait for those.
        let threads = self.running.load(Ordering::Acquire) + wanted.saturating_sub(open.len());
        pool.grow(2 * threads);
        self.encoding.grow_room(threads + 1);
        for _ in open.len()..wanted {
            let sink = connection.open_sink().await?;
            let number = self.work.ledger(|ledger| ledger.open(id))?;
            self.spawn(sink, number, &link, pool.clone());
            self.fail_if_ended(number, &link);
        }
        Ok(())
    }

    /// Waits for news.
    ///
    /// # Errors
    /// What ended the engine; CONNECTION_LOST when no link is left and something is to be sent: the session can be
    /// given another.
    pub async fn wait(&self) -> Result<()> {
        self.report.wait().await?;
        if self.work.is_idle() { Ok(()) } else { self.links.check() }
    }

    fn spawn(self: &Arc<SendSession>, sink: Box<dyn Sink>, number: u32, link: &Arc<Link>, pool: Pool) {
        self.running.fetch_add(1, Ordering::AcqRel);
        link.streams.fetch_add(1, Ordering::AcqRel);
        let (session, its_link) = (self.clone(), link.clone());
        let thread = std::thread::Builder::new().name("wormhole-send".into()).spawn(move || {
            let mut stream = Stream {
                session: &session,
                sink,
                link: &its_link,
                number,
                pool,
                broken: false,
                again: false,
            };
            let run = std::panic::AssertUnwindSafe(|| stream.run());
            let result = std::panic::catch_unwind(run).unwrap_or_else(|p| Err(crate::op::panicked(Some(p))));
            if let Err(error) = result {
                if stream.broken {
                    session.work.ledger(|ledger| ledger.failed(number));
                } else {
                    session.report.fail(error);
                    session.work.stop();
                }
            }
            drop(stream);
            session.ended(&its_link);
        });
        if let Err(error) = thread {
            self.work.ledger(|ledger| ledger.failed(number));
            self.report.fail(Error::io("Cannot start a thread for a stream", &error));
            self.work.stop();
            self.ended(link);
        }
    }

    /// For what the link's end came too early to see.
    fn fail_if_ended(&self, stream: u32, link: &Link) {
        if link.has_ended() {
            self.work.ledger(|ledger| ledger.failed(stream));
        }
    }

    fn ended(&self, link: &Link) {
        link.streams.fetch_sub(1, Ordering::AcqRel);
        self.running.fetch_sub(1, Ordering::AcqRel);
        self.report.hurry();
    }
}

impl Stream<'_> {
    /// Tells the receiver which stream this is.
    pub(super) fn begin(&mut self) -> Result<()> {
        let written = self.sink.write(&frame::encode_preface(self.number), Payload::none());
        self.broken = written.is_err();
        written
    }

    /// Ends the stream, cleanly if it is still whole.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.session.report.is_fatal()
            || !self.session.work.ledger(|ledger| ledger.may_finish(self.number))
        {
            return Ok(());
        }
        let finished = self.sink.finish();
        self.broken = finished.is_err();
        finished?;
        self.session.work.ledger(|ledger| ledger.finished(self.number));
        self.session.fail_if_ended(self.number, self.link);
        Ok(())
    }

    /// Writes one frame down, then out.
    pub(super) fn write(
        &mut self,
        head: &[u8],
        payload: Payload,
        payload_bytes: usize,
        redo: Redo,
    ) -> Result<()> {
        let wire = (head.len() + payload_bytes) as u64;
        if !self.session.work.sent(self.number, redo, wire) {
            self.broken = true;
            return Err(Error::new(Kind::ConnectionLost, "the receiver has given the stream up"));
        }
        let report = &self.session.report;
        // Counted before: what is under way belongs to the time that is being waited.
        report.bytes_wire.fetch_add(wire, Ordering::Relaxed);
        self.link.moved(wire);
        let before = Instant::now();
        let written = report.waiting(|| self.sink.write(head, payload));
        self.link.blocked_us.fetch_add(before.elapsed().as_micros() as u64, Ordering::Relaxed);
        self.broken = written.is_err();
        written
    }
}

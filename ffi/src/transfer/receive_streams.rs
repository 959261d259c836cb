//! The receiver's bulk streams: taken from any of its links while the transfer runs, one thread each.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::arrivals::State;
use super::expect::ReceiveSession;
use super::frame::{self, PREFACE_BYTES};
use super::links::Link;
use super::receive::{Inbox, Next, Stream};
use crate::error::{Error, Result};
use crate::net::{Connection, Source};

impl Inbox {
    /// Takes up to `streams` further bulk streams from a connection, which `id` names.
    pub fn start(
        self: &Arc<Inbox>,
        (id, connection): (u32, Connection),
        streams: usize,
        runtime: &tokio::runtime::Handle,
    ) {
        let inbox = Arc::downgrade(self);
        let link = self.links.add(id, &connection, runtime, move || {
            if let Some(inbox) = inbox.upgrade() {
                inbox.report.hurry();
            }
        });
        self.running.fetch_add(streams, Ordering::AcqRel);
        let inbox = self.clone();
        let accepting = runtime.spawn(async move {
            for taken in 0..streams {
                match connection.next_source().await {
                    Ok(source) => inbox.clone().spawn(source, &link),
                    Err(_) => {
                        // What it broke is lost and told; what did not come yet never will.
                        inbox.running.fetch_sub(streams - taken, Ordering::AcqRel);
                        return inbox.report.hurry();
                    }
                }
            }
        });
        let mut all = self.accepting.lock().unwrap();
        all.retain(|each| !each.is_finished());
        all.push(accepting.abort_handle());
    }

    /// Waits for news.
    ///
    /// # Errors
    /// What ended the engine; CONNECTION_LOST when no link is left and something is outstanding: the session can be given
    /// another.
    pub async fn wait(&self) -> Result<()> {
        self.report.wait().await?;
        if self.outstanding() == 0 || !self.has_ended() { Ok(()) } else { self.links.check() }
    }

    fn spawn(self: Arc<Inbox>, source: Box<dyn Source>, link: &Arc<Link>) {
        link.streams.fetch_add(1, Ordering::AcqRel);
        let (inbox, its_link) = (self.clone(), link.clone());
        let thread = std::thread::Builder::new().name("wormhole-recv".into()).spawn(move || {
            let run = std::panic::AssertUnwindSafe(|| inbox.read_stream(source, &its_link));
            let result = std::panic::catch_unwind(run).unwrap_or_else(|p| Err(crate::op::panicked(Some(p))));
            if let Err(error) = result {
                inbox.report.fail(error);
            }
            inbox.ended(&its_link);
        });
        if let Err(error) = thread {
            self.report.fail(Error::io("Cannot start a thread for a stream", &error));
            self.ended(link);
        }
    }

    fn ended(&self, link: &Link) {
        link.streams.fetch_sub(1, Ordering::AcqRel);
        self.running.fetch_sub(1, Ordering::AcqRel);
        self.report.hurry();
    }

    /// Reads a stream until it ends or breaks, neither of which is a failure.
    fn read_stream(self: &Arc<Inbox>, mut source: Box<dyn Source>, link: &Link) -> Result<()> {
        let mut preface = [0; PREFACE_BYTES];
        if !matches!(source.read_exact(&mut preface), Ok(true)) {
            // It broke before it said which it is: only its sender can tell.
            return Ok(());
        }
        let Some(arrival) = self.arrivals.begin(frame::decode_preface(&preface)?)? else { return Ok(()) };
        let mut stream = Stream {
            inbox: self,
            source,
            link,
            arrival: arrival.clone(),
            records: Vec::new(),
            wire: Vec::new(),
        };
        let state = loop {
            match stream.next_frame()? {
                Next::Placed => {}
                Next::End => break State::Ended,
                Next::Broken => break State::Lost,
            }
        };
        self.arrivals.end(&arrival, state);
        Ok(())
    }
}

impl ReceiveSession {
    /// Lets nothing more of a stream count that its sender says has broken; gives its whole frames so far. Blocks.
    ///
    /// # Errors
    /// PROTOCOL when there can be no such stream.
    pub fn give_up(&self, stream: u32) -> Result<u32> {
        let frames = self.inbox.arrivals.give_up(stream)?;
        self.inbox.report.hurry();
        Ok(frames)
    }
}

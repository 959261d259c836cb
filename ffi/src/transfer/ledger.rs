//! What has been sent and is not yet acknowledged, stream by stream, so that a stream's end loses nothing.
//!
//! A frame is written down before it is written out. Only the receiver's word takes it off again: `acknowledge`
//! because it has arrived, `lost` because it never will, which gives it back to be made anew. So everything arrives
//! exactly once, whatever the sender believes of a stream that broke (`src/wire/spec/chunk_data.md` §3).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::frame::{MAX_STREAM_NUMBERS, Record};
use super::pool::Buffer;
use super::source::Source;
use crate::error::{Error, Kind, Result};

/// Frames of all streams that may wait for their acknowledgement: 16 GiB of whole chunks, 4 GiB of packed small files;
/// 10 Gbit/s over a round trip of 1 s and a report each 0.1 s has 1.4 GiB under way.
const MAX_FRAMES: usize = 4096;

/// Files in them: about 50 MiB of names; 100,000 files a second over that round trip.
const MAX_FILES: usize = 131_072;

/// How the content of one frame is made again.
pub enum Redo {
    /// Whole small files.
    Pack(Vec<Arc<Source>>),
    /// One range of a file; `end`: the frame carried the end mark.
    Chunk { source: Arc<Source>, offset: u64, length: u64, end: bool },
    /// The news that a file cannot be sent.
    Failed(Arc<Source>),
    /// Bytes that cannot be read a second time.
    Kept { source: Arc<Source>, record: Record, plain: Buffer },
}

impl Redo {
    fn files(&self) -> usize {
        match self {
            Redo::Pack(files) => files.len(),
            _ => 1,
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self, Redo::Kept { .. })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Ends after the frame at hand.
    Retiring,
    /// All of it was written, to its end.
    Finished,
    /// Broke here; how much has arrived only the receiver knows.
    Failed,
    /// The receiver said how much has arrived.
    Settled,
}

struct Sent {
    link: u32,
    state: State,
    acknowledged: u32,
    /// Frames after those, with their bytes on the wire.
    waiting: VecDeque<(Redo, u64)>,
}

impl Sent {
    fn total(&self) -> u32 {
        self.acknowledged + self.waiting.len() as u32
    }
}

/// The streams of one transfer by their number.
#[derive(Default)]
pub struct Ledger {
    streams: Vec<Sent>,
    frames: usize,
    files: usize,
    kept: usize,
    /// Streams that broke since they were last asked for.
    lost: Vec<u32>,
    /// Bytes on the wire that were acknowledged, by link.
    delivered: BTreeMap<u32, u64>,
}

impl Ledger {
    /// Gives the next stream's number.
    pub fn open(&mut self, link: u32) -> Result<u32> {
        let number = self.streams.len() as u32;
        if number >= MAX_STREAM_NUMBERS {
            let text = "Cannot open one more bulk stream: the transfer has had 65536 of them";
            return Err(Error::new(Kind::LimitExceeded, text));
        }
        self.streams.push(Sent { link, state: State::Open, acknowledged: 0, waiting: VecDeque::new() });
        Ok(number)
    }

    /// Streams that there have been.
    #[cfg(test)]
    pub fn opened(&self) -> usize {
        self.streams.len()
    }

    /// Writes a frame down that is about to be sent; gives it back when nothing of the stream counts any more.
    pub fn sent(&mut self, stream: u32, redo: Redo, wire: u64) -> std::result::Result<(), Redo> {
        let sent = &mut self.streams[stream as usize];
        if !matches!(sent.state, State::Open | State::Retiring) {
            return Err(redo);
        }
        self.frames += 1;
        self.files += redo.files();
        self.kept += usize::from(redo.is_kept());
        sent.waiting.push_back((redo, wire));
        Ok(())
    }

    /// Whether a stream may take another job.
    pub fn is_open(&self, stream: u32) -> bool {
        self.streams[stream as usize].state == State::Open
    }

    /// The streams of a link that may take jobs.
    pub fn open_on(&self, link: u32) -> impl Iterator<Item = u32> {
        let numbered = self.streams.iter().enumerate();
        numbered
            .filter(move |(_, sent)| sent.link == link && sent.state == State::Open)
            .map(|(n, _)| n as u32)
    }

    /// Lets a stream end after the frame at hand.
    pub fn retire(&mut self, stream: u32) {
        let state = &mut self.streams[stream as usize].state;
        if *state == State::Open {
            *state = State::Retiring;
        }
    }

    /// Whether a stream that takes no more jobs is to be ended cleanly.
    pub fn may_finish(&self, stream: u32) -> bool {
        matches!(self.streams[stream as usize].state, State::Open | State::Retiring)
    }

    /// Takes note that a stream was ended cleanly.
    pub fn finished(&mut self, stream: u32) {
        if self.may_finish(stream) {
            self.streams[stream as usize].state = State::Finished;
        }
    }

    /// Takes note that a stream broke here.
    pub fn failed(&mut self, stream: u32) {
        let sent = &mut self.streams[stream as usize];
        let matters = match sent.state {
            State::Open | State::Retiring => true,
            State::Finished => !sent.waiting.is_empty(),
            State::Failed | State::Settled => false,
        };
        if matters {
            sent.state = State::Failed;
            self.lost.push(stream);
        }
    }

    /// The same for every stream of a link.
    pub fn link_failed(&mut self, link: u32) {
        for stream in 0..self.streams.len() {
            if self.streams[stream].link == link {
                self.failed(stream as u32);
            }
        }
    }

    /// Forgets frames that have arrived: of each stream the first `frames`.
    ///
    /// # Errors
    /// PROTOCOL, with nothing forgotten, when the receiver cannot have got that many, or had more before.
    pub fn acknowledge(&mut self, streams: &[(u32, u32)]) -> Result<()> {
        for &(stream, frames) in streams {
            self.check(stream, frames)?;
        }
        for &(stream, frames) in streams {
            self.arrived(stream, frames);
        }
        Ok(())
    }

    /// Settles a stream that ended after `frames` whole frames; gives the later ones, to be sent on another stream.
    ///
    /// # Errors
    /// PROTOCOL when that cannot be, or the stream was settled before.
    pub fn lost(&mut self, stream: u32, frames: u32) -> Result<Vec<Redo>> {
        self.check(stream, frames)?;
        if self.streams[stream as usize].state == State::Settled {
            return Err(Error::new(Kind::Protocol, "The peer lost the same stream twice"));
        }
        self.arrived(stream, frames);
        let sent = &mut self.streams[stream as usize];
        sent.state = State::Settled;
        let again: Vec<Redo> = std::mem::take(&mut sent.waiting).into_iter().map(|(redo, _)| redo).collect();
        for redo in &again {
            self.forget(redo);
        }
        Ok(again)
    }

    /// Whether no more frames may be sent before some are acknowledged.
    pub fn is_full(&self) -> bool {
        self.frames >= MAX_FRAMES || self.files >= MAX_FILES
    }

    /// Whether everything sent is acknowledged.
    pub fn is_clear(&self) -> bool {
        self.frames == 0
    }

    /// Buffers that wait for their acknowledgement.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Streams that broke here since the last call.
    pub fn take_lost(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.lost)
    }

    /// Bytes of a link, on the wire, that were acknowledged.
    pub fn delivered(&self, link: u32) -> u64 {
        self.delivered.get(&link).copied().unwrap_or(0)
    }

    fn check(&self, stream: u32, frames: u32) -> Result<()> {
        let Some(sent) = self.streams.get(stream as usize) else {
            return Err(Error::new(Kind::Protocol, "The peer acknowledged a stream that was never opened"));
        };
        if frames < sent.acknowledged || frames > sent.total() {
            return Err(Error::new(Kind::Protocol, "The peer acknowledged frames that were never sent"));
        }
        Ok(())
    }

    fn arrived(&mut self, stream: u32, frames: u32) {
        let sent = &mut self.streams[stream as usize];
        let new = frames.saturating_sub(sent.acknowledged);
        sent.acknowledged += new;
        let link = sent.link;
        let done: Vec<(Redo, u64)> = sent.waiting.drain(..new as usize).collect();
        for (redo, wire) in &done {
            self.forget(redo);
            *self.delivered.entry(link).or_default() += wire;
        }
    }

    fn forget(&mut self, redo: &Redo) {
        self.frames -= 1;
        self.files -= redo.files();
        self.kept -= usize::from(redo.is_kept());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::io::walk::FileRef;

    fn chunk(offset: u64) -> Redo {
        let reference = FileRef {
            id: 0,
            directory: Arc::from(Path::new("")),
            name: "x".into(),
            size: 1 << 30,
            mtime_ns: 0,
            ctime_ns: 0,
            dev: 0,
            ino: 0,
        };
        Redo::Chunk { source: Arc::new(Source::new(reference)), offset, length: 1, end: false }
    }

    fn offsets(redo: &[Redo]) -> Vec<u64> {
        let offset = |redo: &Redo| match redo {
            Redo::Chunk { offset, .. } => *offset,
            _ => panic!("not a chunk"),
        };
        redo.iter().map(offset).collect()
    }

    fn with_frames(count: u64) -> (Ledger, u32) {
        let mut ledger = Ledger::default();
        let stream = ledger.open(7).unwrap();
        for offset in 0..count {
            assert!(ledger.sent(stream, chunk(offset), 10).is_ok());
        }
        (ledger, stream)
    }

    #[test]
    fn frames_after_the_receivers_word_come_back_in_order_and_once() {
        let (mut ledger, stream) = with_frames(5);
        ledger.acknowledge(&[(stream, 2)]).unwrap();
        ledger.failed(stream);
        assert_eq!(ledger.take_lost(), [stream]);
        assert_eq!(offsets(&ledger.lost(stream, 3).unwrap()), [3, 4]);
        assert!(ledger.is_clear());
        assert_eq!(ledger.delivered(7), 30);
        assert_eq!(ledger.lost(stream, 3).err().unwrap().kind, Kind::Protocol);
        // What was on its way to that stream is not swallowed.
        assert!(ledger.sent(stream, chunk(9), 10).is_err());
        ledger.failed(stream);
        assert!(ledger.take_lost().is_empty());
    }

    #[test]
    fn acknowledgements_that_lie_are_refused_whole() {
        let (mut ledger, stream) = with_frames(5);
        let other = ledger.open(7).unwrap();
        for lie in [(stream, 6), (other, 1), (other + 1, 0), (u32::MAX, 0)] {
            assert_eq!(ledger.acknowledge(&[(stream, 3), lie]).err().unwrap().kind, Kind::Protocol);
            assert_eq!(ledger.lost(lie.0, lie.1).err().unwrap().kind, Kind::Protocol);
        }
        ledger.acknowledge(&[(stream, 3)]).unwrap();
        assert_eq!(ledger.acknowledge(&[(stream, 2)]).err().unwrap().kind, Kind::Protocol);
        assert_eq!(ledger.lost(stream, 2).err().unwrap().kind, Kind::Protocol);
        // Twice in one message counts once.
        ledger.acknowledge(&[(stream, 5), (stream, 5)]).unwrap();
        assert!(ledger.is_clear());
    }

    #[test]
    fn a_dead_link_loses_what_was_finished_on_it_but_not_acknowledged() {
        let (mut ledger, finished) = with_frames(1);
        let settled = ledger.open(7).unwrap();
        let elsewhere = ledger.open(8).unwrap();
        ledger.finished(finished);
        ledger.finished(settled);
        ledger.link_failed(7);
        assert_eq!(ledger.take_lost(), [finished]);
        assert!(ledger.is_open(elsewhere));
        assert_eq!(offsets(&ledger.lost(finished, 0).unwrap()), [0]);
    }

    #[test]
    fn too_much_without_an_acknowledgement_is_full() {
        let (mut ledger, stream) = with_frames(MAX_FRAMES as u64 - 1);
        assert!(!ledger.is_full());
        assert!(ledger.sent(stream, chunk(0), 10).is_ok());
        assert!(ledger.is_full());
        ledger.acknowledge(&[(stream, 1)]).unwrap();
        assert!(!ledger.is_full());
    }

    #[test]
    fn stream_numbers_are_bounded() {
        let mut ledger = Ledger::default();
        for number in 0..MAX_STREAM_NUMBERS {
            assert_eq!(ledger.open(0).unwrap(), number);
        }
        assert_eq!(ledger.open(0).err().unwrap().kind, Kind::LimitExceeded);
    }
}

//! The receiving engine: takes frames from the bulk streams, verifies them and places their bytes.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use tokio::task::AbortHandle;

use super::arrivals::{Arrival, Arrivals};
use super::frame::{
    self, FLAG_DATA, FLAG_END, FLAG_FAILED, FLAG_HOLE, HEADER_BYTES, MAX_PLAIN_BYTES, RECORD_BYTES, Record,
};
use super::leftover::Verified;
use super::links::{Link, Links};
use super::place_small::{self, Small};
use super::pool::Pool;
use super::report::{Failure, Report};
use super::target::Target;
use crate::chunk::codec::{self, Codec};
use crate::error::{Error, Kind, Result};
use crate::io::backend::{Backend, select};
use crate::io::columns::SIZE_UNKNOWN;
use crate::io::name::quoted;
use crate::io::sparse;
use crate::io::stage::Staging;
use crate::net::Source;

/// Room of each receive buffer: as a rule a sender's largest frame is one 4 MiB chunk. Larger ones have a pool of
/// [`MAX_PLAIN_BYTES`] buffers, so that a peer cannot make every stream hold that much.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Gaps in unfinished files, all together: caps what a peer that sends crumbs of files makes us remember. An honest one
/// has no more than the frames that it may have under way.
const MAX_GAPS: isize = 65_536;

/// Where the requested files of one transfer come together.
pub struct Inbox {
    pub staging: Staging,
    pub report: Report,
    pub(super) io: Arc<dyn Backend>,
    /// What the journal shall hear of.
    pub verified: Verified,
    state: Mutex<State>,
    pub arrivals: Arrivals,
    pub links: Links,
    /// Streams that are read or waited for.
    pub(super) running: AtomicUsize,
    pub(super) accepting: Mutex<Vec<AbortHandle>>,
    /// Threads that write a frame to the disk: while they do, it is not the peer that is waited for.
    pub placing: AtomicUsize,
    /// Held for reading while a frame is placed, so that nothing is written into staging any more once it is set.
    closed: RwLock<bool>,
    /// Ranges of unfinished files beyond the first of each; see [`MAX_GAPS`].
    gaps: AtomicIsize,
    pool: Pool,
    large: Pool,
}

#[derive(Default)]
struct State {
    targets: HashMap<u32, Arc<Target>>,
    /// Staged paths that are not known to be on the disk; `None` when there are too many to name.
    unsynced: Unsynced,
    /// Entries that failed here while the peer may still send some of their bytes.
    dropped: HashSet<u32>,
}

/// Up to this many files and directories are synced one by one. Beyond, one sync of the whole file
/// system is cheaper, though it also waits for what other programs have written.
pub(super) const MAX_SINGLE_SYNCS: usize = 64;

#[derive(Default)]
enum Unsynced {
    #[default]
    Nothing,
    Paths(Vec<Vec<u8>>),
    Many,
}

impl Unsynced {
    fn add(&mut self, path: &[u8]) {
        match self {
            Unsynced::Nothing => *self = Unsynced::Paths(vec![path.to_vec()]),
            Unsynced::Paths(paths) if paths.len() < MAX_SINGLE_SYNCS => paths.push(path.to_vec()),
            Unsynced::Paths(_) => *self = Unsynced::Many,
            Unsynced::Many => {}
        }
    }
}

impl Inbox {
    pub fn new(staging: Staging, verified: Verified, pool_bytes: usize) -> Inbox {
        Inbox {
            staging,
            report: Report::default(),
            io: select::automatic(),
            verified,
            state: Mutex::default(),
            arrivals: Arrivals::default(),
            links: Links::default(),
            running: AtomicUsize::new(0),
            accepting: Mutex::default(),
            placing: AtomicUsize::new(0),
            closed: RwLock::new(false),
            gaps: AtomicIsize::new(0),
            pool: Pool::new(pool_bytes, BUFFER_BYTES, 4),
            large: Pool::new(pool_bytes, MAX_PLAIN_BYTES, 2),
        }
    }

    /// Expects files' bytes.
    pub fn expect(&self, targets: Vec<Arc<Target>>) {
        self.state.lock().unwrap().targets.extend(targets.into_iter().map(|target| (target.entry, target)));
    }

    /// Takes note that the staged `path` has to be on the disk before it is moved in place.
    pub fn must_sync(&self, path: &[u8]) {
        self.state.lock().unwrap().unsynced.add(path);
    }

    /// Waits until everything that was placed in staging is on the disk.
    pub fn barrier(&self) -> Result<()> {
        let unsynced = std::mem::take(&mut self.state.lock().unwrap().unsynced);
        match unsynced {
            Unsynced::Nothing => Ok(()),
            Unsynced::Paths(paths) => match paths.iter().try_for_each(|path| self.staging.sync(path)) {
                // Its mode does not let us open it again.
                Err(error) if error.kind == Kind::PermissionDenied => self.staging.barrier(),
                result => result,
            },
            Unsynced::Many => self.staging.barrier(),
        }
    }

    /// Requested files that are neither complete nor failed.
    pub fn outstanding(&self) -> usize {
        self.state.lock().unwrap().targets.len()
    }

    /// True when no stream is read and none is waited for.
    pub fn has_ended(&self) -> bool {
        self.running.load(Ordering::Acquire) == 0
    }

    /// Lets nothing more in, which is no failure of what is there already; waits for the frames being written. Blocks.
    pub fn seal(&self) {
        *self.closed.write().unwrap() = true;
    }

    /// Ends every thread, and waits for those that are writing; what is staged stays until staging is removed. Blocks.
    pub fn close(&self) {
        self.pool.close();
        self.large.close();
        *self.closed.write().unwrap() = true;
        self.accepting.lock().unwrap().drain(..).for_each(|each| each.abort());
        self.report.fail(Error::new(Kind::Closed, "the receive session is closed"));
    }

    /// The targets of a frame's records; `None` for one whose bytes are to be passed over.
    fn targets(&self, records: &[Record]) -> Result<Vec<Option<Arc<Target>>>> {
        let state = self.state.lock().unwrap();
        let target = |record: &Record| match state.targets.get(&record.entry) {
            Some(target) if !target.is_held() => Ok(Some(target.clone())),
            None if state.dropped.contains(&record.entry) => Ok(None),
            _ => Err(Error::new(Kind::Protocol, "The peer sent bytes that were not asked for")),
        };
        records.iter().map(target).collect()
    }

    /// A file that is neither complete nor failed.
    pub(super) fn target(&self, entry: u32) -> Option<Arc<Target>> {
        self.state.lock().unwrap().targets.get(&entry).cloned()
    }

    /// Whether an entry has failed here.
    pub(super) fn has_dropped(&self, entry: u32) -> bool {
        self.state.lock().unwrap().dropped.contains(&entry)
    }

    /// Does something to staging, which is neither sealed nor closed until it is done.
    ///
    /// # Errors
    /// CLOSED when it is already.
    pub(super) fn while_open<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let closed = self.closed.read().unwrap();
        match *closed {
            true => Err(Error::new(Kind::Closed, "the receive session is closed")),
            false => act(),
        }
    }

    /// Finishes a file of which everything is written; `file` is none when no byte of it ever was.
    pub(super) fn complete(&self, target: &Target, file: Option<&std::fs::File>) -> Result<()> {
        match file.map_or(Ok(()), |file| self.finish(target, file)) {
            Ok(()) => {
                self.must_sync(&target.path);
                self.report.file_done();
                self.forget(target.entry);
            }
            Err(error) if concerns_one_entry(error.kind) => self.fail_entry(target, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn finish(&self, target: &Target, file: &std::fs::File) -> Result<()> {
        if target.size == SIZE_UNKNOWN {
            file.set_len(target.final_size()).map_err(|e| Error::io("Cannot write a received file", &e))?;
        }
        self.staging.finish_file(file, target.mode, target.mtime)
    }

    /// Takes complete files off the list.
    pub(super) fn finished(&self, targets: &[&Arc<Target>]) {
        let mut state = self.state.lock().unwrap();
        for target in targets {
            state.targets.remove(&target.entry);
            state.unsynced.add(&target.path);
        }
        self.report.files_done.fetch_add(targets.len() as u64, Ordering::Relaxed);
    }

    /// Counts gaps that a file has got, or lost.
    fn count_gaps(&self, change: isize) -> Result<()> {
        let before = self.gaps.fetch_add(change, Ordering::AcqRel);
        if change > 0 && before >= MAX_GAPS {
            return Err(Error::new(Kind::LimitExceeded, "The peer sends files in too many small pieces"));
        }
        Ok(())
    }

    fn forget(&self, entry: u32) {
        self.state.lock().unwrap().targets.remove(&entry);
    }

    /// Gives up on one entry and goes on with the rest.
    pub(super) fn drop_entry(&self, target: &Target, error: &Error) {
        if let Some(gaps) = target.give_up() {
            self.gaps.fetch_sub(gaps as isize, Ordering::AcqRel);
            self.fail_entry(target, error);
        }
    }

    /// Removes an entry that no other thread can complete any more.
    fn fail_entry(&self, target: &Target, error: &Error) {
        self.state.lock().unwrap().dropped.insert(target.entry);
        let _ = self.staging.remove_file(&target.path);
        self.report.failed(Failure::placed(target.entry, &target.path, &target.final_path, error));
        self.forget(target.entry);
    }
}

/// One bulk stream with its thread.
pub(super) struct Stream<'a> {
    pub inbox: &'a Inbox,
    pub source: Box<dyn Source>,
    pub link: &'a Link,
    pub arrival: Arc<Arrival>,
    pub records: Vec<u8>,
    pub wire: Vec<u8>,
}

/// What came of reading a frame.
pub(super) enum Next {
    Placed,
    /// The stream has ended before it.
    End,
    /// The stream broke before all of it was there, or it does not count any more.
    Broken,
}

impl Stream<'_> {
    /// Reads, verifies and places one frame. Fails with what a peer does that breaks the protocol, or the disk.
    pub fn next_frame(&mut self) -> Result<Next> {
        let before = Instant::now();
        let mut head = [0; HEADER_BYTES];
        match self.source.read_exact(&mut head) {
            Ok(true) => {}
            Ok(false) => return Ok(Next::End),
            Err(_) => return Ok(Next::Broken),
        }
        let header = frame::decode_header(&head)?;
        self.records.resize(header.record_count * RECORD_BYTES, 0);
        if !read_all(&mut *self.source, &mut self.records) {
            return Ok(Next::Broken);
        }
        let records = frame::decode_records(&header, &self.records)?;
        let is_large = header.plain_length > BUFFER_BYTES;
        let pool = if is_large { &self.inbox.large } else { &self.inbox.pool };
        let Some(mut buffer) = pool.take() else { return Ok(Next::Broken) };
        let plain = &mut buffer.space()[..header.plain_length];
        let whole = if header.codec == Codec::Raw {
            read_all(&mut *self.source, plain)
        } else {
            self.wire.resize(header.wire_length, 0);
            read_all(&mut *self.source, &mut self.wire)
        };
        if !whole {
            return Ok(Next::Broken);
        }
        let blocked = before.elapsed().as_micros() as u64;
        self.inbox.report.blocked_us.fetch_add(blocked, Ordering::Relaxed);
        self.link.blocked_us.fetch_add(blocked, Ordering::Relaxed);
        if header.codec != Codec::Raw {
            codec::decompress(header.codec, &self.wire, header.plain_length, plain)?;
            if is_large {
                self.wire = Vec::new();
            }
        }
        frame::verify(&records, plain)?;
        let wire = (HEADER_BYTES + self.records.len() + header.wire_length) as u64;
        self.inbox.report.bytes_wire.fetch_add(wire, Ordering::Relaxed);
        self.link.moved(wire);
        let closed = self.inbox.closed.read().unwrap();
        if *closed {
            return Ok(Next::Broken);
        }
        self.inbox.placing.fetch_add(1, Ordering::Relaxed);
        let counted = self.inbox.arrivals.count(&self.arrival, || self.place(&records, plain));
        self.inbox.placing.fetch_sub(1, Ordering::Relaxed);
        let counted = counted?;
        self.inbox.verified.flush();
        // What was told of its bytes may have been told before the frame counted.
        if self.inbox.outstanding() == 0 {
            self.inbox.report.hurry();
        } else {
            self.inbox.report.moved(0);
        }
        Ok(if counted { Next::Placed } else { Next::Broken })
    }

    /// Writes every record's bytes, which were verified, where they belong.
    fn place(&self, records: &[Record], plain: &[u8]) -> Result<()> {
        let mut small = Vec::new();
        let mut at = 0;
        for (record, target) in records.iter().zip(self.inbox.targets(records)?) {
            let data = &plain[at..at + record.data_length()];
            at += data.len();
            let Some(target) = target else { continue };
            if let Some(whole) = Small::take(&target, record, data) {
                small.push(whole);
                continue;
            }
            if record.is(FLAG_FAILED) {
                self.inbox.drop_entry(&target, &failure_at_the_sender(record.status, &target.final_path));
                continue;
            }
            if record.is(FLAG_DATA | FLAG_HOLE) {
                self.inbox.count_gaps(target.claim(record.offset, record.length)?)?;
            }
            if let Err(error) = self.write(&target, record, data) {
                if !concerns_one_entry(error.kind) {
                    return Err(error);
                }
                self.inbox.drop_entry(&target, &error);
            }
        }
        place_small::place(self.inbox, &small)
    }

    fn write(&self, target: &Arc<Target>, record: &Record, data: &[u8]) -> Result<()> {
        let staging = &self.inbox.staging;
        let initial = if target.size == SIZE_UNKNOWN { 0 } else { target.size };
        let Some(file) = target.file(|| staging.create_file(&target.path, initial))? else { return Ok(()) };
        if !data.is_empty() {
            use std::os::unix::fs::FileExt;
            file.write_all_at(data, record.offset)
                .map_err(|error| Error::io("Cannot write a received file", &error))?;
        }
        if record.is(FLAG_HOLE) && target.is_dirty() {
            sparse::clear(&file, record.offset, record.length)?;
        }
        if record.is(FLAG_END) {
            target.end(record.offset + record.length)?;
        }
        let written = if record.is(FLAG_DATA | FLAG_HOLE) { record.length } else { 0 };
        drop(file);
        if target.size != SIZE_UNKNOWN {
            self.inbox.verified.note(target.entry, record.offset, written, &record.hash);
        }
        // Before the file counts as done: whoever hears of the last file has heard of all bytes.
        self.inbox.report.moved(written);
        let Some(file) = target.complete(written) else { return Ok(()) };
        self.inbox.complete(target, file.as_deref())
    }
}

/// Fills `buffer`; false when the stream ends or breaks before that.
fn read_all(source: &mut dyn Source, buffer: &mut [u8]) -> bool {
    buffer.is_empty() || matches!(source.read_exact(buffer), Ok(true))
}

/// Failures of one file that leave the rest of the transfer possible.
pub(super) fn concerns_one_entry(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::AlreadyExists
            | Kind::NameTooLong
            | Kind::PermissionDenied
            | Kind::NotFound
            | Kind::IsDirectory
            | Kind::NotDirectory
            | Kind::PathEscapes
    )
}

fn failure_at_the_sender(status: u16, path: &[u8]) -> Error {
    let kind = Kind::from_number(status);
    let why = match kind {
        Kind::SourceChanged => "it changed at the sender while it was being read",
        Kind::NotFound => "it is gone at the sender",
        Kind::PermissionDenied => "the sender may not read it",
        _ => "the sender could not read it",
    };
    Error::new(kind, format!("Cannot receive {}: {why}", quoted(path)))
}

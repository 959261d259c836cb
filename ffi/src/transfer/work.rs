//! The sender's work list: runs of entries and ranges of files, cut into jobs of about one chunk, and what of them is
//! not known to have arrived.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};

use super::ledger::{Ledger, Redo};
use super::source::Source;
use crate::error::Result;
use crate::io::columns::SIZE_UNKNOWN;

/// Small files are packed into one frame until it has this many bytes (half a chunk if that is less): enough to make the frame's cost
/// vanish, little enough that both ends of the link work at once.
const PACK_BYTES: u64 = 1024 * 1024;

/// Files in one pack.
const PACK_FILES: usize = 256;

/// Files below this size are packed.
const SMALL_FILE_BYTES: u64 = 512 * 1024;

/// One piece of work for one thread.
pub enum Job {
    /// Whole small files, for one frame.
    Pack(Vec<Arc<Source>>),
    /// One range within the chunk grid of one file.
    Chunk { source: Arc<Source>, offset: u64, length: u64 },
    /// A stream of unknown length, to be read from `offset` to its end by one thread.
    Stream { source: Arc<Source>, offset: u64 },
    /// What was sent on a stream that broke.
    Again(Redo),
}

enum Item {
    Run { next: u32, last: u32 },
    Range { source: Arc<Source>, offset: u64, end: u64 },
    Job(Job),
}

#[derive(Default)]
struct State {
    listed: HashMap<u32, Arc<Source>>,
    highest: Option<u32>,
    /// Ids below this one are released.
    released: u32,
    items: VecDeque<Item>,
    busy: usize,
    ending: bool,
    stopped: bool,
    ledger: Ledger,
}

impl State {
    fn is_idle(&self) -> bool {
        self.items.is_empty() && self.busy == 0 && self.ledger.is_clear()
    }
}

/// Shared by the threads of one send session.
pub struct Work {
    state: Mutex<State>,
    changed: Condvar,
    chunk_bytes: u64,
}

impl Work {
    pub fn new(chunk_bytes: u64) -> Work {
        Work { state: Mutex::default(), changed: Condvar::new(), chunk_bytes }
    }

    /// Makes files known, so that they can be asked for; `highest` is the last id of any entry so far.
    pub fn list(&self, highest: u32, sources: impl IntoIterator<Item = Source>) {
        let mut state = self.state.lock().unwrap();
        state.highest = Some(highest);
        for source in sources {
            state.listed.insert(source.reference.id, Arc::new(source));
        }
    }

    /// Queues all files with ids `first..=last`; ids of other entries are passed over.
    ///
    /// False, with nothing queued, when the run reaches beyond what was listed.
    pub fn push_run(&self, first: u32, last: u32) -> bool {
        let mut state = self.state.lock().unwrap();
        if first > last || state.highest.is_none_or(|highest| last > highest) {
            return false;
        }
        state.items.push_back(Item::Run { next: first, last });
        self.changed.notify_all();
        true
    }

    /// Queues ranges `(entry, offset, length)` of files; all ranges of one file come in one call.
    ///
    /// False, with nothing queued, when one names no listed file or is outside of it.
    pub fn push_ranges(&self, ranges: &[(u32, u64, u64)]) -> bool {
        let mut state = self.state.lock().unwrap();
        let mut found = Vec::with_capacity(ranges.len());
        for &(entry, offset, length) in ranges {
            let Some(source) = state.listed.get(&entry).cloned() else { return false };
            let size = source.reference.size;
            let end = offset.saturating_add(length);
            if length == 0 || size == SIZE_UNKNOWN || end > size {
                return false;
            }
            found.push((source, offset, end));
        }
        for (source, offset, end) in &found {
            source.remaining.fetch_add(end - offset, Ordering::AcqRel);
            state.listed.remove(&source.reference.id);
        }
        state.items.extend(found.into_iter().map(|(source, offset, end)| Item::Range {
            source,
            offset,
            end,
        }));
        self.changed.notify_all();
        true
    }

    /// Forgets entries that will not be asked for any more (`id <= through`); what is queued stays.
    pub fn release(&self, through: u32) {
        let mut state = self.state.lock().unwrap();
        let Some(through) = state.highest.map(|highest| through.min(highest)) else { return };
        if through < state.released {
            return;
        }
        let mut queued: Vec<(u32, u32)> = state
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Run { next, last } => Some((*next, *last)),
                Item::Range { .. } | Item::Job(_) => None,
            })
            .collect();
        queued.sort_unstable();
        let mut at = state.released;
        for (next, last) in queued {
            while at < next && at <= through {
                state.listed.remove(&at);
                at += 1;
            }
            at = at.max(last.saturating_add(1));
        }
        while at <= through {
            state.listed.remove(&at);
            at += 1;
        }
        state.released = through.saturating_add(1);
    }

    /// Gives a listed file that has been neither pushed nor released.
    pub fn find(&self, entry: u32) -> Option<Arc<Source>> {
        self.state.lock().unwrap().listed.get(&entry).cloned()
    }

    /// No more work will be pushed: threads end when everything is done.
    pub fn end(&self) {
        self.state.lock().unwrap().ending = true;
        self.changed.notify_all();
    }

    /// Threads end as soon as they can.
    pub fn stop(&self) {
        self.state.lock().unwrap().stopped = true;
        self.changed.notify_all();
    }

    /// True when everything pushed so far has been sent and acknowledged.
    pub fn is_idle(&self) -> bool {
        self.state.lock().unwrap().is_idle()
    }

    /// The next job for a stream, waiting for one, and for acknowledgements when too many are missing; `None` when the
    /// stream shall end. Follow with [`Work::done`].
    pub fn take(&self, stream: u32) -> Option<Job> {
        let mut state = self.state.lock().unwrap();
        loop {
            if state.stopped || !state.ledger.is_open(stream) || (state.ending && state.is_idle()) {
                return None;
            }
            if !state.ledger.is_full()
                && let Some(job) = next_job(&mut state, self.chunk_bytes)
            {
                state.busy += 1;
                return Some(job);
            }
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Takes more of `source` for the job at hand: what comes next and lies within `hole`, to its last whole chunk.
    pub fn take_more(&self, source: &Arc<Source>, hole: Range<u64>) -> Option<Range<u64>> {
        let mut state = self.state.lock().unwrap();
        let Some(Item::Range { source: next, offset, end }) = state.items.front_mut() else { return None };
        let start = *offset;
        if !Arc::ptr_eq(next, source) || start < hole.start {
            return None;
        }
        let stop = if hole.end >= *end { *end } else { hole.end / self.chunk_bytes * self.chunk_bytes };
        if stop <= start {
            return None;
        }
        if stop == *end {
            state.items.pop_front();
        } else {
            *offset = stop;
        }
        Some(start..stop)
    }

    /// Bytes of a whole chunk.
    pub fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes
    }

    /// Threads that have a job.
    pub fn busy(&self) -> usize {
        self.state.lock().unwrap().busy
    }

    /// Ends the job that [`Work::take`] gave; true when everything pushed so far has been sent.
    pub fn done(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.busy -= 1;
        if state.ending && state.is_idle() {
            self.changed.notify_all();
        }
        state.items.is_empty() && state.busy == 0
    }

    /// Queues a job before all others.
    pub fn put_back(&self, job: Job) {
        self.state.lock().unwrap().items.push_front(Item::Job(job));
        self.changed.notify_all();
    }

    /// Waits until fewer than `limit` buffers are kept for their acknowledgement; false when the stream shall end.
    pub fn may_keep(&self, stream: u32, limit: usize) -> bool {
        let mut state = self.state.lock().unwrap();
        loop {
            if state.stopped || !state.ledger.is_open(stream) {
                return false;
            }
            if state.ledger.kept() < limit && !state.ledger.is_full() {
                return true;
            }
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Takes note of frames that have arrived; true when everything pushed so far is done.
    pub fn acknowledge(&self, streams: &[(u32, u32)]) -> Result<bool> {
        let mut state = self.state.lock().unwrap();
        state.ledger.acknowledge(streams)?;
        self.changed.notify_all();
        Ok(state.is_idle())
    }

    /// Queues what a stream did not carry over, before all others.
    pub fn lost(&self, stream: u32, frames: u32) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        let again = state.ledger.lost(stream, frames)?;
        for redo in again.into_iter().rev() {
            state.items.push_front(Item::Job(Job::Again(redo)));
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Reads or writes the account of what was sent, and wakes every thread to look at it.
    pub fn ledger<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut state = self.state.lock().unwrap();
        let result = change(&mut state.ledger);
        self.changed.notify_all();
        result
    }

    /// Writes a frame down that is about to be sent; false when nothing of the stream counts any more, and then its
    /// content is queued again.
    pub fn sent(&self, stream: u32, redo: Redo, wire: u64) -> bool {
        let mut state = self.state.lock().unwrap();
        match state.ledger.sent(stream, redo, wire) {
            Ok(()) => true,
            Err(redo) => {
                state.items.push_front(Item::Job(Job::Again(redo)));
                self.changed.notify_all();
                false
            }
        }
    }
}

fn next_job(state: &mut State, chunk_bytes: u64) -> Option<Job> {
    // Half a chunk each, so that the file that fills a pack still fits into a chunk's buffer.
    let small = SMALL_FILE_BYTES.min(chunk_bytes / 2);
    let pack_limit = PACK_BYTES.min(chunk_bytes / 2);
    let mut pack: Vec<Arc<Source>> = Vec::new();
    let mut pack_bytes = 0;
    loop {
        match state.items.front_mut() {
            Some(Item::Run { next, last }) => {
                let id = *next;
                let finished = *next == *last;
                let source = state.listed.get(&id);
                let size = source.map(|source| source.reference.size);
                if let Some(size) = size
                    && size >= small
                    && !pack.is_empty()
                {
                    return Some(Job::Pack(pack));
                }
                if finished {
                    state.items.pop_front();
                } else {
                    *next += 1;
                }
                // Asked for once: what is taken out here is not listed any more.
                let Some(source) = state.listed.remove(&id) else { continue };
                if source.reference.size == SIZE_UNKNOWN {
                    return Some(Job::Stream { source, offset: 0 });
                }
                let size = source.reference.size;
                source.remaining.fetch_add(size, Ordering::AcqRel);
                if size >= small {
                    state.items.push_front(Item::Range { source, offset: 0, end: size });
                    continue;
                }
                pack.push(source);
                pack_bytes += size;
                if pack_bytes >= pack_limit || pack.len() >= PACK_FILES {
                    return Some(Job::Pack(pack));
                }
            }
            Some(Item::Job(_)) if pack.is_empty() => {
                let Some(Item::Job(job)) = state.items.pop_front() else {
                    unreachable!("looked at just above")
                };
                return Some(job);
            }
            Some(Item::Range { source, offset, end }) if pack.is_empty() => {
                let start = *offset;
                let grid = (start / chunk_bytes + 1) * chunk_bytes;
                let stop = grid.min(*end);
                let job = Job::Chunk { source: source.clone(), offset: start, length: stop - start };
                if stop == *end {
                    state.items.pop_front();
                } else {
                    *offset = stop;
                }
                return Some(job);
            }
            _ => return if pack.is_empty() { None } else { Some(Job::Pack(pack)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::io::walk::FileRef;

    fn file(id: u32, size: u64) -> Source {
        Source::new(FileRef {
            id,
            directory: Arc::from(Path::new("")),
            name: format!("file{id}").into(),
            size,
            mtime_ns: 0,
            ctime_ns: 0,
            dev: 0,
            ino: 0,
        })
    }

    fn packed(work: &Work) -> Vec<u32> {
        let stream = work.ledger(|ledger| ledger.open(0)).unwrap();
        match work.take(stream) {
            Some(Job::Pack(files)) => files.iter().map(|source| source.reference.id).collect(),
            _ => panic!("not a pack"),
        }
    }

    #[test]
    fn what_comes_next_of_a_hole_is_taken_to_its_last_whole_chunk() {
        const CHUNK: u64 = 1 << 20;
        let work = Work::new(CHUNK);
        work.list(1, [file(0, 100 * CHUNK + 5), file(1, 10 * CHUNK)]);
        assert!(work.push_run(0, 1));
        let stream = work.ledger(|ledger| ledger.open(0)).unwrap();
        let next = || match work.take(stream) {
            Some(Job::Chunk { source, offset, .. }) => (source, offset),
            _ => panic!("not a chunk"),
        };
        let (first, offset) = next();
        assert_eq!((first.reference.id, offset), (0, 0));
        assert_eq!(work.take_more(&first, 0..CHUNK + 7), None, "nothing but the chunk at hand is whole");
        assert_eq!(work.take_more(&first, 0..7 * CHUNK + 9), Some(CHUNK..7 * CHUNK));
        assert_eq!(
            work.take_more(&first, 7 * CHUNK + 1..50 * CHUNK),
            None,
            "the hole begins behind what comes next"
        );
        assert_eq!(next().1, 7 * CHUNK);
        assert_eq!(work.take_more(&first, 7 * CHUNK..u64::MAX), Some(8 * CHUNK..100 * CHUNK + 5));
        assert_eq!(work.take_more(&first, 0..u64::MAX), None, "another file's turn");
        let (second, offset) = next();
        assert_eq!((second.reference.id, offset), (1, 0));
        assert_eq!(work.take_more(&second, 0..10 * CHUNK), Some(CHUNK..10 * CHUNK));
        assert_eq!(work.take_more(&second, 0..u64::MAX), None);
    }

    #[test]
    fn release_forgets_what_is_not_queued() {
        let work = Work::new(1 << 20);
        work.list(9, (0..10).map(|id| file(id, 5)));
        assert!(work.push_run(2, 3));
        assert!(work.push_run(6, 6));
        work.release(7);
        assert_eq!(work.state.lock().unwrap().listed.len(), 5);
        assert!(work.find(1).is_none());
        assert!(work.find(8).is_some());
        assert_eq!(packed(&work), [2, 3, 6]);
        // Asked for too late: passed over.
        assert!(work.push_run(0, 9));
        assert_eq!(packed(&work), [8, 9]);
        work.release(u32::MAX);
        assert_eq!(work.state.lock().unwrap().listed.len(), 0);
    }
}

//! A file on the receiving side, from being expected until it is complete in staging.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::{Error, Kind, Result};
use crate::io::columns::SIZE_UNKNOWN;

/// An expected file with what has arrived of it.
pub struct Target {
    pub entry: u32,
    /// Path inside staging, components joined by '/'.
    pub path: Vec<u8>,
    /// Path below the destination, for messages.
    pub final_path: Vec<u8>,
    pub size: u64,
    pub mode: u32,
    pub mtime: i64,
    /// Held while local bytes are put into it, by one call at a time.
    pub placing: Mutex<()>,
    /// Nothing of it has been asked for yet, so nothing may come.
    held: AtomicBool,
    /// The staged file may have bytes where nothing counts, so that a hole has to be made there, not left.
    is_dirty: AtomicBool,
    state: Mutex<State>,
}

/// What is in place of a file.
pub struct Standing {
    /// Sorted, apart; as long as the file is neither complete nor given up.
    pub present: Vec<Range<u64>>,
    /// Complete or given up.
    pub is_over: bool,
}

#[derive(Default)]
struct State {
    file: Option<Arc<File>>,
    covered: Covered,
    ended: bool,
    size: Option<u64>,
    /// Complete or given up; whatever comes first, once.
    over: bool,
}

impl Target {
    pub fn new(
        entry: u32,
        (path, final_path): (Vec<u8>, Vec<u8>),
        size: u64,
        mode: u32,
        mtime: i64,
    ) -> Target {
        let known = (size != SIZE_UNKNOWN).then_some(size);
        Target {
            entry,
            path,
            final_path,
            size,
            mode,
            mtime,
            placing: Mutex::default(),
            held: AtomicBool::new(false),
            is_dirty: AtomicBool::new(false),
            state: Mutex::new(State { size: known, ..State::default() }),
        }
    }

    /// The staged file, made by `create` when the first bytes arrive; none once it was given up, so that bytes of a
    /// failed file that are still on their way do not make it again.
    pub fn file(&self, create: impl FnOnce() -> Result<File>) -> Result<Option<Arc<File>>> {
        let mut state = self.state.lock().unwrap();
        if state.over {
            return Ok(None);
        }
        if let Some(file) = &state.file {
            return Ok(Some(file.clone()));
        }
        let file = Arc::new(create()?);
        state.file = Some(file.clone());
        Ok(Some(file))
    }

    /// Takes over `file`, which holds `ranges` (sorted, apart, within the size) already, before anything arrives.
    pub fn resume(&self, file: File, ranges: &[Range<u64>]) {
        let mut state = self.state.lock().unwrap();
        state.file = Some(Arc::new(file));
        state.covered.add_written(ranges);
        // What the transfer that died did not tell of may be anything.
        self.soil();
    }

    /// Lets nothing come until [`Target::release`].
    pub fn hold(&self) {
        self.held.store(true, Ordering::Release);
    }

    pub fn release(&self) {
        self.held.store(false, Ordering::Release);
    }

    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Takes note that bytes are written that may never count; gives whether that was so before.
    pub fn soil(&self) -> bool {
        self.is_dirty.swap(true, Ordering::AcqRel)
    }

    pub fn is_dirty(&self) -> bool {
        self.is_dirty.load(Ordering::Acquire)
    }

    pub fn standing(&self) -> Standing {
        let state = self.state.lock().unwrap();
        let present = state.covered.ranges.iter().map(|(&start, &end)| start..end).collect();
        Standing { present, is_over: state.over }
    }

    /// Counts `ranges` (apart from each other and from all that is present) of a held file that are written and verified.
    /// Gives the file when that is all of it; nothing is done when it was given up meanwhile.
    pub fn add_placed(&self, ranges: &[Range<u64>]) -> Option<Arc<File>> {
        let mut state = self.state.lock().unwrap();
        if state.over {
            return None;
        }
        state.covered.add_written(ranges);
        if state.size != Some(state.covered.written) {
            return None;
        }
        state.over = true;
        state.file.take()
    }

    /// Reserves a range before it is written; gives by how many the gaps between ranges have grown.
    ///
    /// Fails when the range is outside of the file or has come before: the peer is broken.
    pub fn claim(&self, offset: u64, length: u64) -> Result<isize> {
        let mut state = self.state.lock().unwrap();
        if state.over {
            return Ok(0);
        }
        let before = state.covered.gaps();
        if state.size.is_some_and(|size| offset + length > size) {
            return Err(Error::new(Kind::Protocol, "The peer sent bytes beyond the end of a file"));
        }
        if !state.covered.add(offset, length) {
            return Err(Error::new(Kind::Protocol, "The peer sent the same bytes of a file twice"));
        }
        Ok(state.covered.gaps() as isize - before as isize)
    }

    /// Reserves all of a file that nothing has come of, with its end mark; false, and nothing done, when it is not that.
    pub fn claim_whole(&self, length: u64) -> bool {
        let mut state = self.state.lock().unwrap();
        let untouched = state.size == Some(length) && self.size == length && !state.ended && !state.over;
        let untouched = untouched && state.file.is_none() && state.covered.ranges.is_empty();
        if !untouched || !state.covered.add(0, length) {
            return false;
        }
        state.ended = true;
        true
    }

    /// Completes a file that was claimed whole and is written; false when it was given up meanwhile.
    pub fn finish_whole(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().unwrap().over, true)
    }

    /// Takes note of the end mark; `end` is the size when it was not known before.
    pub fn end(&self, end: u64) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.ended {
            return Err(Error::new(Kind::Protocol, "The peer ended a file twice"));
        }
        state.ended = true;
        state.size.get_or_insert(end);
        Ok(())
    }

    /// Gives the file when everything of it is written: the thread that asks last finishes it.
    pub fn complete(&self, written: u64) -> Option<Option<Arc<File>>> {
        let mut state = self.state.lock().unwrap();
        state.covered.written += written;
        let whole = state.ended && state.size == Some(state.covered.written) && state.covered.is_prefix();
        if !whole || state.over {
            return None;
        }
        state.over = true;
        Some(state.file.take())
    }

    /// Gives the file up with the gaps that it had; none when that has been done, or the file is complete.
    pub fn give_up(&self) -> Option<usize> {
        let mut state = self.state.lock().unwrap();
        if std::mem::replace(&mut state.over, true) {
            return None;
        }
        Some(std::mem::take(&mut state.covered).gaps())
    }

    /// The size once it is known.
    pub fn final_size(&self) -> u64 {
        self.state.lock().unwrap().size.unwrap_or(0)
    }
}

/// Disjoint ranges that have been claimed, merged where they touch.
#[derive(Default)]
struct Covered {
    /// start -> end
    ranges: BTreeMap<u64, u64>,
    written: u64,
}

impl Covered {
    fn add(&mut self, offset: u64, length: u64) -> bool {
        let mut start = offset;
        let mut end = offset + length;
        if self.ranges.range(..end).next_back().is_some_and(|(_, &stop)| stop > offset) {
            return false;
        }
        if let Some((&before, &stop)) = self.ranges.range(..=offset).next_back()
            && stop == offset
        {
            start = before;
        }
        if let Some(stop) = self.ranges.remove(&end) {
            end = stop;
        }
        self.ranges.insert(start, end);
        true
    }

    fn add_written(&mut self, ranges: &[Range<u64>]) {
        for range in ranges {
            let is_new = self.add(range.start, range.end - range.start);
            debug_assert!(is_new);
            self.written += range.end - range.start;
        }
    }

    /// Gaps between the ranges.
    fn gaps(&self) -> usize {
        self.ranges.len().saturating_sub(1)
    }

    fn is_prefix(&self) -> bool {
        match self.ranges.len() {
            0 => true,
            1 => self.ranges.contains_key(&0),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_is_complete_when_covered_and_ended_in_either_order() {
        for end_first in [true, false] {
            let target = Target::new(0, (b"0".to_vec(), b"a".to_vec()), 10, 0o644, 0);
            target.claim(4, 6).unwrap();
            assert!(target.complete(6).is_none());
            if end_first {
                target.end(10).unwrap();
                target.claim(0, 4).unwrap();
                assert!(target.complete(4).is_some());
            } else {
                target.claim(0, 4).unwrap();
                assert!(target.complete(4).is_none());
                target.end(10).unwrap();
                assert!(target.complete(0).is_some());
            }
        }
    }

    #[test]
    fn a_file_that_is_resumed_is_complete_with_the_rest() {
        let target = Target::new(0, (b"0".to_vec(), b"a".to_vec()), 10, 0o644, 0);
        target.resume(tempfile::tempfile().unwrap(), &[0..3, 5..6]);
        assert_eq!(target.claim(5, 1).unwrap_err().kind, Kind::Protocol);
        target.claim(6, 4).unwrap();
        target.end(10).unwrap();
        assert!(target.complete(4).is_none());
        target.claim(3, 2).unwrap();
        assert!(target.complete(2).is_some());
    }

    #[test]
    fn bytes_beyond_the_end_or_twice_are_refused() {
        let target = Target::new(0, (b"0".to_vec(), b"a".to_vec()), 10, 0o644, 0);
        assert_eq!(target.claim(5, 6).unwrap_err().kind, Kind::Protocol);
        target.claim(2, 4).unwrap();
        assert_eq!(target.claim(5, 1).unwrap_err().kind, Kind::Protocol);
        assert_eq!(target.claim(0, 3).unwrap_err().kind, Kind::Protocol);
        assert_eq!(target.claim(0, 10).unwrap_err().kind, Kind::Protocol);
        target.end(10).unwrap();
        assert_eq!(target.end(10).unwrap_err().kind, Kind::Protocol);
    }

    #[test]
    fn a_file_is_complete_or_given_up_but_never_both() {
        let target = || Target::new(0, (b"0".to_vec(), b"a".to_vec()), 10, 0o644, 0);
        let complete = |target: &Target| {
            target.claim(0, 10).unwrap();
            target.end(10).unwrap();
            target.complete(10).is_some()
        };
        let given_up = target();
        assert!(given_up.give_up().is_some());
        assert!(given_up.give_up().is_none());
        assert!(given_up.file(|| panic!("made again")).unwrap().is_none());
        assert!(!complete(&given_up));
        let whole = target();
        assert!(complete(&whole));
        assert!(whole.give_up().is_none());
    }

    #[test]
    fn a_file_is_claimed_whole_only_when_nothing_has_come_of_it() {
        let target = || Target::new(0, (b"0".to_vec(), b"a".to_vec()), 10, 0o644, 0);
        let whole = target();
        assert!(!whole.claim_whole(9));
        assert!(whole.claim_whole(10));
        assert!(!whole.claim_whole(10));
        assert_eq!(whole.claim(0, 1).unwrap_err().kind, Kind::Protocol);
        assert_eq!(whole.end(10).unwrap_err().kind, Kind::Protocol);
        assert!(whole.finish_whole());
        assert!(whole.give_up().is_none());
        let begun = target();
        begun.claim(0, 1).unwrap();
        assert!(!begun.claim_whole(10));
        let given_up = target();
        assert!(given_up.claim_whole(10));
        assert!(given_up.give_up().is_some());
        assert!(!given_up.finish_whole());
    }

    proptest! {
        #[test]
        fn claims_agree_with_a_bitmap(claims in prop::collection::vec((0u64..64, 1u64..16), 0..40)) {
            let mut bitmap = [false; 80];
            let mut covered = Covered::default();
            for (offset, length) in claims {
                let range = offset as usize..(offset + length) as usize;
                let free = bitmap[range.clone()].iter().all(|&taken| !taken);
                prop_assert_eq!(covered.add(offset, length), free);
                if free {
                    bitmap[range].fill(true);
                }
            }
            let sum: u64 = covered.ranges.iter().map(|(start, end)| end - start).sum();
            prop_assert_eq!(sum, bitmap.iter().filter(|&&taken| taken).count() as u64);
        }
    }
}

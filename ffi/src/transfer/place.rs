//! Local bytes for held files: copied into staging, proved, and only then counted, as if they had come over the wire.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::leftover::gaps;
use super::pieces::{self, Copy, Piece};
use super::receive::{Inbox, concerns_one_entry};
use super::target::Target;
use crate::chunk::hash::hash_range;
use crate::error::{Error, Kind, Result};
use crate::io::backend::CopyRange;
use crate::io::stamp::Stamp;
use crate::io::{local, sparse};
use crate::workers;

/// Bytes copied at once: between two copies a call may be cancelled or the session closed. Where the file system shares
/// storage it is one operation each; elsewhere about 20 ms, and several are under way.
const STEP_BYTES: u64 = 32 * 1024 * 1024;

/// Ranges of one file that are remembered as present; what was copied beyond comes over the wire. 1 MiB of memory and
/// 400 KiB of requests.
const MAX_RANGES: usize = 16_384;

/// What may be put into a held file.
pub struct Request {
    pub entry: u32,
    pub sources: Vec<(PathBuf, Stamp)>,
    /// [`pieces::PIECE_BYTES`] each.
    pub pieces: Vec<u8>,
    /// The file stays held.
    pub hold: bool,
}

/// What became of a file by local bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is missing of it, and nothing when it is complete or has failed.
    pub missing: Vec<Range<u64>>,
    pub placed: u64,
    pub is_complete: bool,
    /// Sources of which nothing counted.
    pub stale: Vec<u32>,
    /// Pieces that are not what they should be.
    pub rejected: u32,
}

/// What is missing of a file that is held no longer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Released {
    pub missing: Vec<Range<u64>>,
    /// Nothing of it is present.
    pub is_whole: bool,
    /// It is complete or has failed.
    pub is_over: bool,
}

impl Inbox {
    /// Puts local bytes into a held file. Blocks.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when the file is not held or the pieces cannot be; CANCELLED and CLOSED, between copies, and then
    /// nothing counts and the file is still held; what the disk says of the staged file.
    pub fn place(&self, request: &Request, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<Outcome> {
        let Some(target) = self.target(request.entry) else {
            return if self.has_dropped(request.entry) { Ok(Outcome::default()) } else { Err(not_held()) };
        };
        let _alone = target.placing.lock().unwrap();
        if !target.is_held() {
            return Err(not_held());
        }
        let sizes: Vec<u64> = request.sources.iter().map(|(_, stamp)| stamp.size).collect();
        let pieces = pieces::decode(&request.pieces, target.size, &sizes)?;
        let mut outcome = Outcome::default();
        match self.fill(&target, request, &pieces, cancelled, &mut outcome) {
            Ok(()) => {}
            Err(error) if concerns_one_entry(error.kind) => self.drop_entry(&target, &error),
            Err(error) => return Err(error),
        }
        let standing = target.standing();
        if !standing.is_over {
            outcome.missing = gaps(&standing.present, target.size);
        }
        if !request.hold {
            target.release();
        }
        Ok(outcome)
    }

    /// Lets a held file be asked for; waits until nobody puts local bytes into it. Blocks.
    pub fn release(&self, entry: u32) -> Released {
        let Some(target) = self.target(entry) else {
            return Released { is_over: true, ..Released::default() };
        };
        let _alone = target.placing.lock().unwrap();
        target.release();
        let standing = target.standing();
        if standing.is_over {
            return Released { is_over: true, ..Released::default() };
        }
        let is_whole = standing.present.is_empty();
        let missing = if is_whole { Vec::new() } else { gaps(&standing.present, target.size) };
        Released { missing, is_whole, is_over: false }
    }

    fn fill(
        &self,
        target: &Arc<Target>,
        request: &Request,
        pieces: &[Piece],
        cancelled: &(dyn Fn() -> bool + Sync),
        outcome: &mut Outcome,
    ) -> Result<()> {
        let present = target.standing().present;
        let copies = pieces::copies(pieces, &present);
        if copies.is_empty() {
            return Ok(());
        }
        let make = || self.while_open(|| self.staging.create_file(&target.path, target.size));
        let Some(file) = target.file(make)? else { return Ok(()) };
        let is_clean = !target.soil();
        let mut is_stale = vec![false; request.sources.len()];
        for of_source in copies.chunk_by(|a, b| a.source == b.source) {
            let index = of_source[0].source as usize;
            let to = To { path: &target.path, file: &file, is_clean };
            is_stale[index] = !self.copy(&request.sources[index], of_source, &to, cancelled)?;
        }
        let mut news: Vec<(&Piece, Vec<Range<u64>>)> = Vec::new();
        let mut ranges = present.len();
        for piece in pieces.iter().filter(|piece| !is_stale[piece.source as usize]) {
            let parts = pieces::without(piece.range(), &present);
            if !parts.is_empty() && ranges + parts.len() <= MAX_RANGES {
                ranges += parts.len();
                news.push((piece, parts));
            }
        }
        let is_right = workers::map(news.len(), |index| {
            let piece = news[index].0;
            if piece.is_settled {
                return Ok(true);
            }
            Ok(hash_range(&file, piece.offset, piece.length, &|| cancelled())?.0 == piece.id)
        })?;
        let mut proved: Vec<(&Piece, u64)> = Vec::new();
        let mut counted: Vec<Range<u64>> = Vec::new();
        for ((piece, parts), is_right) in news.into_iter().zip(is_right) {
            if !is_right {
                outcome.rejected += 1;
                continue;
            }
            proved.push((piece, parts.iter().map(|part| part.end - part.start).sum()));
            parts.into_iter().for_each(|part| join(&mut counted, part));
        }
        let stale = is_stale.iter().enumerate().filter(|(_, stale)| **stale);
        outcome.stale = stale.map(|(index, _)| index as u32).collect();
        self.while_open(|| self.count(target, &proved, &counted, outcome))
    }

    /// Copies from one source; false when it is not, or no longer, the file that its stamp says.
    fn copy(
        &self,
        (path, stamp): &(PathBuf, Stamp),
        copies: &[Copy],
        to: &To<'_>,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<bool> {
        let Some(from) = local::open(path, stamp) else { return Ok(false) };
        let steps = steps(copies);
        let is_short = AtomicBool::new(false);
        let step = |index: usize| {
            if cancelled() {
                return Err(Error::new(Kind::Cancelled, "cancelled"));
            }
            if !is_short.load(Ordering::Relaxed) && !self.copy_step(&from, to, &steps, index)? {
                is_short.store(true, Ordering::Relaxed);
            }
            Ok(())
        };
        workers::map(steps.len(), step)?;
        Ok(!is_short.into_inner() && local::has(&from, stamp))
    }

    /// Does one step; false when it cannot be done, and its bytes are to come over the wire.
    fn copy_step(&self, from: &File, to: &To<'_>, steps: &[CopyRange], index: usize) -> Result<bool> {
        // Some ways to copy write at the file's position, which each thread needs for itself.
        let own = match steps.len() {
            1 => None,
            _ => match self.staging.open_file(to.path) {
                Ok(own) => Some(own),
                Err(_) => return Ok(false),
            },
        };
        let file = own.as_ref().unwrap_or(to.file);
        let copied =
            self.while_open(|| Ok(sparse::copy(&*self.io, (from, file), steps[index], to.is_clean)))?;
        match copied.map_err(|error| Error::io("Cannot write a received file", &error)) {
            Err(error) if matches!(error.kind, Kind::NoSpace | Kind::ReadOnly) => Err(error),
            // Perhaps it is the source that cannot be read; and if not, the wire's bytes will meet it too.
            result => Ok(matches!(result, Ok(true))),
        }
    }

    /// Counts what is written and proved.
    fn count(
        &self,
        target: &Arc<Target>,
        proved: &[(&Piece, u64)],
        counted: &[Range<u64>],
        outcome: &mut Outcome,
    ) -> Result<()> {
        for (piece, _) in proved {
            // One chunk id does not fit the parts that a longer record is told in.
            let id = if piece.length > u64::from(u32::MAX) { [0; 32] } else { piece.id };
            self.verified.note(target.entry, piece.offset, piece.length, &id);
        }
        self.verified.flush();
        outcome.placed = proved.iter().map(|(_, bytes)| bytes).sum();
        // Before the file counts as done: whoever hears of the last file has heard of all bytes.
        self.report.moved(outcome.placed);
        let Some(file) = target.add_placed(counted) else { return Ok(()) };
        outcome.is_complete = true;
        self.complete(target, Some(&file))?;
        if self.outstanding() == 0 {
            self.report.hurry();
        }
        Ok(())
    }
}

/// The staged file that is copied into.
struct To<'a> {
    path: &'a [u8],
    file: &'a File,
    /// It has nothing but holes.
    is_clean: bool,
}

/// Cuts copies from one source into steps of [`STEP_BYTES`].
fn steps(copies: &[Copy]) -> Vec<CopyRange> {
    let of_copy = |copy: &Copy| {
        let Copy { from_offset, to_offset, length, .. } = *copy;
        (0..length).step_by(STEP_BYTES as usize).map(move |done| CopyRange {
            from_offset: from_offset + done,
            to_offset: to_offset + done,
            length: STEP_BYTES.min(length - done),
        })
    };
    copies.iter().flat_map(of_copy).collect()
}

/// Adds a range that lies behind all others.
fn join(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

fn not_held() -> Error {
    Error::new(Kind::InvalidArgument, "Cannot place local bytes: the entry is not held")
}

#[cfg(test)]
#[path = "place_test.rs"]
mod tests;

//! Makes frames smaller where TypeScript's rules say so, and counts what that costs and gains.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::pool::{Buffer, Pool};
use crate::chunk::codec::{self, Codec};
use crate::chunk::estimate::estimate;
use crate::chunk::magic;
use crate::error::{Error, Kind, Result};

/// Bytes of a frame that a probe compresses: enough for a ratio near the whole chunk's, few enough to take under 1 ms.
const PROBE_BYTES: usize = 128 * 1024;

/// Extensions and candidates that one caller may name; theirs are some dozens.
const MAX_NAMES: usize = 4096;

/// When a frame is not even tried. All numbers are TypeScript's.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Rules {
    /// Samples with at least this entropy in bits per byte, and at most `max_repeats`, are left as they are.
    pub min_entropy: f32,
    pub max_repeats: f32,
    /// After a frame that did not shrink, so many of the same file are left alone at most; 1 the first time, then twice
    /// as many each time.
    pub max_skipped: u32,
    /// Formats that are compressed already, as extensions in lower case, of names and of what the content shows.
    pub extensions: HashSet<String>,
}

/// One way to encode, as a number pair.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Candidate {
    pub codec: u8,
    pub level: i32,
}

/// What compressing a piece of a frame gave.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    pub codec: u8,
    pub level: i32,
    pub plain: u64,
    pub wire: u64,
    /// CPU time; 0 where the rules say not to try.
    pub cpu_us: u64,
}

/// How one file's frames have done so far.
#[derive(Debug, Default)]
pub struct History {
    /// Frames that are still left alone.
    skipped: AtomicU32,
    /// Frames that the last disappointment cost.
    penalty: AtomicU32,
    named: AtomicBool,
}

impl History {
    fn is_skipped(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.skipped.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn skip(&self, frames: u32) {
        self.penalty.store(frames, Ordering::Relaxed);
        self.skipped.store(frames, Ordering::Relaxed);
    }

    fn disappointed(&self, most: u32) {
        let penalty = self.penalty.load(Ordering::Relaxed);
        self.skip(penalty.saturating_mul(2).max(1).min(most));
    }
}

/// What is known of a frame's origin.
pub struct Origin<'a> {
    pub history: &'a History,
    /// Name of the file, of which the extension counts.
    pub name: &'a std::ffi::OsStr,
    /// The frame begins with the file's first byte.
    pub is_start: bool,
}

/// How the frames of one session are encoded; shared by its threads.
pub struct Encoding {
    codec: AtomicU8,
    level: AtomicI32,
    rules: RwLock<Rules>,
    pool: Mutex<Option<Pool>>,
    /// CPU microseconds spent.
    pub cpu_us: AtomicU64,
    /// Plaintext bytes that went through here, compressed or not.
    pub plain: AtomicU64,
    wanted: Mutex<Vec<Candidate>>,
    has_wanted: AtomicBool,
    probes: Mutex<Vec<Probe>>,
}

impl Default for Encoding {
    fn default() -> Encoding {
        Encoding {
            codec: AtomicU8::new(Codec::Raw as u8),
            level: AtomicI32::new(0),
            rules: RwLock::default(),
            pool: Mutex::new(None),
            cpu_us: AtomicU64::new(0),
            plain: AtomicU64::new(0),
            wanted: Mutex::default(),
            has_wanted: AtomicBool::new(false),
            probes: Mutex::default(),
        }
    }
}

impl Encoding {
    /// Sets the rules; before the first frame.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for more extensions than anybody needs.
    pub fn set_rules(&self, rules: Rules) -> Result<()> {
        if rules.extensions.len() > MAX_NAMES {
            return Err(Error::new(Kind::InvalidArgument, "too many extensions"));
        }
        *self.rules.write().unwrap() = rules;
        Ok(())
    }

    /// Bounds the memory: `buffers` results at a time, of frames of up to `frame_bytes`. Nothing is allocated yet.
    pub fn set_room(&self, buffers: usize, frame_bytes: usize) {
        *self.pool.lock().unwrap() = Some(Pool::new(0, codec::largest_output(frame_bytes), buffers));
    }

    /// Allows `buffers` results at a time at least.
    pub fn grow_room(&self, buffers: usize) {
        if let Some(pool) = &*self.pool.lock().unwrap() {
            pool.grow(buffers);
        }
    }

    /// Ends waiting for room.
    pub fn close(&self) {
        if let Some(pool) = self.pool.lock().unwrap().take() {
            pool.close();
        }
    }

    /// Changes how the next frames are encoded.
    pub fn tune(&self, codec: Codec, level: i32) {
        self.codec.store(codec as u8, Ordering::Relaxed);
        self.level.store(level, Ordering::Relaxed);
    }

    /// Tries these on a piece of the next frame; [`Encoding::take_probes`] has the results.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a codec that is none, or too many.
    pub fn probe(&self, candidates: Vec<Candidate>) -> Result<()> {
        let known = candidates.iter().all(|candidate| Codec::from_number(candidate.codec).is_ok());
        if !known || candidates.len() > MAX_NAMES {
            return Err(Error::new(Kind::InvalidArgument, "no such codec"));
        }
        self.has_wanted.store(!candidates.is_empty(), Ordering::Relaxed);
        *self.wanted.lock().unwrap() = candidates;
        Ok(())
    }

    pub fn take_probes(&self) -> Vec<Probe> {
        std::mem::take(&mut *self.probes.lock().unwrap())
    }

    /// Gives the frame's payload compressed, with its codec; none when it is to be sent as it is.
    pub fn encode(&self, plain: &[u8], origin: Option<Origin<'_>>) -> Result<Option<(Codec, Buffer)>> {
        self.plain.fetch_add(plain.len() as u64, Ordering::Relaxed);
        let codec = Codec::from_number(self.codec.load(Ordering::Relaxed)).unwrap_or(Codec::Raw);
        let probed = self.has_wanted.load(Ordering::Relaxed);
        if plain.is_empty() || (codec == Codec::Raw && !probed) {
            return Ok(None);
        }
        let before = cpu_time();
        let worth = self.is_worth_trying(plain, origin.as_ref());
        let mut packed = None;
        if worth && codec != Codec::Raw {
            packed = self.pack(codec, plain)?;
            if let Some(Origin { history, .. }) = &origin {
                match packed {
                    Some(_) => history.penalty.store(0, Ordering::Relaxed),
                    None => history.disappointed(self.rules.read().unwrap().max_skipped),
                }
            }
        }
        self.cpu_us.fetch_add(since(before), Ordering::Relaxed);
        if probed {
            self.make_probes(plain, worth)?;
        }
        Ok(packed)
    }

    fn is_worth_trying(&self, plain: &[u8], origin: Option<&Origin<'_>>) -> bool {
        let rules = self.rules.read().unwrap();
        if let Some(origin) = origin {
            if is_known(&rules, plain, origin) {
                origin.history.skip(rules.max_skipped);
                return false;
            }
            if origin.history.is_skipped() {
                return false;
            }
        }
        let guess = estimate(plain);
        // Without rules the threshold is 0 and everything is tried.
        let hopeless = rules.min_entropy > 0.0
            && guess.entropy >= rules.min_entropy
            && guess.repeats <= rules.max_repeats;
        if hopeless && let Some(origin) = origin {
            origin.history.disappointed(rules.max_skipped);
        }
        !hopeless
    }

    fn pack(&self, codec: Codec, plain: &[u8]) -> Result<Option<(Codec, Buffer)>> {
        let pool = self.pool.lock().unwrap().clone();
        let buffer = pool.and_then(|pool| pool.take());
        let mut buffer = buffer.ok_or_else(|| Error::new(Kind::Closed, "the send session is closed"))?;
        let level = self.level.load(Ordering::Relaxed);
        let Some(length) = codec::compress_into(codec, level, plain, buffer.space())? else {
            return Ok(None);
        };
        buffer.set_length(length);
        Ok(Some((codec, buffer)))
    }

    fn make_probes(&self, plain: &[u8], worth: bool) -> Result<()> {
        if !self.has_wanted.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let wanted = std::mem::take(&mut *self.wanted.lock().unwrap());
        let middle = (plain.len() / 2).saturating_sub(PROBE_BYTES / 2);
        let piece = &plain[middle..plain.len().min(middle + PROBE_BYTES)];
        let mut output = vec![0; codec::largest_output(piece.len())];
        let mut probes = Vec::with_capacity(wanted.len());
        for Candidate { codec, level } in wanted {
            let (mut wire, mut cpu_us) = (piece.len(), 0);
            // Twice, and the faster counts: the first may be the one that makes the context.
            for round in 0..if worth { 2 } else { 0 } {
                let before = cpu_time();
                let shrunk = codec::compress_into(Codec::from_number(codec)?, level, piece, &mut output)?;
                let took = since(before);
                cpu_us = if round == 0 { took } else { took.min(cpu_us) };
                wire = shrunk.unwrap_or(piece.len());
            }
            probes.push(Probe { codec, level, plain: piece.len() as u64, wire: wire as u64, cpu_us });
        }
        *self.probes.lock().unwrap() = probes;
        Ok(())
    }
}

/// True for a file whose name or start says that it is compressed already; asked once by name, once by content.
fn is_known(rules: &Rules, plain: &[u8], origin: &Origin<'_>) -> bool {
    let named = !origin.history.named.swap(true, Ordering::Relaxed)
        && std::path::Path::new(origin.name)
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| rules.extensions.contains(&extension.to_ascii_lowercase()));
    named
        || origin.is_start && magic::format_of(plain).is_some_and(|format| rules.extensions.contains(format))
}

/// CPU time of this thread: other programs on the machine do not make it longer.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn since(before: Duration) -> u64 {
    cpu_time().saturating_sub(before).as_micros() as u64
}

#[cfg(test)]
#[path = "encode_test.rs"]
mod tests;

//! `src/native/reuse.ts`: bytes that this machine has already, for a receive session.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::LocalPath;
use super::engine::{ranges_of, stamps_result, within};
use crate::error::{Error, Kind, Result};
use crate::io::local;
use crate::io::stamp::{STAMP_BYTES, Stamp};
use crate::op::{self, Context, Op, OpFuture, blocking};
use crate::transfer::expect::ReceiveSession;
use crate::transfer::pieces::MAX_SOURCES;
use crate::transfer::place::Request;
use crate::workers;

pub const OPERATIONS: &[(&str, Op)] = &[
    ("receive.place", place),
    ("receive.release", release),
    ("receive.stamps", placed_stamps),
    ("files.stamps", stamps),
];

/// Stamps asked for at once.
const MAX_STAMPS: usize = 4096;

/// Stamps that one thread looks for: about a millisecond, far more than starting it takes.
const STAMPS_AT_ONCE: usize = 512;

#[derive(Deserialize)]
struct SourceArgs {
    path: LocalPath,
    stamp: ByteBuf,
}

#[derive(Deserialize)]
struct PlaceArgs {
    receive: u32,
    entry: u32,
    sources: Vec<SourceArgs>,
    pieces: ByteBuf,
    #[serde(default)]
    hold: bool,
}

#[derive(Serialize)]
struct PlaceResult {
    ranges: ByteBuf,
    placed: u64,
    complete: bool,
    stale: Vec<u32>,
    rejected: u32,
}

/// Puts local bytes into a held file.
fn place(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: PlaceArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        within("sources", args.sources.len(), 0..=MAX_SOURCES)?;
        let source = |source: SourceArgs| Ok((source.path.0, stamp_of(&source.stamp)?));
        let sources = args.sources.into_iter().map(source).collect::<Result<Vec<_>>>()?;
        let PlaceArgs { entry, hold, .. } = args;
        let request = Request { entry, sources, pieces: args.pieces.into_vec(), hold };
        let outcome = op::blocking_cancellable(move |cancelled| {
            session.inbox.place(&request, &|| cancelled.load(Ordering::Relaxed))
        })
        .await?;
        Ok(PlaceResult {
            ranges: ranges_of(outcome.missing.iter().map(|gap| (entry, gap.start, gap.end - gap.start))),
            placed: outcome.placed,
            complete: outcome.is_complete,
            stale: outcome.stale,
            rejected: outcome.rejected,
        })
    })
}

#[derive(Deserialize)]
struct ReleaseArgs {
    receive: u32,
    entry: u32,
}

#[derive(Serialize)]
struct ReleaseResult {
    whole: bool,
    complete: bool,
    ranges: ByteBuf,
}

/// Lets a held file be asked for.
fn release(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ReleaseArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        let entry = args.entry;
        let released = blocking(move || Ok(session.inbox.release(entry))).await?;
        Ok(ReleaseResult {
            whole: released.is_whole,
            complete: released.is_over,
            ranges: ranges_of(released.missing.iter().map(|gap| (entry, gap.start, gap.end - gap.start))),
        })
    })
}

#[derive(Deserialize)]
struct PlacedStampsArgs {
    receive: u32,
    /// u32 each.
    entries: ByteBuf,
}

/// Where large files came to lie, and their stamps.
fn placed_stamps(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: PlacedStampsArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        let entries = entries_of(&args.entries)?;
        blocking(move || {
            let remembered = session.remembered.lock().unwrap();
            let destination = session.inbox.staging.destination();
            Ok(stamps_result(entries.into_iter().map(|entry| remembered.stamp(destination, entry))))
        })
        .await
    })
}

#[derive(Deserialize)]
struct StampsArgs {
    paths: Vec<ByteBuf>,
}

#[derive(Serialize)]
struct Looks {
    stamps: ByteBuf,
    /// Permissions, u16 each; 0 where there is no file.
    modes: ByteBuf,
}

/// The stamps of files of this machine.
fn stamps(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: StampsArgs| async move {
        within("paths", args.paths.len(), 0..=MAX_STAMPS)?;
        let look = |path: &ByteBuf| local::look_at(Path::new(OsStr::from_bytes(path)));
        let looks = blocking(move || {
            let batches: Vec<&[ByteBuf]> = args.paths.chunks(STAMPS_AT_ONCE).collect();
            let of_batch = |index: usize| Ok(batches[index].iter().map(look).collect::<Vec<_>>());
            Ok(workers::map(batches.len(), of_batch)?.concat())
        })
        .await?;
        let stamp = |look: &Option<(Stamp, u32)>| look.map_or([0; STAMP_BYTES], |(stamp, _)| stamp.encode());
        let mode = |look: &Option<(Stamp, u32)>| look.map_or(0, |(_, mode)| mode as u16).to_le_bytes();
        Ok(Looks {
            stamps: ByteBuf::from(looks.iter().flat_map(stamp).collect::<Vec<u8>>()),
            modes: ByteBuf::from(looks.iter().flat_map(mode).collect::<Vec<u8>>()),
        })
    })
}

/// Entries as they travel, u32 each.
pub(super) fn entries_of(bytes: &[u8]) -> Result<Vec<u32>> {
    let (entries, rest) = bytes.as_chunks::<4>();
    within("entries", entries.len(), 0..=MAX_STAMPS)?;
    if !rest.is_empty() {
        return Err(Error::new(Kind::InvalidArgument, "the entries are cut"));
    }
    Ok(entries.iter().map(|entry| u32::from_le_bytes(*entry)).collect())
}

/// Stamps as they travel, 40 bytes each.
pub(super) fn stamps_of(bytes: &[u8]) -> Result<Vec<Stamp>> {
    bytes.chunks(STAMP_BYTES).map(stamp_of).collect()
}

fn stamp_of(bytes: &[u8]) -> Result<Stamp> {
    Stamp::decode(bytes).ok_or_else(|| Error::new(Kind::InvalidArgument, "a stamp has 40 bytes"))
}

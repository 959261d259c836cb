//! `src/native/pack.ts`: packs of the store.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::LocalPath;
use crate::chunk::hash::HASH_BYTES;
use crate::error::{Error, Kind, Result};
use crate::io::stamp::Stamp;
use crate::op::{self, Context, Op, OpFuture};
use crate::store::pack_read::{self, Pack};
use crate::store::pack_write::{self, Piece, Source};

pub const OPERATIONS: &[(&str, Op)] =
    &[("pack.write", write), ("pack.read", read), ("pack.check", check), ("pack.orphans", orphans)];

/// `offset u64, length u32, source u32, id 32`.
const PIECE_BYTES: usize = 16 + HASH_BYTES;

#[derive(Deserialize)]
struct WriteArgs {
    directory: LocalPath,
    sources: Vec<SourceArgs>,
    pieces: ByteBuf,
}

#[derive(Deserialize)]
struct SourceArgs {
    path: LocalPath,
    stamp: ByteBuf,
}

#[derive(Serialize)]
struct WriteResult {
    /// None when nothing was written.
    name: Option<String>,
    pack: Option<PackResult>,
    rejected: u32,
}

/// A pack as a file that is cut by content: the table is its last chunk, under an id of zeros.
#[derive(Serialize)]
struct PackResult {
    hashes: ByteBuf,
    /// u32 each.
    sizes: ByteBuf,
    size: u64,
    stamp: ByteBuf,
}

impl From<Pack> for PackResult {
    fn from(Pack { chunks, tail, stamp }: Pack) -> PackResult {
        let mut hashes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.id).collect();
        hashes.extend_from_slice(&[0; HASH_BYTES]);
        let lengths = chunks.iter().map(|chunk| chunk.length).chain([tail]);
        PackResult {
            hashes: ByteBuf::from(hashes),
            sizes: ByteBuf::from(lengths.flat_map(u32::to_le_bytes).collect::<Vec<u8>>()),
            size: stamp.size,
            stamp: ByteBuf::from(stamp.encode()),
        }
    }
}

/// Writes a pack of pieces of files.
fn write(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: WriteArgs| {
        op::blocking_cancellable(move |cancelled| {
            let sources = args.sources.into_iter().map(source_of).collect::<Result<Vec<_>>>()?;
            let (records, rest) = args.pieces.as_chunks::<PIECE_BYTES>();
            if !rest.is_empty() {
                return Err(Error::new(Kind::InvalidArgument, "Cannot write a pack: its pieces are cut"));
            }
            let pieces: Vec<Piece> = records.iter().map(piece_of).collect();
            let stop = || cancelled.load(Ordering::Relaxed);
            let written = pack_write::write(&args.directory.0, &sources, &pieces, &stop)?;
            let (name, pack) = written.pack.map(|(name, pack)| (name, PackResult::from(pack))).unzip();
            Ok(WriteResult { name, pack, rejected: written.rejected })
        })
    })
}

fn source_of(source: SourceArgs) -> Result<Source> {
    let stamp = Stamp::decode(&source.stamp)
        .ok_or_else(|| Error::new(Kind::InvalidArgument, "Cannot write a pack: a stamp is none"))?;
    Ok(Source { path: source.path.0, stamp })
}

fn piece_of(record: &[u8; PIECE_BYTES]) -> Piece {
    let number = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().expect("4 bytes"));
    Piece {
        offset: u64::from_le_bytes(record[..8].try_into().expect("8 bytes")),
        length: number(8),
        source: number(12),
        id: record[16..].try_into().expect("32 bytes"),
    }
}

#[derive(Deserialize)]
struct PathArgs {
    path: LocalPath,
}

/// Reads the table of a pack.
fn read(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: PathArgs| {
        op::blocking(move || pack_read::read(&args.path.0).map(PackResult::from))
    })
}

#[derive(Serialize)]
struct CheckResult {
    chunks: u64,
    bytes: u64,
    damaged: u64,
}

/// Hashes every chunk of a pack.
fn check(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: PathArgs| {
        op::blocking_cancellable(move |cancelled| {
            let stop = || cancelled.load(Ordering::Relaxed);
            let checked = pack_read::check(&args.path.0, &stop)?;
            Ok(CheckResult { chunks: checked.chunks, bytes: checked.bytes, damaged: checked.damaged })
        })
    })
}

#[derive(Serialize)]
struct OrphansResult {
    removed: u32,
}

/// Removes what crashed programs left in the folder of the packs.
fn orphans(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: PathArgs| {
        op::blocking(move || Ok(OrphansResult { removed: pack_write::remove_orphans(&args.path.0)? }))
    })
}

//! `src/native/send.ts`: the sending engine.

use super::LocalPath;
use super::engine::{MAX_STREAMS, backend_of, counters, stamps_result, within};
use crate::chunk::codec::Codec;
use crate::error::{Error, Kind, Result};
use crate::io::columns::Columns;
use crate::io::walk::{self, Root, WalkOptions};
use crate::net::Connection;
use crate::op::{self, Context, Op, OpFuture, blocking};
use crate::transfer::encode::{Candidate, Probe, Rules};
use crate::transfer::links::Link;
use crate::transfer::report::Failure;
use crate::transfer::send::{SendOptions, SendSession};
use crate::transfer::version::VersionKey;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub const OPERATIONS: &[(&str, Op)] = &[
    ("send.open", send_open),
    ("send.count", send_count),
    ("send.page", send_page),
    ("send.start", send_start),
    ("send.streams", send_streams),
    ("send.acknowledge", send_acknowledge),
    ("send.lost", send_lost),
    ("send.push", send_push),
    ("send.release", send_release),
    ("send.hash", send_hash),
    ("send.stamp", send_stamp),
    ("send.stamps", send_stamps),
    ("send.wait", send_wait),
    ("send.tune", send_tune),
    ("send.end", send_end),
    ("send.close", send_close),
];

/// Sizes of chunks and pools that a caller may ask for, in bytes.
const CHUNK_BYTES: std::ops::RangeInclusive<usize> = 64 * 1024..=16 * 1024 * 1024;

#[derive(Deserialize)]
struct RootArgs {
    path: LocalPath,
    name: ByteBuf,
}

#[derive(Deserialize)]
struct SendOpenArgs {
    roots: Vec<RootArgs>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    ignore_files: bool,
    chunk_bytes: usize,
    io: Option<String>,
    /// 32 bytes: the secret that versions are made with; none are without it.
    version_key: Option<ByteBuf>,
    /// Files of at least so many bytes are remembered; none without it.
    remember_bytes: Option<u64>,
}

#[derive(Serialize)]
struct SendHandle {
    send: u32,
}

#[derive(Deserialize)]
struct SendArgs {
    send: u32,
}

fn send_open(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SendOpenArgs| async move {
        let roots = args
            .roots
            .into_iter()
            .map(|root| Root { path: root.path.0, name: root.name.into_vec() })
            .collect();
        let options = WalkOptions { exclude: args.exclude, ignore_files: args.ignore_files };
        let chunk_bytes = within("chunk_bytes", args.chunk_bytes, CHUNK_BYTES)? as u64;
        let versions = args.version_key.map(|key| VersionKey::new(&key)).transpose()?;
        let session = blocking(move || {
            let session = SendSession::open(roots, options, chunk_bytes)?;
            Ok(session
                .with_io(backend_of(args.io.as_deref())?)
                .with_versions(versions)
                .with_memory(args.remember_bytes))
        })
        .await?;
        Ok(SendHandle { send: context.objects.insert(Arc::new(session))? })
    })
}

#[derive(Serialize)]
struct CountResult {
    files: u64,
    directories: u64,
    symlinks: u64,
    bytes: u64,
    allocated: u64,
    problems: u64,
}

fn send_count(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SendArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        let totals = blocking(move || {
            walk::count(session.roots.clone(), session.walk_options.clone(), &session.counting_stopped)
        })
        .await?;
        Ok(CountResult {
            files: totals.files,
            directories: totals.directories,
            symlinks: totals.symlinks,
            bytes: totals.bytes,
            allocated: totals.allocated,
            problems: totals.problems,
        })
    })
}

#[derive(Deserialize)]
struct PageArgs {
    send: u32,
    max_entries: usize,
}

#[derive(Serialize)]
struct ProblemRecord {
    path: ByteBuf,
    kind: u16,
    text: String,
}

#[derive(Serialize)]
struct PageResult {
    columns: Columns,
    /// u64 per entry, or null.
    versions: Option<ByteBuf>,
    problems: Vec<ProblemRecord>,
}

fn send_page(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: PageArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        let max_entries = within("max_entries", args.max_entries, 1..=65_536)?;
        let listed = blocking(move || session.page(max_entries)).await?;
        let problems = listed
            .problems
            .into_iter()
            .map(|problem| ProblemRecord {
                path: ByteBuf::from(problem.path.into_os_string().into_vec()),
                kind: problem.error.kind as u16,
                text: problem.error.text,
            })
            .collect();
        Ok(PageResult { columns: listed.columns, versions: listed.versions.map(ByteBuf::from), problems })
    })
}

#[derive(Deserialize)]
struct SendStartArgs {
    send: u32,
    pool_bytes: usize,
    chunk_bytes: usize,
    #[serde(default)]
    codec: u8,
    #[serde(default)]
    level: i32,
    #[serde(default)]
    rules: Rules,
}

fn send_start(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SendStartArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        session.encoding.set_rules(args.rules)?;
        session.start(SendOptions {
            pool_bytes: args.pool_bytes,
            chunk_bytes: within("chunk_bytes", args.chunk_bytes, CHUNK_BYTES)?,
            codec: codec_of(args.codec)?,
            level: args.level,
        })
    })
}

#[derive(Deserialize)]
struct SendStreamsArgs {
    send: u32,
    connection: u32,
    streams: usize,
}

/// Completes when the missing streams are open; surplus ones end when they can.
fn send_streams(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SendStreamsArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        let connection = context.objects.get::<Connection>(args.connection)?;
        let streams = within("streams", args.streams, 0..=MAX_STREAMS)?;
        session.streams((args.connection, &connection), streams, context.runtime()).await
    })
}

#[derive(Deserialize)]
struct AcknowledgeArgs {
    send: u32,
    /// Number and whole frames of each stream.
    streams: Vec<(u32, u32)>,
}

fn send_acknowledge(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: AcknowledgeArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        if session.work.acknowledge(&args.streams)? {
            session.report.hurry();
        }
        Ok(())
    })
}

#[derive(Deserialize)]
struct LostArgs {
    send: u32,
    stream: u32,
    frames: u32,
}

fn send_lost(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: LostArgs| async move {
        context.objects.get::<SendSession>(args.send)?.work.lost(args.stream, args.frames)
    })
}

#[derive(Deserialize)]
struct PushArgs {
    send: u32,
    #[serde(default)]
    runs: ByteBuf,
    #[serde(default)]
    ranges: ByteBuf,
}

/// `runs`: pairs of u32 first, last; `ranges`: u32 entry, u32 zero, u64 offset, u64 length each.
fn send_push(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: PushArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        if !args.runs.len().is_multiple_of(8) || !args.ranges.len().is_multiple_of(24) {
            return Err(Error::new(Kind::InvalidArgument, "the pushed columns are cut"));
        }
        let ranges: Vec<(u32, u64, u64)> =
            args.ranges.chunks_exact(24).map(|r| (u32_at(r, 0), u64_at(r, 8), u64_at(r, 16))).collect();
        let mut known = session.work.push_ranges(&ranges);
        for run in args.runs.chunks_exact(8) {
            known &= session.work.push_run(u32_at(run, 0), u32_at(run, 4));
        }
        if !known {
            return Err(Error::new(Kind::Protocol, "The peer asked for something that was not offered"));
        }
        Ok(())
    })
}

#[derive(Deserialize)]
struct ReleaseArgs {
    send: u32,
    through: u32,
}

fn send_release(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ReleaseArgs| async move {
        context.objects.get::<SendSession>(args.send)?.work.release(args.through);
        Ok(())
    })
}

#[derive(Deserialize)]
struct HashArgs {
    send: u32,
    entry: u32,
    chunk_bytes: usize,
    offset: u64,
    max_chunks: u64,
}

#[derive(Serialize)]
struct HashResult {
    hashes: ByteBuf,
    size: u64,
}

/// Part of one file's chunk list; `max_chunks` 0 gives the size alone.
fn send_hash(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: HashArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        let chunk_bytes = within("chunk_bytes", args.chunk_bytes, CHUNK_BYTES)? as u64;
        let (hashes, size) = op::blocking_cancellable(move |cancelled| {
            let stop = || cancelled.load(Ordering::Relaxed);
            session.hash(args.entry, chunk_bytes, (args.offset, args.max_chunks), &stop)
        })
        .await?;
        Ok(HashResult { hashes: ByteBuf::from(hashes), size })
    })
}

#[derive(Deserialize)]
struct StampArgs {
    send: u32,
    entry: u32,
}

#[derive(Serialize)]
struct StampResult {
    path: ByteBuf,
    stamp: ByteBuf,
}

/// Where a listed file is, and its stamp when it was listed.
fn send_stamp(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: StampArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        let (path, stamp) = session.stamp(args.entry).ok_or_else(|| {
            Error::new(Kind::Unsupported, "Cannot look at an entry: it is no file that is known any more")
        })?;
        Ok(StampResult { path: ByteBuf::from(path), stamp: ByteBuf::from(stamp.encode()) })
    })
}

#[derive(Deserialize)]
struct StampsArgs {
    send: u32,
    /// u32 each.
    entries: ByteBuf,
}

/// The same of several files.
fn send_stamps(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: StampsArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        let entries = super::reuse::entries_of(&args.entries)?;
        Ok(stamps_result(entries.into_iter().map(|entry| session.stamp(entry))))
    })
}

/// A slow link has no news for seconds, but that it is slow: time that threads wait counts on.
const LONGEST_SILENCE: std::time::Duration = std::time::Duration::from_millis(500);

#[derive(Serialize)]
struct SendReport {
    bytes_read: u64,
    bytes_wire: u64,
    blocked_us: u64,
    encode_us: u64,
    encode_plain: u64,
    probes: Vec<Probe>,
    files_done: u64,
    failed: Vec<Failure>,
    links: Vec<SendLink>,
    /// Streams that broke since the last report.
    lost: Vec<u32>,
    /// Chunks of large files that were read since the last report.
    hashed: ByteBuf,
    idle: bool,
    /// Some thread reads or encodes: what does not come is not held up by the link.
    busy: bool,
    ended: bool,
}

/// One connection, with counters since it was first used.
#[derive(Serialize)]
struct SendLink {
    connection: u32,
    streams: usize,
    bytes_wire: u64,
    bytes_delivered: u64,
    blocked_us: u64,
    frames: u64,
    ended: bool,
}

fn send_wait(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SendArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        if let Ok(news) = tokio::time::timeout(LONGEST_SILENCE, session.wait()).await {
            news?;
        }
        let (bytes_read, bytes_wire, blocked_us, files_done) = counters(&session.report);
        let link = |link: Arc<Link>| {
            let (streams, bytes_delivered) =
                session.work.ledger(|ledger| (ledger.open_on(link.id).count(), ledger.delivered(link.id)));
            SendLink {
                connection: link.id,
                streams,
                bytes_wire: link.bytes_wire.load(Ordering::Relaxed),
                bytes_delivered,
                blocked_us: link.blocked_us.load(Ordering::Relaxed),
                frames: link.frames.load(Ordering::Relaxed),
                ended: link.has_ended(),
            }
        };
        Ok(SendReport {
            bytes_read,
            bytes_wire,
            blocked_us,
            encode_us: session.encoding.cpu_us.load(Ordering::Relaxed),
            encode_plain: session.encoding.plain.load(Ordering::Relaxed),
            probes: session.encoding.take_probes(),
            files_done,
            failed: session.report.take_failures(),
            links: session.links.all().into_iter().map(link).collect(),
            lost: session.work.ledger(|ledger| ledger.take_lost()),
            hashed: ByteBuf::from(session.hashed.take()),
            idle: session.work.is_idle(),
            busy: session.work.busy() as u64 > session.report.waiting_threads(),
            ended: session.has_ended(),
        })
    })
}

#[derive(Deserialize)]
struct TuneArgs {
    send: u32,
    codec: u8,
    level: i32,
    #[serde(default)]
    probe: Vec<Candidate>,
}

fn send_tune(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: TuneArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        session.encoding.tune(codec_of(args.codec)?, args.level);
        session.encoding.probe(args.probe)
    })
}

/// Completes when everything pushed is sent and acknowledged and every bulk stream is ended.
fn send_end(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SendArgs| async move {
        let session = context.objects.get::<SendSession>(args.send)?;
        session.work.end();
        while !session.has_ended() {
            session.wait().await?;
        }
        session.report.check()
    })
}

fn send_close(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SendArgs| async move {
        context.objects.remove::<SendSession>(args.send)?.close();
        Ok(())
    })
}

fn codec_of(number: u8) -> Result<Codec> {
    Codec::from_number(number).map_err(|_| Error::new(Kind::InvalidArgument, "no such codec"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

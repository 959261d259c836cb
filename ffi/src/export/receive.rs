//! `src/native/receive.ts`: the receiving engine.

use super::LocalPath;
use super::engine::{MAX_STREAMS, backend_of, counters, numbers, ranges_of, within};
use crate::error::{Error, Kind, Result};
use crate::io::columns::Columns;
use crate::net::Connection;
use crate::op::{self, Context, Op, OpFuture, blocking};
use crate::transfer::arrivals;
use crate::transfer::expect::{Page, ReceiveSession, RootPlan, RootPolicy};
use crate::transfer::links::Link;
use crate::transfer::report::Failure;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub const OPERATIONS: &[(&str, Op)] = &[
    ("receive.open", receive_open),
    ("receive.expect", receive_expect),
    ("receive.start", receive_start),
    ("receive.give_up", receive_give_up),
    ("receive.wait", receive_wait),
    ("receive.placing", receive_placing),
    ("receive.sync", receive_sync),
    ("receive.commit", receive_commit),
    ("receive.close", receive_close),
];

#[derive(Deserialize)]
struct ReceiveOpenArgs {
    destination: LocalPath,
    pool_bytes: usize,
    io: Option<String>,
    /// Given when TypeScript keeps a journal: staging folders of earlier transfers that stay.
    kept: Option<Vec<ByteBuf>>,
    /// Files of at least so many bytes are remembered; none without it.
    remember_bytes: Option<u64>,
}

#[derive(Serialize)]
struct ReceiveHandle {
    receive: u32,
    staging: ByteBuf,
}

#[derive(Deserialize)]
struct ReceiveArgs {
    receive: u32,
}

fn receive_open(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ReceiveOpenArgs| async move {
        let (destination, pool_bytes) = (args.destination.0, args.pool_bytes);
        let session = blocking(move || {
            let io = backend_of(args.io.as_deref())?;
            let path = destination.clone();
            let session = match args.kept {
                Some(kept) => {
                    let kept: Vec<Vec<u8>> = kept.into_iter().map(ByteBuf::into_vec).collect();
                    ReceiveSession::open_journaled(destination, pool_bytes, &kept)?
                }
                None => ReceiveSession::open(destination, pool_bytes)?,
            };
            let session = match args.remember_bytes {
                Some(least_bytes) => session.with_memory(least_bytes, &path),
                None => session,
            };
            Ok(session.with_io(io))
        })
        .await?;
        let staging = ByteBuf::from(session.inbox.staging.name());
        Ok(ReceiveHandle { receive: context.objects.insert(Arc::new(session))?, staging })
    })
}

#[derive(Deserialize)]
struct RootPlanArgs {
    entry: u32,
    final_name: ByteBuf,
    policy: String,
}

#[derive(Deserialize)]
struct ExpectArgs {
    receive: u32,
    columns: Columns,
    /// u64 per entry, or nothing.
    #[serde(default)]
    versions: ByteBuf,
    wanted: ByteBuf,
    #[serde(default)]
    held: ByteBuf,
    #[serde(default)]
    kept: ByteBuf,
    /// 40 bytes for each bit of `kept`.
    #[serde(default)]
    kept_stamps: ByteBuf,
    #[serde(default)]
    roots: Vec<RootPlanArgs>,
}

#[derive(Serialize)]
struct ExpectResult {
    requested: ByteBuf,
    ranges: ByteBuf,
    /// u32 each.
    held: ByteBuf,
    kept: ByteBuf,
    resumed: u64,
    skipped: u64,
    complete: u64,
    failed: Vec<Failure>,
}

fn receive_expect(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ExpectArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        let plans: Vec<RootPlan> = args.roots.into_iter().map(root_plan).collect::<Result<_>>()?;
        let versions = super::leftover::versions_of(&args.versions);
        let kept_stamps = super::reuse::stamps_of(&args.kept_stamps)?;
        let expected = blocking(move || {
            session.expect_page(&Page {
                columns: &args.columns,
                versions: &versions,
                wanted: &args.wanted,
                held: &args.held,
                kept: &args.kept,
                kept_stamps: &kept_stamps,
                plans: &plans,
            })
        })
        .await?;
        let requested = expected.runs.iter().flat_map(|(first, last)| [*first, *last]);
        Ok(ExpectResult {
            requested: numbers(requested),
            ranges: ranges_of(expected.ranges.iter().copied()),
            held: numbers(expected.held),
            kept: numbers(expected.kept),
            resumed: expected.resumed,
            skipped: expected.skipped,
            complete: expected.complete,
            failed: expected.failures,
        })
    })
}

#[derive(Deserialize)]
struct ReceiveStartArgs {
    receive: u32,
    connection: u32,
    streams: usize,
}

fn receive_start(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ReceiveStartArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        let connection = context.objects.get::<Connection>(args.connection)?;
        let streams = within("streams", args.streams, 1..=MAX_STREAMS)?;
        session.inbox.start((args.connection, (*connection).clone()), streams, context.runtime());
        Ok(())
    })
}

#[derive(Deserialize)]
struct GiveUpArgs {
    receive: u32,
    stream: u32,
}

#[derive(Serialize)]
struct GiveUpResult {
    frames: u32,
}

fn receive_give_up(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: GiveUpArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        Ok(GiveUpResult { frames: blocking(move || session.give_up(args.stream)).await? })
    })
}

#[derive(Serialize)]
struct ReceiveReport {
    bytes: u64,
    bytes_wire: u64,
    blocked_us: u64,
    files_done: u64,
    failed: Vec<Failure>,
    /// Those that changed since the last report.
    streams: Vec<arrivals::Word>,
    links: Vec<ReceiveLink>,
    /// What is verified and written since the last report; for the journal.
    verified: ByteBuf,
    outstanding: u64,
    ended: bool,
}

/// One connection, with counters since it was first used.
#[derive(Serialize)]
struct ReceiveLink {
    connection: u32,
    streams: usize,
    bytes_wire: u64,
    ended: bool,
}

fn receive_wait(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ReceiveArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        let inbox = &session.inbox;
        inbox.wait().await?;
        let link = |link: Arc<Link>| {
            let streams = link.streams.load(Ordering::Acquire);
            ReceiveLink {
                connection: link.id,
                streams,
                bytes_wire: link.bytes_wire.load(Ordering::Relaxed),
                ended: streams == 0 && link.has_ended(),
            }
        };
        // Before what they have changed: the last word on a link's streams comes no later than its end.
        let links = inbox.links.all().into_iter().map(link).collect();
        let (bytes, bytes_wire, blocked_us, files_done) = counters(&inbox.report);
        Ok(ReceiveReport {
            bytes,
            bytes_wire,
            blocked_us,
            files_done,
            failed: inbox.report.take_failures(),
            verified: ByteBuf::from(inbox.verified.take()),
            links,
            // Before what has changed: who hears of the last file hears of its frame.
            outstanding: inbox.outstanding() as u64,
            streams: inbox.arrivals.take_changed(),
            ended: inbox.has_ended(),
        })
    })
}

fn receive_commit(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ReceiveArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        blocking(move || session.commit()).await
    })
}

#[derive(Serialize)]
struct PlacingResult {
    placing: bool,
}

/// Tells whether something that came is being written just now.
fn receive_placing(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ReceiveArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        Ok(PlacingResult { placing: session.inbox.placing.load(Ordering::Relaxed) > 0 })
    })
}

/// Waits until everything that is staged so far is on the disk.
fn receive_sync(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ReceiveArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        blocking(move || session.inbox.staging.barrier()).await
    })
}

#[derive(Deserialize)]
struct ReceiveCloseArgs {
    receive: u32,
    #[serde(default)]
    keep: bool,
}

#[derive(Serialize)]
struct ReceiveCloseResult {
    /// What was verified and written since the last report.
    verified: ByteBuf,
}

/// Stops receiving and removes what is staged, or keeps it for another transfer.
fn receive_close(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ReceiveCloseArgs| async move {
        let session = context.objects.remove::<ReceiveSession>(args.receive)?;
        let verified = blocking(move || {
            session.close();
            match args.keep {
                true => session.inbox.staging.keep(),
                false => session.inbox.staging.remove()?,
            }
            Ok(session.inbox.verified.take())
        })
        .await?;
        Ok(ReceiveCloseResult { verified: ByteBuf::from(verified) })
    })
}

fn root_plan(args: RootPlanArgs) -> Result<RootPlan> {
    let policy = match args.policy.as_str() {
        "fresh" => RootPolicy::Fresh,
        "overwrite" => RootPolicy::Overwrite,
        "skip" => RootPolicy::Skip,
        other => return Err(Error::new(Kind::InvalidArgument, format!("no such policy: {other}"))),
    };
    Ok(RootPlan { entry: args.entry, final_name: args.final_name.into_vec(), policy })
}

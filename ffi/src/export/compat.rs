//! `src/native/compat.ts`: bulk bytes to and from magic-wormhole clients.

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::LocalPath;
use crate::compat::incoming::Incoming;
use crate::compat::outgoing::Outgoing;
use crate::compat::pack::pack as pack_folder;
use crate::compat::record::Records;
use crate::compat::transit::{self, Listening, Place, Role};
use crate::compat::unpack::Bounds;
use crate::error::{Error, Kind, Result};
use crate::io::stage::CommitPolicy;
use crate::op::{self, Context, Op, OpFuture};
use crate::pairing::KEY_BYTES;

pub const OPERATIONS: &[(&str, Op)] = &[
    ("compat.listen", listen),
    ("compat.deafen", deafen),
    ("compat.connect", connect),
    ("compat.stage", stage),
    ("compat.pull", pull),
    ("compat.unpack", unpack),
    ("compat.place", place),
    ("compat.say", say),
    ("compat.open", open),
    ("compat.pack", pack),
    ("compat.push", push),
    ("compat.hear", hear),
    ("compat.close", close),
    ("compat.forget", forget),
];

/// How long one submission moves bytes: long enough for many MiB, short enough for a progress line.
const TURN: Duration = Duration::from_millis(100);

/// Most bytes of one submission.
const TURN_BYTES: u64 = 64 * 1024 * 1024;

/// A connection, used by one operation at a time.
struct Pipe(Mutex<State>);

struct State {
    records: Records,
    incoming: Option<Incoming>,
}

/// What is to be sent; waits for its connection.
struct Source(Mutex<Outgoing>);

#[derive(Deserialize)]
struct NoArgs {}

#[derive(Serialize)]
struct ListenResult {
    listening: u32,
    hosts: Vec<String>,
    ports: Vec<u16>,
}

#[derive(Deserialize)]
struct ListeningHandle {
    listening: u32,
}

#[derive(Deserialize)]
struct ConnectArgs {
    listening: u32,
    key: ByteArray<KEY_BYTES>,
    sender: bool,
    direct: Vec<Place>,
    relays: Vec<Place>,
    timeout_ms: u64,
}

#[derive(Serialize)]
struct ConnectResult {
    pipe: u32,
    remote: String,
    relayed: bool,
}

#[derive(Deserialize)]
struct PipeHandle {
    pipe: u32,
}

#[derive(Deserialize)]
struct StageArgs {
    pipe: u32,
    destination: LocalPath,
    size: u64,
}

#[derive(Serialize)]
struct PullResult {
    received: u64,
    done: bool,
    /// SHA-256 once everything is there, else empty.
    sum: ByteBuf,
}

#[derive(Deserialize)]
struct UnpackArgs {
    pipe: u32,
    max_bytes: u64,
    max_entries: u64,
}

#[derive(Serialize)]
struct UnpackResult {
    files: u64,
    directories: u64,
    bytes: u64,
}

#[derive(Deserialize)]
struct PlaceArgs {
    pipe: u32,
    name: ByteBuf,
    policy: String,
}

#[derive(Deserialize)]
struct SayArgs {
    pipe: u32,
    content: ByteBuf,
}

#[derive(Deserialize)]
struct OpenArgs {
    path: LocalPath,
}

#[derive(Serialize)]
struct OpenResult {
    source: u32,
    size: u64,
}

#[derive(Deserialize)]
struct PackArgs {
    path: LocalPath,
    workplace: LocalPath,
}

#[derive(Serialize)]
struct PackResult {
    source: u32,
    size: u64,
    files: u64,
    bytes: u64,
    left_out: Vec<ByteBuf>,
    left_out_count: u64,
}

#[derive(Deserialize)]
struct PushArgs {
    pipe: u32,
    source: u32,
}

#[derive(Serialize)]
struct PushResult {
    sent: u64,
    done: bool,
    /// SHA-256 once everything is sent, else empty.
    sum: ByteBuf,
}

#[derive(Deserialize)]
struct HearArgs {
    pipe: u32,
    max_bytes: u32,
    timeout_ms: u64,
}

#[derive(Serialize)]
struct HearResult {
    content: ByteBuf,
}

#[derive(Deserialize)]
struct SourceHandle {
    source: u32,
}

/// Listens on free ports for the peer.
fn listen(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, _: NoArgs| async move {
        let listening = Listening::start()?;
        let hosts = listening.addresses.iter().map(|at| at.ip().to_string()).collect();
        let ports = listening.addresses.iter().map(|at| at.port()).collect();
        Ok(ListenResult { listening: context.objects.insert(Arc::new(listening))?, hosts, ports })
    })
}

/// Stops listening; a dead handle is no failure.
fn deafen(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ListeningHandle| async move {
        let _ = context.objects.remove::<Listening>(args.listening);
        Ok(())
    })
}

/// Connects to the peer by any of the ways.
fn connect(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ConnectArgs| async move {
        let listening = context.objects.get::<Listening>(args.listening)?;
        let role = if args.sender { Role::Sender } else { Role::Receiver };
        let places = (args.direct, args.relays);
        let patience = Duration::from_millis(args.timeout_ms);
        let agreed = transit::connect(&args.key, role, Some(listening), places, patience).await?;
        let records = Records::new(agreed.stream, &agreed.keys)?;
        let pipe = Arc::new(Pipe(Mutex::new(State { records, incoming: None })));
        let pipe = context.objects.insert(pipe)?;
        Ok(ConnectResult { pipe, remote: agreed.remote, relayed: agreed.relayed })
    })
}

/// Prepares a place for what comes.
fn stage(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: StageArgs| async move {
        let pipe = context.objects.get::<Pipe>(args.pipe)?;
        op::blocking(move || {
            pipe.0.lock().unwrap().incoming = Some(Incoming::create(&args.destination.0, args.size)?);
            Ok(())
        })
        .await
    })
}

/// Receives for a moment.
fn pull(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: PipeHandle| async move {
        let pipe = context.objects.get::<Pipe>(args.pipe)?;
        op::blocking_cancellable(move |cancelled| {
            let state = &mut *pipe.0.lock().unwrap();
            let incoming = state.incoming.as_mut().ok_or_else(nothing_staged)?;
            incoming.pull(&mut state.records, Instant::now() + TURN, TURN_BYTES, cancelled)?;
            let done = incoming.is_complete();
            let sum = ByteBuf::from(if done { incoming.sum().to_vec() } else { Vec::new() });
            Ok(PullResult { received: incoming.received(), done, sum })
        })
        .await
    })
}

/// Unpacks what came as a folder.
fn unpack(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: UnpackArgs| async move {
        let pipe = context.objects.get::<Pipe>(args.pipe)?;
        op::blocking_cancellable(move |cancelled| {
            let mut state = pipe.0.lock().unwrap();
            let bounds = Bounds { bytes: args.max_bytes, entries: args.max_entries };
            let done = state.incoming.as_mut().ok_or_else(nothing_staged)?.unpack(bounds, cancelled)?;
            Ok(UnpackResult { files: done.files, directories: done.directories, bytes: done.bytes })
        })
        .await
    })
}

/// Moves what came to its place, once it is on the disk.
fn place(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: PlaceArgs| async move {
        let pipe = context.objects.get::<Pipe>(args.pipe)?;
        op::blocking(move || {
            let policy = match &args.policy[..] {
                "fresh" => CommitPolicy::Fresh,
                "overwrite" => CommitPolicy::Overwrite,
                "skip" => CommitPolicy::Skip,
                other => return Err(Error::new(Kind::InvalidArgument, format!("no policy \"{other}\""))),
            };
            let incoming = pipe.0.lock().unwrap().incoming.take();
            incoming.ok_or_else(nothing_staged)?.place(&args.name, policy)
        })
        .await
    })
}

/// Sends one record, and that nothing follows it.
fn say(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SayArgs| async move {
        let pipe = context.objects.get::<Pipe>(args.pipe)?;
        op::blocking_cancellable(move |cancelled| {
            let records = &mut pipe.0.lock().unwrap().records;
            records.begin(None);
            records.seal(&args.content)?;
            while !records.flush(Instant::now() + TURN, cancelled)? {}
            records.finish();
            Ok(())
        })
        .await
    })
}

/// Opens a file that is to be sent.
fn open(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: OpenArgs| async move {
        let outgoing = op::blocking(move || Outgoing::open(&args.path.0)).await?;
        let size = outgoing.size();
        Ok(OpenResult { source: context.objects.insert(source(outgoing))?, size })
    })
}

/// Packs a folder that is to be sent.
fn pack(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: PackArgs| async move {
        let work = move |cancelled: &_| pack_folder(&args.path.0, &args.workplace.0, cancelled);
        let packed = op::blocking_cancellable(work).await?;
        let (outgoing, size) = sized(packed.archive)?;
        Ok(PackResult {
            source: context.objects.insert(source(outgoing))?,
            size,
            files: packed.files,
            bytes: packed.bytes,
            left_out: packed.left_out.into_iter().map(ByteBuf::from).collect(),
            left_out_count: packed.left_out_count,
        })
    })
}

fn sized(archive: File) -> Result<(Outgoing, u64)> {
    let outgoing = Outgoing::of(archive)?;
    let size = outgoing.size();
    Ok((outgoing, size))
}

fn source(outgoing: Outgoing) -> Arc<Source> {
    Arc::new(Source(Mutex::new(outgoing)))
}

/// Sends for a moment.
fn push(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: PushArgs| async move {
        let pipe = context.objects.get::<Pipe>(args.pipe)?;
        let source = context.objects.get::<Source>(args.source)?;
        op::blocking_cancellable(move |cancelled| {
            let (mut state, mut source) = (pipe.0.lock().unwrap(), source.0.lock().unwrap());
            let until = Instant::now() + TURN;
            let (sent, done) = source.push(&mut state.records, until, TURN_BYTES, cancelled)?;
            let sum = ByteBuf::from(if done { source.sum().to_vec() } else { Vec::new() });
            Ok(PushResult { sent, done, sum })
        })
        .await
    })
}

/// Waits for one short record.
fn hear(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: HearArgs| async move {
        let pipe = context.objects.get::<Pipe>(args.pipe)?;
        op::blocking_cancellable(move |cancelled| {
            let records = &mut pipe.0.lock().unwrap().records;
            let patience = Duration::from_millis(args.timeout_ms);
            records.begin(Some(patience));
            let until = Instant::now() + patience;
            match records.next(until, args.max_bytes as usize, cancelled)? {
                Some(content) => Ok(HearResult { content: ByteBuf::from(content.to_vec()) }),
                None => Err(Error::new(Kind::PeerFrozen, "Cannot go on: the other side does not answer")),
            }
        })
        .await
    })
}

/// Ends the connection and removes what was not placed; a dead handle is no failure.
fn close(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: PipeHandle| async move {
        let Ok(pipe) = context.objects.remove::<Pipe>(args.pipe) else { return Ok(()) };
        op::blocking(move || {
            // An operation that was cancelled ends within a moment, and then lets go of the lock.
            let mut state = pipe.0.lock().unwrap();
            state.records.hang_up();
            state.incoming = None;
            Ok(())
        })
        .await
    })
}

/// Closes what was to be sent; a dead handle is no failure.
fn forget(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SourceHandle| async move {
        let _ = context.objects.remove::<Source>(args.source);
        Ok(())
    })
}

fn nothing_staged() -> Error {
    Error::new(Kind::InvalidArgument, "nothing is being received")
}

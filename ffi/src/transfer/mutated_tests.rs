//! 10,000 recorded bulk streams, each damaged in its own way and played to a fresh receiver: it ends with a
//! result or an error, never with a panic or a hang, and never places a file that differs from its source.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::expect::{ReceiveSession, RootPlan, RootPolicy};
use super::frame::{self, HEADER_BYTES, PREFACE_BYTES, RECORD_BYTES};
use super::send::{SendOptions, SendSession};
use crate::chunk::codec::Codec;
use crate::error::{Kind, Result};
use crate::io::columns::{Columns, KIND_FILE};
use crate::io::walk::{Root, WalkOptions};
use crate::net::testing::runtime;
use crate::net::{Connection, Payload, Source, memory};

const SESSIONS: u64 = 10_000;
const CHUNK_BYTES: usize = 64 * 1024;
const POOL_BYTES: usize = 8 << 20;

/// Sessions that a test process runs at a time.
const AT_ONCE: u64 = 4;

/// A session that has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one honest sender sent: the manifest, and its one bulk stream: the preface and every frame.
struct Recording {
    pages: Vec<Columns>,
    frames: Vec<Vec<u8>>,
}

#[test]
fn mutated_sessions_end_and_place_nothing_that_differs() {
    let scratch = tempfile::tempdir_in(memory_folder()).unwrap();
    let source = scratch.path().join("source");
    make_source(&source);
    let recordings: Vec<Arc<Recording>> = [Codec::Raw, Codec::Zstd, Codec::Lz4]
        .into_iter()
        .map(|codec| Arc::new(runtime().block_on(record(&source, codec)).unwrap()))
        .collect();
    let outside = scratch.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let threads: Vec<_> = (0..AT_ONCE)
        .map(|worker| {
            let destination = scratch.path().join(format!("destination-{worker}"));
            let (recordings, source) = (recordings.clone(), source.clone());
            std::thread::spawn(move || {
                let runtime = runtime();
                let mut placed = 0;
                for seed in (worker..SESSIONS).step_by(AT_ONCE as usize) {
                    let recording = recordings[(seed % 3) as usize].clone();
                    placed += runtime.block_on(play(seed, &recording, &source, &destination));
                }
                placed
            })
        })
        .collect();
    let placed: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(placed > SESSIONS / 10, "only {placed} files were ever placed: the mutations hide the receiver");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2, "something is beside");
}

/// Plays one mutated session; gives the number of files that were placed.
async fn play(seed: u64, recording: &Arc<Recording>, source: &Path, destination: &Path) -> u64 {
    fs::create_dir(destination).unwrap();
    symlink("../outside", destination.join("trap")).unwrap();
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let bytes = mutate(&recording.frames, &mut dice);
    let (sender, receiver) = memory::pair();
    let session = Arc::new(ReceiveSession::open(destination.to_path_buf(), POOL_BYTES).unwrap());
    let result = tokio::time::timeout(PATIENCE, receive(&session, recording, sender, receiver, bytes))
        .await
        .unwrap_or_else(|_| panic!("session {seed} hangs"));
    match &result {
        Ok(()) => {}
        Err(error) => assert_ne!(error.kind, Kind::Internal, "session {seed}: {}", error.text),
    }
    // As the getter does: only what arrived whole, or failed by name, is put in place.
    let complete = result.is_ok() && session.inbox.outstanding() == 0;
    let placed = if complete { session.commit().map_or(0, |placed| placed.files) } else { 0 };
    session.close();
    session.inbox.staging.remove().unwrap();
    assert_same_or_absent(&source.join("tree"), &destination.join("root"), seed);
    assert_eq!(
        fs::read_dir(destination).unwrap().count(),
        if destination.join("root").exists() { 2 } else { 1 }
    );
    fs::remove_dir_all(destination).unwrap();
    placed
}

async fn receive(
    session: &Arc<ReceiveSession>,
    recording: &Recording,
    sender: Connection,
    receiver: Connection,
    bytes: Vec<u8>,
) -> Result<()> {
    for page in &recording.pages {
        let plans = [RootPlan { entry: 0, final_name: b"root".to_vec(), policy: RootPolicy::Overwrite }];
        session.expect(page, &vec![255; page.count as usize / 8 + 1], &plans)?;
    }
    session.inbox.start((1, receiver.clone()), 1, &tokio::runtime::Handle::current());
    let mut sink = sender.open_sink().await?;
    let playing = std::thread::spawn(move || {
        // The receiver may hang up in the middle; that is its good right.
        let _ = sink.write(&[], Payload::new(bytes)).and_then(|()| sink.finish());
    });
    let result = loop {
        if let Err(error) = session.inbox.report.wait().await {
            break Err(error);
        }
        if session.inbox.outstanding() == 0 || session.inbox.has_ended() {
            break Ok(());
        }
    };
    receiver.close(Kind::Cancelled as u16, "the end");
    playing.join().unwrap();
    result
}

/// Lets a real sender send the tree over a memory connection and keeps what it sends.
async fn record(source: &Path, codec: Codec) -> Result<Recording> {
    let (sender, receiver) = memory::pair();
    let root = Root { path: source.join("tree"), name: b"root".to_vec() };
    let session = Arc::new(SendSession::open(vec![root], WalkOptions::default(), CHUNK_BYTES as u64)?);
    session.start(SendOptions { pool_bytes: POOL_BYTES, chunk_bytes: CHUNK_BYTES, codec, level: 3 })?;
    session.streams((1, &sender), 1, &tokio::runtime::Handle::current()).await?;
    let stream = receiver.next_source();
    let mut pages = Vec::new();
    loop {
        let columns = session.page(64)?.columns;
        let last = columns.last;
        pages.push(columns);
        if last {
            break;
        }
    }
    // What a receiver asks for: empty files are complete without a frame.
    for entry in
        pages.iter().flat_map(Columns::iter).filter(|entry| entry.kind == KIND_FILE && entry.size > 0)
    {
        assert!(session.work.push_run(entry.id, entry.id));
    }
    session.work.end();
    let mut stream = stream.await?;
    let acknowledging = session.clone();
    let frames = tokio::task::spawn_blocking(move || {
        let mut preface = [0; PREFACE_BYTES];
        assert!(stream.read_exact(&mut preface).unwrap());
        let mut frames = vec![preface.to_vec()];
        while let Some(frame) = read_frame(&mut *stream) {
            acknowledging.work.acknowledge(&[(0, frames.len() as u32)]).unwrap();
            frames.push(frame);
        }
        frames
    })
    .await
    .unwrap();
    session.close();
    Ok(Recording { pages, frames })
}

fn read_frame(stream: &mut dyn Source) -> Option<Vec<u8>> {
    let mut head = [0; HEADER_BYTES];
    if !stream.read_exact(&mut head).unwrap() {
        return None;
    }
    let header = frame::decode_header(&head).unwrap();
    let mut rest = vec![0; header.record_count * RECORD_BYTES + header.wire_length];
    assert!(stream.read_exact(&mut rest).unwrap());
    Some([&head[..], &rest].concat())
}

/// Damages a stream: whole frames, the fields of a record, single bits, or its length.
fn mutate(frames: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut frames = frames.to_vec();
    for _ in 0..=dice.below(3) {
        let (at, other) = (dice.below(frames.len()), dice.below(frames.len()));
        match dice.below(9) {
            0 => frames.swap(at, other),
            1 => frames.insert(other, frames[at].clone()),
            2 if frames.len() > 1 => drop(frames.remove(at)),
            3 => frames.insert(at, (0..dice.below(200)).map(|_| dice.below(256) as u8).collect()),
            4 => {
                let length = dice.below(frames[at].len() + 1);
                frames[at].truncate(length);
            }
            5 => set_field(&mut frames[at], dice),
            6 if frames[at].len() > 4 => {
                let start = dice.below(4);
                frames[at][start] = dice.below(256) as u8;
            }
            _ => {
                for _ in 0..=dice.below(4) {
                    let length = frames[at].len();
                    if length > 0 {
                        frames[at][dice.below(length)] ^= 1 << dice.below(8);
                    }
                }
            }
        }
    }
    let mut bytes = frames.concat();
    if dice.below(5) == 0 {
        bytes.truncate(dice.below(bytes.len() + 1));
    }
    bytes
}

/// Gives one record another entry, flag, status, offset or length: the hash still fits its bytes.
fn set_field(frame: &mut [u8], dice: &mut Dice) {
    if frame.len() < HEADER_BYTES + RECORD_BYTES {
        return;
    }
    let records = (frame.len() - HEADER_BYTES) / RECORD_BYTES;
    let record = HEADER_BYTES + dice.below(records.min(4)) * RECORD_BYTES;
    let extremes =
        [0, 1, 2, 4095, CHUNK_BYTES as u64, 1 << 31, u32::MAX as u64, 1 << 53, i64::MAX as u64, u64::MAX];
    let value = extremes[dice.below(extremes.len())];
    let (offset, width) = [(0, 4), (4, 2), (6, 2), (8, 8), (16, 8)][dice.below(5)];
    let value = if offset == 4 || dice.below(2) == 0 { dice.below(16) as u64 } else { value };
    frame[record + offset..record + offset + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

fn make_source(source: &Path) {
    let tree = source.join("tree");
    fs::create_dir_all(tree.join("folder")).unwrap();
    for index in 0..6 {
        fs::write(tree.join(format!("folder/small-{index}")), format!("content of {index}")).unwrap();
    }
    fs::write(tree.join("empty"), "").unwrap();
    let text: Vec<u8> =
        (0..3 * CHUNK_BYTES + 5).map(|at| b"all work and no play "[at % 21] ^ (at >> 14) as u8).collect();
    fs::write(tree.join("chunks"), text).unwrap();
    let sparse = fs::File::create(tree.join("sparse")).unwrap();
    sparse.set_len(5 * CHUNK_BYTES as u64).unwrap();
    symlink("chunks", tree.join("link")).unwrap();
}

/// Fails when a file under `actual` has other content than its source, or has no source.
fn assert_same_or_absent(expected: &Path, actual: &Path, seed: u64) {
    let Ok(entries) = fs::read_dir(actual) else { return };
    for entry in entries {
        let name = entry.unwrap().file_name();
        let (from, to) = (expected.join(&name), actual.join(&name));
        let kind = to.symlink_metadata().unwrap();
        if kind.is_dir() {
            assert_same_or_absent(&from, &to, seed);
        } else if kind.is_file() {
            assert!(
                fs::read(&from).unwrap() == fs::read(&to).unwrap(),
                "session {seed}: {} differs",
                to.display()
            );
        } else {
            assert_eq!(fs::read_link(&from).unwrap(), fs::read_link(&to).unwrap(), "session {seed}");
        }
    }
}

/// A tmpfs where there is one: the test makes some hundred thousand files.
fn memory_folder() -> PathBuf {
    let folder = PathBuf::from("/dev/shm");
    if folder.is_dir() { folder } else { std::env::temp_dir() }
}

/// xorshift64*: small, and the same on every machine, so that a seed names a session.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % limit.max(1)
    }
}

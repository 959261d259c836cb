use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::super::expect::{Expected, Page, ReceiveSession, RootPlan, RootPolicy};
use super::super::leftover::LeftoverPage;
use super::super::pieces::encode;
use super::super::send::SendSession;
use super::super::tests::{CHUNK_BYTES, options, pass_words};
use super::*;
use crate::chunk::codec::Codec;
use crate::chunk::hash::hash;
use crate::io::backend::{Backend, select};
use crate::io::walk::{Root, WalkOptions};
use crate::net::testing::runtime;
use crate::net::{Connection, memory};

const BLOCK: usize = 4096;
const VERSION: u64 = 77;

/// A file at a sender, and a receiver that holds it.
struct Bench {
    folder: TempDir,
    content: Vec<u8>,
    sender: Arc<SendSession>,
    receiver: Arc<ReceiveSession>,
}

/// Bytes that no other seed gives.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Writes a file whose blocks of zeros are holes.
fn write_sparse(path: &std::path::Path, content: &[u8]) {
    let file = File::create(path).unwrap();
    file.set_len(content.len() as u64).unwrap();
    for (index, block) in content.chunks(BLOCK).enumerate() {
        if block.iter().any(|&byte| byte != 0) {
            file.write_all_at(block, (index * BLOCK) as u64).unwrap();
        }
    }
}

fn open_sender(folder: &TempDir) -> Arc<SendSession> {
    let root = Root { path: folder.path().join("file"), name: b"root".to_vec() };
    let sender = SendSession::open(vec![root], WalkOptions::default(), CHUNK_BYTES as u64).unwrap();
    sender.start(options(Codec::Raw)).unwrap();
    Arc::new(sender)
}

fn expect(sender: &SendSession, receiver: &ReceiveSession, held: u8) -> Expected {
    let page = sender.page(10).unwrap();
    let plans = [RootPlan { entry: 0, final_name: b"root".to_vec(), policy: RootPolicy::Fresh }];
    let page = Page {
        columns: &page.columns,
        versions: &[VERSION],
        wanted: &[1],
        held: &[held],
        kept: &[],
        kept_stamps: &[],
        plans: &plans,
    };
    receiver.expect_page(&page).unwrap()
}

impl Bench {
    fn new(content: Vec<u8>) -> Bench {
        Bench::with(content, select::automatic())
    }

    fn with(content: Vec<u8>, io: Arc<dyn Backend>) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("into")).unwrap();
        write_sparse(&folder.path().join("file"), &content);
        let receiver = ReceiveSession::open_journaled(folder.path().join("into"), 8 << 20, &[]).unwrap();
        let receiver = Arc::new(receiver.with_io(io));
        let sender = open_sender(&folder);
        let expected = expect(&sender, &receiver, 1);
        assert!(expected.runs.is_empty() && expected.ranges.is_empty() && expected.held == [0]);
        assert_eq!(receiver.inbox.outstanding(), 1);
        Bench { folder, content, sender, receiver }
    }

    fn source(&self, name: &str, content: &[u8]) -> (PathBuf, Stamp) {
        let path = self.folder.path().join(name);
        write_sparse(&path, content);
        (path.clone(), local::stamp_at(&path).unwrap())
    }

    fn request(&self, sources: &[(PathBuf, Stamp)], pieces: &[Piece]) -> Request {
        Request { entry: 0, sources: sources.to_vec(), pieces: encode(pieces), hold: false }
    }

    fn place(&self, sources: &[(PathBuf, Stamp)], pieces: &[Piece]) -> Result<Outcome> {
        self.receiver.inbox.place(&self.request(sources, pieces), &|| false)
    }

    /// A piece that says what the file has there.
    fn piece(&self, range: Range<usize>, (source, source_offset): (u32, usize), is_settled: bool) -> Piece {
        let id = hash(&self.content[range.clone()]);
        let (offset, length) = (range.start as u64, (range.end - range.start) as u64);
        Piece { offset, length, source, source_offset: source_offset as u64, is_settled, id }
    }

    fn whole(&self) -> Piece {
        self.piece(0..self.content.len(), (0, 0), true)
    }

    fn begin(&self) -> (Connection, Connection) {
        let (a, b) = memory::pair();
        self.receiver.inbox.start((1, b.clone()), 2, &Handle::current());
        (a, b)
    }

    /// Asks for what is missing, puts the file in place, and looks at it.
    fn finish(&self, missing: &[Range<u64>]) {
        runtime().block_on(async {
            let link = self.begin();
            self.sender.streams((1, &link.0), 2, &Handle::current()).await.unwrap();
            let ranges: Vec<_> = missing.iter().map(|gap| (0, gap.start, gap.end - gap.start)).collect();
            assert!(ranges.is_empty() || self.sender.work.push_ranges(&ranges));
            self.arrive().await;
        });
    }

    async fn arrive(&self) {
        while self.receiver.inbox.outstanding() > 0 {
            let news = tokio::time::timeout(Duration::from_secs(20), self.receiver.inbox.wait());
            news.await.expect("progress within 20 s").unwrap();
            pass_words(&self.receiver, &self.sender).unwrap();
        }
        assert_eq!(self.receiver.inbox.report.bytes.load(Ordering::Relaxed), self.content.len() as u64);
        assert_eq!(self.receiver.inbox.report.files_done.load(Ordering::Relaxed), 1);
        let placed = self.receiver.commit().unwrap();
        assert_eq!((placed.files, placed.total_failed), (1, 0));
        assert!(fs::read(self.final_path()).unwrap() == self.content);
        self.sender.close();
        self.receiver.close();
    }

    fn final_path(&self) -> PathBuf {
        self.folder.path().join("into/root")
    }

    /// What the journal was told, as a bitmap, after checking every chunk id.
    fn told(&self) -> Vec<bool> {
        let mut told = vec![false; self.content.len()];
        for record in self.receiver.inbox.verified.take().chunks_exact(48) {
            let length = u32::from_le_bytes(record[4..8].try_into().unwrap()) as usize;
            let offset = u64::from_le_bytes(record[8..16].try_into().unwrap()) as usize;
            let id: [u8; 32] = record[16..].try_into().unwrap();
            assert!(id == [0; 32] || id == hash(&self.content[offset..offset + length]));
            told[offset..offset + length].fill(true);
        }
        told
    }
}

fn just(range: Range<u64>) -> Vec<Range<u64>> {
    std::iter::once(range).collect()
}

/// Does something the first time that a range is copied.
struct Meddling {
    io: Arc<dyn Backend>,
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Meddling {
    fn new() -> Arc<Meddling> {
        Arc::new(Meddling { io: select::automatic(), act: Mutex::new(None) })
    }

    fn on_copy(&self, act: impl FnOnce() + Send + 'static) {
        *self.act.lock().unwrap() = Some(Box::new(act));
    }
}

impl Backend for Meddling {
    fn name(&self) -> &'static str {
        "meddling"
    }

    fn copy_range(&self, from: &File, to: &File, range: CopyRange) -> io::Result<u64> {
        let half = CopyRange { length: range.length / 2, ..range };
        self.io.copy_range(from, to, half)?;
        let act = self.act.lock().unwrap().take();
        act.into_iter().for_each(|act| act());
        self.io.copy_range(from, to, range)
    }
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    /// Comes over the wire.
    Wire,
    Settled,
    Unsettled,
    /// Bytes that are not what the piece says.
    Wrong,
    /// A source that is not the file that its stamp says.
    Stale,
}

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![
        Just(Origin::Wire),
        Just(Origin::Settled),
        Just(Origin::Unsettled),
        Just(Origin::Wrong),
        Just(Origin::Stale)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn local_bytes_and_the_wires_are_every_byte_once(
        parts in prop::collection::vec((1usize..60_000, origin(), any::<bool>(), any::<bool>()), 1..24),
        in_two in any::<bool>(),
    ) {
        // Sources: what is right, what is wrong everywhere, and what was replaced since it was stamped.
        let mut content = Vec::new();
        let mut pieces = Vec::new();
        let mut expected = Vec::new();
        for (index, &(length, origin, is_hole, aligned)) in parts.iter().enumerate() {
            let length = if aligned { length.next_multiple_of(BLOCK) } else { length };
            let start = content.len();
            content.extend(if is_hole { vec![0; length] } else { noise(index as u64, length) });
            expected.resize(content.len(), matches!(origin, Origin::Settled | Origin::Unsettled));
            let (source, is_settled) = match origin {
                Origin::Wire => continue,
                Origin::Settled => (0, true),
                Origin::Unsettled => (0, false),
                Origin::Wrong => (1, false),
                Origin::Stale => (2, true),
            };
            pieces.push((start..content.len(), source, is_settled));
        }
        let bench = Bench::new(content.clone());
        let shifted: Vec<u8> = [noise(1000, 100), content.clone()].concat();
        let wrong: Vec<u8> = content.iter().map(|byte| byte ^ 1).collect();
        let stale = bench.source("stale", &wrong);
        fs::write(&stale.0, &wrong).unwrap();
        let sources = [bench.source("right", &shifted), bench.source("wrong", &wrong), stale];
        let rejected = pieces.iter().filter(|piece| piece.1 == 1).count() as u32;
        let has_stale = pieces.iter().any(|piece| piece.1 == 2);
        let mut pieces: Vec<Piece> = pieces
            .into_iter()
            .map(|(range, source, settled)| {
                let from = range.start + if source == 0 { 100 } else { 0 };
                bench.piece(range, (source, from), settled)
            })
            .collect();
        let mut placed = 0;
        if in_two {
            // In halves, the second of which has everything, in another order.
            let first = bench.request(&sources, &pieces[..pieces.len() / 2]);
            let outcome = bench.receiver.inbox.place(&Request { hold: true, ..first }, &|| false).unwrap();
            placed = outcome.placed;
            pieces.reverse();
        }
        let outcome = bench.place(&sources, &pieces).unwrap();
        placed += outcome.placed;
        prop_assert_eq!(outcome.rejected, rejected);
        prop_assert_eq!(outcome.stale, if has_stale { vec![2] } else { vec![] });
        prop_assert_eq!(placed as usize, expected.iter().filter(|&&is_there| is_there).count());
        prop_assert_eq!(outcome.is_complete, outcome.missing.is_empty());
        let mut covered = expected.clone();
        for gap in &outcome.missing {
            for at in gap.start..gap.end {
                prop_assert!(!std::mem::replace(&mut covered[at as usize], true), "{at} is asked for in vain");
            }
        }
        prop_assert!(covered.iter().all(|&is_there| is_there));
        prop_assert!(bench.told() == expected, "the journal knows what is there");
        bench.finish(&outcome.missing);
    }
}

#[test]
fn a_source_that_changes_while_it_is_copied_counts_for_nothing() {
    for hole in [false, true] {
        let io = Meddling::new();
        let mut content = noise(1, 300_000);
        if hole {
            // The wire says nothing of these bytes: what was copied here must go.
            content[BLOCK..200 * 1024].fill(0);
        }
        let bench = Bench::with(content, io.clone());
        let other = noise(2, 300_000);
        let source = bench.source("source", &other);
        let path = source.0.clone();
        io.on_copy(move || File::options().write(true).open(path).unwrap().write_all_at(b"new", 5).unwrap());
        let outcome = bench.place(&[source], &[bench.whole()]).unwrap();
        assert_eq!((outcome.placed, &outcome.stale[..], outcome.is_complete), (0, &[0][..], false));
        assert_eq!(outcome.missing.len(), 1);
        assert!(bench.told().iter().all(|told| !told));
        bench.finish(&outcome.missing);
    }
}

#[test]
fn only_regular_files_are_sources() {
    let bench = Bench::new(noise(1, 1000));
    let stamp = bench.source("file to link to", &noise(1, 1000)).1;
    let path = |name: &str| bench.folder.path().join(name);
    symlink("file to link to", path("link")).unwrap();
    fs::create_dir(path("folder")).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), mode).unwrap();
    let sources = ["link", "folder", "pipe", "none"].map(|name| (path(name), stamp));
    let pieces: Vec<Piece> = (0..4)
        .map(|source: usize| bench.piece(250 * source..250 * source + 250, (source as u32, 0), true))
        .collect();
    let outcome = bench.place(&sources, &pieces).unwrap();
    assert_eq!(outcome.stale, [0, 1, 2, 3]);
    assert_eq!((outcome.placed, outcome.missing.len()), (0, 1));
    bench.finish(&outcome.missing);
}

#[test]
fn holes_of_a_source_take_no_room() {
    for probed in select::probe().into_iter().filter(|probed| probed.problem.is_none()) {
        let mut content = vec![0; 64 << 20];
        content[5 << 20..6 << 20].copy_from_slice(&noise(1, 1 << 20));
        content[40 << 20..42 << 20].copy_from_slice(&noise(2, 2 << 20));
        let bench = Bench::with(content, select::select(probed.name).unwrap());
        let source = bench.source("source", &bench.content);
        let pieces: Vec<Piece> = (0..16)
            .map(|at: usize| bench.piece(at << 22..(at + 1) << 22, (0, at << 22), at.is_multiple_of(2)))
            .collect();
        let outcome = bench.place(std::slice::from_ref(&source), &pieces).unwrap();
        assert!(outcome.is_complete && outcome.missing.is_empty());
        bench.finish(&[]);
        File::open(bench.final_path()).unwrap().sync_all().unwrap();
        let blocks = |path: &std::path::Path| fs::metadata(path).unwrap().blocks();
        let (there, here) = (blocks(&source.0), blocks(&bench.final_path()));
        assert!(here <= there + there / 100, "{}: {here} blocks of {there}", probed.name);
    }
}

#[test]
fn a_file_is_copied_from_another_disk() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    for probed in select::probe().into_iter().filter(|probed| probed.problem.is_none()) {
        let bench = Bench::with(noise(3, 3_000_001), select::select(probed.name).unwrap());
        let path = elsewhere.path().join(probed.name);
        write_sparse(&path, &bench.content);
        let stamp = local::stamp_at(&path).unwrap();
        let outcome = bench.place(&[(path, stamp)], &[bench.whole()]).unwrap();
        assert!(outcome.is_complete && outcome.placed == 3_000_001, "{}", probed.name);
        bench.finish(&[]);
    }
}

#[test]
fn nothing_comes_for_a_held_file_until_it_is_released() {
    runtime().block_on(async {
        let bench = Bench::new(noise(1, 700_000));
        let link = bench.begin();
        // A sender that does not wait to be asked.
        assert!(bench.sender.work.push_run(0, 0));
        bench.sender.streams((1, &link.0), 1, &Handle::current()).await.unwrap();
        let error = loop {
            if let Err(error) = bench.receiver.inbox.wait().await {
                break error;
            }
        };
        assert_eq!(error.kind, Kind::Protocol);
    });
    runtime().block_on(async {
        let bench = Bench::new(noise(1, 700_000));
        let released = bench.receiver.inbox.release(0);
        assert_eq!(released, Released { is_whole: true, ..Released::default() });
        let error = bench.place(&[bench.source("source", &bench.content)], &[bench.whole()]).unwrap_err();
        assert_eq!(error.kind, Kind::InvalidArgument);
        let link = bench.begin();
        assert!(bench.sender.work.push_run(0, 0));
        bench.sender.streams((1, &link.0), 1, &Handle::current()).await.unwrap();
        bench.arrive().await;
        assert!(bench.receiver.inbox.release(0).is_over);
        let error = bench.place(&[], &[]).unwrap_err();
        assert_eq!(error.kind, Kind::InvalidArgument);
    });
}

#[test]
fn a_cancelled_call_leaves_the_file_held_and_nothing_counted() {
    let bench = Bench::new({
        let mut content = noise(1, 400_000);
        content[100 * 1024..300 * 1024].fill(0);
        content
    });
    let source = bench.source("source", &noise(2, 400_000));
    // Every other piece, so that there are several copies.
    let pieces: Vec<Piece> =
        (0..8).map(|at: usize| bench.piece(50_000 * at..50_000 * at + 25_000, (0, 0), true)).collect();
    let asked = AtomicUsize::new(0);
    let request = bench.request(&[source], &pieces);
    let after_five = || asked.fetch_add(1, Ordering::Relaxed) == 5;
    let error = bench.receiver.inbox.place(&request, &after_five).unwrap_err();
    assert_eq!(error.kind, Kind::Cancelled);
    assert!(bench.told().iter().all(|told| !told));
    let released = bench.receiver.inbox.release(0);
    assert!(released.is_whole && !released.is_over);
    // What was copied of the wrong source lies where the sender's file has a hole.
    bench.finish(&just(0..400_000));
}

#[test]
fn whoever_releases_a_file_waits_for_what_is_copied_into_it() {
    let io = Meddling::new();
    let bench = Bench::with(noise(1, 100_000), io.clone());
    let source = bench.source("source", &bench.content);
    let (said, heard) = std::sync::mpsc::channel();
    let receiver = bench.receiver.clone();
    io.on_copy(move || {
        std::thread::spawn(move || said.send(receiver.inbox.release(0)).unwrap());
    });
    let half = bench.piece(0..50_000, (0, 0), false);
    let outcome = bench.place(&[source], &[half]).unwrap();
    assert_eq!(outcome.missing.len(), 1);
    let released = heard.recv().unwrap();
    assert_eq!(released.missing, outcome.missing);
    bench.finish(&released.missing);
}

#[test]
fn a_closed_session_lets_nothing_more_be_copied() {
    let io = Meddling::new();
    let bench = Bench::with(noise(1, 100_000), io.clone());
    let source = bench.source("source", &bench.content);
    let receiver = bench.receiver.clone();
    let (began, begun) = std::sync::mpsc::channel();
    io.on_copy(move || {
        std::thread::spawn(move || {
            began.send(()).unwrap();
            receiver.close();
        });
        // It waits for this copy; the next one may come before it, and then what comes after that does not.
        begun.recv().unwrap();
    });
    let pieces: Vec<Piece> =
        (0..1000).map(|at: usize| bench.piece(100 * at..100 * at + 50, (0, 100 * at), false)).collect();
    match bench.place(&[source], &pieces) {
        Err(error) => assert_eq!(error.kind, Kind::Closed),
        Ok(outcome) => assert_eq!(outcome.placed, 50_000),
    }
}

#[test]
fn a_placed_file_goes_on_from_the_journal() {
    let mut content = noise(1, 500_000);
    content[200 * 1024..400 * 1024].fill(0);
    let bench = Bench::new(content);
    let right = bench.source("right", &bench.content);
    let wrong = bench.source("wrong", &noise(2, 500_000));
    // Of the second half everything is wrong, and the transfer dies before anything else comes.
    let pieces = [bench.piece(0..100_000, (0, 0), true), bench.piece(100_000..500_000, (1, 100_000), false)];
    let outcome = bench.place(&[right, wrong], &pieces).unwrap();
    assert_eq!(
        (outcome.placed, outcome.rejected, outcome.missing.clone()),
        (100_000, 1, just(100_000..500_000))
    );
    let journal = bench.receiver.inbox.verified.take();
    bench.receiver.close();
    bench.receiver.inbox.staging.keep();
    let name = bench.receiver.inbox.staging.name().to_vec();
    let Bench { folder, content, receiver, sender } = bench;
    let columns = open_sender(&folder).page(10).unwrap().columns;
    drop((receiver, sender));

    let kept = std::slice::from_ref(&name);
    let receiver = ReceiveSession::open_journaled(folder.path().join("into"), 8 << 20, kept).unwrap();
    let page = LeftoverPage { columns: columns.clone(), versions: vec![VERSION] };
    assert!(receiver.add_leftover(&name, &[page], (&[&journal], &[])).unwrap());
    let sender = open_sender(&folder);
    assert!(receiver.leftovers.lock().unwrap().records_for(&columns, &[VERSION]) == journal);
    let expected = expect(&sender, &receiver, 1);
    assert_eq!((expected.resumed, &expected.held[..], expected.ranges.len()), (100_000, &[0][..], 0));
    let bench = Bench { folder, content, sender, receiver: Arc::new(receiver) };
    // What is there already is passed over.
    let source = bench.source("again", &bench.content);
    let outcome = bench.place(&[source], &[bench.piece(0..150_000, (0, 0), false)]).unwrap();
    assert_eq!((outcome.placed, outcome.missing.clone()), (50_000, just(150_000..500_000)));
    bench.finish(&outcome.missing);
}

//! Transfers whose streams and connections come, end and break at any moment: everything arrives, once.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::arrivals::Word;
use super::expect::{ReceiveSession, RootPlan, RootPolicy};
use super::send::SendSession;
use super::tests::{CHUNK_BYTES, assert_same, make_tree, options, pass_word, pass_words};
use crate::chunk::codec::Codec;
use crate::error::Kind;
use crate::io::walk::{Root, WalkOptions};
use crate::net::testing::{pair, runtime};
use crate::net::{Connection, Payload, TransportKind, memory};

const SESSIONS: u64 = 60;

/// A session that has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both engines with the links between them, driven by hand.
struct Bench {
    sender: Arc<SendSession>,
    receiver: Arc<ReceiveSession>,
    /// Runs that are not pushed yet.
    runs: Vec<(u32, u32)>,
    links: Vec<(u32, Connection, Connection)>,
    made: u32,
    /// What the receiver said and the sender has not heard.
    words: VecDeque<Word>,
}

impl Bench {
    fn new(source: &Path, destination: &Path, codec: Codec) -> Bench {
        let root = Root { path: source.to_path_buf(), name: b"root".to_vec() };
        let sender = SendSession::open(vec![root], WalkOptions::default(), CHUNK_BYTES as u64).unwrap();
        let receiver = ReceiveSession::open(destination.to_path_buf(), 8 << 20).unwrap();
        sender.start(options(codec)).unwrap();
        let mut runs = Vec::new();
        loop {
            let page = sender.page(64).unwrap();
            let plans = [RootPlan { entry: 0, final_name: b"root".to_vec(), policy: RootPolicy::Fresh }];
            let expected = receiver.expect(&page.columns, &[255; 8], &plans).unwrap();
            assert!(expected.failures.is_empty());
            runs.extend(expected.runs);
            if page.columns.last {
                break;
            }
        }
        runs.reverse();
        Bench {
            sender: Arc::new(sender),
            receiver: Arc::new(receiver),
            runs,
            links: Vec::new(),
            made: 0,
            words: VecDeque::new(),
        }
    }

    /// One more link, from which the receiver takes whatever comes.
    fn connect(&mut self) -> u32 {
        self.made += 1;
        let (a, b) = memory::pair();
        self.receiver.inbox.start((self.made, b.clone()), 256, &Handle::current());
        self.links.push((self.made, a, b));
        self.made
    }

    async fn streams(&self, link: usize, wanted: usize) {
        let (id, connection, _) = &self.links[link];
        self.sender.streams((*id, connection), wanted, &Handle::current()).await.unwrap();
    }

    /// Streams that the sender has opened so far.
    fn opened(&self) -> usize {
        self.sender.work.ledger(|ledger| ledger.opened())
    }

    fn push_all(&mut self) {
        for (first, last) in self.runs.drain(..).rev() {
            assert!(self.sender.work.push_run(first, last));
        }
    }

    /// Brings over what both sides have to say; `most` words at most reach the sender.
    fn talk(&mut self, most: usize) {
        for stream in self.sender.work.ledger(|ledger| ledger.take_lost()) {
            self.receiver.give_up(stream).unwrap();
        }
        self.words.extend(self.receiver.inbox.arrivals.take_changed());
        for _ in 0..most {
            let Some(word) = self.words.pop_front() else { return };
            pass_word(word, &self.sender).unwrap();
        }
    }

    /// Goes on without further accidents until everything is there and acknowledged.
    async fn complete(&mut self, seed: u64) {
        let started = Instant::now();
        while self.receiver.inbox.outstanding() > 0 || !self.sender.work.is_idle() {
            assert!(started.elapsed() < PATIENCE, "session {seed} hangs");
            self.talk(usize::MAX);
            self.receiver.inbox.report.check().unwrap();
            self.sender.report.check().unwrap();
            tokio::task::yield_now().await;
        }
        assert!(self.receiver.inbox.report.take_failures().is_empty());
    }

    fn close(&self) {
        self.receiver.close();
        self.receiver.inbox.staging.remove().unwrap();
        self.sender.close();
    }
}

#[test]
fn everything_arrives_once_whatever_breaks() {
    let from = tempfile::tempdir().unwrap();
    let source = from.path().join("tree");
    make_tree(&source);
    for seed in 0..SESSIONS {
        runtime().block_on(async {
            let to = tempfile::tempdir().unwrap();
            let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let codec = [Codec::Raw, Codec::Zstd, Codec::Lz4][dice.below(3)];
            let mut bench = Bench::new(&source, to.path(), codec);
            let steps = 50 + dice.below(300);
            for _ in 0..steps {
                step(&mut bench, &mut dice).await;
                bench.receiver.inbox.report.check().unwrap();
                bench.sender.report.check().unwrap();
                tokio::task::yield_now().await;
            }
            bench.push_all();
            bench.connect();
            bench.streams(bench.links.len() - 1, 1).await;
            bench.complete(seed).await;
            let placed = bench.receiver.commit().unwrap();
            assert_eq!((placed.files, placed.total_failed), (610, 0));
            bench.close();
            assert_same(&source, &to.path().join("root"));
        });
    }
}

/// One thing that happens to a transfer.
async fn step(bench: &mut Bench, dice: &mut Dice) {
    match dice.below(12) {
        0 if bench.links.len() < 4 => drop(bench.connect()),
        1..=3 if !bench.links.is_empty() => {
            let link = dice.below(bench.links.len());
            bench.streams(link, dice.below(5)).await;
        }
        4..=5 => {
            if let Some((first, last)) = bench.runs.pop() {
                assert!(bench.sender.work.push_run(first, last));
            }
        }
        // A stream breaks at the receiver, begun or not.
        6 => {
            let opened = bench.opened();
            if opened > 0 {
                bench.receiver.give_up(dice.below(opened) as u32).unwrap();
            }
        }
        // A connection breaks, at either end.
        7 if dice.below(3) == 0 && !bench.links.is_empty() => {
            let (_, a, b) = bench.links.swap_remove(dice.below(bench.links.len()));
            if dice.below(2) == 0 { a.close(0, "gone") } else { b.close(0, "gone") }
        }
        _ => bench.talk(dice.below(4)),
    }
}

#[test]
fn a_session_that_lost_every_link_says_so_and_goes_on_with_a_new_one() {
    let from = tempfile::tempdir().unwrap();
    let source = from.path().join("tree");
    make_tree(&source);
    runtime().block_on(async {
        let to = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(&source, to.path(), Codec::Raw);
        for _ in 0..2 {
            bench.connect();
            bench.streams(bench.links.len() - 1, 2).await;
        }
        bench.push_all();
        for (_, a, _) in bench.links.drain(..) {
            a.close(0, "gone");
        }
        for side in ["sender", "receiver"] {
            let lost = async {
                loop {
                    let news = if side == "sender" {
                        bench.sender.wait().await
                    } else {
                        bench.receiver.inbox.wait().await
                    };
                    if let Err(error) = news {
                        return error;
                    }
                }
            };
            let error = tokio::time::timeout(PATIENCE, lost).await.expect("word of the loss");
            assert_eq!(error.kind, Kind::ConnectionLost, "{side}");
        }
        bench.connect();
        bench.streams(0, 3).await;
        bench.complete(0).await;
        assert_eq!(bench.receiver.commit().unwrap().files, 610);
        bench.close();
        assert_same(&source, &to.path().join("root"));
    });
}

#[test]
fn one_link_goes_on_when_another_transport_dies() {
    let from = tempfile::tempdir().unwrap();
    let source = from.path().join("tree");
    make_tree(&source);
    for dying in [TransportKind::Tcp, TransportKind::Quic] {
        runtime().block_on(async {
            let to = tempfile::tempdir().unwrap();
            let mut bench = Bench::new(&source, to.path(), Codec::Raw);
            let (tcp, quic) = (pair(TransportKind::Tcp, 3).await, pair(TransportKind::Quic, 3).await);
            for (id, each) in [(1, &tcp), (2, &quic)] {
                bench.receiver.inbox.start((id, each.acceptor.clone()), 3, &Handle::current());
                bench.sender.streams((id, &each.dialler), 3, &Handle::current()).await.unwrap();
            }
            let half = bench.runs.len() / 2;
            for (first, last) in bench.runs.drain(half..).rev() {
                assert!(bench.sender.work.push_run(first, last));
            }
            let dies = if dying == TransportKind::Tcp { &tcp } else { &quic };
            dies.acceptor.close(0, "gone");
            bench.push_all();
            bench.complete(0).await;
            assert_eq!(bench.receiver.commit().unwrap().files, 610);
            bench.close();
            assert_same(&source, &to.path().join("root"));
        });
    }
}

#[test]
fn a_file_that_changed_before_it_is_read_again_fails_and_is_not_mixed() {
    let from = tempfile::tempdir().unwrap();
    let source = from.path().join("tree");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("large"), vec![1; 8 * CHUNK_BYTES]).unwrap();
    fs::write(source.join("small"), "before").unwrap();
    runtime().block_on(async {
        let to = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(&source, to.path(), Codec::Raw);
        // Nobody reads this link, but it takes everything.
        let (a, b) = memory::pair();
        bench.sender.streams((9, &a), 1, &Handle::current()).await.unwrap();
        bench.push_all();
        let link = bench.sender.links.all()[0].clone();
        let started = Instant::now();
        while link.frames.load(std::sync::atomic::Ordering::Relaxed) < 9 {
            assert!(started.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
        fs::write(source.join("large"), vec![2; 8 * CHUNK_BYTES]).unwrap();
        fs::write(source.join("small"), "after!").unwrap();
        b.close(0, "gone");
        bench.connect();
        bench.streams(0, 2).await;
        let started = Instant::now();
        while bench.receiver.inbox.outstanding() > 0 {
            assert!(started.elapsed() < PATIENCE);
            bench.talk(usize::MAX);
            tokio::task::yield_now().await;
        }
        let kinds: Vec<u16> =
            bench.receiver.inbox.report.take_failures().iter().map(|failure| failure.kind).collect();
        assert_eq!(kinds, [Kind::SourceChanged as u16; 2]);
        assert_eq!(bench.sender.report.take_failures().len(), 2);
        assert_eq!(bench.receiver.commit().unwrap().files, 0);
        bench.close();
        assert_eq!(fs::read_dir(to.path().join("root")).unwrap().count(), 0);
    });
}

#[test]
fn a_sender_without_acknowledgements_stops_at_a_bound() {
    let from = tempfile::tempdir().unwrap();
    let source = from.path().join("tree");
    fs::create_dir(&source).unwrap();
    let sparse = fs::File::create(source.join("sparse")).unwrap();
    sparse.set_len(5000 * CHUNK_BYTES as u64).unwrap();
    (0..5000).for_each(|chunk| sparse.write_all_at(b"x", chunk * CHUNK_BYTES as u64 + 9).unwrap());
    runtime().block_on(async {
        let to = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(&source, to.path(), Codec::Raw);
        bench.connect();
        bench.streams(0, 2).await;
        bench.push_all();
        let link = bench.sender.links.all()[0].clone();
        let sent = || link.frames.load(std::sync::atomic::Ordering::Relaxed);
        let started = Instant::now();
        while !bench.sender.work.ledger(|ledger| ledger.is_full()) {
            assert!(started.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
        // Each of the two threads may have had a job in hand.
        assert!(sent() <= 4096 + 2, "{}", sent());
        pass_words(&bench.receiver, &bench.sender).unwrap();
        bench.complete(0).await;
        assert_eq!(sent(), 5000);
        assert_eq!(bench.receiver.commit().unwrap().files, 1);
        bench.close();
    });
}

#[test]
fn a_hole_takes_one_frame_however_long_it_is_also_when_it_is_sent_again() {
    const CHUNK: u64 = CHUNK_BYTES as u64;
    let from = tempfile::tempdir().unwrap();
    let source = from.path().join("tree");
    fs::create_dir(&source).unwrap();
    let sparse = fs::File::create(source.join("sparse")).unwrap();
    sparse.set_len(500 * CHUNK + 5).unwrap();
    sparse.write_all_at(b"in the middle of a chunk", 100 * CHUNK + 99_999).unwrap();
    sparse.write_all_at(b"at its start", 300 * CHUNK).unwrap();
    // Of each of the three holes a chunk and the rest, and two chunks with data.
    const FRAMES: u64 = 8;
    runtime().block_on(async {
        let to = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(&source, to.path(), Codec::Raw);
        // Nobody reads this link, but it takes everything.
        let (a, b) = memory::pair();
        bench.sender.streams((9, &a), 1, &Handle::current()).await.unwrap();
        bench.push_all();
        let link = bench.sender.links.all()[0].clone();
        let started = Instant::now();
        while link.frames.load(std::sync::atomic::Ordering::Relaxed) < FRAMES {
            assert!(started.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
        b.close(0, "gone");
        bench.connect();
        bench.streams(0, 1).await;
        bench.complete(0).await;
        for link in bench.sender.links.all() {
            assert_eq!(link.frames.load(std::sync::atomic::Ordering::Relaxed), FRAMES);
        }
        assert_eq!(bench.receiver.commit().unwrap().files, 1);
        bench.close();
        assert_same(&source, &to.path().join("root"));
    });
}

#[test]
fn a_peer_that_sends_crumbs_is_refused() {
    let from = tempfile::tempdir().unwrap();
    let source = from.path().join("tree");
    fs::create_dir(&source).unwrap();
    fs::File::create(source.join("sparse")).unwrap().set_len(1 << 30).unwrap();
    runtime().block_on(async {
        let to = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(&source, to.path(), Codec::Raw);
        bench.connect();
        let mut sink = bench.links[0].1.open_sink().await.unwrap();
        let crumbs = std::thread::spawn(move || {
            sink.write(&super::frame::encode_preface(0), Payload::none())?;
            for frame in 0..65u64 {
                let record = |index: u64| super::frame::Record {
                    entry: 1,
                    flags: super::frame::FLAG_HOLE,
                    status: 0,
                    offset: 2 * (1024 * frame + index),
                    length: 1,
                    hash: [0; 32],
                };
                let records: Vec<_> = (0..1024).map(record).collect();
                sink.write(&super::frame::encode(Codec::Raw, &records, 0, 0), Payload::none())?;
            }
            sink.finish()
        });
        let error = loop {
            if let Err(error) = bench.receiver.inbox.wait().await {
                break error;
            }
        };
        assert_eq!(error.kind, Kind::LimitExceeded);
        drop(crumbs.join());
        bench.close();
    });
}

#[test]
fn bytes_after_the_commit_began_change_nothing() {
    let from = tempfile::tempdir().unwrap();
    let source = from.path().join("tree");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "content").unwrap();
    runtime().block_on(async {
        let to = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(&source, to.path(), Codec::Raw);
        bench.connect();
        bench.streams(0, 1).await;
        bench.push_all();
        bench.complete(0).await;
        assert_eq!(bench.receiver.commit().unwrap().files, 1);
        let mut sink = bench.links[0].1.open_sink().await.unwrap();
        let record = super::frame::Record {
            entry: 1,
            flags: super::frame::FLAG_DATA,
            status: 0,
            offset: 0,
            length: 4,
            hash: *blake3::hash(b"evil").as_bytes(),
        };
        let head = super::frame::encode(Codec::Raw, &[record], 4, 4);
        let head = [&super::frame::encode_preface(77), &head[..]].concat();
        sink.write(&head, Payload::new(*b"evil")).unwrap();
        let started = Instant::now();
        while !bench
            .receiver
            .inbox
            .arrivals
            .take_changed()
            .iter()
            .any(|word| word.0 == 77 && word.2 == super::arrivals::State::Lost)
        {
            assert!(started.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
        bench.receiver.inbox.report.check().unwrap();
        bench.close();
        assert_same(&source, &to.path().join("root"));
    });
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

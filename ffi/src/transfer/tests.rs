//! Whole transfers through both engines, over every transport.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::arrivals::{State, Word};
use super::expect::{Placed, ReceiveSession, RootPlan, RootPolicy};
use super::report::Failure;
use super::send::{SendOptions, SendSession};
use crate::chunk::codec::Codec;
use crate::error::{Kind, Result};
use crate::io::backend::{Backend, select};
use crate::io::columns::NO_PARENT;
use crate::io::walk::{Root, WalkOptions};
use crate::net::testing::{self, pair, runtime};
use crate::net::{Connection, Payload, TransportKind};

pub(super) const CHUNK_BYTES: usize = 256 * 1024;
const STREAMS: usize = 3;

struct Outcome {
    placed: Placed,
    failed: Vec<Failure>,
}

/// Sends `source` as "root" from `a` to `b`, into `destination`, page by page.
async fn transfer(
    (a, b): (Connection, Connection),
    source: &Path,
    destination: &Path,
    codec: Codec,
    policy: RootPolicy,
    after_listing: impl FnOnce(),
) -> Result<Outcome> {
    transfer_by(&select::automatic(), (a, b), source, destination, (codec, policy), after_listing).await
}

/// As [`transfer`], with a given backend at both ends.
async fn transfer_by(
    io: &Arc<dyn Backend>,
    (a, b): (Connection, Connection),
    source: &Path,
    destination: &Path,
    (codec, policy): (Codec, RootPolicy),
    after_listing: impl FnOnce(),
) -> Result<Outcome> {
    let handle = tokio::runtime::Handle::current();
    let root = Root { path: source.to_path_buf(), name: b"root".to_vec() };
    let sender = SendSession::open(vec![root], WalkOptions::default(), CHUNK_BYTES as u64)?;
    let sender = Arc::new(sender.with_io(io.clone()));
    let receiver = Arc::new(ReceiveSession::open(destination.to_path_buf(), 8 << 20)?.with_io(io.clone()));
    receiver.inbox.start((1, b.clone()), STREAMS, &handle);
    sender.start(options(codec))?;
    sender.streams((1, &a), STREAMS, &handle).await?;
    let mut failed = Vec::new();
    let mut runs = Vec::new();
    loop {
        let page = sender.page(7)?;
        let plans = [RootPlan { entry: 0, final_name: b"root".to_vec(), policy }];
        let expected = receiver.expect(&page.columns, &[255; 1], &plans)?;
        failed.extend(expected.failures);
        runs.extend(expected.runs);
        if page.columns.last {
            break;
        }
    }
    after_listing();
    for (first, last) in runs {
        assert!(sender.work.push_run(first, last));
    }
    while receiver.inbox.outstanding() > 0 {
        let news = tokio::time::timeout(Duration::from_secs(20), receiver.inbox.wait());
        news.await.expect("progress within 20 s")?;
        pass_words(&receiver, &sender)?;
    }
    failed.extend(receiver.inbox.report.take_failures());
    sender.work.end();
    while !sender.has_ended() {
        tokio::select! {
            news = sender.wait() => news?,
            news = receiver.inbox.wait() => news?,
        }
        pass_words(&receiver, &sender)?;
    }
    let placed = receiver.commit()?;
    receiver.close();
    receiver.inbox.staging.remove()?;
    sender.close();
    Ok(Outcome { placed, failed })
}

pub(super) fn options(codec: Codec) -> SendOptions {
    SendOptions { pool_bytes: 8 << 20, chunk_bytes: CHUNK_BYTES, codec, level: 3 }
}

/// Tells the sender what the receiver has, as the control stream would.
pub(super) fn pass_words(receiver: &ReceiveSession, sender: &SendSession) -> Result<()> {
    receiver.inbox.arrivals.take_changed().into_iter().try_for_each(|word| pass_word(word, sender))
}

pub(super) fn pass_word((stream, frames, state): Word, sender: &SendSession) -> Result<()> {
    match state {
        State::Live | State::Ended => sender.work.acknowledge(&[(stream, frames)]).map(|_| ()),
        State::Lost => sender.work.lost(stream, frames),
    }
}

pub(super) fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("sub/deeper")).unwrap();
    fs::create_dir(root.join("empty folder")).unwrap();
    for size in [0, 1, 1000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7, 700_000] {
        let bytes: Vec<u8> = (0..size).map(|i| (i * 7 + size) as u8 ^ (i >> 8) as u8).collect();
        fs::write(root.join(format!("sub/file {size}")), bytes).unwrap();
    }
    for index in 0..600 {
        fs::write(root.join(format!("sub/deeper/small{index}")), format!("content of {index}")).unwrap();
    }
    let script = root.join("script.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    symlink("sub/file 1", root.join("link")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(40 << 20).unwrap();
    sparse.write_all_at(b"in the middle", 20 << 20).unwrap();
}

pub(super) fn assert_same(a: &Path, b: &Path) {
    let (left, right) = (a.symlink_metadata().unwrap(), b.symlink_metadata().unwrap());
    assert_eq!(left.mode(), right.mode(), "{}", a.display());
    assert_eq!((left.mtime(), left.mtime_nsec()), (right.mtime(), right.mtime_nsec()), "{}", a.display());
    if left.is_symlink() {
        assert_eq!(fs::read_link(a).unwrap(), fs::read_link(b).unwrap());
    } else if left.is_dir() {
        let names = |path: &Path| {
            let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(a), names(b));
        for name in names(a) {
            assert_same(&a.join(&name), &b.join(&name));
        }
    } else {
        assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{} differs", a.display());
        assert!(right.blocks() <= left.blocks() + 16, "{} has lost its holes", a.display());
    }
}

#[test]
fn a_tree_arrives_whole_over_every_transport_and_codec() {
    for name in testing::ALL {
        for codec in [Codec::Raw, Codec::Zstd, Codec::Lz4] {
            runtime().block_on(async {
                let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
                let source = from.path().join("tree");
                make_tree(&source);
                let pair = pair(name, STREAMS).await;
                let ends = (pair.dialler.clone(), pair.acceptor.clone());
                let outcome =
                    transfer(ends, &source, to.path(), codec, RootPolicy::Fresh, || ()).await.unwrap();
                assert!(outcome.failed.is_empty() && outcome.placed.total_failed == 0, "{name:?}");
                assert_eq!(
                    (outcome.placed.files, outcome.placed.directories, outcome.placed.symlinks),
                    (610, 4, 1)
                );
                assert_same(&source, &to.path().join("root"));
                assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1, "staging is gone");
            });
        }
    }
}

fn backends() -> Vec<Arc<dyn Backend>> {
    let runnable = select::probe().into_iter().filter(|probed| probed.problem.is_none());
    runnable.map(|probed| select::select(probed.name).unwrap()).collect()
}

/// Where [`make_small_files`] makes a file: full folders, folders with a file each, and one too deep for a single call.
fn small_file(root: &Path, index: usize) -> PathBuf {
    let folder = match index % 3 {
        0 => root.join(format!("many {}", index / 300)),
        1 => root.join(format!("one {index}")),
        _ => root.join(["x"; 7].map(|name| name.repeat(150)).join("/")),
    };
    folder.join(format!("file {index}"))
}

fn make_small_files(root: &Path) {
    for index in 0..900 {
        let path = small_file(root, index);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes: Vec<u8> = (0..1 + index * 11 % 9000).map(|at| (at * 3 + index) as u8).collect();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode([0o644, 0o755, 0o600, 0o444][index % 4]))
            .unwrap();
    }
}

#[test]
fn small_files_arrive_whole_by_every_backend_and_a_failed_one_harms_no_other() {
    for io in backends() {
        runtime().block_on(async {
            let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let source = from.path().join("tree");
            make_small_files(&source);
            let pair = pair(TransportKind::Memory, STREAMS).await;
            let gone = [0, 3, 300, 451];
            let lose = || gone.iter().for_each(|&index| fs::remove_file(small_file(&source, index)).unwrap());
            let ends = (pair.dialler.clone(), pair.acceptor.clone());
            let how = (Codec::Raw, RootPolicy::Fresh);
            let outcome = transfer_by(&io, ends, &source, to.path(), how, lose).await.unwrap();
            assert!(outcome.failed.iter().all(|failure| failure.kind == Kind::NotFound as u16));
            assert_eq!((outcome.failed.len(), outcome.placed.files), (4, 896), "{}", io.name());
            for index in (0..900).filter(|index| !gone.contains(index)) {
                assert_same(&small_file(&source, index), &small_file(&to.path().join("root"), index));
            }
        });
    }
}

#[test]
fn a_raw_transfer_over_tcp_copies_nothing_to_speak_of() {
    const LENGTH: usize = 64 << 20;
    for (codec, limit) in [(Codec::Raw, LENGTH / 100), (Codec::Zstd, LENGTH)] {
        runtime().block_on(async {
            let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let source = from.path().join("file");
            // What zstd shrinks to about a half.
            let mut content = vec![0; LENGTH];
            blake3::Hasher::new().finalize_xof().fill(&mut content);
            if codec != Codec::Raw {
                content.iter_mut().for_each(|byte| *byte &= 15);
            }
            fs::write(&source, &content).unwrap();
            let pair = pair(TransportKind::Tcp, STREAMS).await;
            let ends = (pair.dialler.clone(), pair.acceptor.clone());
            transfer(ends, &source, to.path(), codec, RootPolicy::Fresh, || ()).await.unwrap();
            assert!(fs::read(to.path().join("root")).unwrap() == content);
            for end in [&pair.dialler, &pair.acceptor] {
                let copied = end.stats().bytes_copied;
                assert!(copied <= limit as u64, "{codec:?}: {copied} bytes copied");
            }
        });
    }
}

#[test]
fn a_file_that_changes_or_vanishes_is_reported_and_never_placed() {
    runtime().block_on(async {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = from.path().join("tree");
        make_tree(&source);
        let pair = pair(TransportKind::Memory, STREAMS).await;
        let change = || {
            fs::write(source.join("sub/file 700000"), vec![9; 700_000]).unwrap();
            fs::remove_file(source.join("sub/file 1000")).unwrap();
            fs::remove_file(source.join("sub/deeper/small5")).unwrap();
            fs::write(source.join("sub/deeper/small5"), "another file").unwrap();
        };
        let ends = (pair.dialler.clone(), pair.acceptor.clone());
        let outcome =
            transfer(ends, &source, to.path(), Codec::Raw, RootPolicy::Fresh, change).await.unwrap();
        let mut kinds: Vec<u16> = outcome.failed.iter().map(|failure| failure.kind).collect();
        kinds.sort();
        assert_eq!(kinds, [Kind::NotFound as u16, Kind::SourceChanged as u16, Kind::SourceChanged as u16]);
        assert_eq!(outcome.placed.files, 607);
        for gone in ["sub/file 700000", "sub/file 1000", "sub/deeper/small5"] {
            assert!(!to.path().join("root").join(gone).exists(), "{gone}");
        }
    });
}

#[test]
fn existing_files_are_skipped_without_being_asked_for() {
    runtime().block_on(async {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = from.path().join("tree");
        make_tree(&source);
        fs::create_dir_all(to.path().join("root/sub")).unwrap();
        fs::write(to.path().join("root/sub/file 1000"), "mine").unwrap();
        let pair = pair(TransportKind::Memory, STREAMS).await;
        let ends = (pair.dialler.clone(), pair.acceptor.clone());
        let outcome = transfer(ends, &source, to.path(), Codec::Raw, RootPolicy::Skip, || ()).await.unwrap();
        assert!(outcome.failed.is_empty() && outcome.placed.total_failed == 0);
        assert_eq!(fs::read(to.path().join("root/sub/file 1000")).unwrap(), b"mine");
        assert_eq!(fs::read(to.path().join("root/script.sh")).unwrap(), b"#!/bin/sh\n");
    });
}

#[test]
fn a_lost_connection_ends_both_engines() {
    runtime().block_on(async {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = from.path().join("tree");
        make_tree(&source);
        let pair = pair(TransportKind::Memory, STREAMS).await;
        let ends = (pair.dialler.clone(), pair.acceptor.clone());
        let cut = || pair.dialler.close(Kind::Interrupted as u16, "gone");
        let result = transfer(ends, &source, to.path(), Codec::Raw, RootPolicy::Fresh, cut).await;
        assert!(result.is_err());
        drop(result);
    });
}

#[test]
fn bytes_nobody_asked_for_end_the_session() {
    runtime().block_on(async {
        let to = tempfile::tempdir().unwrap();
        let pair = pair(TransportKind::Memory, STREAMS).await;
        let receiver = Arc::new(ReceiveSession::open(to.path().to_path_buf(), 8 << 20).unwrap());
        receiver.inbox.start((1, pair.acceptor.clone()), 1, &tokio::runtime::Handle::current());
        let mut sink = pair.dialler.open_sink().await.unwrap();
        let record = super::frame::Record {
            entry: NO_PARENT - 1,
            flags: super::frame::FLAG_DATA,
            status: 0,
            offset: 0,
            length: 4,
            hash: *blake3::hash(b"evil").as_bytes(),
        };
        let head = super::frame::encode(Codec::Raw, &[record], 4, 4);
        let write = move || {
            let preface = super::frame::encode_preface(0);
            sink.write(&[&preface, &head[..]].concat(), Payload::new(*b"evil")).unwrap();
            sink
        };
        let thread = std::thread::spawn(write);
        assert_eq!(receiver.inbox.report.wait().await.unwrap_err().kind, Kind::Protocol);
        drop(thread.join());
        receiver.close();
    });
}

#[test]
fn a_listed_file_is_hashed_in_parts_until_it_is_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let content: Vec<u8> = (0..200_000u32).map(|i| (i * 31) as u8).collect();
    fs::write(&path, &content).unwrap();
    let root = Root { path: path.clone(), name: b"file".to_vec() };
    let sender = SendSession::open(vec![root], WalkOptions::default(), CHUNK_BYTES as u64).unwrap();
    sender.page(7).unwrap();
    let hash = |offset, chunks| sender.hash(0, 65_536, (offset, chunks), &|| false);
    let expected: Vec<u8> = content.chunks(65_536).flat_map(|c| *blake3::hash(c).as_bytes()).collect();
    assert_eq!(hash(0, 100).unwrap(), (expected.clone(), 200_000));
    assert_eq!(hash(65_536, 2).unwrap(), (expected[32..96].to_vec(), 200_000));
    assert_eq!(hash(0, 0).unwrap(), (Vec::new(), 200_000));
    assert_eq!(hash(1 << 40, 1).unwrap(), (Vec::new(), 200_000));
    assert_eq!(sender.hash(0, 65_536, (0, 9), &|| true).unwrap_err().kind, Kind::Cancelled);
    assert_eq!(sender.hash(1, 65_536, (0, 9), &|| false).unwrap_err().kind, Kind::Unsupported);
    fs::write(&path, "other").unwrap();
    assert_eq!(hash(0, 100).unwrap_err().kind, Kind::SourceChanged);
    assert!(sender.work.push_run(0, 0));
    let stream = sender.work.ledger(|ledger| ledger.open(1)).unwrap();
    let _ = sender.work.take(stream);
    assert_eq!(hash(0, 100).unwrap_err().kind, Kind::Unsupported);
}

#[test]
fn a_page_that_asks_for_nothing_is_news() {
    runtime().block_on(async {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = from.path().join("empty");
        fs::write(&path, "").unwrap();
        let root = Root { path, name: b"empty".to_vec() };
        let sender = SendSession::open(vec![root], WalkOptions::default(), CHUNK_BYTES as u64).unwrap();
        let receiver = ReceiveSession::open(to.path().to_path_buf(), 8 << 20).unwrap();
        let plans = [RootPlan { entry: 0, final_name: b"empty".to_vec(), policy: RootPolicy::Fresh }];
        let expected = receiver.expect(&sender.page(7).unwrap().columns, &[255], &plans).unwrap();
        assert_eq!(expected.complete, 1);
        // The receiver that has everything else already waits for exactly this count.
        let news = tokio::time::timeout(Duration::from_secs(20), receiver.inbox.report.wait());
        news.await.expect("a report within 20 s").unwrap();
        assert_eq!(receiver.inbox.report.files_done.load(std::sync::atomic::Ordering::Relaxed), 1);
        receiver.close();
    });
}

#[test]
fn closing_in_the_middle_leaves_nothing_behind() {
    let from = tempfile::tempdir().unwrap();
    for index in 0..3000 {
        fs::write(from.path().join(format!("small{index}")), "content").unwrap();
    }
    runtime().block_on(async {
        for io in backends().into_iter().chain(backends()) {
            let to = tempfile::tempdir().unwrap();
            let pair = pair(TransportKind::Memory, STREAMS).await;
            let root = Root { path: from.path().to_path_buf(), name: b"root".to_vec() };
            let sender = SendSession::open(vec![root], WalkOptions::default(), CHUNK_BYTES as u64).unwrap();
            let sender = Arc::new(sender.with_io(io.clone()));
            let receiver = ReceiveSession::open(to.path().to_path_buf(), 8 << 20).unwrap().with_io(io);
            let plans = [RootPlan { entry: 0, final_name: b"root".to_vec(), policy: RootPolicy::Fresh }];
            let expected = receiver.expect(&sender.page(4000).unwrap().columns, &[255; 500], &plans).unwrap();
            let handle = tokio::runtime::Handle::current();
            receiver.inbox.start((1, pair.acceptor.clone()), STREAMS, &handle);
            sender.start(options(Codec::Raw)).unwrap();
            sender.streams((1, &pair.dialler), STREAMS, &handle).await.unwrap();
            for (first, last) in expected.runs {
                assert!(sender.work.push_run(first, last));
            }
            while receiver.inbox.report.files_done.load(std::sync::atomic::Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            receiver.close();
            receiver.inbox.staging.remove().unwrap();
            assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
            sender.close();
        }
    });
}

#[test]
fn frames_of_the_largest_size_share_few_buffers() {
    const FILES: u32 = 6;
    let from = tempfile::tempdir().unwrap();
    let content = vec![7; super::frame::MAX_PLAIN_BYTES];
    for index in 0..FILES {
        fs::write(from.path().join(format!("large{index}")), &content).unwrap();
    }
    runtime().block_on(async {
        let to = tempfile::tempdir().unwrap();
        let pair = pair(TransportKind::Memory, FILES as usize).await;
        let root = Root { path: from.path().to_path_buf(), name: b"root".to_vec() };
        let sender = SendSession::open(vec![root], WalkOptions::default(), CHUNK_BYTES as u64).unwrap();
        let receiver = ReceiveSession::open(to.path().to_path_buf(), 8 << 20).unwrap();
        let plans = [RootPlan { entry: 0, final_name: b"root".to_vec(), policy: RootPolicy::Fresh }];
        receiver.expect(&sender.page(10).unwrap().columns, &[255; 2], &plans).unwrap();
        let handle = tokio::runtime::Handle::current();
        receiver.inbox.start((1, pair.acceptor.clone()), FILES as usize, &handle);
        for entry in 1..=FILES {
            let mut sink = pair.dialler.open_sink().await.unwrap();
            let record = super::frame::Record {
                entry,
                flags: super::frame::FLAG_DATA | super::frame::FLAG_END,
                status: 0,
                offset: 0,
                length: content.len() as u64,
                hash: *blake3::hash(&content).as_bytes(),
            };
            let codec = if entry % 2 == 0 { Codec::Raw } else { Codec::Zstd };
            let mut wire = content.clone();
            if codec == Codec::Zstd {
                assert!(crate::chunk::codec::compress(codec, 1, &content, &mut wire).unwrap());
            }
            let head = super::frame::encode(codec, &[record], content.len(), wire.len());
            let head = [&super::frame::encode_preface(entry), &head[..]].concat();
            std::thread::spawn(move || sink.write(&head, Payload::new(wire)).and_then(|()| sink.finish()));
        }
        while receiver.inbox.outstanding() > 0 {
            let news = tokio::time::timeout(Duration::from_secs(20), receiver.inbox.report.wait());
            news.await.expect("progress within 20 s").unwrap();
        }
        assert_eq!(receiver.commit().unwrap().files, u64::from(FILES));
        receiver.close();
        assert_same(from.path(), &to.path().join("root"));
    });
}

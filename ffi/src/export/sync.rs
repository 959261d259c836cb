//! `src/native/sync.ts`: copying into a folder's staging and making changes beneath its root, many in one call.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::LocalPath;
use crate::error::{Error, Kind, Result};
use crate::io::change::{self, Wanted};
use crate::io::long_path;
use crate::io::name::quoted_path;
use crate::io::stamp::{STAMP_BYTES, Stamp};
use crate::op::{self, Context, Op, OpFuture};

pub const OPERATIONS: &[(&str, Op)] =
    &[("sync.stage", stage), ("sync.change", changes), ("sync.flush", flush)];

/// Entries of one call; caps what is held for it.
const MAX_ENTRIES: usize = 65_536;

#[derive(Deserialize)]
struct StageArgs {
    source: LocalPath,
    root: LocalPath,
    files: Vec<FileArgs>,
}

#[derive(Deserialize)]
struct FileArgs {
    path: ByteBuf,
    to: ByteBuf,
    symlink: bool,
    size: u64,
    content: ByteBuf,
    mode: u32,
    mtime: i64,
}

#[derive(Serialize)]
struct Failed {
    index: usize,
    kind: u16,
    text: String,
}

impl Failed {
    fn new(index: usize, error: Error) -> Failed {
        Failed { index, kind: error.kind as u16, text: error.text }
    }
}

#[derive(Serialize)]
struct StageResult {
    failed: Vec<Failed>,
}

/// Copies files and symlinks of one folder into another, each checked; several at once.
fn stage(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: StageArgs| {
        op::blocking_cancellable(move |cancelled| {
            check_count(args.files.len())?;
            let (source, root) = (open(&args.source.0)?, open(&args.root.0)?);
            let stop = || cancelled.load(Ordering::Relaxed);
            let next = AtomicUsize::new(0);
            let work = || {
                let mut failed = Vec::new();
                while let Some((index, file)) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .and_then(|index| args.files.get(index).map(|file| (index, file)))
                {
                    if stop() {
                        break;
                    }
                    let staged = wanted(file).and_then(|wanted| {
                        change::stage(source.as_fd(), &file.path, root.as_fd(), &file.to, &wanted, &stop)
                    });
                    failed.extend(staged.err().map(|error| Failed::new(index, error)));
                }
                failed
            };
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(args.files.len());
            let mut failed = std::thread::scope(|scope| {
                let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
                let mut failed = work();
                failed.extend(
                    others.into_iter().flat_map(|other| other.join().expect("copying does not panic")),
                );
                failed
            });
            if stop() {
                return Err(Error::new(Kind::Cancelled, "cancelled"));
            }
            failed.sort_unstable_by_key(|failed| failed.index);
            Ok(StageResult { failed })
        })
    })
}

fn wanted(file: &FileArgs) -> Result<Wanted> {
    let content = file.content.as_ref().try_into().map_err(|_| invalid("a content id has 32 bytes"))?;
    let FileArgs { symlink: is_symlink, size, mode, mtime: mtime_ns, .. } = *file;
    Ok(Wanted { is_symlink, size, content, mode, mtime_ns })
}

#[derive(Deserialize)]
struct ChangesArgs {
    root: LocalPath,
    steps: Vec<StepArgs>,
}

#[derive(Deserialize)]
struct StepArgs {
    #[serde(rename = "do")]
    verb: String,
    path: ByteBuf,
    from: Option<ByteBuf>,
    /// Stamp of what is there.
    was: Option<ByteBuf>,
    keep: Option<ByteBuf>,
    mode: Option<u32>,
}

#[derive(Serialize)]
struct ChangesResult {
    /// 40 bytes per step; zeros where nothing is left there or it failed.
    stamps: ByteBuf,
    failed: Vec<Failed>,
}

/// Makes changes, one after the other; one that fails does not stop the others.
fn changes(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: ChangesArgs| {
        op::blocking(move || {
            check_count(args.steps.len())?;
            let root = open(&args.root.0)?;
            let (mut stamps, mut failed) = (vec![0; STAMP_BYTES * args.steps.len()], Vec::new());
            for (index, step) in args.steps.iter().enumerate() {
                match change_one(&root, step) {
                    Ok(Some(stamp)) => {
                        stamps[STAMP_BYTES * index..][..STAMP_BYTES].copy_from_slice(&stamp.encode())
                    }
                    Ok(None) => {}
                    Err(error) => failed.push(Failed::new(index, error)),
                }
            }
            Ok(ChangesResult { stamps: ByteBuf::from(stamps), failed })
        })
    })
}

fn change_one(root: &OwnedFd, step: &StepArgs) -> Result<Option<Stamp>> {
    let (root, path) = (root.as_fd(), &step.path[..]);
    let missing = || invalid(&format!("the step \"{}\" lacks a field", step.verb));
    let was = match &step.was {
        Some(bytes) => Some(Stamp::decode(bytes).ok_or_else(|| invalid("a stamp has 40 bytes"))?),
        None => None,
    };
    let from = || step.from.as_deref().map(|from| &from[..]).ok_or_else(missing);
    let keep = || step.keep.as_deref().map(|keep| &keep[..]).ok_or_else(missing);
    let seen = || was.as_ref().ok_or_else(missing);
    match step.verb.as_str() {
        "make" => change::make(root, path, step.mode.ok_or_else(missing)?).map(Some),
        "put" => {
            let keep = if was.is_some() { keep()? } else { b"" };
            change::put(root, from()?, path, was.as_ref(), keep).map(Some)
        }
        "take" => change::take(root, path, seen()?, keep()?).map(|()| None),
        "drop" => change::drop_directory(root, path).map(|()| None),
        "move" => change::shift(root, from()?, path, seen()?).map(Some),
        "mode" => change::set_mode(root, path, seen()?, step.mode.ok_or_else(missing)?).map(Some),
        verb => Err(invalid(&format!("there is no step \"{verb}\""))),
    }
}

#[derive(Deserialize)]
struct FlushArgs {
    root: LocalPath,
}

/// Returns when everything written to the folder's file system is on the disk.
fn flush(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: FlushArgs| {
        op::blocking(move || {
            let root = open(&args.root.0)?;
            #[cfg(target_os = "linux")]
            let result = rustix::fs::syncfs(&root);
            #[cfg(not(target_os = "linux"))]
            let result = {
                rustix::fs::sync();
                Ok::<(), rustix::io::Errno>(())
            };

            result.map_err(|errno| {
                Error::io(format!("Cannot flush {}", quoted_path(&args.root.0)), &errno.into())
            })
        })
    })
}

fn open(path: &Path) -> Result<OwnedFd> {
    long_path::open_directory(path)
        .map_err(|errno| Error::io(format!("Cannot open {}", quoted_path(path)), &errno.into()))
}

fn check_count(count: usize) -> Result<()> {
    if count <= MAX_ENTRIES {
        Ok(())
    } else {
        Err(invalid(&format!("{count} entries are too many for one call")))
    }
}

fn invalid(text: &str) -> Error {
    Error::new(Kind::InvalidArgument, text)
}

//! `src/native/copy.ts`: copying trees on this machine.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::LocalPath;
use crate::copy::options::{Compare, Existing, Fsync, Method, Options, Preserve, Root, Sparse};
use crate::copy::report::{Count, name_of};
use crate::copy::run::Copy;
use crate::op::{self, Context, Op, OpFuture};

pub const OPERATIONS: &[(&str, Op)] = &[
    ("copy.open", open),
    ("copy.next", next),
    ("copy.delete", delete),
    ("copy.cancel", cancel),
    ("copy.close", close),
];

/// Longest wait of one `copy.next`.
const MAX_WAIT_MS: u64 = 10_000;

#[derive(Deserialize)]
struct RootArgs {
    source: LocalPath,
    target: LocalPath,
}

#[derive(Deserialize)]
struct OpenArgs {
    roots: Vec<RootArgs>,
    #[serde(default)]
    threads: usize,
    #[serde(default)]
    pin: bool,
    #[serde(default)]
    count_ahead: bool,
    #[serde(default)]
    queue_depth: usize,
    #[serde(default)]
    max_files_in_flight: usize,
    #[serde(default)]
    buffer_size: usize,
    #[serde(default)]
    method: Method,
    #[serde(default)]
    direct_io: bool,
    #[serde(default)]
    sparse: Sparse,
    #[serde(default)]
    preallocate: bool,
    #[serde(default)]
    preserve: Preserve,
    #[serde(default)]
    one_file_system: bool,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    existing: Existing,
    #[serde(default)]
    compare: Compare,
    #[serde(default)]
    delete: bool,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    itemize: bool,
    #[serde(default)]
    verify: bool,
    #[serde(default)]
    fsync: Fsync,
    #[serde(default)]
    retries: u32,
    #[serde(default)]
    journal: Option<LocalPath>,
    resume: bool,
}

impl OpenArgs {
    fn split(self) -> (Vec<Root>, Options) {
        let root = |root: RootArgs| Root { source: root.source.0, target: root.target.0 };
        let options = Options {
            threads: self.threads,
            pin: self.pin,
            count_ahead: self.count_ahead,
            queue_depth: self.queue_depth,
            max_files_in_flight: self.max_files_in_flight,
            buffer_size: self.buffer_size,
            method: self.method,
            direct_io: self.direct_io,
            sparse: self.sparse,
            preallocate: self.preallocate,
            preserve: self.preserve,
            one_file_system: self.one_file_system,
            exclude: self.exclude,
            existing: self.existing,
            compare: self.compare,
            delete: self.delete,
            dry_run: self.dry_run,
            itemize: self.itemize,
            verify: self.verify,
            fsync: self.fsync,
            retries: self.retries,
            journal: self.journal.map(|path| path.0),
            resume: self.resume,
        };
        (self.roots.into_iter().map(root).collect(), options)
    }
}

#[derive(Serialize, Deserialize)]
struct CopyHandle {
    copy: u32,
}

#[derive(Deserialize)]
struct NextArgs {
    copy: u32,
    wait_ms: u64,
}

#[derive(Deserialize)]
struct DeleteArgs {
    copy: u32,
    go: bool,
}

#[derive(Serialize)]
struct Progress {
    files: u64,
    directories: u64,
    symlinks: u64,
    specials: u64,
    hardlinks: u64,
    bytes: u64,
    unchanged: u64,
    unchanged_bytes: u64,
    deleted: u64,
    failed: u64,
    attributes_left: u64,
    total_files: u64,
    total_bytes: u64,
    counted: bool,
}

#[derive(Serialize)]
struct Methods {
    reflink: u64,
    copy_file_range: u64,
    splice: u64,
    io_uring: u64,
    read_write: u64,
    direct: u64,
    mmap: u64,
}

#[derive(Serialize)]
struct ChangeResult {
    path: ByteBuf,
    what: &'static str,
    kind: u8,
    bytes: u64,
    method: &'static str,
}

#[derive(Serialize)]
struct ProblemResult {
    path: ByteBuf,
    kind: u16,
    text: String,
}

#[derive(Serialize)]
struct Deletions {
    entries: u64,
    directories: u64,
    of: u64,
}

#[derive(Serialize)]
struct NextResult {
    done: bool,
    progress: Progress,
    changes: Vec<ChangeResult>,
    problems: Vec<ProblemResult>,
    methods: Methods,
    deletions: Option<Deletions>,
    steals: u64,
    sleeps: u64,
}

/// Starts a copy.
fn open(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: OpenArgs| async move {
        let (roots, options) = args.split();
        let copy = op::blocking(move || Copy::open(roots, options)).await?;
        Ok(CopyHandle { copy: context.objects.insert(Arc::new(copy))? })
    })
}

/// Tells how far it is.
fn next(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: NextArgs| async move {
        let copy = context.objects.get::<Copy>(args.copy)?;
        let wait = Duration::from_millis(args.wait_ms.min(MAX_WAIT_MS));
        op::blocking(move || {
            let news = copy.next(wait);
            Ok(result(&copy, news))
        })
        .await
    })
}

fn result(copy: &Copy, news: crate::copy::report::News) -> NextResult {
    let total = |count| copy.run.report.total(count);
    let (steals, sleeps) = copy.run.crew.steals_and_sleeps();
    // Once all is done what was met is right, whatever was there before.
    let ahead = copy.run.tally.get().filter(|_| !news.done);
    let (total_files, total_bytes) = ahead.unwrap_or((total(Count::TotalFiles), total(Count::TotalBytes)));
    NextResult {
        progress: Progress {
            files: total(Count::Files),
            directories: total(Count::Directories),
            symlinks: total(Count::Symlinks),
            specials: total(Count::Specials),
            hardlinks: total(Count::Hardlinks),
            bytes: total(Count::Bytes),
            unchanged: total(Count::Unchanged),
            unchanged_bytes: total(Count::UnchangedBytes),
            deleted: total(Count::Deleted),
            failed: total(Count::Failed),
            attributes_left: total(Count::AttributesLeft),
            total_files,
            total_bytes,
            counted: news.done || ahead.is_some(),
        },
        methods: Methods {
            reflink: total(Count::Reflink),
            copy_file_range: total(Count::CopyFileRange),
            splice: total(Count::Splice),
            io_uring: total(Count::IoUring),
            read_write: total(Count::ReadWrite),
            direct: total(Count::Direct),
            mmap: total(Count::Mmap),
        },
        changes: (news.changes.into_iter())
            .map(|change| ChangeResult {
                path: ByteBuf::from(change.path),
                what: change.what.name(),
                kind: change.kind,
                bytes: change.bytes,
                method: change.method.map_or("", name_of),
            })
            .collect(),
        problems: (news.problems.into_iter())
            .map(|problem| ProblemResult {
                path: ByteBuf::from(problem.path),
                kind: problem.error.kind as u16,
                text: problem.error.text,
            })
            .collect(),
        deletions: (copy.deletions()).map(|(entries, directories, of)| Deletions {
            entries,
            directories,
            of,
        }),
        done: news.done,
        steals,
        sleeps,
    }
}

/// Answers the question that `deletions` asks.
fn delete(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: DeleteArgs| async move {
        context.objects.get::<Copy>(args.copy)?.delete(args.go)
    })
}

/// Begins to stop a copy; `copy.next` says when it has.
fn cancel(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: CopyHandle| async move {
        context.objects.get::<Copy>(args.copy)?.cancel();
        Ok(())
    })
}

/// Ends a copy, when nothing of it is under way any more.
fn close(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: CopyHandle| async move {
        let copy = context.objects.remove::<Copy>(args.copy)?;
        op::blocking(move || {
            copy.close();
            Ok(())
        })
        .await
    })
}

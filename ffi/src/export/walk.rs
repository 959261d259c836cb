//! `src/native/walk.ts`: walking local trees page by page.

use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::LocalPath;
use crate::io::ahead::Ahead;
use crate::io::columns::Columns;
use crate::io::walk::{Marks, Root, WalkOptions, Walker, count};
use crate::op::{self, Context, Op, OpFuture};

pub const OPERATIONS: &[(&str, Op)] = &[
    ("walk.open", open),
    ("walk.sum", sum),
    ("walk.next", next),
    ("walk.count", totals),
    ("walk.close", close),
];

#[derive(Deserialize)]
struct RootArgs {
    path: LocalPath,
    name: ByteBuf,
}

#[derive(Deserialize)]
struct WalkArgs {
    roots: Vec<RootArgs>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    ignore_files: bool,
    marks: Option<MarksArgs>,
}

#[derive(Deserialize)]
struct MarksArgs {
    one_file_system: bool,
}

impl WalkArgs {
    fn split(self) -> (Vec<Root>, WalkOptions) {
        let root = |root: RootArgs| Root { path: root.path.0, name: root.name.into_vec() };
        let options = WalkOptions { exclude: self.exclude, ignore_files: self.ignore_files };
        (self.roots.into_iter().map(root).collect(), options)
    }
}

#[derive(Serialize, Deserialize)]
struct WalkHandle {
    walk: u32,
}

#[derive(Deserialize)]
struct NextArgs {
    walk: u32,
    max_entries: usize,
}

#[derive(Serialize)]
struct PageResult {
    columns: Columns,
    problems: Vec<ProblemResult>,
    /// With marks: 40 bytes per entry.
    stamps: ByteBuf,
}

#[derive(Serialize)]
struct ProblemResult {
    path: ByteBuf,
    kind: u16,
    text: String,
}

/// Begins a walk.
fn open(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: WalkArgs| async move {
        let marks = args.marks.as_ref().map(|marks| Marks { one_file_system: marks.one_file_system });
        let (roots, options) = args.split();
        let walker = op::blocking(move || Walker::open_with(roots, options, marks)).await?;
        Ok(WalkHandle { walk: context.objects.insert(Arc::new(Mutex::new(Ahead::new(walker))))? })
    })
}

#[derive(Deserialize)]
struct SumArgs {
    walk: u32,
    keep_bytes: usize,
}

#[derive(Serialize)]
struct SumResult {
    /// 32 bytes.
    sum: Option<ByteBuf>,
}

/// Walks ahead to the end and sums everything up.
fn sum(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: SumArgs| async move {
        let walk = context.objects.get::<Mutex<Ahead>>(args.walk)?;
        op::blocking_cancellable(move |cancelled| {
            let sum = walk.lock().unwrap().sum(args.keep_bytes, cancelled)?;
            Ok(SumResult { sum: sum.map(|sum| ByteBuf::from(sum.to_vec())) })
        })
        .await
    })
}

/// Gives the next page of a walk.
fn next(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: NextArgs| async move {
        let walker = context.objects.get::<Mutex<Ahead>>(args.walk)?;
        let page = op::blocking(move || walker.lock().unwrap().next_page(args.max_entries)).await?;
        let problems = page.problems.into_iter().map(|problem| ProblemResult {
            path: ByteBuf::from(problem.path.as_os_str().as_bytes()),
            kind: problem.error.kind as u16,
            text: problem.error.text,
        });
        let (problems, stamps) = (problems.collect(), ByteBuf::from(page.stamps));
        Ok(PageResult { columns: page.columns, problems, stamps })
    })
}

/// Counts what a walk would give.
fn totals(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: WalkArgs| {
        op::blocking_cancellable(move |cancelled| {
            let (roots, options) = args.split();
            count(roots, options, cancelled)
        })
    })
}

/// Ends a walk.
fn close(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: WalkHandle| async move {
        context.objects.remove::<Mutex<Ahead>>(args.walk)?;
        Ok(())
    })
}

//! `src/native/files.ts`: questions about a destination folder.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::LocalPath;
use crate::io::backend::select;
use crate::io::space;
use crate::op::{self, Context, Op, OpFuture};

pub const OPERATIONS: &[(&str, Op)] =
    &[("files.space", room), ("files.exists", exists), ("files.backends", backends)];

#[derive(Deserialize)]
struct SpaceArgs {
    path: LocalPath,
}

#[derive(Deserialize)]
struct ExistsArgs {
    directory: LocalPath,
    names: Vec<ByteBuf>,
}

#[derive(Serialize)]
struct ExistsResult {
    existing: Vec<u32>,
}

/// Gives the room on the disk of a directory.
fn room(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: SpaceArgs| op::blocking(move || space::space(&args.path.0)))
}

/// Gives the indexes of those names that are in a directory.
fn exists(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: ExistsArgs| {
        op::blocking(move || {
            let existing = space::existing(&args.directory.0, &args.names)?;
            Ok(ExistsResult { existing })
        })
    })
}

#[derive(Deserialize)]
struct NoArgs {}

#[derive(Serialize)]
struct BackendRecord {
    name: &'static str,
    /// Why it cannot run here.
    problem: Option<String>,
}

#[derive(Serialize)]
struct BackendsResult {
    backends: Vec<BackendRecord>,
    /// The one that is used unless another is forced.
    used: &'static str,
}

/// Tries the ways to read and write files that this system may have.
fn backends(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, _: NoArgs| {
        op::blocking(|| {
            let probed = select::probe().into_iter();
            let backends = probed.map(|p| BackendRecord { name: p.name, problem: p.problem }).collect();
            Ok(BackendsResult { backends, used: select::automatic().name() })
        })
    })
}

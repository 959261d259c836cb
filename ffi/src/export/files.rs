//! `src/native/files.ts`: questions about a destination folder.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::LocalPath;
use crate::io::space;
use crate::op::{self, Context, Op, OpFuture};

pub const OPERATIONS: &[(&str, Op)] = &[("files.space", room), ("files.exists", exists)];

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

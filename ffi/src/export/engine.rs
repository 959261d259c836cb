//! What the operations of both engines share: limits of arguments, and counters.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use serde_bytes::ByteBuf;

use crate::error::{Error, Kind, Result};
use crate::io::backend::{Backend, select};
use crate::io::stamp::{STAMP_BYTES, Stamp};
use crate::transfer::report::Report;

/// Streams of one call: 256 threads at most.
pub(super) const MAX_STREAMS: usize = 256;

pub(super) fn counters(report: &Report) -> (u64, u64, u64, u64) {
    (
        report.bytes.load(Ordering::Relaxed),
        report.bytes_wire.load(Ordering::Relaxed),
        report.blocked(),
        report.files_done.load(Ordering::Relaxed),
    )
}

/// The backend with that name; the one that measured best when none is given.
pub(super) fn backend_of(name: Option<&str>) -> Result<Arc<dyn Backend>> {
    let name = name.unwrap_or("auto");
    let problem =
        |why| Error::new(Kind::Unsupported, format!("Cannot read and write files with \"{name}\": {why}"));
    select::select(name).map_err(problem)
}

pub(super) fn within(name: &str, value: usize, range: std::ops::RangeInclusive<usize>) -> Result<usize> {
    if range.contains(&value) {
        return Ok(value);
    }
    let text = format!("{name} is {value}: it must be from {} to {}", range.start(), range.end());
    Err(Error::new(Kind::InvalidArgument, text))
}

/// Numbers as they travel, little endian.
pub(super) fn numbers(numbers: impl IntoIterator<Item = u32>) -> ByteBuf {
    ByteBuf::from(numbers.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
}

/// Ranges `(entry, offset, length)` as they travel: u64 each.
pub(super) fn ranges_of(ranges: impl IntoIterator<Item = (u32, u64, u64)>) -> ByteBuf {
    let numbers = |(entry, offset, length)| [u64::from(entry), offset, length];
    let bytes: Vec<u8> = ranges.into_iter().flat_map(numbers).flat_map(u64::to_le_bytes).collect();
    ByteBuf::from(bytes)
}

/// Stamps of files and where they are.
#[derive(Serialize)]
pub(super) struct StampsResult {
    stamps: ByteBuf,
    paths: Vec<ByteBuf>,
}

/// Puts together what was found; zeros and no path for what was not.
pub(super) fn stamps_result(found: impl Iterator<Item = Option<(Vec<u8>, Stamp)>>) -> StampsResult {
    let (mut stamps, mut paths) = (Vec::new(), Vec::new());
    for file in found {
        let (path, stamp) =
            file.map_or((Vec::new(), [0; STAMP_BYTES]), |(path, stamp)| (path, stamp.encode()));
        stamps.extend_from_slice(&stamp);
        paths.push(ByteBuf::from(path));
    }
    StampsResult { stamps: ByteBuf::from(stamps), paths }
}

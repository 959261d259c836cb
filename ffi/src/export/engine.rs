//! What the operations of both engines share: limits of arguments, and counters.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::{Error, Kind, Result};
use crate::io::backend::{Backend, select};
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

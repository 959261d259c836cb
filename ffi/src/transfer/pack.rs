//! Packs at the sender: whole small files, read in batches into one buffer.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::CWD;

use super::source::Source;
use crate::error::{Error, Result};
use crate::io::backend::{Backend, ReadFailure, ReadFile};
use crate::io::long_path;
use crate::io::name::quoted_path;
use crate::io::read;
use crate::io::walk::FileRef;

/// From so many files of one directory in a row on it is opened once, and they are opened by name.
const OPEN_FROM: usize = 3;

/// Reads `files` into `space`, one after the other; gives one result for each, in order.
///
/// Each has its place, of the size it was listed with, also when it fails.
///
/// # Errors
/// Per file, SOURCE_CHANGED when it is not what was listed; NOT_FOUND and its kin when it cannot be opened.
pub fn read_files(io: &dyn Backend, files: &[Arc<Source>], mut space: &mut [u8]) -> Vec<Result<()>> {
    let mut results = Vec::with_capacity(files.len());
    let mut rest = files;
    while !rest.is_empty() {
        let (run, by_name) = next_run(rest);
        rest = &rest[run.len()..];
        let bytes: u64 = run.iter().map(|source| source.reference.size).sum();
        let (part, after) = space.split_at_mut(bytes as usize);
        space = after;
        if !by_name {
            read_run(io, run, (CWD, |file| Cow::Owned(file.path().into_os_string())), part, &mut results);
            continue;
        }
        match long_path::open_to_pass(&run[0].reference.directory) {
            Ok(directory) => {
                read_run(io, run, (directory.as_fd(), |file| Cow::Borrowed(&file.name)), part, &mut results);
            }
            Err(errno) => results.extend(run.iter().map(|source| Err(not_opened(source, &errno.into())))),
        }
    }
    results
}

/// Cuts off the files that are opened by name in one directory, or (false) those that are opened by their paths: so
/// few in each directory that opening it costs more.
fn next_run(files: &[Arc<Source>]) -> (&[Arc<Source>], bool) {
    let mut end = 0;
    for run in files.chunk_by(|a, b| Arc::ptr_eq(&a.reference.directory, &b.reference.directory)) {
        if run.len() >= OPEN_FROM || is_long(&run[0].reference) {
            return if end == 0 { (run, true) } else { (&files[..end], false) };
        }
        end += run.len();
    }
    (files, false)
}

/// Reads files of one run by the names that `at` gives them in an open directory.
fn read_run<'f>(
    io: &dyn Backend,
    run: &'f [Arc<Source>],
    (directory, name): (BorrowedFd<'_>, impl Fn(&'f FileRef) -> Cow<'f, OsStr>),
    mut space: &mut [u8],
    results: &mut Vec<Result<()>>,
) {
    let names: Vec<Cow<'_, OsStr>> = run.iter().map(|source| name(&source.reference)).collect();
    let mut files = Vec::with_capacity(run.len());
    for (source, name) in run.iter().zip(&names) {
        let (part, rest) = space.split_at_mut(source.reference.size as usize);
        space = rest;
        files.push(ReadFile { directory, name, space: part, seen: source.reference.seen() });
    }
    let read = io.read_files(&mut files);
    results.extend(run.iter().zip(read).map(|(source, read)| {
        read.map_err(|failure| match failure {
            ReadFailure::Open(error) => not_opened(source, &error),
            ReadFailure::Read(error) => {
                Error::io(format!("Cannot read {}", quoted_path(&source.reference.path())), &error)
            }
            ReadFailure::Replaced => read::replaced(&source.reference),
            ReadFailure::Changed => source.changed(),
        })
    }));
}

fn not_opened(source: &Source, error: &std::io::Error) -> Error {
    Error::io(format!("Cannot open {}", quoted_path(&source.reference.path())), error)
}

fn is_long(file: &FileRef) -> bool {
    // A name has 255 bytes at most.
    file.directory.as_os_str().len() + 256 > read::MAX_PATH_BYTES
}

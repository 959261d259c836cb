//! Whole small files at the receiver: made in batches, with one look into the shared state per batch.

use std::sync::Arc;

use super::frame::{FLAG_DATA, FLAG_END, Record};
use super::receive::{Inbox, concerns_one_entry};
use super::target::Target;
use crate::error::{Error, Result};
use crate::io::stage_small::NewFile;

/// A whole file that came in one record.
pub struct Small<'a> {
    target: Arc<Target>,
    data: &'a [u8],
    id: [u8; 32],
}

impl<'a> Small<'a> {
    /// Takes a record that brings all of an untouched file; `None` when it has to go the long way.
    pub fn take(target: &Arc<Target>, record: &Record, data: &'a [u8]) -> Option<Small<'a>> {
        let whole = record.is(FLAG_DATA) && record.is(FLAG_END) && record.offset == 0;
        (whole && target.claim_whole(record.length)).then(|| Small {
            target: target.clone(),
            data,
            id: record.hash,
        })
    }
}

/// Makes the files, which are claimed, in staging.
///
/// # Errors
/// What ends the transfer, such as NO_SPACE; what concerns one file is reported and the rest goes on.
pub fn place(inbox: &Inbox, files: &[Small<'_>]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let mut done: Vec<&Arc<Target>> = Vec::with_capacity(files.len());
    for run in files.chunk_by(|a, b| folder(&a.target.path) == folder(&b.target.path)) {
        let new: Vec<NewFile<'_>> = run.iter().map(Small::new_file).collect();
        for (small, made) in run.iter().zip(inbox.staging.create_small(&*inbox.io, &new)) {
            match made {
                Ok(()) if small.target.finish_whole() => {
                    inbox.verified.note(small.target.entry, 0, small.target.size, &small.id);
                    done.push(&small.target);
                }
                // Given up meanwhile: its sender said on another stream that it failed.
                Ok(()) => inbox.staging.remove_file(&small.target.path)?,
                Err(error) => one_failed(inbox, &small.target, error)?,
            }
        }
    }
    // Before the files count as done: whoever hears of the last file has heard of all bytes.
    inbox.report.moved(done.iter().map(|target| target.size).sum());
    inbox.finished(&done);
    Ok(())
}

fn one_failed(inbox: &Inbox, target: &Target, error: Error) -> Result<()> {
    if !concerns_one_entry(error.kind) {
        return Err(error);
    }
    inbox.drop_entry(target, &error);
    Ok(())
}

impl Small<'_> {
    fn new_file(&self) -> NewFile<'_> {
        let Target { path, mode, mtime, .. } = &*self.target;
        NewFile { path, bytes: self.data, mode: *mode, mtime_ns: *mtime }
    }
}

/// The directory of a path in staging.
fn folder(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(b"", |cut| &path[..cut])
}

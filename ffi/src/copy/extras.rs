//! What the target has and the source has not: listed while copying, deleted only when that was confirmed.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, unlinkat};
use rustix::io::Errno;

use super::attributes;
use super::entry::{self, is_left_out};
use super::failure::{Failure, Outcome, target};
use super::folder::Folder;
use super::listing::Listing;
use super::meta::{Meta, kind_of};
use super::report::{Change, Count, What};
use super::worker::Worker;
use crate::error::{Error, Kind};
use crate::io::name::quoted;
use crate::io::remove::remove_tree;

/// How deep what is to be deleted may lie: each level holds a directory open while it is counted.
const MAX_DEPTH: usize = 256;

/// An entry of a target's folder that is to be deleted, with everything in it.
pub struct Extra {
    folder: Arc<Folder>,
    name: CString,
    is_directory: bool,
    /// It and what is in it.
    entries: u64,
    /// A source of another kind that takes its place then.
    successor: Option<FileType>,
}

/// Finds what `folder` of the target has and `listing` of the source has not.
pub fn find(worker: &mut Worker, folder: &Arc<Folder>, listing: &Listing) {
    let (Ok(Some(directory)), false) = (folder.target(), folder.is_new) else { return };
    let there = match Listing::read(&*directory) {
        Ok(there) => there,
        Err(errno) => {
            return worker.problem(folder, (c"", c""), Failure::Target("read", errno));
        }
    };
    worker.count(Count::TargetEntries, there.len() as u64);
    let kept: HashSet<&CStr> = (0..listing.len()).map(|index| listing.name(index)).collect();
    for index in 0..there.len() {
        let (name, file_type) = (there.name(index), there.file_type(index));
        let is_directory = file_type == FileType::Directory;
        // What patterns leave out of the source is protected in the target.
        if kept.contains(name) || is_left_out(worker, folder, name, is_directory) {
            continue;
        }
        note(worker, folder, directory.as_fd(), name, file_type, None);
    }
}

/// Lists `name` for deletion; `successor` is copied to its place afterwards.
pub fn note(
    worker: &mut Worker,
    folder: &Arc<Folder>,
    directory: BorrowedFd<'_>,
    name: &CStr,
    file_type: FileType,
    successor: Option<FileType>,
) {
    let path = folder.target_path(name);
    let is_directory = file_type == FileType::Directory;
    let mut counted = Counted { entries: 1, directories: u64::from(is_directory), is_mounted: false };
    if is_directory
        && let Err(failure) = count(worker, directory, name, &path, folder.target_id.0, &mut counted, 0)
    {
        return worker.problem(folder, (name, name), failure);
    }
    if counted.is_mounted {
        let text = format!("Cannot delete {}: another file system is mounted there", quoted(&path));
        return worker.problem(folder, (name, name), Failure::Other(Error::new(Kind::Refused, text)));
    }
    tell(worker, path, file_type);
    worker.count(Count::Extra, counted.entries);
    worker.count(Count::ExtraDirectories, counted.directories);
    worker.count(Count::TargetEntries, counted.entries - 1);
    let entries = counted.entries;
    let extra = Extra { folder: folder.clone(), name: name.to_owned(), is_directory, entries, successor };
    worker.run.extras.lock().unwrap().push(extra);
}

struct Counted {
    entries: u64,
    directories: u64,
    is_mounted: bool,
}

fn count(
    worker: &Worker,
    directory: BorrowedFd<'_>,
    name: &CStr,
    path: &[u8],
    device: u64,
    counted: &mut Counted,
    depth: usize,
) -> Outcome<()> {
    if worker.is_stopped() || depth > MAX_DEPTH {
        return if depth > MAX_DEPTH {
            Err(target("delete")(Errno::NAMETOOLONG))
        } else {
            Err(Failure::Cancelled)
        };
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(directory, name, flags, Mode::empty()).map_err(target("read"))?;
    if Meta::from(fstat(&opened).map_err(target("read"))?).device != device {
        counted.is_mounted = true;
        return Ok(());
    }
    let listing = Listing::read(&opened).map_err(target("read"))?;
    for index in 0..listing.len() {
        let (name, file_type) = (listing.name(index), listing.file_type(index));
        let path = [path, b"/", name.to_bytes()].concat();
        counted.entries += 1;
        if file_type == FileType::Directory {
            counted.directories += 1;
            count(worker, opened.as_fd(), name, &path, device, counted, depth + 1)?;
        }
        tell(worker, path, file_type);
    }
    Ok(())
}

fn tell(worker: &Worker, path: Vec<u8>, file_type: FileType) {
    if worker.run.options.itemize {
        let kind = kind_of(file_type);
        worker.run.report.change(Change { path, what: What::Delete, kind, bytes: 0, method: None });
    }
}

/// Deletes what was listed, now that this is confirmed.
pub fn remove(worker: &mut Worker, extra: &Extra) {
    let Extra { folder, name, .. } = extra;
    match try_remove(worker, extra) {
        Ok(()) => worker.count(Count::Deleted, extra.entries),
        Err(failure) => return worker.problem(folder, (name, name), failure),
    }
    if let Some(file_type) = extra.successor {
        entry::copy(worker, folder, (name, name), file_type);
    }
    // Its time is the source's; deleting has changed it.
    if let Ok(Some(directory)) = folder.target()
        && !worker.run.options.dry_run
    {
        attributes::set_times(worker, directory.as_fd(), &folder.meta);
        worker.tell_noted(folder, (name, name));
    }
}

fn try_remove(worker: &Worker, extra: &Extra) -> Outcome<()> {
    if worker.run.options.dry_run {
        return Ok(());
    }
    let Some(directory) = extra.folder.target()? else { return Ok(()) };
    if extra.is_directory {
        return remove_tree(directory.as_fd(), extra.name.to_bytes()).map_err(Failure::Other);
    }
    match unlinkat(&*directory, &*extra.name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(target("delete")(errno)),
    }
}

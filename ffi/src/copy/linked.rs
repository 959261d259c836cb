//! What has several names, of whatever kind: copied once, its other names become names of the copy.

use std::ffi::CStr;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, linkat, unlinkat};
use rustix::io::Errno;

use super::crew::Job;
use super::entry::{Place, look};
use super::failure::{Failure, Outcome, target};
use super::file::rename;
use super::folder::Folder;
use super::links::{Claim, Name};
use super::meta::{KIND_FILE, Meta};
use super::report::Count;
use super::worker::Worker;

/// Whether `meta` is to be copied by [`copy`]: it has several names, and they are to stay names of one thing.
pub fn is_linked(worker: &Worker, meta: &Meta) -> bool {
    worker.preserve().hardlinks && meta.links > 1
}

/// Whether the target's `there` may stay as the copy of `meta`: what has several names cannot be the copy of two.
pub fn may_stay(worker: &Worker, meta: &Meta, there: &Meta) -> bool {
    there.links < 2 || !worker.preserve().hardlinks || worker.run.links.keep(there.id(), meta.id())
}

/// Meets one name of something that has several; `copy` copies it, for the first of them.
pub fn copy(
    worker: &mut Worker,
    place: &Place<'_>,
    meta: &Meta,
    copy: impl Fn(&mut Worker) -> Outcome<()>,
) -> Outcome<()> {
    let name = || Name {
        folder: place.folder.clone(),
        source: place.source_name.to_owned(),
        target: place.target_name.to_owned(),
    };
    match worker.run.clone().links.claim(meta.id(), meta.links, name) {
        Claim::Wait => Ok(()),
        Claim::Link { folder, target } => match link(worker, (&folder, &target), place, meta) {
            // The copy has as many names as its file system allows, or another file system begins here.
            Err(Failure::Target(_, Errno::MLINK | Errno::XDEV)) => copy(worker),
            // There are file systems where only files have several names.
            Err(Failure::Target(_, Errno::PERM | Errno::NOTSUP)) if meta.kind() != KIND_FILE => copy(worker),
            result => result,
        },
        Claim::Copy => {
            let result = copy(worker);
            let waiting = match &result {
                Ok(()) => worker.run.links.copied(meta.id(), place.folder, place.target_name),
                Err(_) => worker.run.links.failed(meta.id()),
            };
            for Name { folder, source, target } in waiting {
                worker.push(Job::Again { folder, source_name: source, target_name: target });
            }
            result
        }
    }
}

/// Makes the target one more name of `first`.
fn link(worker: &mut Worker, first: (&Folder, &CStr), place: &Place<'_>, meta: &Meta) -> Outcome<()> {
    let (Some(from), Some(directory)) = (first.0.target()?, place.target) else {
        return Err(Failure::Cancelled);
    };
    if let Some(there) = place.there
        && look(from.as_fd(), first.1)?.is_some_and(|first| first.id() == there.id())
    {
        worker.count(Count::Unchanged, 1);
        return Ok(());
    }
    let make = |name: &CStr| {
        linkat(&*from, first.1, directory, name, AtFlags::empty()).map_err(target("create the hard link"))
    };
    if place.is_hidden() {
        make(place.target_name)?;
    } else {
        let temporary = worker.temporary_name();
        make(&temporary)?;
        rename(directory, &temporary, place.target_name)?;
        // Renaming one name of a file to another one of it does nothing.
        let _ = unlinkat(directory, &temporary, AtFlags::empty());
    }
    worker.count(Count::Hardlinks, 1);
    worker.change(place.folder, place.target_name, place.what(meta), meta);
    Ok(())
}

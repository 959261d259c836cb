//! Symlinks as such, FIFOs, sockets and devices.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, FileType, Mode, mknodat, readlinkat, statat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::attributes::set_by_name;
use super::compare::difference;
use super::entry::{Place, Way, judge};
use super::failure::{Failure, Outcome, source, target};
use super::file::rename;
use super::linked;
use super::meta::{KIND_SYMLINK, Meta};
use super::report::{Count, What};
use super::worker::Worker;
use super::xattrs;

pub fn copy_symlink(worker: &mut Worker, place: Place<'_>) -> Outcome<()> {
    let meta = look(&place)?;
    if meta.file_type() != FileType::Symlink {
        return Err(Failure::Changed);
    }
    if let Way::Kept = judge(worker, &place, &meta)? {
        return Ok(());
    }
    let text = readlinkat(place.source, place.source_name, Vec::new()).map_err(source("read"))?;
    once(worker, &place, &meta, |worker| {
        let is_same = |directory: BorrowedFd<'_>| {
            place
                .there
                .is_some_and(|there| there.kind() == KIND_SYMLINK && linked::may_stay(worker, &meta, &there))
                && readlinkat(directory, place.target_name, Vec::new()).is_ok_and(|there| there == text)
        };
        if place.is_update(worker) && place.target.is_some_and(is_same) {
            return stays(worker, &place, &meta, None);
        }
        make(worker, &place, &meta, None, |directory, name| symlinkat(&text, directory, name))?;
        worker.count(Count::Symlinks, 1);
        Ok(())
    })
}

/// Names of one thing become names of one copy; a dry run tells of each.
fn once(
    worker: &mut Worker,
    place: &Place<'_>,
    meta: &Meta,
    copy: impl Fn(&mut Worker) -> Outcome<()>,
) -> Outcome<()> {
    match linked::is_linked(worker, meta) && !worker.run.options.dry_run {
        true => linked::copy(worker, place, meta, copy),
        false => copy(worker),
    }
}

/// Copies a FIFO, a socket or a device: the entry, never what one reads from it.
pub fn copy_special(worker: &mut Worker, place: Place<'_>) -> Outcome<()> {
    if !worker.preserve().specials {
        worker.uncount(Count::TotalFiles, 1);
        return Ok(());
    }
    let meta = look(&place)?;
    if matches!(meta.file_type(), FileType::RegularFile | FileType::Directory | FileType::Symlink) {
        return Err(Failure::Changed);
    }
    if let Way::Kept = judge(worker, &place, &meta)? {
        return Ok(());
    }
    let wanted = match worker.preserve().mode {
        true => meta.permissions(),
        false => meta.permissions() & 0o777 & !worker.umask,
    };
    once(worker, &place, &meta, |worker| {
        let is_same = |there: Meta| {
            there.kind() == meta.kind() && there.rdev == meta.rdev && linked::may_stay(worker, &meta, &there)
        };
        if place.is_update(worker) && place.there.is_some_and(is_same) {
            return stays(worker, &place, &meta, Some(wanted));
        }
        make(worker, &place, &meta, Some(wanted), |directory, name| {
            mknodat(directory, name, meta.file_type(), Mode::from_raw_mode(wanted), meta.rdev as _)
        })?;
        worker.count(Count::Specials, 1);
        Ok(())
    })
}

fn look(place: &Place<'_>) -> Outcome<Meta> {
    let stat = statat(place.source, place.source_name, AtFlags::SYMLINK_NOFOLLOW);
    Ok(Meta::from(stat.map_err(source("look at"))?))
}

/// Makes an entry complete and gives it its name; a dry run only says so.
fn make(
    worker: &mut Worker,
    place: &Place<'_>,
    meta: &Meta,
    mode: Option<u32>,
    how: impl FnOnce(BorrowedFd<'_>, &CStr) -> Result<(), Errno>,
) -> Outcome<()> {
    if worker.run.options.dry_run {
        worker.change(place.folder, place.target_name, place.what(meta), meta);
        return Ok(());
    }
    let Some(directory) = place.target else { return Err(Failure::Cancelled) };
    let temporary: Option<CString> = (!place.is_hidden()).then(|| worker.temporary_name());
    let name = temporary.as_deref().unwrap_or(place.target_name);
    how(directory, name).map_err(target("create"))?;
    set_by_name(worker, directory, name, meta, mode);
    xattrs::align(worker, (place.source, place.source_name), (directory, name), true);
    if let Some(temporary) = &temporary
        && let Err(failure) = rename(directory, temporary, place.target_name)
    {
        let _ = unlinkat(directory, &**temporary, AtFlags::empty());
        return Err(failure);
    }
    worker.change(place.folder, place.target_name, place.what(meta), meta);
    Ok(())
}

/// What is there is the same thing: only its attributes are set where they differ.
fn stays(worker: &mut Worker, place: &Place<'_>, meta: &Meta, mode: Option<u32>) -> Outcome<()> {
    worker.count(Count::Unchanged, 1);
    let (Some(there), Some(directory)) = (&place.there, place.target) else { return Ok(()) };
    let mut difference = difference(meta, there);
    // A symlink has no mode of its own.
    difference.mode &= mode.is_some();
    let apply = !worker.run.options.dry_run;
    let differs = difference.of_attributes(&worker.preserve());
    if differs && apply {
        set_by_name(worker, directory, place.target_name, meta, mode);
    }
    let (from, to) = ((place.source, place.source_name), (directory, place.target_name));
    if xattrs::align(worker, from, to, apply) || differs {
        worker.change(place.folder, place.target_name, What::Attributes, meta);
    }
    Ok(())
}

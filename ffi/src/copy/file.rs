//! One regular file: under a name that nobody takes for it until it is complete.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, renameat, statat, unlinkat};

use super::attributes::{self, Creation, creation};
use super::compare::difference;
use super::data;
use super::entry::{Place, Way, judge};
use super::failure::{Failure, Outcome, source, target};
use super::journal::{PART_BYTES, Part, source_of};
use super::linked;
use super::meta::{KIND_FILE, Meta};
use super::options::{Compare, Fsync, Method};
use super::report::{Count, What, count_of};
use super::worker::Worker;
use super::xattrs;

/// Copies a file unless the target has it already.
pub fn copy(worker: &mut Worker, place: Place<'_>) -> Outcome<()> {
    let options = &worker.run.options;
    let (is_update, is_dry) = (place.is_update(worker), options.dry_run);
    if place.there.is_some() || is_dry {
        let stat = statat(place.source, place.source_name, AtFlags::SYMLINK_NOFOLLOW);
        let meta = Meta::from(stat.map_err(source("look at"))?);
        if let Way::Kept = judge(worker, &place, &meta)? {
            return Ok(());
        }
        if is_update && (is_dry || !linked::is_linked(worker, &meta)) && stays(worker, &place, &meta)? {
            return Ok(());
        }
        if is_dry {
            return pretend(worker, &place, &meta);
        }
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let from = openat(place.source, place.source_name, flags, Mode::empty()).map_err(source("open"))?;
    let meta = Meta::from(fstat(&from).map_err(source("look at"))?);
    if meta.file_type() != FileType::RegularFile {
        return Err(Failure::Changed);
    }
    if linked::is_linked(worker, &meta) {
        return linked::copy(worker, &place, &meta, |worker| {
            match is_update && place.there.is_some() && stays(worker, &place, &meta)? {
                true => Ok(()),
                false => write(worker, &place, &from, &meta),
            }
        });
    }
    write(worker, &place, &from, &meta)
}

/// In an update: whether the target's content is the source's, with its attributes set where they differ.
fn stays(worker: &mut Worker, place: &Place<'_>, meta: &Meta) -> Outcome<bool> {
    let Some(there) = place.there.filter(|there| there.kind() == KIND_FILE) else { return Ok(false) };
    let difference = difference(meta, &there);
    let is_same = match worker.run.options.compare {
        Compare::SizeMtime => !difference.size && !difference.mtime,
        Compare::Newer => there.mtime > meta.mtime || (!difference.size && !difference.mtime),
        Compare::Checksum => !difference.size && data::same_bytes(worker, place)?,
    };
    if !is_same {
        return Ok(false);
    }
    if !linked::may_stay(worker, meta, &there) {
        return Ok(false);
    }
    worker.count(Count::TotalBytes, meta.size);
    worker.count(Count::UnchangedBytes, meta.size);
    worker.count(Count::Unchanged, 1);
    // What is newer in the target is left as it is.
    if there.mtime > meta.mtime && worker.run.options.compare == Compare::Newer {
        return Ok(true);
    }
    let Some(directory) = place.target else { return Ok(true) };
    let apply = !worker.run.options.dry_run;
    let (from, to) = ((place.source, place.source_name), (directory, place.target_name));
    // The owner before capabilities, which changing it takes away.
    let differs = difference.of_attributes(&worker.preserve());
    if differs && apply {
        set_attributes(worker, place, meta)?;
    }
    if xattrs::align(worker, from, to, apply) || differs {
        worker.change(place.folder, place.target_name, What::Attributes, meta);
    }
    Ok(true)
}

/// Gives a target whose content stays the attributes of its source.
fn set_attributes(worker: &mut Worker, place: &Place<'_>, meta: &Meta) -> Outcome<()> {
    let Some(directory) = place.target else { return Ok(()) };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let to = openat(directory, place.target_name, flags, Mode::empty()).map_err(target("open"))?;
    if worker.preserve().owner {
        attributes::set_owner(worker, to.as_fd(), meta);
    }
    if worker.preserve().mode {
        attributes::set_mode(worker, to.as_fd(), meta.permissions());
    }
    attributes::set_times(worker, to.as_fd(), meta);
    Ok(())
}

/// A dry run: tells what would be done.
fn pretend(worker: &mut Worker, place: &Place<'_>, meta: &Meta) -> Outcome<()> {
    worker.change(place.folder, place.target_name, place.what(meta), meta);
    worker.count(Count::TotalBytes, meta.size);
    worker.count(Count::Files, 1);
    worker.count(Count::Bytes, meta.size);
    Ok(())
}

/// The file that is being written.
struct Made {
    file: OwnedFd,
    /// Its hidden name; None where its folder has one.
    temporary: Option<CString>,
    creation: Creation,
    /// What an earlier run has written of it.
    done: u64,
}

/// Copies an open file under a hidden name and puts it in its place.
fn write(worker: &mut Worker, place: &Place<'_>, from: &OwnedFd, meta: &Meta) -> Outcome<()> {
    let Some(directory) = place.target else { return Err(Failure::Cancelled) };
    let has_xattrs = xattrs::read_names(worker, from.as_fd());
    let made = make(worker, place, directory, meta, has_xattrs)?;
    let part = is_noted(worker, meta).then(|| made.temporary.clone()).flatten();
    worker.count(Count::TotalBytes, meta.size);
    let mut written = 0;
    let job = data::Job { meta, start: made.done, part };
    let result = data::copy(worker, (from, &made.file), job, &mut written)
        .and_then(|method| complete(worker, place, (from, &made), meta).map(|()| method));
    match result {
        Ok(method) => {
            if let (Some(name), Some(journal)) = (&made.temporary, &worker.run.journal)
                && is_noted(worker, meta)
            {
                journal.forget_part(&source_of(meta), name).map_err(Failure::Other)?;
            }
            worker.count(Count::Files, 1);
            worker.count(count_of(method), 1);
            worker.change_by(place.folder, place.target_name, place.what(meta), meta, method);
            Ok(())
        }
        Err(failure) => {
            let is_gone_on_with = matches!(failure, Failure::Cancelled) && is_noted(worker, meta);
            if !is_gone_on_with {
                let name = made.temporary.as_deref().unwrap_or(place.target_name);
                let _ = unlinkat(directory, name, AtFlags::empty());
            }
            worker.uncount(Count::Bytes, written);
            worker.uncount(Count::TotalBytes, meta.size);
            Err(failure)
        }
    }
}

/// How far a file is will be noted: a run that is stopped in the middle of it goes on there.
fn is_noted(worker: &Worker, meta: &Meta) -> bool {
    worker.run.options.resume && worker.run.journal.is_some() && meta.size >= PART_BYTES
}

/// Makes the file, or opens what an earlier run has of it.
fn make(
    worker: &mut Worker,
    place: &Place<'_>,
    directory: BorrowedFd<'_>,
    meta: &Meta,
    has_xattrs: bool,
) -> Outcome<Made> {
    let creation = creation(worker, place.folder, meta, has_xattrs);
    let options = &worker.run.options;
    let is_noted = is_noted(worker, meta);
    // Only what reads back what it wrote needs more than writing.
    let access = match options.method {
        Method::Auto | Method::ReadWrite | Method::CopyFileRange if !options.verify && !is_noted => {
            OFlags::WRONLY
        }
        _ => OFlags::RDWR,
    };
    let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if is_noted
        && let Some(Part { name, done }) =
            worker.run.journal.as_ref().and_then(|known| known.part(&source_of(meta)))
        && let Ok(file) = openat(directory, &*name, flags | OFlags::NONBLOCK, Mode::empty())
        && fstat(&file).is_ok_and(|stat| is_part(&Meta::from(stat), done.min(meta.size)))
    {
        let chmod = creation.chmod.or(worker.preserve().mode.then(|| meta.permissions()));
        let creation = Creation { chmod, ..creation };
        return Ok(Made { file, temporary: Some(name), creation, done: done.min(meta.size) });
    }
    let temporary = (is_noted || !place.is_hidden()).then(|| worker.temporary_name());
    let name = temporary.as_deref().unwrap_or(place.target_name);
    let flags = flags | OFlags::CREATE | OFlags::EXCL;
    let file =
        openat(directory, name, flags, Mode::from_raw_mode(creation.mode)).map_err(target("create"))?;
    Ok(Made { file, temporary, creation, done: 0 })
}

/// Whether a file can be what an earlier run has written of one: a file of this user under one name, long enough.
fn is_part(there: &Meta, done: u64) -> bool {
    let is_ours = there.uid == rustix::process::geteuid().as_raw() || rustix::process::geteuid().is_root();
    there.file_type() == FileType::RegularFile && there.links == 1 && there.size >= done && is_ours
}

/// All bytes are there: attributes, checks, and the name.
fn complete(
    worker: &mut Worker,
    place: &Place<'_>,
    (from, made): (&OwnedFd, &Made),
    meta: &Meta,
) -> Outcome<()> {
    if !place.folder.keeps_modes {
        xattrs::remove_inherited(worker, made.file.as_fd());
    }
    attributes::set(worker, (from.as_fd(), made.file.as_fd()), meta, made.creation);
    let after = Meta::from(fstat(from).map_err(source("look at"))?);
    if !after.is_as(meta) {
        return Err(Failure::Changed);
    }
    if worker.run.options.verify {
        data::verify(worker, (from, &made.file), meta)?;
    }
    if worker.run.options.fsync == Fsync::Each {
        rustix::fs::fsync(&made.file).map_err(target("write"))?;
    }
    match (&made.temporary, place.target) {
        (Some(temporary), Some(directory)) => rename(directory, temporary, place.target_name),
        _ => Ok(()),
    }
}

/// Gives what is complete its name, in place of what has it.
pub fn rename(directory: BorrowedFd<'_>, temporary: &CStr, name: &CStr) -> Outcome<()> {
    renameat(directory, temporary, directory, name).map_err(|errno| {
        let _ = unlinkat(directory, temporary, AtFlags::empty());
        target("replace")(errno)
    })
}

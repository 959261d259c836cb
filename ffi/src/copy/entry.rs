//! One entry that is no directory: looks at what is there already, and copies it the way its kind asks for.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, statat};
use rustix::io::Errno;

use super::failure::{Failure, Outcome, source, target};
use super::folder::Folder;
use super::meta::{KIND_DIRECTORY, Meta};
use super::options::Existing;
use super::report::{Count, What};
use super::worker::{Worker, in_the_way};
use super::{enter, extras, file, special};
use crate::error::{Error, Kind};
use crate::io::ignores::Verdict;
use crate::io::name::quoted;

/// Where an entry comes from and goes to.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub folder: &'a Arc<Folder>,
    pub source: BorrowedFd<'a>,
    /// None in a dry run, where the target's folder is not there.
    pub target: Option<BorrowedFd<'a>>,
    pub source_name: &'a CStr,
    pub target_name: &'a CStr,
    /// What has the target's name now.
    pub there: Option<Meta>,
}

impl Place<'_> {
    /// What is there and the same stays. In a hidden folder of an earlier run that goes without saying.
    pub fn is_update(&self, worker: &Worker) -> bool {
        self.folder.in_stage || worker.run.options.existing == Existing::Update
    }

    /// What is made may have its name at once: its folder has a hidden one, and nothing is there.
    pub fn is_hidden(&self) -> bool {
        self.folder.in_stage && self.there.is_none()
    }

    /// What this entry's copying is, as a change.
    pub fn what(&self, meta: &Meta) -> What {
        match self.there {
            None => What::New,
            Some(there) if there.kind() == meta.kind() => What::Content,
            Some(_) => What::Kind,
        }
    }
}

/// Copies one entry of `folder`, with its retries, and reports what cannot be copied.
pub fn copy(worker: &mut Worker, folder: &Arc<Folder>, names: (&CStr, &CStr), file_type: FileType) {
    let mut attempt = 0;
    loop {
        let failure = match try_copy(worker, folder, names, file_type) {
            Ok(()) => break,
            Err(failure) => failure,
        };
        worker.noted = None;
        if !failure.is_transient() || attempt >= worker.run.options.retries || !worker.pause(attempt) {
            worker.problem(folder, names, failure);
            break;
        }
        attempt += 1;
    }
    worker.tell_noted(folder, names);
}

fn try_copy(
    worker: &mut Worker,
    folder: &Arc<Folder>,
    (source_name, target_name): (&CStr, &CStr),
    file_type: FileType,
) -> Outcome<()> {
    if is_left_out(worker, folder, source_name, false) {
        worker.uncount(Count::TotalFiles, 1);
        return Ok(());
    }
    let (source_directory, target_directory) = (folder.source()?, folder.target()?);
    let mut file_type = file_type;
    if file_type == FileType::Unknown {
        let stat = statat(&*source_directory, source_name, AtFlags::SYMLINK_NOFOLLOW);
        file_type = Meta::from(stat.map_err(source("look at"))?).file_type();
        if file_type == FileType::Directory {
            enter::directory(worker, folder, source_name, target_name);
            return Ok(());
        }
    }
    let there = match &target_directory {
        Some(directory) if !folder.is_new => look(directory.as_fd(), target_name)?,
        _ => None,
    };
    let target = target_directory.as_ref().map(|directory| directory.as_fd());
    let place = Place { folder, source: source_directory.as_fd(), target, source_name, target_name, there };
    match file_type {
        FileType::RegularFile => file::copy(worker, place),
        FileType::Symlink => special::copy_symlink(worker, place),
        _ => special::copy_special(worker, place),
    }
}

/// What is at `name` of the target.
pub fn look(directory: BorrowedFd<'_>, name: &CStr) -> Outcome<Option<Meta>> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Meta::from(stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(target("look at")(errno)),
    }
}

/// Whether something may be put where `there` is.
pub enum Way {
    Free,
    /// What is there stays.
    Kept,
}

/// Judges what is there already, before anything is compared.
pub fn judge(worker: &mut Worker, place: &Place<'_>, meta: &Meta) -> Outcome<Way> {
    let Some(there) = &place.there else { return Ok(Way::Free) };
    if there.id() == meta.id() {
        let (from, to) =
            (place.folder.source_path(place.source_name), place.folder.target_path(place.target_name));
        let text = format!("Cannot copy {} to {}: they are the same file", quoted(&from), quoted(&to));
        return Err(Failure::Other(Error::new(Kind::InvalidArgument, text)));
    }
    // What an earlier run left in a hidden folder may be incomplete, whatever is said about what is there.
    let existing = if place.folder.in_stage { Existing::Update } else { worker.run.options.existing };
    match existing {
        Existing::Skip => {
            worker.count(Count::Unchanged, 1);
            Ok(Way::Kept)
        }
        Existing::Fail => {
            let path = quoted(&place.folder.target_path(place.target_name));
            let text = format!("Cannot create {path}: it exists already");
            Err(Failure::Other(Error::new(Kind::DestinationExists, text)))
        }
        Existing::Update if there.kind() == KIND_DIRECTORY && worker.run.options.delete => {
            let Some(directory) = place.target else { return Ok(Way::Kept) };
            let successor = Some(meta.file_type());
            let (folder, name) = (place.folder, place.target_name);
            extras::note(worker, folder, directory, name, FileType::Directory, successor);
            Ok(Way::Kept)
        }
        _ if there.kind() == KIND_DIRECTORY => Err(in_the_way(place.folder, place.target_name, there)),
        Existing::Replace | Existing::Update => Ok(Way::Free),
    }
}

/// Whether the person's patterns leave `name` of `folder` out. A root never is.
pub fn is_left_out(worker: &Worker, folder: &Folder, name: &CStr, is_directory: bool) -> bool {
    let Some(rules) = &worker.run.rules else { return false };
    if folder.parent.is_none() {
        return false;
    }
    let relative = [folder.relative.as_slice(), name.to_bytes()].concat();
    rules.judge(&relative, is_directory) == Verdict::LeaveOut
}

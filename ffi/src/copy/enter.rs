//! Directories: entering one on both sides, listing it, and finishing it when everything below is done.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, fstat, fsync, mkdirat, openat, renameat, renameat_with,
    statat,
};
use rustix::io::Errno;

use super::attributes;
use super::compare::difference;
use super::crew::Job;
use super::entry::{self, look};
use super::failure::{Failure, Outcome, source, target};
use super::folder::{Folder, Opened};
use super::journal::is_hidden;
use super::listing::Listing;
use super::meta::{KIND_DIRECTORY, Meta};
use super::options::{Existing, Fsync};
use super::report::{Count, Problem, What};
use super::worker::{Worker, in_the_way, system};
use super::{extras, flags, xattrs};
use crate::error::{Error, Kind, Result};
use crate::io::long_path;
use crate::io::name::quoted;
use crate::io::remove::remove_tree;

/// Entries of one job: enough that handing it over costs nothing, few enough to share a flat folder.
const BATCH_ENTRIES: usize = 64;

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Begins with one of the things that the person named.
pub fn root(worker: &mut Worker, index: usize) {
    let run = worker.run.clone();
    let root = &run.roots[index];
    match open_root(worker, &root.source, &root.target) {
        Ok((holding, names, file_type)) => {
            let (source_name, target_name) = (names.0.as_c_str(), names.1.as_c_str());
            match file_type {
                FileType::Directory => directory(worker, &holding, source_name, target_name),
                _ => {
                    worker.count(Count::TotalFiles, 1);
                    entry::copy(worker, &holding, (source_name, target_name), file_type);
                }
            }
        }
        Err(error) => {
            worker.count(Count::Failed, 1);
            run.report.problem(Problem { path: root.source.as_os_str().as_bytes().to_vec(), error });
        }
    }
}

type OpenedRoot = (Arc<Folder>, (CString, CString), FileType);

/// Opens the directories that hold both sides of a root.
fn open_root(worker: &mut Worker, source_path: &Path, target_path: &Path) -> Result<OpenedRoot> {
    let failed = |verb: &str, path: &Path, errno: Errno| system(verb, path.as_os_str().as_bytes(), errno);
    let (source_base, source_name) = split(source_path)?;
    let (target_base, target_name) = split(target_path)?;
    let source =
        long_path::open_directory(or_here(&source_base)).map_err(|e| failed("open", source_path, e))?;
    let target =
        long_path::open_directory(or_here(&target_base)).map_err(|e| failed("open", target_path, e))?;
    let stat = statat(&source, &*source_name, AtFlags::SYMLINK_NOFOLLOW);
    let meta = Meta::from(stat.map_err(|errno| failed("copy", source_path, errno))?);
    if meta.kind() == KIND_DIRECTORY {
        refuse_inside(&target, &meta, source_path, target_path)?;
    }
    let target_meta = Meta::from(fstat(&target).map_err(|errno| failed("open", target_path, errno))?);
    worker.run.forbidden.lock().unwrap().push(target_meta.id());
    let opened = Opened {
        keeps_modes: xattrs::keeps_modes(worker, &target, false),
        gives_flags: flags::are_inherited(worker, target.as_fd()),
        source,
        target: Some(target),
        meta,
        target_id: target_meta.id(),
        is_new: false,
        staged_as: None,
        owner_of_new: None,
    };
    let bases = (source_base.as_os_str().as_bytes().to_vec(), target_base.as_os_str().as_bytes().to_vec());
    let folder = Folder::holding(opened, bases, meta.device);
    worker.run.synchronised.lock().unwrap().push(folder.clone());
    Ok((folder, (source_name, target_name), meta.file_type()))
}

/// A path as the directory that holds it and the name there; `/`, `.` and `..` are looked up first.
fn split(path: &Path) -> Result<(PathBuf, CString)> {
    let whole;
    let mut path = path;
    if path.file_name().is_none() || path.as_os_str().as_bytes().ends_with(b"/.") {
        whole = path.canonicalize().map_err(|error| {
            Error::io(format!("Cannot open {}", quoted(path.as_os_str().as_bytes())), &error)
        })?;
        path = &whole;
    }
    let name = path.file_name().map_or(&b"."[..], |name| name.as_bytes());
    let name =
        CString::new(name).map_err(|_| Error::new(Kind::InvalidArgument, "a path holds a NUL byte"))?;
    Ok((path.parent().unwrap_or(path).to_path_buf(), name))
}

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Refuses to copy a folder to somewhere below itself: the copy would hold itself without end.
fn refuse_inside(target: &OwnedFd, meta: &Meta, source_path: &Path, target_path: &Path) -> Result<()> {
    let quoted = |path: &Path| quoted(path.as_os_str().as_bytes());
    let failed = |errno: Errno| system("open", target_path.as_os_str().as_bytes(), errno);
    let mut above = openat(target, c".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let mut last = None;
    loop {
        let id = Meta::from(fstat(&above).map_err(failed)?).id();
        if id == meta.id() {
            let text = format!(
                "Cannot copy {} to {}: a folder cannot be copied into itself",
                quoted(source_path),
                quoted(target_path)
            );
            return Err(Error::new(Kind::InvalidArgument, text));
        }
        // The root directory is its own parent.
        if last == Some(id) {
            return Ok(());
        }
        last = Some(id);
        above = openat(&above, c"..", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    }
}

/// Copies the directory `source_name` of `parent`: makes or opens the target's, and lists its entries as jobs.
pub fn directory(worker: &mut Worker, parent: &Arc<Folder>, source_name: &CStr, target_name: &CStr) {
    let mut attempt = 0;
    loop {
        match try_directory(worker, parent, (source_name, target_name)) {
            Ok(()) => break,
            Err(failure)
                if failure.is_transient()
                    && attempt < worker.run.options.retries
                    && worker.pause(attempt) =>
            {
                attempt += 1;
            }
            Err(failure) => {
                worker.problem(parent, (source_name, target_name), failure);
                break;
            }
        }
    }
    worker.tell_noted(parent, (source_name, target_name));
}

fn try_directory(worker: &mut Worker, parent: &Arc<Folder>, names: (&CStr, &CStr)) -> Outcome<()> {
    if entry::is_left_out(worker, parent, names.0, true) {
        return Ok(());
    }
    let source_directory = parent.source()?;
    let from =
        openat(&*source_directory, names.0, directory_flags(), Mode::empty()).map_err(source("open"))?;
    let meta = Meta::from(fstat(&from).map_err(source("open"))?);
    if worker.run.forbidden.lock().unwrap().contains(&meta.id()) && parent.parent.is_some() {
        let path = quoted(&parent.source_path(names.0));
        let text = format!("Cannot copy {path}: what is copied would be copied into itself");
        return Err(Failure::Other(Error::new(Kind::InvalidArgument, text)));
    }
    let opened = open_target(worker, parent, names, from, meta)?;
    let Some(mut opened) = opened else { return Ok(()) };
    let is_elsewhere = parent.parent.is_some() && meta.device != parent.root_device;
    let mut is_listed = true;
    let listing = match worker.run.options.one_file_system && is_elsewhere {
        // What is mounted there stays out; the empty folder says that something is.
        true => {
            is_listed = false;
            Listing::default()
        }
        false => Listing::read(&opened.source).unwrap_or_else(|errno| {
            is_listed = false;
            worker.problem(parent, names, Failure::Source("read", errno));
            Listing::default()
        }),
    };
    if opened.target.is_none() {
        opened.is_new = true;
    }
    let folder = Folder::below(parent, names, opened, worker.run.rules.is_some());
    if worker.run.options.delete && is_listed {
        extras::find(worker, &folder, &listing);
    }
    hand_out(worker, &folder, listing);
    worker.leave(folder);
    Ok(())
}

/// The other side of a directory; `None` when what is there stays.
fn open_target(
    worker: &mut Worker,
    parent: &Arc<Folder>,
    names: (&CStr, &CStr),
    from: OwnedFd,
    meta: Meta,
) -> Outcome<Option<Opened>> {
    let (is_dry, existing) = (worker.run.options.dry_run, worker.run.options.existing);
    let Some(directory) = parent.target()? else {
        worker.change(parent, names.1, What::New, &meta);
        return Ok(Some(opened_without(from, meta)));
    };
    let there = if parent.is_new { None } else { look(directory.as_fd(), names.1)? };
    match there {
        None => {}
        Some(there) if there.id() == meta.id() => {
            let text = format!(
                "Cannot copy {} to {}: they are the same folder",
                quoted(&parent.source_path(names.0)),
                quoted(&parent.target_path(names.1))
            );
            return Err(Failure::Other(Error::new(Kind::InvalidArgument, text)));
        }
        Some(there) if there.kind() == KIND_DIRECTORY => {
            let to =
                openat(&*directory, names.1, directory_flags(), Mode::empty()).map_err(target("open"))?;
            return existing_target(worker, from, to, meta, None).map(Some);
        }
        Some(_) if existing == Existing::Skip => {
            worker.count(Count::Unchanged, 1);
            return Ok(None);
        }
        Some(there) if existing != Existing::Update => return Err(in_the_way(parent, names.1, &there)),
        Some(_) => {}
    }
    let what = if there.is_some() { What::Kind } else { What::New };
    worker.change(parent, names.1, what, &meta);
    if is_dry {
        return Ok(Some(opened_without(from, meta)));
    }
    if !parent.in_stage
        && let Some((to, staged_as)) = open_staged(worker, parent, directory.as_fd(), names.1)
    {
        return existing_target(worker, from, to, meta, Some(staged_as)).map(Some);
    }
    let staged_as = (!parent.in_stage).then(|| worker.temporary_name());
    let name = staged_as.as_deref().unwrap_or(names.1);
    if let (Some(journal), Some(hidden)) = (&worker.run.journal, &staged_as) {
        let noted = journal.note_staged(&parent.target_path(names.1), hidden);
        if worker.run.options.resume {
            noted.map_err(Failure::Other)?;
        }
    }
    mkdirat(&*directory, name, Mode::RWXU).map_err(target("create"))?;
    let to = openat(&*directory, name, directory_flags(), Mode::empty()).map_err(target("open"))?;
    let made = Meta::from(fstat(&to).map_err(target("open"))?);
    Ok(Some(Opened {
        keeps_modes: xattrs::keeps_modes(worker, &to, true),
        gives_flags: flags::are_inherited(worker, to.as_fd()),
        source: from,
        target: Some(to),
        meta,
        target_id: made.id(),
        is_new: true,
        staged_as,
        owner_of_new: Some((made.uid, made.gid)),
    }))
}

fn existing_target(
    worker: &Worker,
    from: OwnedFd,
    to: OwnedFd,
    meta: Meta,
    staged_as: Option<CString>,
) -> Outcome<Opened> {
    let there = Meta::from(fstat(&to).map_err(target("open"))?);
    remove_leftovers(worker, &to)?;
    Ok(Opened {
        keeps_modes: xattrs::keeps_modes(worker, &to, false),
        gives_flags: flags::are_inherited(worker, to.as_fd()),
        source: from,
        target: Some(to),
        meta,
        target_id: there.id(),
        is_new: false,
        staged_as,
        owner_of_new: None,
    })
}

/// The hidden directory that a stopped run left for the folder `name`, when it still is what that run made.
fn open_staged(
    worker: &Worker,
    parent: &Folder,
    directory: BorrowedFd<'_>,
    name: &CStr,
) -> Option<(OwnedFd, CString)> {
    let hidden = worker.run.journal.as_ref()?.staged(&parent.target_path(name))?;
    let opened = openat(directory, &*hidden, directory_flags(), Mode::empty()).ok()?;
    let is_ours = fstat(&opened).is_ok_and(|stat| stat.st_uid == rustix::process::geteuid().as_raw());
    is_ours.then_some((opened, hidden))
}

/// Where this run goes on with another, removes from a folder what a stopped run left half done, whether that had one or not, but for what is gone on
/// with: parts of large files, and new folders.
fn remove_leftovers(worker: &Worker, directory: &OwnedFd) -> Outcome<()> {
    let Some(journal) = worker.run.journal.as_ref().filter(|_| worker.run.options.resume) else {
        return Ok(());
    };
    let listing = Listing::read(directory).map_err(target("read"))?;
    for index in 0..listing.len() {
        let name = listing.name(index);
        if !is_hidden(name.to_bytes()) || worker.run.is_own(name) || journal.is_known(name) {
            continue;
        }
        // What cannot be removed harms nobody.
        if listing.file_type(index) == FileType::Directory {
            let _ = remove_tree(directory.as_fd(), name.to_bytes());
        } else {
            let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
        }
    }
    // What was listed moves the position that a later listing begins at.
    rustix::fs::seek(directory, rustix::fs::SeekFrom::Start(0)).map_err(target("read"))?;
    Ok(())
}

fn opened_without(from: OwnedFd, meta: Meta) -> Opened {
    Opened {
        source: from,
        target: None,
        meta,
        target_id: (0, 0),
        is_new: true,
        staged_as: None,
        keeps_modes: false,
        gives_flags: false,
        owner_of_new: None,
    }
}

/// Makes jobs of what is in a folder. The files come first, and from this thread's end of the stack: a folder's listing is
/// forgotten before the next one's is made.
fn hand_out(worker: &mut Worker, folder: &Arc<Folder>, listing: Listing) {
    let (files, all) = (listing.before_directories(), listing.len());
    worker.count(Count::TotalFiles, files as u64);
    let listing = Arc::new(listing);
    for index in (files..all).rev() {
        folder.add_pending(1);
        worker.push(Job::Enter { folder: folder.clone(), listing: listing.clone(), index });
    }
    for from in (0..files).step_by(BATCH_ENTRIES).rev() {
        folder.add_pending(1);
        let to = files.min(from + BATCH_ENTRIES);
        worker.push(Job::Entries { folder: folder.clone(), listing: listing.clone(), from, to });
    }
}

/// Everything below `folder` is done; false when its name has to wait until all is on the disk.
pub fn finish(worker: &mut Worker, folder: &Arc<Folder>) -> bool {
    worker.count(Count::Directories, 1);
    let Some(parent) = &folder.parent else { return true };
    let names = (folder.source_name.as_c_str(), folder.target_name.as_c_str());
    if let (Ok(from), Ok(Some(to))) = (folder.source(), folder.target())
        && !worker.run.options.dry_run
    {
        set_attributes(worker, folder, from.as_fd(), to.as_fd());
        if worker.run.options.fsync == Fsync::Each
            && let Err(errno) = fsync(&*to)
        {
            worker.problem(parent, names, Failure::Target("write", errno));
        }
    }
    worker.tell_noted(parent, names);
    parent.adopt(folder);
    folder.close();
    if folder.staged_as.is_some() && worker.run.options.fsync == Fsync::End {
        worker.run.hide_until_synchronised(folder.clone());
        return false;
    }
    reveal(worker, folder);
    true
}

fn set_attributes(worker: &mut Worker, folder: &Folder, from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    let meta = &folder.meta;
    let preserve = worker.preserve();
    let Ok(stat) = fstat(to) else { return };
    let difference = difference(meta, &Meta::from(stat));
    if preserve.owner && difference.owner {
        attributes::set_owner(worker, to, meta);
    }
    if !folder.is_new && worker.run.options.existing == Existing::Update {
        xattrs::align(worker, (from, c"."), (to, c"."), true);
    } else if xattrs::read_names(worker, from) {
        xattrs::copy(worker, from, to);
    }
    let wanted = match preserve.mode {
        true => Some(meta.permissions()),
        false if folder.is_new => Some(meta.permissions() & 0o777 & !worker.umask),
        false => None,
    };
    if let Some(mode) = wanted
        && (difference.mode || difference.owner || folder.is_new)
    {
        attributes::set_mode(worker, to, mode);
    }
    if difference.mtime {
        attributes::set_times(worker, to, meta);
    }
    flags::copy(worker, (from, to), true);
}

/// Gives a folder that is complete its own name.
pub fn reveal(worker: &mut Worker, folder: &Arc<Folder>) {
    let (Some(parent), Some(staged)) = (&folder.parent, &folder.staged_as) else { return };
    let names = (folder.source_name.as_c_str(), folder.target_name.as_c_str());
    let directory = match parent.target() {
        Ok(Some(directory)) => directory,
        Ok(None) => return,
        Err(failure) => return worker.problem(parent, names, failure),
    };
    if let Err(errno) = give_name(directory.as_fd(), staged, names.1) {
        let text = format!(
            "Cannot create {}: {}; what was copied is in {}",
            quoted(&parent.target_path(names.1)),
            std::io::Error::from(errno).kind(),
            quoted(&parent.target_path(staged))
        );
        let error = Error { errno: errno.raw_os_error(), ..Error::new(Kind::DestinationExists, text) };
        return worker.problem(parent, names, Failure::Other(error));
    }
    folder.set_revealed();
}

/// Renames a hidden directory. What is there already is no directory: in an update a folder takes a file's place.
fn give_name(directory: BorrowedFd<'_>, staged: &CStr, name: &CStr) -> std::result::Result<(), Errno> {
    match renameat_with(directory, staged, directory, name, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => renameat(directory, staged, directory, name),
        Err(Errno::EXIST) => {
            let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if Meta::from(stat).kind() == KIND_DIRECTORY {
                // Somebody made it meanwhile; an empty one may go.
                return renameat(directory, staged, directory, name);
            }
            renameat_with(directory, staged, directory, name, RenameFlags::EXCHANGE)?;
            rustix::fs::unlinkat(directory, staged, AtFlags::empty())
        }
        result => result,
    }
}

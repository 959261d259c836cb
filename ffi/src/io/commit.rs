//! Moving a staged tree to its final place.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, fchmod, linkat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::beneath::{self, failed};
use super::listing::Listing;
use super::name::{check_component, quoted};
use super::stage::{Staging, permissions, sync_one};
use crate::error::{Error, Kind, Result};

/// What to do about things that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitPolicy {
    /// Nothing may be there; one rename.
    Fresh,
    /// Merge into an existing folder, replacing files.
    Overwrite,
    /// Merge into an existing folder, leaving existing files as they are.
    Skip,
}

/// What was placed; skipped and failed entries do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    pub files: u64,
    pub directories: u64,
    pub symlinks: u64,
}

/// A move in progress.
struct Move<'a> {
    staging: &'a Staging,
    policy: CommitPolicy,
    done: Committed,
    failures: &'a mut Vec<(Vec<u8>, Error)>,
    /// Staged and final paths of directories that exist on both sides and are still to be merged.
    pending: Vec<(Vec<u8>, Vec<u8>)>,
    /// Staged paths of directories that were merged, not moved.
    merged: HashSet<Vec<u8>>,
}

/// One thing to place: the directories it is in, open, its names there, and its paths.
struct Item<'a> {
    from: BorrowedFd<'a>,
    from_name: &'a [u8],
    staged: &'a [u8],
    to: BorrowedFd<'a>,
    to_name: &'a [u8],
    placed: &'a [u8],
}

/// See [`Staging::commit`].
pub(super) fn commit(
    staging: &Staging,
    path: &[u8],
    final_name: &[u8],
    policy: CommitPolicy,
    failures: &mut Vec<(Vec<u8>, Error)>,
) -> Result<Committed> {
    check_component(final_name)?;
    let (parent, name) = beneath::parent(staging.tree(), path)?;
    let (done, pending, merged) = Default::default();
    let mut work = Move { staging, policy, done, failures, pending, merged };
    let item = Item {
        from: parent.as_fd(),
        from_name: name,
        staged: path,
        to: staging.destination.as_fd(),
        to_name: final_name,
        placed: final_name,
    };
    if policy == CommitPolicy::Fresh {
        let kind = kind_at(item.from, name).map_err(|errno| failed("open", path, errno))?;
        work.place_new(&item, kind).map_err(|error| match error.kind {
            Kind::AlreadyExists => {
                let text = format!("Cannot create {}: it already exists", quoted(final_name));
                Error { kind: Kind::DestinationExists, text, ..error }
            }
            _ => error,
        })?;
    } else {
        work.place(&item);
        while let Some((staged, placed)) = work.pending.pop() {
            if let Err(error) = work.merge(&staged, &placed) {
                work.failures.push((placed, error));
            }
        }
    }
    work.restrict(path, final_name);
    Ok(work.done)
}

impl Move<'_> {
    /// Places one thing where something may be already; a failure is noted.
    fn place(&mut self, item: &Item<'_>) {
        if let Err(error) = self.try_place(item) {
            self.failures.push((item.placed.to_vec(), error));
        }
    }

    fn try_place(&mut self, item: &Item<'_>) -> Result<()> {
        let staged =
            kind_at(item.from, item.from_name).map_err(|errno| failed("open", item.staged, errno))?;
        let existing = match kind_at(item.to, item.to_name) {
            Err(Errno::NOENT) => match self.place_new(item, staged) {
                // It appeared between the look and the move: look again.
                Err(error) if error.kind == Kind::AlreadyExists => kind_at(item.to, item.to_name),
                result => return result,
            },
            result => result,
        }
        .map_err(|errno| failed("create", item.placed, errno))?;
        let in_the_way = |kind, what| {
            Err(Error::new(kind, format!("Cannot create {}: {what} is in the way", quoted(item.placed))))
        };
        match (staged, existing) {
            (FileType::Directory, FileType::Directory) => {
                self.pending.push((item.staged.to_vec(), item.placed.to_vec()));
                Ok(())
            }
            (FileType::Directory, FileType::Symlink) => in_the_way(Kind::PathEscapes, "a symbolic link"),
            (FileType::Directory, _) => in_the_way(Kind::NotDirectory, "a file"),
            (_, FileType::Directory) => in_the_way(Kind::IsDirectory, "a folder"),
            _ if self.policy == CommitPolicy::Skip => Ok(()),
            // Renaming over a symlink replaces the link; what it points to stays.
            _ => {
                renameat(item.from, item.from_name, item.to, item.to_name)
                    .map_err(|errno| cannot_place(item.placed, errno))?;
                self.done.add(staged);
                Ok(())
            }
        }
    }

    /// Moves one thing, with everything in it, to where nothing is.
    fn place_new(&mut self, item: &Item<'_>, kind: FileType) -> Result<()> {
        let mut counted = Committed::default();
        counted.add(kind);
        if kind == FileType::Directory {
            count_tree(self.staging.tree(), item.staged, &mut counted)?;
        }
        rename_new(item.from, item.from_name, item.to, item.to_name)
            .map_err(|errno| cannot_place(item.placed, errno))?;
        self.done.files += counted.files;
        self.done.directories += counted.directories;
        self.done.symlinks += counted.symlinks;
        Ok(())
    }

    /// Places everything in the staged directory `staged` into the existing directory `placed`.
    fn merge(&mut self, staged: &[u8], placed: &[u8]) -> Result<()> {
        let from = beneath::open_directory(self.staging.tree(), staged)?;
        let to = beneath::open_directory(self.staging.destination.as_fd(), placed)?;
        self.merged.insert(staged.to_vec());
        let mut listing = Listing::read(&from).map_err(|errno| failed("read", staged, errno))?;
        while let Some(name) = listing.next_name() {
            self.place(&Item {
                from: from.as_fd(),
                from_name: name,
                staged: &[staged, b"/", name].concat(),
                to: to.as_fd(),
                to_name: name,
                placed: &[placed, b"/", name].concat(),
            });
        }
        sync_one(to.as_fd()).map_err(|errno| failed("write to the disk", placed, errno))
    }

    /// Gives moved directories the modes that would have locked us out before, innermost first.
    fn restrict(&mut self, path: &[u8], final_name: &[u8]) {
        let mut restricted = self.staging.restricted.lock().unwrap();
        let below = |staged: &[u8]| {
            let rest = staged.strip_prefix(path)?;
            (rest.is_empty() || rest[0] == b'/').then(|| [final_name, rest].concat())
        };
        let mut mine: Vec<(Vec<u8>, Vec<u8>, u32)> = Vec::new();
        restricted.retain(|(staged, mode)| match below(staged) {
            Some(placed) => {
                mine.push((placed, staged.clone(), *mode));
                false
            }
            None => true,
        });
        mine.sort_by_key(|(placed, ..)| std::cmp::Reverse(placed.iter().filter(|&&b| b == b'/').count()));
        for (placed, staged, mode) in mine {
            if self.merged.contains(&staged) {
                continue;
            }
            let opened = beneath::open_directory(self.staging.destination.as_fd(), &placed);
            let result = opened.and_then(|directory| {
                fchmod(&directory, permissions(mode))
                    .map_err(|errno| failed("set the mode of", &placed, errno))
            });
            match result {
                // It was not placed, which has been noted already.
                Err(error)
                    if matches!(error.kind, Kind::NotFound | Kind::NotDirectory | Kind::PathEscapes) => {}
                Err(error) => self.failures.push((placed, error)),
                Ok(()) => {}
            }
        }
    }
}

impl Committed {
    fn add(&mut self, kind: FileType) {
        match kind {
            FileType::Directory => self.directories += 1,
            FileType::Symlink => self.symlinks += 1,
            _ => self.files += 1,
        }
    }
}

fn kind_at(directory: BorrowedFd<'_>, name: &[u8]) -> std::result::Result<FileType, Errno> {
    let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode as _))
}

fn cannot_place(path: &[u8], errno: Errno) -> Error {
    if errno == Errno::XDEV {
        let text = format!("Cannot create {}: that folder is on another file system", quoted(path));
        return Error { kind: Kind::Unsupported, errno: errno.raw_os_error(), text };
    }
    failed("create", path, errno)
}

/// Counts what is in the directory `path`, one open directory at a time.
fn count_tree(tree: BorrowedFd<'_>, path: &[u8], counted: &mut Committed) -> Result<()> {
    let mut pending = vec![path.to_vec()];
    while let Some(path) = pending.pop() {
        let directory = beneath::open_directory(tree, &path)?;
        let read = |errno| failed("read", &path, errno);
        for entry in Dir::read_from(&directory).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => kind_at(directory.as_fd(), name).map_err(read)?,
                kind => kind,
            };
            counted.add(kind);
            if kind == FileType::Directory {
                pending.push([&path[..], b"/", name].concat());
            }
        }
    }
    Ok(())
}

/// Renames to where nothing is, EEXIST otherwise.
pub(super) fn rename_new(
    from: BorrowedFd<'_>,
    from_name: &[u8],
    to: BorrowedFd<'_>,
    to_name: &[u8],
) -> std::result::Result<(), Errno> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(from, from_name, to, to_name, flags) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            result => return result,
        }
    }
    rename_new_in_steps(from, from_name, to, to_name)
}

/// As [`rename_new`] for file systems that cannot do it at once: files by a hard link, which never
/// replaces anything; directories after a look.
fn rename_new_in_steps(
    from: BorrowedFd<'_>,
    from_name: &[u8],
    to: BorrowedFd<'_>,
    to_name: &[u8],
) -> std::result::Result<(), Errno> {
    match kind_at(to, to_name) {
        Err(Errno::NOENT) => {}
        Ok(_) => return Err(Errno::EXIST),
        Err(errno) => return Err(errno),
    }
    if kind_at(from, from_name)? != FileType::Directory {
        match linkat(from, from_name, to, to_name, AtFlags::empty()) {
            Ok(()) => return unlinkat(from, from_name, AtFlags::empty()),
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK) => {}
            Err(errno) => return Err(errno),
        }
    }
    renameat(from, from_name, to, to_name)
}

#[cfg(test)]
#[path = "commit_test.rs"]
mod tests;

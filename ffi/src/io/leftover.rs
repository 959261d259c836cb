//! What a transfer that died left staged in its destination.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, flock, openat, renameat, statat};
use rustix::io::Errno;

use super::beneath::{self, failed};
use super::name::{quoted, quoted_path};
use super::stage::{Staging, is_staging_name};
use super::{long_path, recent, remove};
use crate::error::{Error, Kind, Result};

/// A staging folder without an owner, locked for as long as this lives.
pub struct LeftoverFolder {
    destination: OwnedFd,
    name: Vec<u8>,
    tree: OwnedFd,
    lock: OwnedFd,
}

impl LeftoverFolder {
    /// Opens and locks the staging folder `name` of `destination`; none when it is gone, somebody works on it, or it
    /// is none.
    pub fn open(destination: BorrowedFd<'_>, name: &[u8]) -> Result<Option<LeftoverFolder>> {
        if !is_staging_name(name) {
            return Ok(None);
        }
        match lock(destination, name) {
            Ok((lock, tree)) => {
                let destination = destination
                    .try_clone_to_owned()
                    .map_err(|error| Error::io("Cannot open what an earlier transfer left", &error))?;
                Ok(Some(LeftoverFolder { destination, name: name.to_vec(), tree, lock }))
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::io(format!("Cannot open {}", quoted(name)), &errno.into())),
        }
    }

    /// Removes the staging folder `name` of `destination` unless somebody works on it; true when it is gone then.
    pub fn clean(destination: &Path, name: &[u8]) -> Result<bool> {
        let directory = match long_path::open_directory(destination) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(true),
            result => result.map_err(|errno| {
                Error::io(format!("Cannot open {}", quoted_path(destination)), &errno.into())
            })?,
        };
        match LeftoverFolder::open(directory.as_fd(), name)? {
            Some(folder) => folder.remove().map(|()| true),
            None => Ok(matches!(statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT))),
        }
    }

    /// Name of the folder in its destination.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether the staged `path` is still a file of `size` bytes.
    pub fn has(&self, path: &[u8], size: u64) -> Result<bool> {
        Ok(self.find(path, size)?.is_some())
    }

    /// Opens the folder in which the staged file `path` is; none when it is no file of `size` bytes any more.
    fn find<'a>(&self, path: &'a [u8], size: u64) -> Result<Option<(beneath::Parent<'_>, &'a [u8])>> {
        let (folder, name) = match beneath::parent(self.tree.as_fd(), path) {
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::NotDirectory | Kind::PathEscapes) => {
                return Ok(None);
            }
            result => result?,
        };
        match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat)
                if FileType::from_raw_mode(stat.st_mode as _) == FileType::RegularFile
                    && stat.st_size as u64 == size =>
            {
                Ok(Some((folder, name)))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed("look at", path, errno)),
        }
    }

    /// Whether its owner wrote it in this run of the system and this mount: what was not synced is there all the same.
    pub fn is_of_this_run(&self) -> bool {
        recent::is_of_this_run(self.lock.as_fd())
    }

    /// Records of verified ranges, 48 bytes each, that its owner wrote in this run of the system.
    pub fn recent(&self) -> Vec<u8> {
        recent::read(self.lock.as_fd())
    }

    /// Moves the staged file `path` to `to` in `staging`; false when it is no file of `size` bytes any more.
    ///
    /// # Errors
    /// ALREADY_EXISTS when there is something at `to`; what the disk says.
    pub fn give(&self, path: &[u8], size: u64, staging: &Staging, to: &[u8]) -> Result<bool> {
        let Some((from, from_name)) = self.find(path, size)? else { return Ok(false) };
        if staging.has(to)? {
            return Err(Error::new(
                Kind::AlreadyExists,
                format!("Cannot create {}: it already exists", quoted(to)),
            ));
        }
        let (parent, name) = beneath::parent(staging.tree(), to)?;
        renameat(from, from_name, parent, name).map_err(|errno| failed("move", to, errno))?;
        Ok(true)
    }

    /// Removes the folder with everything that was not given away.
    pub fn remove(&self) -> Result<()> {
        remove::remove_tree(self.destination.as_fd(), &self.name)
    }
}

fn lock(destination: BorrowedFd<'_>, name: &[u8]) -> std::result::Result<(OwnedFd, OwnedFd), Errno> {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(destination, name, directory, Mode::empty())?;
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let lock = openat(&folder, "lock", flags, Mode::empty())?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    let tree = openat(&folder, "tree", directory, Mode::empty())?;
    Ok((lock, tree))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileExt, symlink};

    use super::*;

    fn leave(destination: &std::path::Path) -> Vec<u8> {
        let staging = Staging::create(destination).unwrap();
        staging.make_directory(b"0").unwrap();
        staging.create_file(b"0/a", 3).unwrap().write_all_at(b"abc", 0).unwrap();
        staging.keep();
        staging.name().to_vec()
    }

    #[test]
    fn a_staged_file_changes_hands_once() {
        let folder = tempfile::tempdir().unwrap();
        let name = leave(folder.path());
        let staging = Staging::create_beside(folder.path(), std::slice::from_ref(&name)).unwrap();
        let left = LeftoverFolder::open(staging.destination(), &name).unwrap().unwrap();
        assert!(LeftoverFolder::open(staging.destination(), &name).unwrap().is_none(), "it is locked");
        assert!(!LeftoverFolder::clean(folder.path(), &name).unwrap());
        assert!(!left.give(b"0/a", 4, &staging, b"b").unwrap(), "another size");
        assert!(!left.give(b"0/none", 3, &staging, b"b").unwrap());
        assert!(!left.give(b"0", 0, &staging, b"b").unwrap(), "a directory");
        assert!(left.give(b"0/a", 3, &staging, b"b").unwrap());
        assert!(!left.give(b"0/a", 3, &staging, b"c").unwrap());
        let mut read = [0; 3];
        staging.open_file(b"b").unwrap().read_exact_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"abc");
        left.remove().unwrap();
        drop(left);
        assert!(LeftoverFolder::open(staging.destination(), &name).unwrap().is_none());
    }

    #[test]
    fn nothing_outside_is_taken_and_nothing_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let name = leave(folder.path());
        let inside = folder.path().join(std::str::from_utf8(&name).unwrap()).join("tree/0");
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("a"), "abc").unwrap();
        fs::remove_dir_all(&inside).unwrap();
        symlink(&outside, &inside).unwrap();
        let staging = Staging::create_beside(folder.path(), std::slice::from_ref(&name)).unwrap();
        let left = LeftoverFolder::open(staging.destination(), &name).unwrap().unwrap();
        assert!(!left.give(b"0/a", 3, &staging, b"b").unwrap());
        assert!(!left.give(b"../../outside/a", 3, &staging, b"b").unwrap_or(false));
        fs::remove_file(&inside).unwrap();
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("a"), "abc").unwrap();
        staging.create_file(b"b", 0).unwrap();
        assert_eq!(left.give(b"0/a", 3, &staging, b"b").unwrap_err().kind, Kind::AlreadyExists);
        assert!(LeftoverFolder::open(staging.destination(), b"outside").unwrap().is_none());
    }

    #[test]
    fn a_folder_that_nobody_works_on_is_cleaned_away() {
        let folder = tempfile::tempdir().unwrap();
        let name = leave(folder.path());
        assert!(LeftoverFolder::clean(folder.path(), &name).unwrap());
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
        assert!(LeftoverFolder::clean(folder.path(), &name).unwrap());
        assert!(LeftoverFolder::clean(&folder.path().join("no"), &name).unwrap());
        fs::write(folder.path().join("mine"), "x").unwrap();
        assert!(!LeftoverFolder::clean(folder.path(), b"mine").unwrap());
        assert!(folder.path().join("mine").exists());
    }

    #[test]
    fn staging_keeps_what_it_is_told_to_keep() {
        let folder = tempfile::tempdir().unwrap();
        let kept = leave(folder.path());
        let stale = {
            let staging = Staging::create_beside(folder.path(), std::slice::from_ref(&kept)).unwrap();
            staging.keep();
            staging.name().to_vec()
        };
        let _staging = Staging::create_beside(folder.path(), std::slice::from_ref(&kept)).unwrap();
        assert!(folder.path().join(std::str::from_utf8(&kept).unwrap()).exists());
        assert!(!folder.path().join(std::str::from_utf8(&stale).unwrap()).exists());
    }
}

//! Removing a whole tree beneath an open directory, following nothing.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::beneath::{self, failed};
use super::listing::Listing;
use crate::error::{Error, Kind, Result};

/// Removes `path` beneath `directory` with everything in it; what is gone already is no error.
///
/// Depth costs no open files and no stack. Goes on after a failure and gives the first one.
pub fn remove_tree(directory: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
    let mut first: Option<Error> = None;
    let mut note = |result: Result<()>| {
        if let Err(error) = result
            && error.kind != Kind::NotFound
        {
            first.get_or_insert(error);
        }
    };
    // A directory is met twice: first to empty it, then to remove it.
    let mut pending = vec![(path.to_vec(), false)];
    while let Some((path, emptied)) = pending.pop() {
        if emptied {
            note(remove_one(directory, &path, AtFlags::REMOVEDIR).map(|_| ()));
            continue;
        }
        match empty(directory, &path) {
            Ok(inner) => {
                pending.push((path, true));
                pending.extend(inner.into_iter().map(|path| (path, false)));
            }
            Err(error) if matches!(error.kind, Kind::NotDirectory | Kind::PathEscapes) => {
                note(remove_one(directory, &path, AtFlags::empty()).map(|_| ()));
            }
            Err(error) => note(Err(error)),
        }
    }
    first.map_or(Ok(()), Err)
}

/// Removes the files of the directory `path` and gives the paths of its directories.
fn empty(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let opened = beneath::open_directory(directory, path)?;
    let mut listing = Listing::read(&opened).map_err(|errno| failed("read", path, errno))?;
    let mut inner = Vec::new();
    while let Some(name) = listing.next_name() {
        match unlinkat(opened.as_fd(), name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            // Linux says EISDIR for a directory, other systems EPERM.
            Err(Errno::ISDIR | Errno::PERM) => inner.push([path, b"/", name].concat()),
            Err(errno) => return Err(failed("remove", &[path, b"/", name].concat(), errno)),
        }
    }
    Ok(inner)
}

fn remove_one(directory: BorrowedFd<'_>, path: &[u8], flags: AtFlags) -> Result<()> {
    let (parent, name) = beneath::parent(directory, path)?;
    unlinkat(parent, name, flags).map_err(|errno| failed("remove", path, errno))
}

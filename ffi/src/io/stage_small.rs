//! Small files into staging, a batch of one directory at a time.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, unlinkat};
use rustix::io::Errno;

use super::backend::{Backend, CreateFailure, CreateFile};
use super::beneath::{self, failed};
use super::stage::{Staging, permissions, twice};
use crate::error::{Error, Result};

/// A small file to be made in staging.
pub struct NewFile<'a> {
    /// Path in staging; its directory is there.
    pub path: &'a [u8],
    pub bytes: &'a [u8],
    pub mode: u32,
    pub mtime_ns: i64,
}

impl Staging {
    /// Makes `files`, which are all in the directory of the first, with all they carry; one result for each, in order.
    ///
    /// The directory is resolved beneath staging, once; the files are new names in it, so that no link is followed.
    pub fn create_small(&self, io: &dyn Backend, files: &[NewFile<'_>]) -> Vec<Result<()>> {
        let Some(first) = files.first() else { return Vec::new() };
        if let Some(bad) = files.iter().find_map(|file| beneath::check(file.path).err()) {
            return files.iter().map(|_| Err(bad.clone())).collect();
        }
        let parent = match beneath::parent(self.tree(), first.path) {
            Ok((parent, _)) => parent,
            Err(error) => return files.iter().map(|_| Err(error.clone())).collect(),
        };
        let new: Vec<CreateFile<'_>> = files
            .iter()
            .map(|file| {
                let mode = permissions(file.mode).bits();
                CreateFile {
                    directory: parent.as_fd(),
                    name: OsStr::from_bytes(name_of(file.path)),
                    bytes: file.bytes,
                    mode,
                    mode_is_kept: mode & !self.kept_mode == 0,
                    mtime_ns: file.mtime_ns,
                }
            })
            .collect();
        let made = io.create_files(&new);
        files.iter().zip(made).map(|(file, made)| made.map_err(|failure| told(file.path, failure))).collect()
    }
}

fn told(path: &[u8], failure: CreateFailure) -> Error {
    match failure {
        CreateFailure::Create(error) => match Errno::from_io_error(&error) {
            Some(errno) => twice(path, failed("create", path, errno)),
            None => Error::io("Cannot create a received file", &error),
        },
        CreateFailure::Write(error) => Error::io("Cannot write a received file", &error),
        CreateFailure::Attributes(error) => Error::io("Cannot set a file's mode and time", &error),
    }
}

fn name_of(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(path, |cut| &path[cut + 1..])
}

/// The permission bits that a file keeps when it is made in `directory`: what umask, ACLs and the file system leave.
/// No bits where that cannot be told.
pub(super) fn kept_mode(directory: BorrowedFd<'_>) -> u32 {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let all = Mode::RWXU | Mode::RWXG | Mode::RWXO;
    let Ok(probe) = openat(directory, "mode", flags, all) else { return 0 };
    let kept = fstat(&probe).map_or(0, |stat| stat.st_mode as u32 & 0o777);
    let _ = unlinkat(directory, "mode", AtFlags::empty());
    kept
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;
    use crate::error::Kind;
    use crate::io::backend::select::select;

    #[test]
    fn modes_are_exact_whatever_the_umask_takes_away() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::create(dir.path()).unwrap();
        let io = select("auto").unwrap();
        let modes = [0o644, 0o666, 0o777, 0o400, 0o4755, 0o020];
        let names: Vec<String> = modes.iter().map(|mode| format!("{mode:o}")).collect();
        let files: Vec<NewFile<'_>> = modes
            .iter()
            .zip(&names)
            .map(|(&mode, name)| NewFile { path: name.as_bytes(), bytes: b"text", mode, mtime_ns: 1 })
            .collect();
        assert!(staging.create_small(&*io, &files).iter().all(Result::is_ok));
        let tree = dir.path().join(OsStr::from_bytes(staging.name())).join("tree");
        for (mode, name) in modes.iter().zip(&names) {
            assert_eq!(fs::metadata(tree.join(name)).unwrap().mode() & 0o7777, mode & 0o777, "{name}");
        }
        assert_eq!(fs::read_dir(&tree).unwrap().count(), modes.len(), "the probe is gone");
    }

    #[test]
    fn nothing_is_made_outside() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let staging = Staging::create(dir.path()).unwrap();
        let io = select("auto").unwrap();
        let tree = dir.path().join(OsStr::from_bytes(staging.name())).join("tree");
        symlink(outside.path(), tree.join("link")).unwrap();
        let kind = |path: &[u8]| {
            let file = NewFile { path, bytes: b"text", mode: 0o600, mtime_ns: 0 };
            staging.create_small(&*io, &[file]).remove(0).unwrap_err().kind
        };
        assert_eq!(kind(b"link/file"), Kind::PathEscapes);
        assert_eq!(kind(b"../file"), Kind::PathEscapes);
        assert_eq!(kind(b"link"), Kind::AlreadyExists);
        assert_eq!(kind(b"missing/file"), Kind::NotFound);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

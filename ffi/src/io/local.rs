//! Files of this machine that are known by a path and a stamp: opened only when they are still the same.

use std::fs::File;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;

use super::long_path;
use super::read::MAX_PATH_BYTES;
use super::stamp::Stamp;

/// The stamp of the regular file at `path`; none when there is something else or nothing, or it cannot be looked at. A
/// symlink as the last component is something else.
pub fn stamp_at(path: &Path) -> Option<Stamp> {
    look_at(path).map(|(stamp, _)| stamp)
}

/// As [`stamp_at`], with the permissions.
pub fn look_at(path: &Path) -> Option<(Stamp, u32)> {
    let stat = in_folder(path, |directory, name| statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)).ok()?;
    Some((stamp_of(&stat)?, stat.st_mode as u32 & 0o777))
}

/// The stamp of a regular file that was looked at.
pub fn stamp_of(stat: &Stat) -> Option<Stamp> {
    (FileType::from_raw_mode(stat.st_mode as _) == FileType::RegularFile).then(|| Stamp::from(stat))
}

/// Opens the file at `path` for reading; none unless it is a regular file that has `stamp`.
pub fn open(path: &Path, stamp: &Stamp) -> Option<File> {
    // Before: opening what is no file may have effects.
    if stamp_at(path)? != *stamp {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file =
        File::from(in_folder(path, |directory, name| openat(directory, name, flags, Mode::empty())).ok()?);
    has(&file, stamp).then_some(file)
}

/// Whether an open file has `stamp`.
pub fn has(file: &File, stamp: &Stamp) -> bool {
    Stamp::of(file).is_ok_and(|now| now == *stamp)
}

fn in_folder<T>(
    path: &Path,
    act: impl FnOnce(rustix::fd::BorrowedFd<'_>, &Path) -> Result<T, Errno>,
) -> Result<T, Errno> {
    use std::os::fd::AsFd;

    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if path.as_os_str().len() > MAX_PATH_BYTES => {
            act(long_path::open_to_pass(folder)?.as_fd(), Path::new(name))
        }
        _ => act(CWD, path),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_the_same_regular_file_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "text").unwrap();
        let stamp = stamp_at(&path("file")).unwrap();
        assert!(open(&path("file"), &stamp).is_some());
        symlink("file", path("link")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        rustix::fs::mkfifoat(CWD, path("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        for name in ["link", "folder", "pipe", "none", "file/none"] {
            assert_eq!(stamp_at(&path(name)), None, "{name}");
            assert!(open(&path(name), &stamp).is_none(), "{name}");
        }
        fs::write(path("other"), "text").unwrap();
        assert!(open(&path("other"), &stamp).is_none());
        fs::rename(path("other"), path("file")).unwrap();
        assert!(open(&path("file"), &stamp).is_none());
    }

    #[test]
    fn paths_longer_than_the_system_takes_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = File::open(dir.path()).unwrap();
        let mut path = dir.path().to_path_buf();
        let name = "x".repeat(200);
        for _ in 0..30 {
            rustix::fs::mkdirat(&folder, &name, Mode::RWXU).unwrap();
            path.push(&name);
            folder = File::from(
                openat(&folder, &name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap(),
            );
        }
        let flags = OFlags::WRONLY | OFlags::CREATE;
        drop(openat(&folder, "file", flags, Mode::RUSR).unwrap());
        path.push("file");
        let stamp = stamp_at(&path).unwrap();
        assert!(open(&path, &stamp).is_some());
    }
}

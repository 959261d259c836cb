//! Files at their final place that have the right content already: left there, with their mode and time set at the end.

use rustix::fs::{Mode, OFlags, RawMode, Stat, fchmod, fstat, futimens};

use super::beneath::{self, Looker, failed};
use super::local::stamp_of;
use super::name::quoted;
use super::stage::{permissions, sync_one, times};
use super::stamp::Stamp;
use super::walk::mtime_ns;
use crate::error::{Error, Kind, Result};

/// A file in the destination that stays.
pub struct KeptFile {
    /// Below the destination.
    pub path: Vec<u8>,
    pub stamp: Stamp,
    pub mode: u32,
    pub mtime_ns: i64,
}

impl KeptFile {
    /// Whether the file is as its stamp says, of `size` bytes, and can be given what it lacks without changing more than
    /// this one name: not when others own it or it has further links.
    pub fn may_stay(&self, near: &mut Looker<'_>, size: u64) -> Result<bool> {
        let stat = match near.stat(&self.path) {
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::NotDirectory | Kind::PathEscapes) => {
                return Ok(false);
            }
            result => result?,
        };
        if self.stamp.size != size || stamp_of(&stat) != Some(self.stamp) {
            return Ok(false);
        }
        let user = rustix::process::geteuid();
        let is_ours = stat.st_nlink as u64 == 1 && (user.is_root() || stat.st_uid == user.as_raw());
        Ok(self.lacks_nothing(&stat) || is_ours)
    }

    /// Gives the file its mode and time, and waits until it is on the disk if `sync`; gives its stamp then.
    ///
    /// # Errors
    /// SOURCE_CHANGED, with nothing done, when it is not as its stamp says; what the disk says.
    pub fn settle(&self, near: &mut Looker<'_>, sync: bool) -> Result<Stamp> {
        if !sync && self.is_settled(near)? {
            return Ok(self.stamp);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = match beneath::open(near.directory(), &self.path, flags, Mode::empty()) {
            // It cannot be opened, which does no harm when there is nothing to do.
            Err(error) if error.kind == Kind::PermissionDenied => {
                return if self.is_settled(near)? { Ok(self.stamp) } else { Err(error) };
            }
            result => result.map_err(|error| self.gone(error))?,
        };
        let look = || fstat(&file).map_err(|errno| failed("look at", &self.path, errno));
        let stat = look()?;
        self.check(&stat)?;
        if !self.lacks_nothing(&stat) {
            fchmod(&file, permissions(self.mode))
                .and_then(|()| futimens(&file, &times(self.mtime_ns)))
                .map_err(|errno| failed("set the mode and time of", &self.path, errno))?;
        }
        if sync {
            use std::os::fd::AsFd;
            sync_one(file.as_fd()).map_err(|errno| failed("write to the disk", &self.path, errno))?;
        }
        stamp_of(&look()?).ok_or_else(|| self.changed())
    }

    /// Whether the file lacks nothing; fails as [`KeptFile::settle`].
    fn is_settled(&self, near: &mut Looker<'_>) -> Result<bool> {
        let stat = near.stat(&self.path).map_err(|error| self.gone(error))?;
        self.check(&stat)?;
        Ok(self.lacks_nothing(&stat))
    }

    fn gone(&self, error: Error) -> Error {
        match error.kind {
            Kind::NotFound | Kind::NotDirectory | Kind::PathEscapes => self.changed(),
            _ => error,
        }
    }

    fn check(&self, stat: &Stat) -> Result<()> {
        if stamp_of(stat) == Some(self.stamp) { Ok(()) } else { Err(self.changed()) }
    }

    fn lacks_nothing(&self, stat: &Stat) -> bool {
        let mode = Mode::from_raw_mode(stat.st_mode as RawMode);
        mode == permissions(self.mode) && mtime_ns(stat) == self.mtime_ns
    }

    fn changed(&self) -> Error {
        let text = format!("Cannot leave {} as it is: it changed meanwhile", quoted(&self.path));
        Error::new(Kind::SourceChanged, text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::io::local::stamp_at;

    const OLD_NS: i64 = 1_500_000_000_123_456_789;

    fn kept(folder: &std::path::Path, name: &str) -> KeptFile {
        let stamp = stamp_at(&folder.join(name)).unwrap();
        KeptFile { path: name.into(), stamp, mode: 0o640, mtime_ns: OLD_NS }
    }

    #[test]
    fn a_kept_file_gets_mode_and_time_and_keeps_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "text").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o4755)).unwrap();
        let file = kept(dir.path(), "f");
        assert!(file.may_stay(&mut Looker::new(folder.as_fd()), 4).unwrap());
        assert!(!file.may_stay(&mut Looker::new(folder.as_fd()), 5).unwrap());
        let settled = file.settle(&mut Looker::new(folder.as_fd()), true).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.mode() & 0o7777, found.ino()), (0o640, file.stamp.ino));
        assert_eq!(found.mtime() * 1_000_000_000 + found.mtime_nsec(), OLD_NS);
        assert_eq!(stamp_at(&path), Some(settled));
        // Again: nothing is done, so that the stamp stays.
        let again = KeptFile { stamp: settled, ..file };
        assert_eq!(again.settle(&mut Looker::new(folder.as_fd()), false).unwrap(), settled);
    }

    #[test]
    fn a_file_that_changed_or_went_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        let path = dir.path().join("f");
        type Change = fn(&std::path::Path);
        let changes: [Change; 4] = [
            |path| fs::write(path, "other").unwrap(),
            |path| fs::remove_file(path).unwrap(),
            |path| {
                fs::remove_file(path).unwrap();
                symlink("/etc/passwd", path).unwrap();
            },
            |path| {
                fs::write(path.with_extension("new"), "text").unwrap();
                fs::rename(path.with_extension("new"), path).unwrap();
            },
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let _ = fs::remove_file(&path);
            fs::write(&path, "text").unwrap();
            let file = kept(dir.path(), "f");
            change(&path);
            let before = fs::symlink_metadata(&path).ok().map(|found| (found.mode(), found.ctime_nsec()));
            assert!(!file.may_stay(&mut Looker::new(folder.as_fd()), 4).unwrap(), "{index}");
            assert_eq!(
                file.settle(&mut Looker::new(folder.as_fd()), true).unwrap_err().kind,
                Kind::SourceChanged,
                "{index}"
            );
            let after = fs::symlink_metadata(&path).ok().map(|found| (found.mode(), found.ctime_nsec()));
            assert_eq!(before, after, "{index}");
        }
    }

    #[test]
    fn a_file_with_another_link_stays_only_when_it_lacks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        fs::write(dir.path().join("f"), "text").unwrap();
        fs::hard_link(dir.path().join("f"), dir.path().join("other")).unwrap();
        let file = kept(dir.path(), "f");
        assert!(!file.may_stay(&mut Looker::new(folder.as_fd()), 4).unwrap());
        let found = fs::metadata(dir.path().join("f")).unwrap();
        let as_it_is = KeptFile { mode: found.mode(), mtime_ns: file.stamp.mtime_ns, ..file };
        assert!(as_it_is.may_stay(&mut Looker::new(folder.as_fd()), 4).unwrap());
    }
}

//! Staging: a new tree is received into a hidden sibling of its final place and moved there at the end.
//!
//! `<destination>/.wormhole-<16 hex>.part/` (mode 0700) holds `lock`, locked for as long as the
//! staging lives (with what `recent.rs` says), and `tree/`. Everything is done relative to directories opened once, so a
//! destination swapped for a symlink meanwhile changes nothing.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, chmodat, fchmod, flock, fstat,
    ftruncate, futimens, mkdirat, openat, statat, utimensat,
};
use rustix::io::Errno;

use super::beneath::{self, failed};
use super::listing::Listing;
use super::name::{quoted, quoted_path};
use super::recent::Recent;
use super::stage_small::kept_mode;
use super::{long_path, remove};
use crate::error::{Error, Kind, Result};

pub use super::commit::{CommitPolicy, Committed};

const PREFIX: &[u8] = b".wormhole-";
const SUFFIX: &[u8] = b".part";

/// Age at which a staging folder without a lock file counts as left behind, in seconds; a living
/// one makes its lock right after the folder.
const LOCKLESS_SECONDS: i64 = 60;

/// A tree being received; removed when dropped.
pub struct Staging {
    pub(super) destination: OwnedFd,
    pub(super) tree: OwnedFd,
    /// Directories whose final mode would lock their owner out, with that mode; set after the move.
    pub(super) restricted: Mutex<Vec<(Vec<u8>, u32)>>,
    /// Permission bits that a file has when it is made with them.
    pub(super) kept_mode: u32,
    name: Vec<u8>,
    kept: AtomicBool,
    lock: OwnedFd,
}

impl Staging {
    /// Makes a staging folder in the directory `destination`, after removing those that crashed
    /// runs left there.
    pub fn create(destination: &Path) -> Result<Staging> {
        Staging::create_beside(destination, &[])
    }

    /// As [`Staging::create`], leaving the folders named in `kept` where they are.
    pub fn create_beside(destination: &Path, kept: &[Vec<u8>]) -> Result<Staging> {
        Staging::create_in(destination, |directory| remove_stale(directory, kept))
    }

    /// As [`Staging::create`], leaving every other folder where it is: whoever does not know which are kept.
    pub fn create_alone(destination: &Path) -> Result<Staging> {
        Staging::create_in(destination, |_| {})
    }

    fn create_in(destination: &Path, tidy: impl FnOnce(BorrowedFd<'_>)) -> Result<Staging> {
        let what = || format!("Cannot write to {}", quoted_path(destination));
        let directory =
            long_path::open_directory(destination).map_err(|errno| Error::io(what(), &errno.into()))?;
        tidy(directory.as_fd());
        loop {
            let name = fresh_name()?;
            match mkdirat(&directory, &name[..], Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(Error::io(what(), &errno.into())),
            }
            match set_up(directory.as_fd(), &name) {
                Ok(Some((lock, tree))) => {
                    return Ok(Staging {
                        kept_mode: kept_mode(tree.as_fd()),
                        destination: directory,
                        tree,
                        restricted: Mutex::default(),
                        name,
                        kept: AtomicBool::new(false),
                        lock,
                    });
                }
                // Another program took it for a crashed run's before it was locked.
                Ok(None) => continue,
                Err(errno) => {
                    let _ = remove::remove_tree(directory.as_fd(), &name);
                    return Err(Error::io(what(), &errno.into()));
                }
            }
        }
    }

    /// Name of the staging folder inside the destination.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The directory that everything goes into in the end.
    pub fn destination(&self) -> BorrowedFd<'_> {
        self.destination.as_fd()
    }

    /// The directory that the staged paths are relative to.
    pub fn tree(&self) -> BorrowedFd<'_> {
        self.tree.as_fd()
    }

    /// The permission bits that a file has when nobody says otherwise: umask and the folder decide.
    pub fn file_mode(&self) -> u32 {
        let usual = self.kept_mode & 0o666;
        if usual == 0 { 0o600 } else { usual }
    }

    /// The same for a directory.
    pub fn directory_mode(&self) -> u32 {
        if self.kept_mode & 0o777 == 0 { 0o700 } else { self.kept_mode & 0o777 }
    }

    /// Begins the records of what is verified, where the system can have them; once.
    pub fn recent(&self) -> Option<Recent> {
        Recent::begin(self.lock.as_fd())
    }

    /// Makes the directory `path`, writable by its owner until [`Staging::finish_directory`].
    pub fn make_directory(&self, path: &[u8]) -> Result<()> {
        beneath::make_directory(self.tree(), path, Mode::RWXU).map_err(|error| twice(path, error))
    }

    /// Makes the file `path` of `size` bytes, all of them a hole.
    pub fn create_file(&self, path: &[u8], size: u64) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = beneath::open(self.tree(), path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| twice(path, error))?;
        if size > 0
            && let Err(errno) = ftruncate(&file, size)
        {
            let _ = beneath::remove_file(self.tree(), path);
            if errno == Errno::FBIG || errno == Errno::INVAL {
                let text = format!("Cannot create {}: it is too large for this disk", quoted(path));
                return Err(Error::new(Kind::LimitExceeded, text));
            }
            return Err(failed("create", path, errno));
        }
        Ok(File::from(file))
    }

    /// Opens the file `path` again for reading and writing.
    pub fn open_file(&self, path: &[u8]) -> Result<File> {
        beneath::open(self.tree(), path, OFlags::RDWR, Mode::empty()).map(File::from)
    }

    /// Gives a complete file its mode (permission bits only: setuid, setgid and sticky are dropped) and time.
    pub fn finish_file(&self, file: &File, mode: u32, mtime_ns: i64) -> Result<()> {
        fchmod(file, permissions(mode))
            .and_then(|()| futimens(file, &times(mtime_ns)))
            .map_err(|errno| Error::io("Cannot set a file's mode and time", &errno.into()))
    }

    /// As [`Staging::finish_file`] for a file that is not open, whatever its mode.
    pub fn finish_path(&self, path: &[u8], mode: u32, mtime_ns: i64) -> Result<()> {
        let (parent, name) = beneath::parent(self.tree(), path)?;
        chmodat(&parent, name, permissions(mode), AtFlags::empty())
            .and_then(|()| utimensat(parent, name, &times(mtime_ns), AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|errno| failed("set the mode and time of", path, errno))
    }

    /// Removes the file or symlink `path`.
    pub fn remove_file(&self, path: &[u8]) -> Result<()> {
        beneath::remove_file(self.tree(), path)
    }

    /// Makes the symlink `path` to `target`, which is never followed here.
    pub fn make_symlink(&self, path: &[u8], target: &[u8], mtime_ns: i64) -> Result<()> {
        beneath::make_symlink(self.tree(), path, target).map_err(|error| twice(path, error))?;
        let (parent, name) = beneath::parent(self.tree(), path)?;
        utimensat(parent, name, &times(mtime_ns), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed("set the time of", path, errno))
    }

    /// Gives a directory its mode and time; call it when everything in it is done, children first.
    ///
    /// A mode that would lock the owner out takes effect only when the directory has been moved.
    pub fn finish_directory(&self, path: &[u8], mode: u32, mtime_ns: i64) -> Result<()> {
        let directory = beneath::open_directory(self.tree(), path)?;
        if mode & 0o700 != 0o700 {
            self.restricted.lock().unwrap().push((path.to_vec(), mode));
        }
        fchmod(&directory, permissions(mode | 0o700))
            .and_then(|()| futimens(&directory, &times(mtime_ns)))
            .map_err(|errno| failed("set the mode and time of", path, errno))
    }

    /// Waits until everything written so far is on the disk, whoever wrote it.
    pub fn barrier(&self) -> Result<()> {
        sync_all(self.tree()).map_err(|errno| Error::io("Cannot write everything to the disk", &errno.into()))
    }

    /// Waits until the staged file or directory `path` is on the disk.
    pub fn sync(&self, path: &[u8]) -> Result<()> {
        let opened = beneath::open(self.tree(), path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
        sync_one(opened.as_fd()).map_err(|errno| failed("write to the disk", path, errno))
    }

    /// Waits until the names that [`Staging::commit`] gave are on the disk: once for all of them, since each wait may take a turn of
    /// the disk.
    pub fn sync_names(&self) -> Result<()> {
        sync_one(self.destination.as_fd())
            .map_err(|errno| Error::io("Cannot write what was placed to the disk", &errno.into()))
    }

    /// Whether there is anything at the staged `path`.
    pub fn has(&self, path: &[u8]) -> Result<bool> {
        exists(self.tree(), path)
    }

    /// Whether there is anything at `path` in the destination itself; links on the way are not followed.
    pub fn has_final(&self, path: &[u8]) -> Result<bool> {
        exists(self.destination.as_fd(), path)
    }

    /// Moves the staged `path` to `final_name` in the destination; see [`CommitPolicy`].
    ///
    /// What cannot be placed goes to `failures` with its path below the destination, and the rest
    /// goes on. Call [`Staging::barrier`] before, and [`Staging::sync_names`] after the last one.
    ///
    /// # Errors
    /// DESTINATION_EXISTS when `policy` is Fresh and `final_name` is there already.
    pub fn commit(
        &self,
        path: &[u8],
        final_name: &[u8],
        policy: CommitPolicy,
        failures: &mut Vec<(Vec<u8>, Error)>,
    ) -> Result<Committed> {
        super::commit::commit(self, path, final_name, policy, failures)
    }

    /// Leaves the folder where it is when this object goes; the next [`Staging::create`] removes it.
    pub fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Removes the folder with everything that was not moved out of it.
    pub fn remove(&self) -> Result<()> {
        self.keep();
        remove::remove_tree(self.destination.as_fd(), &self.name)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed) {
            let _ = remove::remove_tree(self.destination.as_fd(), &self.name);
        }
    }
}

fn exists(directory: BorrowedFd<'_>, path: &[u8]) -> Result<bool> {
    match beneath::stat(directory, path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::NotDirectory | Kind::PathEscapes) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The permission bits that a peer may set.
pub(super) fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode((mode & 0o777) as _)
}

pub(super) fn times(mtime_ns: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: mtime_ns.div_euclid(1_000_000_000),
            tv_nsec: mtime_ns.rem_euclid(1_000_000_000),
        },
    }
}

/// In a staging folder of our own nothing else can be there already; a file system that ignores
/// case (or normalises names) shows two entries of one manifest as the same.
pub(super) fn twice(path: &[u8], error: Error) -> Error {
    if error.kind != Kind::AlreadyExists {
        return error;
    }
    Error { text: format!("Cannot create {}: two entries have the same name", quoted(path)), ..error }
}

#[cfg(target_os = "linux")]
fn sync_all(tree: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    match rustix::fs::syncfs(tree) {
        Err(Errno::NOSYS) => rustix::fs::fsync(tree),
        result => result,
    }
}

#[cfg(not(target_os = "linux"))]
fn sync_all(tree: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    rustix::fs::sync();
    rustix::fs::fsync(tree)
}

/// Writes a file or directory to the disk; some file systems cannot sync a directory, which is no failure.
pub(super) fn sync_one(file: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    match rustix::fs::fsync(file) {
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        result => result,
    }
}

fn fresh_name() -> Result<Vec<u8>> {
    let random = getrandom::u64()
        .map_err(|error| Error::new(Kind::Internal, format!("the system gives no randomness: {error}")))?;
    Ok([PREFIX, format!("{random:016x}").as_bytes(), SUFFIX].concat())
}

/// Opens and locks a new staging folder; `None` when somebody else got to it first.
fn set_up(
    destination: BorrowedFd<'_>,
    name: &[u8],
) -> std::result::Result<Option<(OwnedFd, OwnedFd)>, Errno> {
    let directory_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match openat(destination, name, directory_flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        result => result?,
    };
    let lock_flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = openat(&folder, "lock", lock_flags, Mode::RUSR | Mode::WUSR)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        // A file system without locks: nobody can take this folder for a crashed run's either.
        Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK | Errno::INVAL) | Ok(()) => {}
        Err(errno) => return Err(errno),
    }
    if fstat(&lock)?.st_nlink == 0 {
        return Ok(None);
    }
    mkdirat(&folder, "tree", Mode::RWXU)?;
    let tree = openat(&folder, "tree", directory_flags, Mode::empty())?;
    Ok(Some((lock, tree)))
}

/// Removes staging folders whose lock nobody holds. A failure leaves them to the next run.
fn remove_stale(destination: BorrowedFd<'_>, kept: &[Vec<u8>]) {
    let Ok(mut listing) = Listing::read(destination) else { return };
    while let Some(name) = listing.next_name() {
        // The lock is held while removing: whoever made the folder a moment ago finds it taken or
        // unlinked, and begins again with another.
        if is_staging_name(name)
            && !kept.iter().any(|kept| kept == name)
            && let Some(_lock) = lock_stale(destination, name)
        {
            let _ = remove::remove_tree(destination, name);
        }
    }
}

pub(super) fn is_staging_name(name: &[u8]) -> bool {
    let hex = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    hex.is_some_and(|hex| hex.len() == 16 && hex.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// Gives the lock of a folder that nobody uses, or `Some(None)` for an old one that has none.
fn lock_stale(destination: BorrowedFd<'_>, name: &[u8]) -> Option<Option<OwnedFd>> {
    let directory_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(destination, name, directory_flags, Mode::empty()).ok()?;
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match openat(&folder, "lock", flags, Mode::empty()) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).ok().map(|()| Some(lock)),
        Err(Errno::NOENT) => {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
            let stat = statat(destination, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            (now - stat.st_ctime as i64 > LOCKLESS_SECONDS).then_some(None)
        }
        Err(_) => None,
    }
}

#[cfg(test)]
#[path = "stage_test.rs"]
mod tests;

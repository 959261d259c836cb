//! Changes beneath the root of a folder that is kept in sync: each is made only where what is there is still what was
//! seen, and what it displaces is kept by a rename, never removed.
//!
//! Between the look and the rename somebody may write: what was displaced is looked at again, and put back when it is
//! not what was meant.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, mkdirat, unlinkat, utimensat};
use rustix::io::Errno;

use super::beneath::{self, failed};
use super::commit::rename_new;
use super::name::quoted;
use super::stamp::Stamp;
use crate::chunk::hash::{HASH_BYTES, hash, hash_chunks};
use crate::error::{Error, Kind, Result};

/// Files of one chunk have its id as theirs, larger ones the hash of their chunks' ids.
const CHUNK_BYTES: u64 = 4 << 20;

/// Names tried for what is displaced: that one, `~1`, `~2` and so on.
const MAX_NAMES: u32 = 10_000;

/// What a file or symlink must be for it to be placed.
pub struct Wanted {
    pub is_symlink: bool,
    pub size: u64,
    pub content: [u8; HASH_BYTES],
    pub mode: u32,
    pub mtime_ns: i64,
}

/// Copies `path` of another root to `to`, which must not be there, and checks what was written.
///
/// # Errors
/// SOURCE_CHANGED when it is not what was wanted, or gone; nothing is left then.
pub fn stage(
    source: BorrowedFd<'_>,
    path: &[u8],
    root: BorrowedFd<'_>,
    to: &[u8],
    wanted: &Wanted,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<()> {
    make_parents(root, to)?;
    if wanted.is_symlink {
        return stage_symlink(source, path, root, to, wanted);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let opened = beneath::open(source, path, flags, Mode::empty()).map_err(|error| gone(path, error))?;
    let mut from = File::from(opened);
    if Stamp::of(&from).is_err() {
        return Err(changed(path));
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let mut made = File::from(beneath::open(root, to, flags, Mode::RUSR | Mode::WUSR)?);
    let result = copy(&mut from, &mut made, wanted, cancelled).and_then(|same| match same {
        true => {
            finish(&made, wanted).map_err(|error| Error::io(format!("Cannot write {}", quoted(to)), &error))
        }
        false => Err(changed(path)),
    });
    if result.is_err() {
        // What is left is in the staging folder, which the next run empties.
        let _ = beneath::remove_file(root, to);
    }
    result
}

fn copy(
    from: &mut File,
    made: &mut File,
    wanted: &Wanted,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<bool> {
    let write = |error: std::io::Error| Error::io("Cannot copy a file", &error);
    if wanted.size <= CHUNK_BYTES {
        let mut bytes = Vec::with_capacity(wanted.size as usize);
        // One more than it should have, to see that it has grown.
        from.take(wanted.size + 1).read_to_end(&mut bytes).map_err(write)?;
        if bytes.len() as u64 != wanted.size || hash(&bytes) != wanted.content {
            return Ok(false);
        }
        made.write_all(&bytes).map_err(write)?;
        return Ok(true);
    }
    // The kernel copies, or shares where the file system can; what is hashed is what was written.
    if std::io::copy(&mut from.take(wanted.size + 1), made).map_err(write)? != wanted.size {
        return Ok(false);
    }
    made.seek(SeekFrom::Start(0)).map_err(write)?;
    let (ids, size) = hash_chunks(made, CHUNK_BYTES, cancelled)?;
    let content = if ids.len() == HASH_BYTES { ids } else { hash(&ids).to_vec() };
    Ok(size == wanted.size && content == wanted.content)
}

fn finish(made: &File, wanted: &Wanted) -> std::io::Result<()> {
    made.set_permissions(std::fs::Permissions::from_mode(wanted.mode & 0o777))?;
    let time = timespec(wanted.mtime_ns);
    Ok(rustix::fs::futimens(made, &Timestamps { last_access: time, last_modification: time })?)
}

fn timespec(ns: i64) -> Timespec {
    const SECOND: i64 = 1_000_000_000;
    Timespec { tv_sec: ns.div_euclid(SECOND) as _, tv_nsec: ns.rem_euclid(SECOND) as _ }
}

fn stage_symlink(
    source: BorrowedFd<'_>,
    path: &[u8],
    root: BorrowedFd<'_>,
    to: &[u8],
    wanted: &Wanted,
) -> Result<()> {
    let (parent, name) = beneath::parent(source, path).map_err(|error| gone(path, error))?;
    let target = rustix::fs::readlinkat(parent.as_fd(), name, Vec::new()).map_err(|_| changed(path))?;
    if hash(target.to_bytes()) != wanted.content {
        return Err(changed(path));
    }
    beneath::make_symlink(root, to, target.to_bytes())?;
    let (parent, name) = beneath::parent(root, to)?;
    let time = timespec(wanted.mtime_ns);
    let times = Timestamps { last_access: time, last_modification: time };
    // A symlink's time is a nicety that some file systems do not have.
    let _ = utimensat(parent.as_fd(), name, &times, AtFlags::SYMLINK_NOFOLLOW);
    Ok(())
}

/// Makes the directory `path`; one that is there already will do.
pub fn make(root: BorrowedFd<'_>, path: &[u8], mode: u32) -> Result<Stamp> {
    let (parent, name) = beneath::parent(root, path).map_err(|error| gone(path, error))?;
    match mkdirat(parent.as_fd(), name, Mode::from_raw_mode((mode & 0o777) as _)) {
        // Exactly that mode, whatever the umask is; what opens it follows nothing.
        Ok(()) => set_bits(root, path, mode)?,
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed("create", path, errno)),
    }
    let stat = beneath::stat(root, path)?;
    match FileType::from_raw_mode(stat.st_mode as _) {
        FileType::Directory => Ok(Stamp::from(&stat)),
        _ => Err(changed(path)),
    }
}

/// Puts what is at `from` to `path`, where `was` is (nothing: none); that goes to `keep`.
pub fn put(
    root: BorrowedFd<'_>,
    from: &[u8],
    path: &[u8],
    was: Option<&Stamp>,
    keep: &[u8],
) -> Result<Stamp> {
    let Some(was) = was else { return place(root, from, path) };
    must_be(root, path, was)?;
    let ours = Stamp::from(&beneath::stat(root, from)?);
    // First to where the displaced one shall be: then one exchange does both, and a crash before it harms nothing.
    let kept = keep_at(root, from, keep)?;
    match exchange(root, &kept, path) {
        Ok(()) => {
            let displaced = Stamp::from(&beneath::stat(root, &kept)?);
            if !is_still(&displaced, was) {
                exchange(root, &kept, path).map_err(|errno| failed("replace", path, errno))?;
                if Stamp::from(&beneath::stat(root, &kept)?).ino == ours.ino {
                    beneath::remove_file(root, &kept)?;
                }
                return Err(changed(path));
            }
        }
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            rename_fresh(root, &kept, from)?;
            take(root, path, was, keep)?;
            rename_fresh(root, from, path)?;
        }
        Err(errno) => {
            beneath::remove_file(root, &kept)?;
            return Err(failed("replace", path, errno));
        }
    }
    Ok(Stamp::from(&beneath::stat(root, path)?))
}

/// Moves the file or symlink `path` to `keep`.
pub fn take(root: BorrowedFd<'_>, path: &[u8], was: &Stamp, keep: &[u8]) -> Result<()> {
    must_be(root, path, was)?;
    // Whoever reads of it knows nothing of where it was to go.
    let kept = keep_at(root, path, keep).map_err(|error| match error.kind {
        Kind::PermissionDenied | Kind::ReadOnly => {
            failed("remove", path, Errno::from_raw_os_error(error.errno))
        }
        _ => error,
    })?;
    if !is_still(&Stamp::from(&beneath::stat(root, &kept)?), was) {
        // It was written to meanwhile; where something else is there by now it stays among what was displaced.
        let _ = rename_fresh(root, &kept, path);
        return Err(changed(path));
    }
    Ok(())
}

/// Removes the directory `path` if it is empty; what is gone is no error.
pub fn drop_directory(root: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
    let (parent, name) = match beneath::parent(root, path) {
        Err(error) if error.kind == Kind::NotFound => return Ok(()),
        parent => parent?,
    };
    match unlinkat(parent.as_fd(), name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {
            let text = format!("Cannot remove {}: there is something in it", quoted(path));
            Err(Error::new(Kind::SourceChanged, text))
        }
        Err(errno) => Err(failed("remove", path, errno)),
    }
}

/// Renames `from` to `path`, where nothing is.
pub fn shift(root: BorrowedFd<'_>, from: &[u8], path: &[u8], was: &Stamp) -> Result<Stamp> {
    must_be(root, from, was)?;
    make_parents(root, path)?;
    rename_fresh(root, from, path)?;
    let stat = beneath::stat(root, path)?;
    // A directory moves with all that is in it by now, so its own size and times say nothing.
    let is_directory = FileType::from_raw_mode(stat.st_mode as _) == FileType::Directory;
    if !is_directory && !is_still(&Stamp::from(&stat), was) && rename_fresh(root, path, from).is_ok() {
        return Err(changed(from));
    }
    Ok(Stamp::from(&stat))
}

/// Gives `path` the permissions `mode`.
pub fn set_mode(root: BorrowedFd<'_>, path: &[u8], was: &Stamp, mode: u32) -> Result<Stamp> {
    must_be(root, path, was)?;
    set_bits(root, path, mode)?;
    Ok(Stamp::from(&beneath::stat(root, path)?))
}

fn set_bits(root: BorrowedFd<'_>, path: &[u8], mode: u32) -> Result<()> {
    // Not readable by its owner: then it is opened for writing.
    let opened = beneath::open(root, path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())
        .or_else(|_| beneath::open(root, path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()))?;
    let permissions = std::fs::Permissions::from_mode(mode & 0o777);
    File::from(opened)
        .set_permissions(permissions)
        .map_err(|error| Error::io(format!("Cannot change the permissions of {}", quoted(path)), &error))
}

/// Moves `from` to `keep` or, where that is taken, to `keep~1` and so on; gives which.
fn keep_at(root: BorrowedFd<'_>, from: &[u8], keep: &[u8]) -> Result<Vec<u8>> {
    make_parents(root, keep)?;
    for attempt in 0..MAX_NAMES {
        let mut at = keep.to_vec();
        if attempt > 0 {
            at.extend_from_slice(format!("~{attempt}").as_bytes());
        }
        match rename_fresh(root, from, &at) {
            Err(error) if error.kind == Kind::AlreadyExists => {}
            result => return result.map(|()| at),
        }
    }
    Err(Error::new(Kind::AlreadyExists, format!("Cannot keep {}: too much has its name", quoted(from))))
}

/// Makes the directories above `path`.
fn make_parents(root: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
    let Some(cut) = path.iter().rposition(|&b| b == b'/') else { return Ok(()) };
    if beneath::stat(root, &path[..cut]).is_ok() {
        return Ok(());
    }
    for at in path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| at) {
        match beneath::make_directory(root, &path[..at], Mode::RWXU) {
            Err(error) if error.kind != Kind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Renames `from` to `path`, where nothing is, and looks at it there.
fn place(root: BorrowedFd<'_>, from: &[u8], path: &[u8]) -> Result<Stamp> {
    let (parent, name) = beneath::parent(root, path).map_err(|error| gone(path, error))?;
    rename_into(root, from, path, (parent.as_fd(), name))?;
    Ok(Stamp::from(&beneath::look(parent, name, path)?))
}

fn rename_fresh(root: BorrowedFd<'_>, from: &[u8], to: &[u8]) -> Result<()> {
    let (parent, name) = beneath::parent(root, to).map_err(|error| gone(to, error))?;
    rename_into(root, from, to, (parent.as_fd(), name))
}

/// Renames `from` to `to`, which is that name in that open directory.
fn rename_into(
    root: BorrowedFd<'_>,
    from: &[u8],
    to: &[u8],
    (to_parent, to_name): (BorrowedFd<'_>, &[u8]),
) -> Result<()> {
    let (from_parent, from_name) = beneath::parent(root, from)?;
    rename_new(from_parent.as_fd(), from_name, to_parent, to_name).map_err(|errno| match errno {
        Errno::XDEV => {
            let state = "another file system begins there; leave it out with --one-file-system";
            Error::new(Kind::Unsupported, format!("Cannot move {} to {}: {state}", quoted(from), quoted(to)))
        }
        errno => failed("place", to, errno),
    })
}

fn exchange(root: BorrowedFd<'_>, one: &[u8], other: &[u8]) -> std::result::Result<(), Errno> {
    let parent = |path| beneath::parent(root, path).map_err(|error| Errno::from_raw_os_error(error.errno));
    let ((one, one_name), (other, other_name)) = (parent(one)?, parent(other)?);
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    return rustix::fs::renameat_with(
        one.as_fd(),
        one_name,
        other.as_fd(),
        other_name,
        rustix::fs::RenameFlags::EXCHANGE,
    );
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    return Err(Errno::NOSYS);
}

/// Refuses unless `path` is exactly as it was seen; of a directory only that it is the same one.
fn must_be(root: BorrowedFd<'_>, path: &[u8], was: &Stamp) -> Result<()> {
    let stat = beneath::stat(root, path).map_err(|error| gone(path, error))?;
    let now = Stamp::from(&stat);
    let same = match FileType::from_raw_mode(stat.st_mode as _) {
        FileType::Directory => (now.dev, now.ino) == (was.dev, was.ino),
        // A step that renames one name of a file gives all its names a new ctime.
        FileType::RegularFile if stat.st_nlink > 1 => is_still(&now, was),
        _ => now == *was,
    };
    if same { Ok(()) } else { Err(changed(path)) }
}

/// As [`must_be`] after a rename, which changes the ctime.
fn is_still(now: &Stamp, was: &Stamp) -> bool {
    let file = |stamp: &Stamp| (stamp.dev, stamp.ino);
    file(now) == file(was) && (now.size, now.mtime_ns) == (was.size, was.mtime_ns)
}

fn changed(path: &[u8]) -> Error {
    let text = format!("Cannot change {}: it changed meanwhile; the next run sees to it", quoted(path));
    Error::new(Kind::SourceChanged, text)
}

/// What is not there any more has changed too.
fn gone(path: &[u8], error: Error) -> Error {
    match error.kind {
        Kind::NotFound | Kind::NotDirectory | Kind::PathEscapes => changed(path),
        _ => error,
    }
}

#[cfg(test)]
#[path = "change_test.rs"]
mod tests;

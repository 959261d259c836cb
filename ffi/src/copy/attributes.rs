//! Owner, mode and times of what was made. The owner comes first: changing it takes setuid and capabilities away.

use std::os::fd::{AsRawFd, BorrowedFd};

use std::ffi::CStr;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Stat, Uid, chmod, chownat, fchmod, fchown, fstat, futimens, openat, utimensat,
};
use rustix::io::Errno;

use super::failure::Failure;
use super::folder::Folder;
use super::meta::Meta;
use super::worker::Worker;
use super::{flags, xattrs};

/// What a file is made with, and what is to be set afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Creation {
    pub mode: u32,
    pub chown: bool,
    /// The mode that it shall have in the end, where it is not the one that it was made with.
    pub chmod: Option<u32>,
    /// It may have inode flags from the beginning.
    pub has_flags: bool,
}

/// How to make a file of `folder` that shall be as `meta` says; `has_more`: extended attributes follow.
pub fn creation(worker: &Worker, folder: &Folder, meta: &Meta, has_more: bool) -> Creation {
    let preserve = worker.preserve();
    let wanted = match preserve.mode {
        true => meta.permissions(),
        false => meta.permissions() & 0o777 & !worker.umask,
    };
    let is_owned = folder.owner_of_new == Some((meta.uid, meta.gid));
    let chown = preserve.owner && !is_owned;
    let is_exact = worker.has_own_umask && folder.keeps_modes;
    // Writing takes setuid away; a foreign owner's file is nobody else's until it is his; user attributes need
    // permission to write.
    if is_exact && !chown && wanted & 0o6000 == 0 && (!has_more || wanted & 0o200 != 0) {
        return Creation { mode: wanted, chown, chmod: None, has_flags: folder.gives_flags };
    }
    Creation { mode: wanted & 0o700 | 0o600, chown, chmod: Some(wanted), has_flags: folder.gives_flags }
}

/// Sets everything but the content of a file or directory that this run made.
pub fn set(
    worker: &mut Worker,
    (from, to): (BorrowedFd<'_>, BorrowedFd<'_>),
    meta: &Meta,
    creation: Creation,
) {
    if creation.chown {
        set_owner(worker, to, meta);
    }
    xattrs::copy(worker, from, to);
    if let Some(mode) = creation.chmod {
        set_mode(worker, to, mode);
    }
    set_times(worker, to, meta);
    flags::copy(worker, (from, to), creation.has_flags);
}

pub fn set_owner(worker: &mut Worker, to: BorrowedFd<'_>, meta: &Meta) {
    let is_his = |there: &Stat| (there.st_uid, there.st_gid) == (meta.uid, meta.gid);
    if fstat(to).is_ok_and(|there| is_his(&there)) {
        return;
    }
    let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
    let Err(errno) = fchown(to, Some(uid), Some(gid)) else { return };
    // Who may not give files away may still have the group.
    if errno == Errno::PERM {
        let _ = fchown(to, None, Some(gid));
    }
    note(worker, errno, "set the owner of");
}

pub fn set_mode(worker: &mut Worker, to: BorrowedFd<'_>, mode: u32) {
    if let Err(errno) = fchmod(to, Mode::from_raw_mode(mode)) {
        note(worker, errno, "set the mode of");
    }
}

pub fn set_times(worker: &mut Worker, to: BorrowedFd<'_>, meta: &Meta) {
    if worker.preserve().times
        && let Err(errno) = futimens(to, &meta.timestamps())
    {
        note(worker, errno, "set the times of");
    }
}

/// As [`set`] for what is not opened to set anything: symlinks, FIFOs, sockets and devices.
pub fn set_by_name(
    worker: &mut Worker,
    directory: BorrowedFd<'_>,
    name: &CStr,
    meta: &Meta,
    mode: Option<u32>,
) {
    let preserve = worker.preserve();
    if preserve.owner {
        let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
        if let Err(errno) = chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW) {
            if errno == Errno::PERM {
                let _ = chownat(directory, name, None, Some(gid), AtFlags::SYMLINK_NOFOLLOW);
            }
            note(worker, errno, "set the owner of");
        }
    }
    if let Some(mode) = mode {
        set_mode_by_name(worker, directory, name, mode);
    }
    if preserve.times
        && let Err(errno) = utimensat(directory, name, &meta.timestamps(), AtFlags::SYMLINK_NOFOLLOW)
    {
        note(worker, errno, "set the times of");
    }
}

/// Sets a mode without following a symlink that took the name's place: `fchmodat` has no way to say that.
fn set_mode_by_name(worker: &mut Worker, directory: BorrowedFd<'_>, name: &CStr, mode: u32) {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let set = openat(directory, name, flags, Mode::empty())
        .and_then(|held| chmod(format!("/proc/self/fd/{}", held.as_raw_fd()), Mode::from_raw_mode(mode)));
    if let Err(errno) = set {
        note(worker, errno, "set the mode of");
    }
}

/// What was copied stays when an attribute of it cannot be set; the first failure is told.
pub fn note(worker: &mut Worker, errno: Errno, verb: &'static str) {
    if worker.is_worth_telling(errno) {
        worker.noted.get_or_insert(Failure::Target(verb, errno));
    }
}

//! Inode flags: those that say how a file is used. Those that forbid to change it are left out: the next copy, and
//! whoever wants to remove it, would fail.

use std::os::fd::BorrowedFd;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::io::Errno;

use super::attributes::note;
use super::worker::Worker;

/// What is carried over.
fn kept() -> IFlags {
    IFlags::NODUMP | IFlags::NOATIME | IFlags::SYNC | IFlags::DIRSYNC
}

/// Whether what is made in `directory` may inherit flags that are carried over.
pub fn are_inherited(worker: &Worker, directory: BorrowedFd<'_>) -> bool {
    worker.preserve().flags && ioctl_getflags(directory).is_ok_and(|flags| flags.intersects(kept()))
}

/// Gives `to` the flags of `from`, last of all attributes; file systems without flags have none. `may_have`: `to` may have
/// some already.
pub fn copy(worker: &mut Worker, (from, to): (BorrowedFd<'_>, BorrowedFd<'_>), may_have: bool) {
    if !worker.preserve().flags {
        return;
    }
    let Ok(flags) = ioctl_getflags(from) else { return };
    if flags.intersects(IFlags::APPEND | IFlags::IMMUTABLE) {
        note(worker, Errno::NOTSUP, "keep the append-only or immutable flag of");
    }
    let wanted = flags & kept();
    if wanted.is_empty() && !may_have {
        return;
    }
    let there = match ioctl_getflags(to) {
        Ok(there) => there,
        Err(_) if wanted.is_empty() => return,
        Err(errno) => return note(worker, errno, "set the flags of"),
    };
    if there & kept() == wanted {
        return;
    }
    if let Err(errno) = ioctl_setflags(to, (there - kept()) | wanted) {
        note(worker, errno, "set the flags of");
    }
}

//! Inode flags: those that say how a file is used. Those that forbid to change it are left out: the next copy, and
//! whoever wants to remove it, would fail.

use std::os::fd::BorrowedFd;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::attributes::note;
use super::report::Count;
use super::worker::Worker;

/// What is carried over.
fn kept() -> IFlags {
    IFlags::NODUMP | IFlags::NOATIME | IFlags::SYNC | IFlags::DIRSYNC
}

/// Gives `to` the flags of `from`, last of all attributes; file systems without flags have none.
pub fn copy(worker: &mut Worker, from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    if !worker.preserve().flags {
        return;
    }
    let Ok(flags) = ioctl_getflags(from) else { return };
    if flags.intersects(IFlags::APPEND | IFlags::IMMUTABLE) {
        worker.count(Count::AttributesLeft, 1);
    }
    let wanted = flags & kept();
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

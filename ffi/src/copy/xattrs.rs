//! Extended attributes: the person's own, trusted and security ones, and POSIX ACLs, which are attributes as well.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{XattrFlags, fgetxattr, fgetxattr_query, flistxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

use super::attributes::note;
use super::failure::Failure;
use super::options::Preserve;
use super::worker::Worker;

/// Longest list of names and longest value that Linux has (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const MAX_BYTES: usize = 64 * 1024;

pub const ACL_ACCESS: &CStr = c"system.posix_acl_access";
pub const ACL_DEFAULT: &CStr = c"system.posix_acl_default";

/// Reads the names of the source's attributes into the thread's list; true when there are some to carry over.
pub fn read_names(worker: &mut Worker, from: BorrowedFd<'_>) -> bool {
    worker.names.clear();
    let preserve = worker.preserve();
    if !preserve.xattrs && !preserve.acl {
        return false;
    }
    worker.names.reserve(MAX_BYTES);
    match flistxattr(from, rustix::buffer::spare_capacity(&mut worker.names)) {
        Ok(_) | Err(Errno::NOTSUP | Errno::NOSYS) => {}
        Err(errno) => {
            worker.noted.get_or_insert(Failure::Source("read the extended attributes of", errno));
        }
    }
    names_of(&worker.names).any(|name| is_wanted(name, &preserve))
}

/// Sets the attributes whose names [`read_names`] has read.
pub fn copy(worker: &mut Worker, from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    if worker.names.is_empty() {
        return;
    }
    let names = std::mem::take(&mut worker.names);
    let preserve = worker.preserve();
    names_of(&names)
        .filter(|name| is_wanted(name, &preserve))
        .for_each(|name| copy_one(worker, (from, to), name));
    worker.names = names;
}

fn copy_one(worker: &mut Worker, (from, to): (BorrowedFd<'_>, BorrowedFd<'_>), name: &CStr) {
    worker.value.clear();
    worker.value.reserve(MAX_BYTES);
    match fgetxattr(from, name, rustix::buffer::spare_capacity(&mut worker.value)) {
        Ok(_) => {}
        // Removed meanwhile.
        Err(Errno::NODATA) => return,
        Err(errno) => {
            if worker.is_worth_telling(errno) {
                worker.noted.get_or_insert(Failure::Source("read an extended attribute of", errno));
            }
            return;
        }
    }
    if let Err(errno) = fsetxattr(to, name, &worker.value, XattrFlags::empty()) {
        note(worker, errno, "set an extended attribute of");
    }
}

/// Takes from a new directory what it inherited, when ACLs are carried over; tells whether what is made in it keeps its mode.
pub fn keeps_modes(worker: &Worker, directory: impl AsFd, is_new: bool) -> bool {
    let directory = directory.as_fd();
    match fgetxattr_query(directory, ACL_DEFAULT) {
        Err(Errno::NODATA | Errno::NOTSUP | Errno::NOSYS) => true,
        _ if is_new && worker.preserve().acl => {
            fremovexattr(directory, ACL_DEFAULT).is_ok() && {
                let _ = fremovexattr(directory, ACL_ACCESS);
                true
            }
        }
        _ => false,
    }
}

/// Takes from a new file the ACL that it inherited from a directory that was there before.
pub fn remove_inherited(worker: &Worker, file: BorrowedFd<'_>) {
    if worker.preserve().acl {
        let _ = fremovexattr(file, ACL_ACCESS);
    }
}

fn names_of(list: &[u8]) -> impl Iterator<Item = &CStr> {
    list.split_inclusive(|&byte| byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok())
}

fn is_wanted(name: &CStr, preserve: &Preserve) -> bool {
    match name.to_bytes().starts_with(b"system.") {
        true => preserve.acl,
        false => preserve.xattrs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_into_acls_and_others() {
        let list = b"user.a\0system.posix_acl_access\0security.capability\0";
        let only = |acl, xattrs| {
            let preserve = Preserve { acl, xattrs, ..Preserve::default() };
            names_of(list).filter(|name| is_wanted(name, &preserve)).count()
        };
        assert_eq!((only(true, false), only(false, true), only(true, true)), (1, 2, 3));
    }
}

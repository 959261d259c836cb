//! Extended attributes: the person's own, trusted and security ones, and POSIX ACLs, which are attributes as well.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{
    XattrFlags, fgetxattr, fgetxattr_query, flistxattr, fremovexattr, fsetxattr, lgetxattr, llistxattr,
    lremovexattr, lsetxattr,
};
use rustix::io::Errno;

use super::attributes::note;
use super::failure::Failure;
use super::options::Preserve;
use super::worker::Worker;
use super::xattr_at;

/// Longest list of names and longest value that Linux has (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
pub const MAX_BYTES: usize = 64 * 1024;

/// Room that is tried first: the kernel allocates as much as it is offered, and 64 KiB of it cost more than the list.
pub const USUAL_BYTES: usize = 512;

/// Reads a list or a value into `space` with as much room as it needs.
fn read(
    space: &mut Vec<u8>,
    ask: impl Fn(rustix::buffer::SpareCapacity<'_, u8>) -> Result<usize, Errno>,
) -> Result<(), Errno> {
    space.clear();
    if space.capacity() != USUAL_BYTES {
        *space = Vec::with_capacity(USUAL_BYTES);
    }
    for room in [USUAL_BYTES, MAX_BYTES] {
        space.reserve(room);
        match ask(rustix::buffer::spare_capacity(space)) {
            Err(Errno::RANGE) if room < MAX_BYTES => {}
            result => return result.map(|_| ()),
        }
    }
    Ok(())
}

pub const ACL_ACCESS: &CStr = c"system.posix_acl_access";
pub const ACL_DEFAULT: &CStr = c"system.posix_acl_default";

/// Reads the names of the source's attributes into the thread's list; true when there are some to carry over.
pub fn read_names(worker: &mut Worker, from: BorrowedFd<'_>) -> bool {
    worker.names.clear();
    let preserve = worker.preserve();
    if !preserve.xattrs && !preserve.acl {
        return false;
    }
    match read(&mut worker.names, |space| flistxattr(from, space)) {
        Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS) => {}
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
    match read(&mut worker.value, |space| fgetxattr(from, name, space)) {
        Ok(()) => {}
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

/// Takes from a new file the ACL that it inherited from a directory that was there before, unless it gets one of its own.
pub fn remove_inherited(worker: &Worker, file: BorrowedFd<'_>) {
    if worker.preserve().acl && !names_of(&worker.names).any(|name| name == ACL_ACCESS) {
        let _ = fremovexattr(file, ACL_ACCESS);
    }
}

/// The attributes that are carried over, by name.
type Attributes = BTreeMap<CString, Vec<u8>>;

/// Gives `to` the attributes of `from` where they differ, and takes from it those that `from` has not; tells whether any
/// differed. Works for every kind of entry, as nothing is opened. With `apply` false it only tells.
pub fn align(
    worker: &mut Worker,
    from: (BorrowedFd<'_>, &CStr),
    to: (BorrowedFd<'_>, &CStr),
    apply: bool,
) -> bool {
    let preserve = worker.preserve();
    if !preserve.xattrs && !preserve.acl {
        return false;
    }
    let (wanted, there) = (read_all(worker, from), read_all(worker, to));
    let (wanted, there) = match (wanted, there) {
        (Ok(wanted), Ok(there)) => (wanted, there),
        (Err(errno), _) => {
            if worker.is_worth_telling(errno) {
                worker.noted.get_or_insert(Failure::Source("read the extended attributes of", errno));
            }
            return false;
        }
        (_, Err(errno)) => {
            note(worker, errno, "read the extended attributes of");
            return false;
        }
    };
    let set = wanted.iter().filter(|(name, value)| there.get(*name) != Some(value));
    let removed = there.keys().filter(|name| !wanted.contains_key(*name) && is_removed(name));
    let (set, removed): (Vec<_>, Vec<_>) = (set.collect(), removed.collect());
    if apply && (!set.is_empty() || !removed.is_empty()) {
        let path = reach(worker, to.0, to.1);
        for (name, value) in &set {
            if let Err(errno) = lsetxattr(&*path, &***name, value, XattrFlags::empty()) {
                note(worker, errno, "set an extended attribute of");
            }
        }
        for name in &removed {
            if let Err(errno) = lremovexattr(&*path, &***name) {
                note(worker, errno, "remove an extended attribute of");
            }
        }
    }
    !set.is_empty() || !removed.is_empty()
}

fn read_all(worker: &mut Worker, at: (BorrowedFd<'_>, &CStr)) -> Result<Attributes, Errno> {
    let listed = match xattr_at::is_there() {
        true => xattr_at::list(at.0, at.1, &mut worker.names),
        false => {
            let path = reach(worker, at.0, at.1);
            read(&mut worker.names, |space| llistxattr(&*path, space))
        }
    };
    match listed {
        Ok(()) => {}
        Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Attributes::new()),
        Err(errno) => return Err(errno),
    }
    let preserve = worker.preserve();
    let mut attributes = Attributes::new();
    if worker.names.is_empty() {
        return Ok(attributes);
    }
    let path = reach(worker, at.0, at.1);
    for name in names_of(&worker.names).filter(|name| is_wanted(name, &preserve)) {
        match read(&mut worker.value, |space| lgetxattr(&*path, name, space)) {
            Ok(()) => drop(attributes.insert(name.to_owned(), worker.value.clone())),
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(attributes)
}

/// A path to `name` of an open directory: there are no calls for attributes that take both before Linux 6.13. This thread's
/// own working directory becomes that directory where it has one of its own.
fn reach<'a>(worker: &Worker, directory: BorrowedFd<'_>, name: &'a CStr) -> Cow<'a, CStr> {
    if worker.has_own_umask && rustix::process::fchdir(directory).is_ok() {
        return Cow::Borrowed(name);
    }
    let path = [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name.to_bytes()].concat();
    Cow::Owned(CString::new(path).expect("no NUL in either"))
}

/// Attributes that the system gives by itself stay where they are.
fn is_removed(name: &CStr) -> bool {
    let name = name.to_bytes();
    !name.starts_with(b"security.") || name == b"security.capability"
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

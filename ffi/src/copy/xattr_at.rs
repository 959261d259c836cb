//! Names of extended attributes of an entry of an open directory, by `listxattrat` (Linux 6.13): the calls before it want a
//! path, for which this thread would have to change its working directory twice for every file that is compared.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;

use rustix::fs::CWD;
use rustix::io::Errno;

use super::xattrs::{MAX_BYTES, USUAL_BYTES};

/// The call's number: calls that were added since 2019 have one number on x86-64, ARM and RISC-V alike.
const LISTXATTRAT: c_long = 465;

/// `AT_SYMLINK_NOFOLLOW` of fcntl(2).
const NOFOLLOW: c_uint = 0x100;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// Whether the kernel, and whatever guards this process, has the call.
pub fn is_there() -> bool {
    static IS_THERE: OnceLock<bool> = OnceLock::new();
    // Guards that do not know a call say EPERM.
    *IS_THERE
        .get_or_init(|| !matches!(call(CWD, c"/", &mut []), Err(Errno::NOSYS | Errno::PERM | Errno::INVAL)))
}

/// Reads the names of `name` of `directory`, a symlink's own, into `names`.
pub fn list(directory: BorrowedFd<'_>, name: &CStr, names: &mut Vec<u8>) -> Result<(), Errno> {
    for room in [USUAL_BYTES, MAX_BYTES] {
        names.clear();
        names.reserve(room);
        match call(directory, name, &mut names.spare_capacity_mut()[..room]) {
            Err(Errno::RANGE) if room < MAX_BYTES => {}
            Err(errno) => return Err(errno),
            Ok(length) => {
                // SAFETY: the kernel has written that many bytes of the room that it was offered.
                unsafe { names.set_len(length) };
                break;
            }
        }
    }
    Ok(())
}

fn call(directory: BorrowedFd<'_>, name: &CStr, space: &mut [MaybeUninit<u8>]) -> Result<usize, Errno> {
    let (directory, name, room): (c_int, *const c_char, usize) =
        (directory.as_raw_fd(), name.as_ptr(), space.len());
    // SAFETY: the descriptor stays open and the name, which ends with NUL, stays where it is during the call; the kernel writes at
    // most `room` bytes, all of them inside of `space`, and keeps neither pointer.
    let length = unsafe { syscall(LISTXATTRAT, directory, name, NOFOLLOW, space.as_mut_ptr(), room) };
    usize::try_from(length)
        .map_err(|_| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use rustix::fs::{XattrFlags, lsetxattr};

    use super::*;

    #[test]
    fn list_gives_what_a_path_gives_for_every_kind_and_length() {
        if !is_there() {
            return eprintln!("ignored: this kernel has no listxattrat");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["none", "one", "many"] {
            fs::write(path(name), name).unwrap();
        }
        symlink("many", path("link")).unwrap();
        lsetxattr(path("one"), "user.one", b"1", XattrFlags::empty()).unwrap();
        // More names than the room that is tried first has.
        for number in 0..30 {
            let name = format!("user.{}-{number}", "n".repeat(30));
            lsetxattr(path("many"), name.as_str(), b"", XattrFlags::empty()).unwrap();
        }
        let directory = File::open(dir.path()).unwrap();
        let mut names = b"left from before".to_vec();
        for name in [c"none", c"one", c"many", c"link", c"."] {
            let mut wanted = vec![0; 4096];
            let length = rustix::fs::llistxattr(path(name.to_str().unwrap()), &mut wanted[..]).unwrap();
            list(directory.as_fd(), name, &mut names).unwrap();
            assert_eq!(names, wanted[..length], "{name:?}");
        }
        list(directory.as_fd(), c"many", &mut names).unwrap();
        assert!(names.len() > USUAL_BYTES, "{}", names.len());
        assert_eq!(list(directory.as_fd(), c"nobody", &mut names), Err(Errno::NOENT));
    }
}

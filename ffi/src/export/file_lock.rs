//! `src/native/file_lock.ts`: locks of files against other processes (`flock`).

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::{bytes, guarded};
use crate::error::{Error, Result};
use crate::handles::Handles;
use crate::io::name::quoted_path;

fn locks() -> &'static Handles {
    static LOCKS: OnceLock<Handles> = OnceLock::new();
    LOCKS.get_or_init(Handles::default)
}

/// Locks the file `path`, made with mode 0600 where there is none, and gives a handle; 0 when somebody else has a lock that
/// excludes this one. It never waits. The lock ends with the handle or with the process.
///
/// # Safety
/// `path` is valid for `length` bytes; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_lock_try(path: *const u8, length: usize, exclusive: u32, error: *mut u8) -> i64 {
    // SAFETY: the buffer lives for this call, as documented.
    unsafe {
        guarded(error, || {
            let path = Path::new(OsStr::from_bytes(bytes(path, length)));
            match locked(path, exclusive != 0)? {
                Some(file) => Ok(locks().insert(Arc::new(file))? as i64),
                None => Ok(0),
            }
        })
    }
}

/// Ends a lock; a dead handle is no error.
#[unsafe(no_mangle)]
pub extern "C" fn wh_lock_close(handle: u32) {
    // SAFETY: no error buffer is given.
    unsafe {
        guarded(std::ptr::null_mut(), || {
            locks().remove::<File>(handle)?;
            Ok(0)
        });
    }
}

fn locked(path: &Path, exclusive: bool) -> Result<Option<File>> {
    let failed = |error: std::io::Error| Error::io(format!("Cannot lock {}", quoted_path(path)), &error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)
        .map_err(failed)?;
    match if exclusive { file.try_lock() } else { file.try_lock_shared() } {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_exclude_each_other_unless_both_are_shared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let shared = locked(&path, false).unwrap().unwrap();
        let other = locked(&path, false).unwrap().unwrap();
        assert!(locked(&path, true).unwrap().is_none());
        drop((shared, other));
        let exclusive = locked(&path, true).unwrap().unwrap();
        assert!(locked(&path, false).unwrap().is_none());
        drop(exclusive);
        assert!(locked(&path, true).unwrap().is_some());
    }

    #[test]
    fn a_symlink_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
        assert!(locked(&path, true).is_err());
        assert!(!folder.path().join("elsewhere").exists());
    }
}

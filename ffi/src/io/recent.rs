//! The newest word of what is staged: records of verified ranges, in the staging folder's lock file.
//!
//! The journal hears of them several times a second; what a killed program had not told it yet is here. The records are
//! written after the bytes that they speak of and neither is synced, so they hold within one run of the system only, and
//! one mount of the file system: a disk that is pulled out loses what a power cut does. The file begins with the names
//! of both.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, StatxFlags, statx};

/// Bytes of one record, and of the head.
pub const RECENT_RECORD_BYTES: usize = 48;

/// Most that is read: 5.6 million records, 22 TiB of whole chunks.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Where records are written.
pub struct Recent(File);

impl Recent {
    /// Begins the records in an empty lock file; none where the system does not name its runs.
    pub(super) fn begin(lock: BorrowedFd<'_>) -> Option<Recent> {
        let mut file = File::from(lock.try_clone_to_owned().ok()?);
        file.write_all(&head(lock)?).ok()?;
        Some(Recent(file))
    }

    /// Adds records. Calls must not overlap.
    ///
    /// # Errors
    /// What the disk says; what was written in part is not read.
    pub fn append(&self, records: &[u8]) -> std::io::Result<()> {
        (&self.0).write_all(records)
    }
}

/// Whether a lock file was made in this run of the system and this mount of its file system: then what was written
/// beside it is there, synced or not.
pub(super) fn is_of_this_run(lock: BorrowedFd<'_>) -> bool {
    let Ok(file) = lock.try_clone_to_owned().map(File::from) else { return false };
    let mut bytes = [0; RECENT_RECORD_BYTES];
    head(lock).is_some_and(|head| file.read_exact_at(&mut bytes, 0).is_ok() && bytes == head)
}

/// Reads the records of a lock file; none when they are of an earlier run of the system.
pub(super) fn read(lock: BorrowedFd<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(file) = lock.try_clone_to_owned().map(File::from) else { return bytes };
    let is_ours = file.take(MAX_BYTES).read_to_end(&mut bytes).is_ok()
        && head(lock).is_some_and(|head| bytes.starts_with(&head));
    if !is_ours {
        return Vec::new();
    }
    bytes.truncate(bytes.len() - bytes.len() % RECENT_RECORD_BYTES);
    bytes.split_off(RECENT_RECORD_BYTES)
}

fn head(lock: BorrowedFd<'_>) -> Option<[u8; RECENT_RECORD_BYTES]> {
    let name = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let mut head = [0; RECENT_RECORD_BYTES];
    let length = name.len().min(RECENT_RECORD_BYTES - size_of::<u64>());
    head[..length].copy_from_slice(&name[..length]);
    head[RECENT_RECORD_BYTES - size_of::<u64>()..].copy_from_slice(&mount(lock)?.to_le_bytes());
    Some(head)
}

/// The mount's number: one that no other mount ever has (Linux 6.8), or one that is used again (5.8).
fn mount(lock: BorrowedFd<'_>) -> Option<u64> {
    /// STATX_MNT_ID_UNIQUE, which the kernel passes over when it does not know it.
    const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
    let found = statx(lock.as_fd(), "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID | UNIQUE).ok()?;
    (found.stx_mask & (StatxFlags::MNT_ID | UNIQUE).bits() != 0).then_some(found.stx_mnt_id)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn whole_records_of_this_run_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let open =
            || File::options().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
        let Some(recent) = Recent::begin(open().as_fd()) else { return };
        recent.append(&[7; 2 * RECENT_RECORD_BYTES]).unwrap();
        recent.append(&[8; RECENT_RECORD_BYTES + 5]).unwrap();
        let expected = [vec![7; 2 * RECENT_RECORD_BYTES], vec![8; RECENT_RECORD_BYTES]].concat();
        assert_eq!(read(open().as_fd()), expected);

        assert!(is_of_this_run(open().as_fd()));
        for (at, what) in [(3, "run of the system"), (RECENT_RECORD_BYTES - 8, "mount")] {
            let mut other = std::fs::read(&path).unwrap();
            other[at] ^= 1;
            std::fs::write(&path, &other).unwrap();
            assert!(read(open().as_fd()).is_empty(), "of another {what}");
            assert!(!is_of_this_run(open().as_fd()), "of another {what}");
            other[at] ^= 1;
            std::fs::write(&path, &other).unwrap();
        }
        std::fs::write(&path, "").unwrap();
        assert!(read(open().as_fd()).is_empty());
    }
}

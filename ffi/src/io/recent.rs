//! The newest word of what is staged: records of verified ranges, in the staging folder's lock file.
//!
//! The journal hears of them several times a second; what a killed program had not told it yet is here. The records are
//! written after the bytes that they speak of and neither is synced, so they hold within one run of the system only:
//! the file begins with the name of that run.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;

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
        file.write_all(&head()?).ok()?;
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

/// Reads the records of a lock file; none when they are of an earlier run of the system.
pub(super) fn read(lock: BorrowedFd<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(file) = lock.try_clone_to_owned().map(File::from) else { return bytes };
    let is_ours = file.take(MAX_BYTES).read_to_end(&mut bytes).is_ok()
        && head().is_some_and(|head| bytes.starts_with(&head));
    if !is_ours {
        return Vec::new();
    }
    bytes.truncate(bytes.len() - bytes.len() % RECENT_RECORD_BYTES);
    bytes.split_off(RECENT_RECORD_BYTES)
}

fn head() -> Option<[u8; RECENT_RECORD_BYTES]> {
    let name = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let mut head = [0; RECENT_RECORD_BYTES];
    let length = name.len().min(RECENT_RECORD_BYTES);
    head[..length].copy_from_slice(&name[..length]);
    Some(head)
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

        let mut other = std::fs::read(&path).unwrap();
        other[3] ^= 1;
        std::fs::write(&path, other).unwrap();
        assert!(read(open().as_fd()).is_empty(), "of another run of the system");
        std::fs::write(&path, "").unwrap();
        assert!(read(open().as_fd()).is_empty());
    }
}

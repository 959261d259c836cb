//! Stamps: which file was seen and in what state, as 40 bytes that TypeScript keeps and never looks into.

use std::fs::File;

use rustix::fs::{FileType, Stat, fstat};

use super::walk::{FileRef, ctime_ns, mtime_ns};
use crate::error::{Error, Kind, Result};

/// Device u64, inode u64, size u64, mtime i64 ns, ctime i64 ns; little endian (`src/store/file_stamp.ts`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub dev: u64,
    pub ino: u64,
    pub size: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
}

/// Length of an encoded stamp.
pub const STAMP_BYTES: usize = 40;

impl Stamp {
    /// The stamp of an open regular file.
    ///
    /// # Errors
    /// UNSUPPORTED when it is something else.
    pub fn of(file: &File) -> Result<Stamp> {
        let stat = fstat(file).map_err(|errno| Error::io("Cannot look at a file", &errno.into()))?;
        if FileType::from_raw_mode(stat.st_mode as _) != FileType::RegularFile {
            return Err(Error::new(Kind::Unsupported, "Cannot look at a file: it is no regular file"));
        }
        Ok(Stamp::from(&stat))
    }

    pub fn encode(&self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..8].copy_from_slice(&self.dev.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.ino.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.size.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.mtime_ns.to_le_bytes());
        bytes[32..].copy_from_slice(&self.ctime_ns.to_le_bytes());
        bytes
    }

    /// Reads an encoded stamp; none when its length is wrong.
    pub fn decode(bytes: &[u8]) -> Option<Stamp> {
        let bytes: &[u8; STAMP_BYTES] = bytes.try_into().ok()?;
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        Some(Stamp {
            dev: number(0),
            ino: number(8),
            size: number(16),
            mtime_ns: number(24) as i64,
            ctime_ns: number(32) as i64,
        })
    }
}

impl From<&Stat> for Stamp {
    fn from(stat: &Stat) -> Stamp {
        Stamp {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            size: stat.st_size as u64,
            mtime_ns: mtime_ns(stat),
            ctime_ns: ctime_ns(stat),
        }
    }
}

impl From<&FileRef> for Stamp {
    fn from(file: &FileRef) -> Stamp {
        let FileRef { dev, ino, size, mtime_ns, ctime_ns, .. } = *file;
        Stamp { dev, ino, size, mtime_ns, ctime_ns }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_stamp_is_the_same_until_the_file_changes() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one").unwrap();
        let stamp = Stamp::of(&file).unwrap();
        assert_eq!(Stamp::decode(&stamp.encode()), Some(stamp));
        assert_eq!(Stamp::of(&file).unwrap(), stamp);
        file.write_all(b"two").unwrap();
        assert_ne!(Stamp::of(&file).unwrap(), stamp);
        assert_eq!(Stamp::decode(&stamp.encode()[1..]), None);
    }

    #[test]
    fn only_regular_files_have_stamps() {
        let directory = File::open("/").unwrap();
        assert_eq!(Stamp::of(&directory).unwrap_err().kind, Kind::Unsupported);
    }
}

//! What the system says about an entry, in the fields that a copy needs.

use rustix::fs::{FileType, Stat, Timespec, Timestamps};

/// Kinds of entries as they cross the seam; 1 to 3 are those of a manifest.
pub const KIND_FILE: u8 = 1;
pub const KIND_DIRECTORY: u8 = 2;
pub const KIND_SYMLINK: u8 = 3;
pub const KIND_FIFO: u8 = 5;
pub const KIND_CHARACTER_DEVICE: u8 = 6;
pub const KIND_BLOCK_DEVICE: u8 = 7;
pub const KIND_SOCKET: u8 = 8;

/// Unit of `st_blocks`, whatever the file system's own blocks are (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// Seconds since 1970 and nanoseconds.
pub type Time = (i64, i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    pub device: u64,
    pub inode: u64,
    /// Type and permission bits.
    pub mode: u32,
    pub links: u64,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub allocated: u64,
    pub rdev: u64,
    pub atime: Time,
    pub mtime: Time,
    pub ctime: Time,
}

impl From<Stat> for Meta {
    fn from(stat: Stat) -> Meta {
        Meta {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            mode: stat.st_mode as u32,
            links: stat.st_nlink as u64,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size as u64,
            allocated: stat.st_blocks as u64 * BLOCK_BYTES,
            rdev: stat.st_rdev as u64,
            atime: (stat.st_atime as i64, stat.st_atime_nsec as i64),
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }
}

impl Meta {
    /// Which inode it is.
    pub fn id(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Permission bits with setuid, setgid and sticky.
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }

    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    pub fn kind(&self) -> u8 {
        kind_of(self.file_type())
    }

    /// Some of it takes no room on the disk: holes, compression, or storage inside the inode.
    pub fn may_have_holes(&self) -> bool {
        self.allocated < self.size
    }

    /// Nothing has happened to it since it was `before`.
    pub fn is_as(&self, before: &Meta) -> bool {
        self.id() == before.id()
            && self.size == before.size
            && self.mtime == before.mtime
            && self.ctime == before.ctime
    }

    pub fn timestamps(&self) -> Timestamps {
        let time = |(seconds, nanoseconds): Time| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
        Timestamps { last_access: time(self.atime), last_modification: time(self.mtime) }
    }
}

pub fn kind_of(file_type: FileType) -> u8 {
    match file_type {
        FileType::RegularFile => KIND_FILE,
        FileType::Directory => KIND_DIRECTORY,
        FileType::Symlink => KIND_SYMLINK,
        FileType::Fifo => KIND_FIFO,
        FileType::CharacterDevice => KIND_CHARACTER_DEVICE,
        FileType::BlockDevice => KIND_BLOCK_DEVICE,
        FileType::Socket => KIND_SOCKET,
        FileType::Unknown => 0,
    }
}

/// What an entry of that type is called in a sentence.
pub fn noun(file_type: FileType) -> &'static str {
    match file_type {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Socket => "a socket",
        FileType::Unknown => "of a kind that is not known",
    }
}

//! One directory's names with their types, in one allocation, in the order of their inodes.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::{FileType, RawDir};
use rustix::io::{Errno, Result};

/// Room for one `getdents64`; larger costs memory per thread and saves no measurable time.
const READ_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy)]
struct Span {
    inode: u64,
    start: u32,
    /// Length of the name with its NUL.
    length: u16,
    file_type: FileType,
}

/// The entries of one directory, without `.` and `..`.
#[derive(Default)]
pub struct Listing {
    names: Vec<u8>,
    spans: Vec<Span>,
}

impl Listing {
    /// Reads all of `directory`, files before directories, each by inode: that is how they lie on a disk.
    // Its buffer must not lie on the stack of a caller that calls itself.
    #[inline(never)]
    pub fn read(directory: impl AsFd) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut buffer = [MaybeUninit::<u8>::uninit(); READ_BYTES];
        let mut entries = RawDir::new(directory, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Err(Errno::INTR) => continue,
                entry => entry?,
            };
            let name = entry.file_name().to_bytes_with_nul();
            if name == b".\0" || name == b"..\0" {
                continue;
            }
            let start = u32::try_from(listing.names.len()).map_err(|_| Errno::OVERFLOW)?;
            listing.spans.push(Span {
                inode: entry.ino(),
                start,
                length: name.len() as u16,
                file_type: entry.file_type(),
            });
            listing.names.extend_from_slice(name);
        }
        listing.spans.sort_unstable_by_key(|span| (span.file_type == FileType::Directory, span.inode));
        listing.names.shrink_to_fit();
        Ok(listing)
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// How many entries precede the directories; those whose type the file system does not tell are among them.
    pub fn before_directories(&self) -> usize {
        self.spans.partition_point(|span| span.file_type != FileType::Directory)
    }

    pub fn name(&self, index: usize) -> &CStr {
        let Span { start, length, .. } = self.spans[index];
        let bytes = &self.names[start as usize..start as usize + length as usize];
        CStr::from_bytes_with_nul(bytes).expect("the kernel's names end with their only NUL")
    }

    pub fn file_type(&self, index: usize) -> FileType {
        self.spans[index].file_type
    }
}

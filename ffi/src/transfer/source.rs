//! A file on the sending side, from being listed until its last range has been read.

use std::fs::File;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::encode::History;
use crate::error::{Error, Kind, Result};
use crate::io::name::quoted_path;
use crate::io::read::{self, Extent};
use crate::io::walk::FileRef;

/// A listed file with what is still to be read of it.
pub struct Source {
    pub reference: FileRef,
    /// Requested bytes that have not been read yet.
    pub remaining: AtomicU64,
    /// Number of the error that the file failed with; 0 while it has not.
    failed: AtomicU16,
    /// How its frames shrank.
    pub history: History,
    file: Mutex<Option<Arc<File>>>,
    /// The run of data that was found last.
    extent: Mutex<Extent>,
}

impl Source {
    pub fn new(reference: FileRef) -> Source {
        Source {
            reference,
            remaining: AtomicU64::new(0),
            failed: AtomicU16::new(0),
            history: History::default(),
            file: Mutex::new(None),
            extent: Mutex::default(),
        }
    }

    /// The open file, shared by the threads that read its chunks.
    pub fn open(&self) -> Result<Arc<File>> {
        let mut file = self.file.lock().unwrap();
        if let Some(file) = &*file {
            return Ok(file.clone());
        }
        let opened = Arc::new(read::open_source(&self.reference)?);
        *file = Some(opened.clone());
        Ok(opened)
    }

    /// The parts of a range that are not holes.
    pub fn data_ranges(&self, file: &File, offset: u64, length: u64) -> Vec<Range<u64>> {
        // Threads that work on other extents of one file only ask more often; a copy keeps them from waiting.
        let mut extent = self.extent.lock().unwrap().clone();
        let ranges = read::data_ranges(file, offset, length, &mut extent);
        *self.extent.lock().unwrap() = extent;
        ranges
    }

    /// The hole around `offset`, as far as it was seen; none when that is data or was not looked at.
    pub fn hole_at(&self, offset: u64) -> Option<Range<u64>> {
        let Extent { hole_start, data } = self.extent.lock().unwrap().clone();
        (hole_start..data.start).contains(&offset).then_some(offset..data.start)
    }

    /// Counts `bytes` as read; true for the one call that makes nothing remain.
    pub fn finish_range(&self, bytes: u64) -> bool {
        self.remaining.fetch_sub(bytes, Ordering::AcqRel) == bytes
    }

    /// Marks the file as failed with `kind`; true for the first call.
    pub fn fail(&self, kind: Kind) -> bool {
        self.failed.compare_exchange(0, kind as u16, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Number of the error that the file failed with, once it has.
    pub fn failure(&self) -> Option<u16> {
        Some(self.failed.load(Ordering::Acquire)).filter(|&number| number != 0)
    }

    /// Lets the file go once it is done.
    pub fn close(&self) {
        *self.file.lock().unwrap() = None;
    }

    /// Fails unless the open file is still as it was listed.
    pub fn check_unchanged(&self, file: &File) -> Result<()> {
        if read::unchanged(file, &self.reference)? {
            return Ok(());
        }
        Err(self.changed())
    }

    pub fn changed(&self) -> Error {
        Error::new(
            Kind::SourceChanged,
            format!(
                "Cannot send {}: it changed while it was being read",
                quoted_path(&self.reference.path())
            ),
        )
    }

    /// Where the file is, for messages.
    pub fn path(&self) -> Vec<u8> {
        self.reference.path().into_os_string().into_vec()
    }
}

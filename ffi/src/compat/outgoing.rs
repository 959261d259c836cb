//! A file, or a zipped folder, on its way to a magic-wormhole client.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::record::{Records, SENT_RECORD_BYTES};
use crate::error::{Error, Kind, Result};
use crate::io::name::quoted_path;

/// Bytes that are read and sealed before they are sent.
const BATCH_BYTES: usize = 1024 * 1024;

/// One thing that is sent.
pub struct Outgoing {
    file: File,
    size: u64,
    /// Read from the file.
    taken: u64,
    sum: Sha256,
    buffer: Vec<u8>,
}

impl Outgoing {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// IS_DIRECTORY or UNSUPPORTED for what is no file; what opening fails with.
    pub fn open(path: &Path) -> Result<Outgoing> {
        let failed = |error: std::io::Error| Error::io(format!("Cannot open {}", quoted_path(path)), &error);
        let kind = std::fs::metadata(path).map_err(failed)?;
        if !kind.is_file() {
            let (kind, what) =
                if kind.is_dir() { (Kind::IsDirectory, "a folder") } else { (Kind::Unsupported, "no file") };
            return Err(Error::new(kind, format!("Cannot send {}: it is {what}", quoted_path(path))));
        }
        Outgoing::of(File::open(path).map_err(failed)?)
    }

    /// Sends `file` from its beginning.
    pub fn of(file: File) -> Result<Outgoing> {
        let size = file.metadata().map_err(|error| Error::io("Cannot look at a file", &error))?.len();
        Ok(Outgoing { file, size, taken: 0, sum: Sha256::new(), buffer: Vec::new() })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// SHA-256 of what was read so far.
    pub fn sum(&self) -> [u8; 32] {
        self.sum.clone().finalize().into()
    }

    /// Sends until `until`, about `most` bytes are sent, or everything is; gives how much has been taken, and whether
    /// everything is sent.
    ///
    /// # Errors
    /// SOURCE_CHANGED when the file is shorter or longer than it was; what [`Records::flush`] fails with.
    pub fn push(
        &mut self,
        records: &mut Records,
        until: Instant,
        most: u64,
        cancelled: &AtomicBool,
    ) -> Result<(u64, bool)> {
        let begun = self.taken;
        loop {
            if !records.flush(until, cancelled)? {
                return Ok((self.taken, false));
            }
            if self.taken == self.size {
                self.assert_at_end()?;
                return Ok((self.taken, true));
            }
            if self.taken - begun >= most || (self.taken > begun && Instant::now() >= until) {
                return Ok((self.taken, false));
            }
            self.take(records)?;
        }
    }

    /// Reads and seals the next part.
    fn take(&mut self, records: &mut Records) -> Result<()> {
        let wanted = (self.size - self.taken).min(BATCH_BYTES as u64) as usize;
        self.buffer.resize(wanted, 0);
        self.file.read_exact(&mut self.buffer).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => changed(),
            _ => Error::io("Cannot read what is sent", &error),
        })?;
        self.sum.update(&self.buffer);
        for content in self.buffer.chunks(SENT_RECORD_BYTES) {
            records.seal(content)?;
        }
        self.taken += wanted as u64;
        Ok(())
    }

    fn assert_at_end(&mut self) -> Result<()> {
        match self.file.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(changed()),
            Err(error) => Err(Error::io("Cannot read what is sent", &error)),
        }
    }
}

fn changed() -> Error {
    Error::new(Kind::SourceChanged, "Cannot send: the file changed while it was sent")
}

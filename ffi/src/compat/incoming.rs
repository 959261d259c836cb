//! A file, or a zipped folder, on its way from a magic-wormhole client into a staging folder.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::record::{MAX_RECORD_BYTES, Records};
use super::unpack::{Bounds, Unpacked, unpack};
use crate::error::{Error, Kind, Result};
use crate::io::stage::{CommitPolicy, Staging};

/// Staged name of what is received.
const DATA: &[u8] = b"data";

/// Staged name of the folder that it is unpacked into.
const FOLDER: &[u8] = b"folder";

/// One thing that is received; what is not placed disappears with it.
pub struct Incoming {
    staging: Staging,
    file: File,
    size: u64,
    received: u64,
    sum: Sha256,
    unpacked: bool,
}

impl Incoming {
    /// Prepares for `size` bytes on the disk of the directory `destination`.
    pub fn create(destination: &Path, size: u64) -> Result<Incoming> {
        let staging = Staging::create_alone(destination)?;
        // It grows as it comes: a size that a peer made up costs nothing.
        let file = staging.create_file(DATA, 0)?;
        Ok(Incoming { staging, file, size, received: 0, sum: Sha256::new(), unpacked: false })
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    pub fn is_complete(&self) -> bool {
        self.received == self.size
    }

    /// Takes what comes until `until`, `most` bytes have come, or everything is there.
    ///
    /// # Errors
    /// PROTOCOL when more comes than was offered; what [`Records::next`] and the disk fail with.
    pub fn pull(
        &mut self,
        records: &mut Records,
        until: Instant,
        most: u64,
        cancelled: &AtomicBool,
    ) -> Result<()> {
        let mut pulled = 0;
        while !self.is_complete() && pulled < most {
            let Some(content) = records.next(until, MAX_RECORD_BYTES, cancelled)? else { break };
            if content.is_empty() || content.len() as u64 > self.size - self.received {
                let text = "Cannot receive: the other side sends something else than it offered";
                return Err(Error::new(Kind::Protocol, text));
            }
            self.file
                .write_all(content)
                .map_err(|error| Error::io("Cannot write what is received", &error))?;
            self.sum.update(content);
            self.received += content.len() as u64;
            pulled += content.len() as u64;
            if Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    /// SHA-256 of what has come.
    pub fn sum(&self) -> [u8; 32] {
        self.sum.clone().finalize().into()
    }

    /// Unpacks the complete archive beside itself; see [`unpack`].
    pub fn unpack(&mut self, bounds: Bounds, cancelled: &AtomicBool) -> Result<Unpacked> {
        self.assert_complete()?;
        self.staging.make_directory(FOLDER)?;
        let archive = self.staging.open_file(DATA)?;
        let unpacked = unpack(archive, &self.staging, FOLDER, bounds, cancelled)?;
        self.staging.remove_file(DATA)?;
        self.unpacked = true;
        Ok(unpacked)
    }

    /// Moves what is complete to `name` in the destination, once it is on the disk.
    ///
    /// # Errors
    /// DESTINATION_EXISTS when `policy` is Fresh and something is there; the first thing that could not be placed.
    pub fn place(&mut self, name: &[u8], policy: CommitPolicy) -> Result<()> {
        self.assert_complete()?;
        let staged = if self.unpacked {
            self.staging.barrier()?;
            FOLDER
        } else {
            let permissions = std::fs::Permissions::from_mode(self.staging.file_mode());
            self.file
                .set_permissions(permissions)
                .and_then(|()| self.file.sync_all())
                .map_err(|error| Error::io("Cannot write what was received to the disk", &error))?;
            DATA
        };
        let mut failures = Vec::new();
        self.staging.commit(staged, name, policy, &mut failures)?;
        self.staging.sync_names()?;
        match failures.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    fn assert_complete(&self) -> Result<()> {
        if self.is_complete() {
            return Ok(());
        }
        Err(Error::new(Kind::InvalidArgument, "Cannot place what has not come completely"))
    }
}

//! The backend that uses nothing but the standard library once a file is open: runs everywhere.

use std::fs::File;
use std::io;

use super::{Backend, CopyRange, CreateFailure, CreateFile, ReadFailure, ReadFile, Seen, platform};

/// Bytes copied at once.
const COPY_BYTES: usize = 256 * 1024;

/// Plain blocking calls, one after the other.
pub struct Plain;

impl Backend for Plain {
    fn name(&self) -> &'static str {
        "std"
    }
}

pub(super) fn read_file(file: &mut ReadFile<'_>) -> Result<(), ReadFailure> {
    let opened = platform::open_source(file.directory, file.name)?;
    let read = read_at(&opened, file.space, 0);
    judge(platform::look(&opened), &file.seen, read, file.space.len())
}

/// Tells whether what was read is the listed file: looked at after its last byte, so one look covers both.
pub(super) fn judge(
    looked: io::Result<Option<Seen>>,
    seen: &Seen,
    read: io::Result<usize>,
    wanted: usize,
) -> Result<(), ReadFailure> {
    let Some(now) = looked.map_err(ReadFailure::Read)? else { return Err(ReadFailure::Replaced) };
    if (now.device, now.inode) != (seen.device, seen.inode) {
        return Err(ReadFailure::Replaced);
    }
    if now != *seen || read.map_err(ReadFailure::Read)? != wanted {
        return Err(ReadFailure::Changed);
    }
    Ok(())
}

pub(super) fn create_file(file: &CreateFile<'_>) -> Result<(), CreateFailure> {
    let (mode, set) = creation_mode(file);
    let made = platform::create_new(file.directory, file.name, mode).map_err(CreateFailure::Create)?;
    let result = write_at(&made, file.bytes, 0).map_err(CreateFailure::Write).and_then(|()| {
        platform::set_attributes(&made, set, file.mtime_ns).map_err(CreateFailure::Attributes)
    });
    drop(made);
    if result.is_err() {
        let _ = platform::remove(file.directory, file.name);
    }
    result
}

/// The mode to create a file with, and the one to set afterwards if that does not do.
pub(super) fn creation_mode(file: &CreateFile<'_>) -> (u32, Option<u32>) {
    // Without its owner's bits some network file systems would not let us write to it.
    if file.mode_is_kept && file.mode & 0o600 == 0o600 { (file.mode, None) } else { (0o600, Some(file.mode)) }
}

pub(super) fn read_at(file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < space.len() {
        match platform::read_once(file, &mut space[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match platform::write_once(file, &bytes[written..], offset + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(now) => written += now,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn copy_range(from: &File, to: &File, range: CopyRange) -> io::Result<u64> {
    let mut buffer = vec![0; COPY_BYTES.min(usize::try_from(range.length).unwrap_or(COPY_BYTES))];
    let mut copied = 0;
    while copied < range.length {
        let want = buffer.len().min(usize::try_from(range.length - copied).unwrap_or(usize::MAX));
        let read = read_at(from, &mut buffer[..want], range.from_offset + copied)?;
        write_at(to, &buffer[..read], range.to_offset + copied)?;
        copied += read as u64;
        if read < want {
            break;
        }
    }
    Ok(copied)
}

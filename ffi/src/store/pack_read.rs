//! Reading packs: their tables, and whether every chunk is what the table says.

use std::fs::File;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::pack::{self, FOOTER_BYTES, PackedChunk, ROW_BYTES, damaged};
use crate::chunk::hash::hash_range;
use crate::error::{Error, Result};
use crate::io::name::quoted_path;
use crate::io::read::read_at;
use crate::io::stamp::Stamp;

/// What a pack holds.
#[derive(Debug)]
pub struct Pack {
    pub chunks: Vec<PackedChunk>,
    /// Bytes after the chunks.
    pub tail: u32,
    pub stamp: Stamp,
}

/// Reads the table of the pack `path`, which must have the name that its table gives it.
///
/// # Errors
/// CORRUPT, LIMIT_EXCEEDED and VERSION_UNSUPPORTED with the path; what the disk says.
pub fn read(path: &Path) -> Result<Pack> {
    opened(path).map(|(_, pack)| pack)
}

/// What became of a check of all chunks.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked {
    pub chunks: u64,
    pub bytes: u64,
    /// Chunks whose bytes are not those that were kept.
    pub damaged: u64,
}

/// Reads the pack `path` and hashes every chunk.
///
/// # Errors
/// As [`read`]; CANCELLED.
pub fn check(path: &Path, cancelled: &dyn Fn() -> bool) -> Result<Checked> {
    let (file, Pack { chunks, .. }) = opened(path)?;
    let mut checked = Checked { chunks: chunks.len() as u64, bytes: 0, damaged: 0 };
    for PackedChunk { id, length } in chunks {
        let length = u64::from(length);
        let (hash, read) =
            hash_range(&file, checked.bytes, length, cancelled).map_err(|error| named(path, error))?;
        checked.damaged += u64::from(hash != id || read != length);
        checked.bytes += length;
    }
    Ok(checked)
}

/// Opens a regular file that is not behind a link, without waiting for a pipe.
fn open_plain(path: &Path) -> Result<(File, Stamp)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let what = || format!("Cannot open {}", quoted_path(path));
    let file = File::from(
        openat(CWD, path, flags, Mode::empty()).map_err(|errno| Error::io(what(), &errno.into()))?,
    );
    let stamp = Stamp::of(&file).map_err(|error| named(path, error))?;
    Ok((file, stamp))
}

fn opened(path: &Path) -> Result<(File, Pack)> {
    let (file, stamp) = open_plain(path)?;
    let pack = table(&file, path, stamp).map_err(|error| named(path, error))?;
    Ok((file, pack))
}

fn table(file: &File, path: &Path, stamp: Stamp) -> Result<Pack> {
    let mut footer = [0; FOOTER_BYTES];
    let Some(table_end) = stamp.size.checked_sub(FOOTER_BYTES as u64) else {
        return Err(damaged("it is cut off"));
    };
    read_exact(file, &mut footer, table_end)?;
    let footer = pack::decode_footer(&footer)?;
    if path.file_name().is_none_or(|name| name != pack::file_name(&footer.name).as_str()) {
        return Err(damaged("its name is not that of its content"));
    }
    let Some(table_start) = table_end.checked_sub((ROW_BYTES * footer.count) as u64) else {
        return Err(damaged("it is cut off"));
    };
    let mut bytes = vec![0; ROW_BYTES * footer.count];
    read_exact(file, &mut bytes, table_start)?;
    let chunks = pack::decode_table(&bytes, &footer, stamp.size)?;
    Ok(Pack { chunks, tail: (bytes.len() + FOOTER_BYTES) as u32, stamp })
}

fn read_exact(file: &File, buffer: &mut [u8], offset: u64) -> Result<()> {
    if read_at(file, buffer, offset)? < buffer.len() { Err(damaged("it is cut off")) } else { Ok(()) }
}

fn named(path: &Path, error: Error) -> Error {
    let path = quoted_path(path);
    for verb in ["read", "look at"] {
        if let Some(rest) = error.text.strip_prefix(&format!("Cannot {verb} a file")) {
            return Error { text: format!("Cannot {verb} {path}{rest}"), ..error };
        }
    }
    Error { text: format!("Cannot read {path}: {}", error.text), ..error }
}

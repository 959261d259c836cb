//! Writing packs: under a name of their own, verified while copied, on the disk before they get their name.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, fchmod, flock, fsync, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::pack::{self, MAX_CHUNK_BYTES, MAX_CHUNKS, PackedChunk};
use super::pack_read::{self, Pack};
use crate::chunk::hash::{HASH_BYTES, hash};
use crate::error::{Error, Kind, Result};
use crate::io::listing::Listing;
use crate::io::name::quoted_path;
use crate::io::read::read_at;
use crate::io::stamp::Stamp;
use crate::io::{local, long_path};

/// Most bytes of one pack's chunks: what is written, checked and dropped as one.
pub const MAX_PACK_BYTES: u64 = 256 << 20;

const TEMPORARY_PREFIX: &[u8] = b".wormhole-";
const TEMPORARY_SUFFIX: &[u8] = b".part";

/// A file that chunks are taken from, as it was when they were known to be in it.
pub struct Source {
    pub path: PathBuf,
    pub stamp: Stamp,
}

/// One chunk to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    pub source: u32,
    pub offset: u64,
    pub length: u32,
    pub id: [u8; HASH_BYTES],
}

/// What was written.
pub struct Written {
    /// None when no piece was what it should be.
    pub pack: Option<(String, Pack)>,
    /// Pieces that were not, or not any more, where they should be.
    pub rejected: u32,
}

/// Copies the chunks that are still what they should be into a new pack in `directory`.
///
/// # Errors
/// INVALID_ARGUMENT and LIMIT_EXCEEDED for impossible pieces; CANCELLED; what the disk says of the pack. A file that
/// cannot be read only costs its pieces.
pub fn write(
    directory: &Path,
    sources: &[Source],
    pieces: &[Piece],
    cancelled: &dyn Fn() -> bool,
) -> Result<Written> {
    check_limits(sources, pieces)?;
    let folder = long_path::open_directory(directory)
        .map_err(|errno| Error::io(format!("Cannot write to {}", quoted_path(directory)), &errno.into()))?;
    let mut temporary = Temporary::create(&folder, directory)?;
    let mut files: HashMap<u32, Option<File>> = HashMap::new();
    let mut buffer = Vec::new();
    let (mut chunks, mut rejected) = (Vec::with_capacity(pieces.len()), 0);
    for piece in pieces {
        if cancelled() {
            return Err(Error::new(Kind::Cancelled, "cancelled"));
        }
        let source = &sources[piece.source as usize];
        let file = files.entry(piece.source).or_insert_with(|| local::open(&source.path, &source.stamp));
        buffer.resize(piece.length as usize, 0);
        let is_it = file.as_ref().is_some_and(|file| {
            read_at(file, &mut buffer, piece.offset).is_ok_and(|read| read == buffer.len())
                && hash(&buffer) == piece.id
        });
        if is_it {
            temporary.write(&buffer)?;
            chunks.push(PackedChunk { id: piece.id, length: piece.length });
        } else {
            rejected += 1;
        }
    }
    if chunks.is_empty() {
        return Ok(Written { pack: None, rejected });
    }
    let (tail, name) = pack::encode(&chunks);
    temporary.write(&tail)?;
    let name = pack::file_name(&name);
    temporary.finish(&name)?;
    let pack = pack_read::read(&directory.join(&name))?;
    Ok(Written { pack: Some((name, pack)), rejected })
}

/// Removes what crashed programs left in the store's folder; gives how many files that were.
pub fn remove_orphans(directory: &Path) -> Result<u32> {
    let what = || format!("Cannot clean up {}", quoted_path(directory));
    let folder = match long_path::open_directory(directory) {
        Err(Errno::NOENT) => return Ok(0),
        result => result.map_err(|errno| Error::io(what(), &errno.into()))?,
    };
    let mut listing = Listing::read(&folder).map_err(|errno| Error::io(what(), &errno.into()))?;
    let mut removed = 0;
    while let Some(name) = listing.next_name() {
        if !is_temporary(name) {
            continue;
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        // Whoever writes it holds the lock from the moment in which it is made.
        let Ok(file) = openat(&folder, name, flags, Mode::empty()) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            && unlinkat(&folder, name, AtFlags::empty()).is_ok()
        {
            removed += 1;
        }
    }
    Ok(removed)
}

fn check_limits(sources: &[Source], pieces: &[Piece]) -> Result<()> {
    let invalid = |text: &str| Err(Error::new(Kind::InvalidArgument, format!("Cannot write a pack: {text}")));
    if pieces.len() > MAX_CHUNKS {
        return invalid("it would have too many chunks");
    }
    if pieces.iter().map(|piece| u64::from(piece.length)).sum::<u64>() > MAX_PACK_BYTES {
        return invalid("it would be too large");
    }
    for Piece { source, length, .. } in pieces {
        if *source as usize >= sources.len() || *length == 0 || *length > MAX_CHUNK_BYTES {
            return invalid("a piece of it is none");
        }
    }
    Ok(())
}

/// A pack that is being written; removed when dropped unfinished.
struct Temporary<'a> {
    folder: &'a OwnedFd,
    directory: &'a Path,
    name: Option<Vec<u8>>,
    /// Locked for as long as it is written.
    file: File,
}

impl<'a> Temporary<'a> {
    fn create(folder: &'a OwnedFd, directory: &'a Path) -> Result<Temporary<'a>> {
        let failed =
            |errno: Errno| Error::io(format!("Cannot write to {}", quoted_path(directory)), &errno.into());
        loop {
            let random = getrandom::u64().map_err(|error| {
                Error::new(Kind::Internal, format!("the system gives no randomness: {error}"))
            })?;
            let name = [TEMPORARY_PREFIX, format!("{random:016x}").as_bytes(), TEMPORARY_SUFFIX].concat();
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = match openat(folder, &name[..], flags, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => continue,
                result => File::from(result.map_err(failed)?),
            };
            let temporary = Temporary { folder, directory, name: Some(name), file };
            match flock(&temporary.file, FlockOperation::NonBlockingLockExclusive) {
                // A file system without locks: nobody can take it for an orphan either.
                Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK | Errno::INVAL) => {}
                // Another program was about to remove it, as nobody's.
                Err(Errno::WOULDBLOCK) => continue,
                Err(errno) => return Err(failed(errno)),
            }
            if rustix::fs::fstat(&temporary.file).map_err(failed)?.st_nlink > 0 {
                return Ok(temporary);
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|error| Error::io(format!("Cannot write to {}", quoted_path(self.directory)), &error))
    }

    /// Brings it to the disk and gives it its name. A pack of that name that is sound is as good.
    fn finish(mut self, name: &str) -> Result<()> {
        let (directory, folder) = (self.directory, self.folder);
        let failed =
            |errno: Errno| Error::io(format!("Cannot write to {}", quoted_path(directory)), &errno.into());
        fchmod(&self.file, Mode::RUSR).map_err(failed)?;
        fsync(&self.file).map_err(failed)?;
        let is_there = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        if !(is_there
            && pack_read::check(&directory.join(name), &|| false).is_ok_and(|pack| pack.damaged == 0))
        {
            let temporary = self.name.take().expect("it is finished once");
            renameat(folder, &temporary[..], folder, name).map_err(failed)?;
        }
        match fsync(folder.as_fd()) {
            Err(Errno::INVAL | Errno::NOTSUP | Errno::ROFS) => Ok(()),
            result => result.map_err(failed),
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = unlinkat(self.folder, &name[..], AtFlags::empty());
        }
    }
}

fn is_temporary(name: &[u8]) -> bool {
    let hex = name.strip_prefix(TEMPORARY_PREFIX).and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX));
    hex.is_some_and(|hex| hex.len() == 16 && hex.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

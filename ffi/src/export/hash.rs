//! `src/native/hash.ts`: BLAKE3 of buffers, streams and files.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{LocalPath, bytes, bytes_mut, guarded};
use crate::chunk::cdc::{CutFile, cut_file};
use crate::chunk::hash::{HASH_BYTES, Streaming, hash, hash_chunks, hash_range};
use crate::error::{Error, Kind, Result};
use crate::handles::Handles;
use crate::io::name::quoted_path;
use crate::io::stamp::Stamp;
use crate::op::{self, Context, Op, OpFuture};
use crate::workers;

pub const OPERATIONS: &[(&str, Op)] = &[("hash.file", file), ("hash.chunks", chunks), ("hash.files", files)];

fn hashers() -> &'static Handles {
    static HASHERS: OnceLock<Handles> = OnceLock::new();
    HASHERS.get_or_init(Handles::default)
}

/// Hashes `length` bytes at `input` into the 32 at `output`.
///
/// # Safety
/// `input` is valid for `length` bytes, `output` for 32; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_hash_buffer(
    input: *const u8,
    length: usize,
    output: *mut u8,
    error: *mut u8,
) -> i64 {
    // SAFETY: the buffers live for this call, as documented.
    unsafe {
        guarded(error, || {
            bytes_mut(output, HASH_BYTES).copy_from_slice(&hash(bytes(input, length)));
            Ok(0)
        })
    }
}

/// Opens a streaming hasher and gives its handle.
///
/// # Safety
/// `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_hash_open(error: *mut u8) -> i64 {
    // SAFETY: `error` is the caller's, as documented.
    unsafe { guarded(error, || Ok(hashers().insert(Arc::new(Streaming::default()))? as i64)) }
}

/// Adds `length` bytes to a hasher.
///
/// # Safety
/// `input` is valid for `length` bytes; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_hash_update(handle: u32, input: *const u8, length: usize, error: *mut u8) -> i64 {
    // SAFETY: the buffer lives for this call, as documented.
    unsafe {
        guarded(error, || {
            hashers().get::<Streaming>(handle)?.update(bytes(input, length));
            Ok(0)
        })
    }
}

/// Writes a hasher's 32 bytes to `output` and closes it.
///
/// # Safety
/// `output` is valid for 32 bytes; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_hash_finish(handle: u32, output: *mut u8, error: *mut u8) -> i64 {
    // SAFETY: the buffer lives for this call, as documented.
    unsafe {
        guarded(error, || {
            let digest = hashers().remove::<Streaming>(handle)?.digest();
            bytes_mut(output, HASH_BYTES).copy_from_slice(&digest);
            Ok(0)
        })
    }
}

/// Closes a hasher that will not be finished; a closed one is no error.
#[unsafe(no_mangle)]
pub extern "C" fn wh_hash_close(handle: u32) {
    // SAFETY: no error buffer is given.
    unsafe {
        guarded(std::ptr::null_mut(), || {
            hashers().remove::<Streaming>(handle)?;
            Ok(0)
        });
    }
}

#[derive(Deserialize)]
struct FileArgs {
    path: LocalPath,
    #[serde(default)]
    offset: u64,
    length: Option<u64>,
}

#[derive(Serialize)]
struct FileResult {
    hash: ByteBuf,
    bytes: u64,
}

/// Hashes a range of a file; all of it by default.
fn file(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: FileArgs| {
        op::blocking_cancellable(move |cancelled| {
            let file = open(&args.path.0)?;
            let length = args.length.unwrap_or(u64::MAX);
            let stop = || cancelled.load(Ordering::Relaxed);
            let (hash, bytes) =
                hash_range(&file, args.offset, length, &stop).map_err(|e| name(&args.path.0, e))?;
            Ok(FileResult { hash: ByteBuf::from(hash), bytes })
        })
    })
}

#[derive(Deserialize)]
struct ChunksArgs {
    path: LocalPath,
    /// Bytes per chunk; 0 cuts by content.
    chunk_bytes: u64,
}

#[derive(Serialize)]
struct ChunksResult {
    hashes: ByteBuf,
    /// u32 per chunk when it was cut by content, else empty.
    sizes: ByteBuf,
    size: u64,
    stamp: ByteBuf,
}

/// Hashes a file chunk by chunk.
fn chunks(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: ChunksArgs| {
        op::blocking_cancellable(move |cancelled| {
            let path = &args.path.0;
            let file = open(path)?;
            let stop = || cancelled.load(Ordering::Relaxed);
            let stamp = Stamp::of(&file).map_err(|e| name(path, e))?;
            let cut = match args.chunk_bytes {
                0 => cut_file(&file, &stop),
                chunk_bytes => hash_chunks(&file, chunk_bytes, &stop).map(|(ids, size)| CutFile {
                    ids,
                    sizes: Vec::new(),
                    size,
                }),
            }
            .map_err(|e| name(path, e))?;
            if Stamp::of(&file).map_err(|e| name(path, e))? != stamp || cut.size != stamp.size {
                let text = format!("Cannot read {}: it changed while it was being read", quoted_path(path));
                return Err(Error::new(Kind::SourceChanged, text));
            }
            let sizes: Vec<u8> = cut.sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
            Ok(ChunksResult {
                hashes: ByteBuf::from(cut.ids),
                sizes: ByteBuf::from(sizes),
                size: cut.size,
                stamp: ByteBuf::from(stamp.encode()),
            })
        })
    })
}

/// Files of one `hash.files`.
const MAX_FILES: usize = 4096;

#[derive(Deserialize)]
struct FilesArgs {
    paths: Vec<LocalPath>,
}

#[derive(Serialize)]
struct FilesResult {
    /// 32 bytes per path; zeros where it failed.
    hashes: ByteBuf,
    /// u64 per path.
    sizes: ByteBuf,
    failed: Vec<FailedFile>,
}

#[derive(Serialize)]
struct FailedFile {
    index: usize,
    kind: u16,
    text: String,
}

/// Hashes whole files, several at once.
fn files(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: FilesArgs| {
        op::blocking_cancellable(move |cancelled| {
            let paths = args.paths;
            if paths.len() > MAX_FILES {
                let text = format!("{} files are too many for one call", paths.len());
                return Err(Error::new(Kind::InvalidArgument, text));
            }
            let stop = || cancelled.load(Ordering::Relaxed);
            let results = hash_each(&paths, &stop);
            if stop() {
                return Err(Error::new(Kind::Cancelled, "cancelled"));
            }
            let (mut hashes, mut sizes) = (vec![0; HASH_BYTES * paths.len()], vec![0; 8 * paths.len()]);
            let mut failed = Vec::new();
            for (index, result) in results.into_iter().enumerate() {
                match result {
                    Ok((hash, size)) => {
                        hashes[HASH_BYTES * index..][..HASH_BYTES].copy_from_slice(&hash);
                        sizes[8 * index..][..8].copy_from_slice(&size.to_le_bytes());
                    }
                    Err(error) => {
                        failed.push(FailedFile { index, kind: error.kind as u16, text: error.text })
                    }
                }
            }
            Ok(FilesResult { hashes: ByteBuf::from(hashes), sizes: ByteBuf::from(sizes), failed })
        })
    })
}

/// Hashes files, several at once.
fn hash_each(paths: &[LocalPath], stop: &(dyn Fn() -> bool + Sync)) -> Vec<Result<([u8; HASH_BYTES], u64)>> {
    let hash = |path: &Path| {
        open(path)
            .and_then(|file| Stamp::of(&file).map(|_| file))
            .and_then(|file| hash_range(&file, 0, u64::MAX, stop))
            .map_err(|error| name(path, error))
    };
    workers::map(paths.len(), |index| Ok(hash(&paths[index].0))).expect("one file's failure is not all of it")
}

fn open(path: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    // NONBLOCK: a FIFO must not block.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    File::options()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| Error::io(format!("Cannot open {}", quoted_path(path)), &error))
}

/// Names the file in the error for a failed read.
fn name(path: &Path, error: Error) -> Error {
    for verb in ["read", "look at"] {
        if let Some(rest) = error.text.strip_prefix(&format!("Cannot {verb} a file")) {
            return Error { text: format!("Cannot {verb} {}{rest}", quoted_path(path)), ..error };
        }
    }
    error
}

//! Packing a folder into a zip archive for a magic-wormhole client: it must know the size before it says yes.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::error::{Error, Kind, Result};
use crate::io::name::quoted_path;

/// Most names of what was left out that are given.
const MAX_NAMED: usize = 20;

const BUFFER_BYTES: usize = 256 * 1024;

/// A packed folder.
#[derive(Debug)]
pub struct Packed {
    /// Without a name on the disk: it is gone when it is closed. At its beginning.
    pub archive: File,
    pub files: u64,
    /// Of content.
    pub bytes: u64,
    /// What is neither a file nor a folder, such as a symbolic link: paths in the folder; the first ones.
    pub left_out: Vec<Vec<u8>>,
    pub left_out_count: u64,
}

/// Packs the folder `path` into a file without a name in the directory `workplace`.
///
/// # Errors
/// UNSUPPORTED for a name that is not UTF-8, which the format cannot say; what reading and writing fail with.
pub fn pack(path: &Path, workplace: &Path, cancelled: &AtomicBool) -> Result<Packed> {
    let archive = nameless(workplace)?;
    let mut writer = ZipWriter::new(BufWriter::with_capacity(BUFFER_BYTES, archive)).set_auto_large_file();
    let mut packed = Counts::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    // Names of directories that are still to be read, with a slash at the end.
    let mut pending = vec![String::new()];
    while let Some(folder) = pending.pop() {
        let directory = path.join(&folder);
        let read =
            |error: std::io::Error| Error::io(format!("Cannot read {}", quoted_path(&directory)), &error);
        let mut entries =
            fs::read_dir(&directory).map_err(read)?.collect::<std::io::Result<Vec<_>>>().map_err(read)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut is_implied = folder.is_empty();
        for entry in entries {
            if cancelled.load(Ordering::Relaxed) {
                return Err(Error::new(Kind::Cancelled, "cancelled"));
            }
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let text = format!("Cannot pack {}: its name is not UTF-8", quoted_path(&entry.path()));
                return Err(Error::new(Kind::Unsupported, text));
            };
            let name = format!("{folder}{name}");
            let kind = entry.file_type().map_err(read)?;
            if kind.is_dir() {
                pending.push(format!("{name}/"));
                is_implied = true;
            } else if kind.is_file() {
                is_implied = true;
                packed.bytes += add(&mut writer, &entry.path(), &name, &mut buffer, cancelled)?;
                packed.files += 1;
            } else {
                packed.left_out_count += 1;
                if packed.left_out.len() < MAX_NAMED {
                    packed.left_out.push(name.into_bytes());
                }
            }
        }
        // Only a folder that no name below tells of: wormhole-william takes the entry of a folder for a file.
        if !is_implied {
            writer.add_directory(&folder[..], options(0o755)).map_err(failed)?;
        }
    }
    let mut archive = writer
        .finish()
        .map_err(failed)?
        .into_inner()
        .map_err(|error| Error::io("Cannot write the archive", error.error()))?;
    archive.rewind().map_err(|error| Error::io("Cannot read the archive", &error))?;
    let Counts { files, bytes, left_out, left_out_count } = packed;
    Ok(Packed { archive, files, bytes, left_out, left_out_count })
}

#[derive(Default)]
struct Counts {
    files: u64,
    bytes: u64,
    left_out: Vec<Vec<u8>>,
    left_out_count: u64,
}

/// Adds one file; gives its size.
fn add(
    writer: &mut ZipWriter<BufWriter<File>>,
    path: &Path,
    name: &str,
    buffer: &mut [u8],
    cancelled: &AtomicBool,
) -> Result<u64> {
    let read = |error: std::io::Error| Error::io(format!("Cannot read {}", quoted_path(path)), &error);
    let mut file = File::open(path).map_err(read)?;
    let mode = file.metadata().map_err(read)?.permissions().mode() & 0o777;
    writer.start_file(name, options(mode)).map_err(failed)?;
    let mut size = 0;
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Cancelled, "cancelled"));
        }
        let count = file.read(buffer).map_err(read)?;
        if count == 0 {
            return Ok(size);
        }
        writer.write_all(&buffer[..count]).map_err(|error| Error::io("Cannot write the archive", &error))?;
        size += count as u64;
    }
}

fn options(mode: u32) -> SimpleFileOptions {
    // Fast: most of what people send is packed already.
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .unix_permissions(mode)
}

fn failed(error: zip::result::ZipError) -> Error {
    match error {
        zip::result::ZipError::Io(error) => Error::io("Cannot write the archive", &error),
        error => Error::new(Kind::Internal, format!("Cannot write the archive: {error}")),
    }
}

/// Makes a file that has no name, or loses it at once.
fn nameless(workplace: &Path) -> Result<File> {
    let failed = |error: std::io::Error| {
        Error::io(format!("Cannot make an archive in {}", quoted_path(workplace)), &error)
    };
    let mode = Mode::RUSR | Mode::WUSR;
    #[cfg(target_os = "linux")]
    if let Ok(file) = rustix::fs::open(workplace, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode) {
        return Ok(file.into());
    }
    let random = getrandom::u64()
        .map_err(|error| Error::new(Kind::Internal, format!("the system gives no randomness: {error}")))?;
    let path = workplace.join(format!("wormhole-{random:016x}.zip"));
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, mode).map_err(|errno| failed(errno.into()))?;
    fs::remove_file(&path).map_err(failed)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::unpack::{Bounds, Unpacked, unpack};
    use crate::io::stage::Staging;

    #[test]
    fn what_is_packed_unpacks_to_the_same_and_links_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("sub/empty")).unwrap();
        fs::write(from.join("sub/ümlaut"), vec![3; 700_000]).unwrap();
        fs::write(from.join("zero"), b"").unwrap();
        std::os::unix::fs::symlink("zero", from.join("link")).unwrap();
        let never = AtomicBool::new(false);
        let packed = pack(&from, dir.path(), &never).unwrap();
        assert_eq!((packed.files, packed.bytes, packed.left_out_count), (2, 700_000, 1));
        assert_eq!(packed.left_out, [b"link"]);
        let names = zip::ZipArchive::new(packed.archive.try_clone().unwrap()).unwrap();
        let mut names: Vec<_> = names.file_names().map(|name| name.unwrap().into_owned()).collect();
        names.sort();
        assert_eq!(names, ["sub/empty/", "sub/ümlaut", "zero"]);
        // Nothing stays beside the folder.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let staging = Staging::create_alone(dir.path()).unwrap();
        staging.make_directory(b"f").unwrap();
        let bounds = Bounds { bytes: 700_000, entries: 4 };
        let unpacked = unpack(packed.archive, &staging, b"f", bounds, &never).unwrap();
        assert_eq!(unpacked, Unpacked { files: 2, directories: 2, bytes: 700_000 });
        let out = staging.open_file("f/sub/ümlaut".as_bytes()).unwrap();
        assert_eq!(out.metadata().unwrap().len(), 700_000);
    }

    #[test]
    fn a_name_that_is_not_utf8_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"a\xff")), b"").unwrap();
        let error = pack(dir.path(), dir.path(), &AtomicBool::new(false)).unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
    }
}

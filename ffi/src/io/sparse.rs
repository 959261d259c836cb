//! Holes in files that are written by parts: copied as holes, and made again where something was written before.

use std::fs::File;
use std::io;

use super::backend::{Backend, CopyRange};
use super::read::{self, Extent};
use crate::error::{Error, Result};

/// Zeros that are written at once where a hole cannot be made.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Makes `offset..offset + length` of `file`, which is open for writing and at least that long, read as zeros; as a hole
/// where the file system has them.
pub fn clear(file: &File, offset: u64, length: u64) -> Result<()> {
    for range in read::data_ranges(file, offset, length, &mut Extent::default()) {
        if !punch(file, range.start, range.end - range.start)? {
            write_zeros(file, range.start, range.end - range.start)?;
        }
    }
    Ok(())
}

/// Copies a range without its holes; `is_clean`: `to` has nothing but holes there. Gives false when `from` ends before.
///
/// # Errors
/// What copying says, of whichever file.
pub fn copy(
    io: &dyn Backend,
    (from, to): (&File, &File),
    range: CopyRange,
    is_clean: bool,
) -> io::Result<bool> {
    let CopyRange { from_offset, to_offset, length } = range;
    let mut at = from_offset;
    let skip = |at: u64, until: u64| match is_clean || at == until {
        true => Ok(()),
        false => clear(to, to_offset + (at - from_offset), until - at)
            .map_err(|error| io::Error::from_raw_os_error(error.errno)),
    };
    for data in read::data_ranges(from, from_offset, length, &mut Extent::default()) {
        skip(at, data.start)?;
        let part = CopyRange {
            from_offset: data.start,
            to_offset: to_offset + (data.start - from_offset),
            length: data.end - data.start,
        };
        if io.copy_range(from, to, part)? != part.length {
            return Ok(false);
        }
        at = data.end;
    }
    skip(at, from_offset + length)?;
    Ok(true)
}

#[cfg(target_os = "linux")]
fn punch(file: &File, offset: u64, length: u64) -> Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;

    loop {
        match fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, length) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::NOTSUP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => return Ok(false),
            Err(errno) => return Err(Error::io("Cannot write a received file", &errno.into())),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn punch(_: &File, _: u64, _: u64) -> Result<bool> {
    Ok(false)
}

fn write_zeros(file: &File, offset: u64, length: u64) -> Result<()> {
    use std::os::unix::fs::FileExt;

    let mut at = 0;
    while at < length {
        let part = ZEROS.len().min((length - at).try_into().unwrap_or(usize::MAX));
        file.write_all_at(&ZEROS[..part], offset + at)
            .map_err(|error| Error::io("Cannot write a received file", &error))?;
        at += part as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;
    use crate::io::backend::select;

    const MIB: u64 = 1 << 20;

    fn file(path: &std::path::Path, size: u64, data: &[(u64, &[u8])]) -> File {
        let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
        file.set_len(size).unwrap();
        data.iter().for_each(|(offset, bytes)| file.write_all_at(bytes, *offset).unwrap());
        file
    }

    #[test]
    fn holes_stay_holes_and_what_was_there_before_goes() {
        let dir = tempfile::tempdir().unwrap();
        let ones = vec![1; MIB as usize];
        let from = file(&dir.path().join("from"), 16 * MIB, &[(MIB, &ones), (9 * MIB, &ones)]);
        for io in select::probe().into_iter().filter_map(|probed| select::select(probed.name).ok()) {
            for dirty in [false, true] {
                let path = dir.path().join(format!("to {} {dirty}", io.name()));
                let to = file(&path, 16 * MIB, &[]);
                if dirty {
                    to.write_all_at(&vec![7; 16 * MIB as usize], 0).unwrap();
                }
                let range = CopyRange { from_offset: 0, to_offset: 0, length: 16 * MIB };
                assert!(copy(&*io, (&from, &to), range, !dirty).unwrap(), "{}", io.name());
                assert!(
                    fs::read(&path).unwrap() == fs::read(dir.path().join("from")).unwrap(),
                    "{}",
                    io.name()
                );
                let blocks = |file: &File| file.metadata().unwrap().blocks();
                to.sync_all().unwrap();
                from.sync_all().unwrap();
                assert!(blocks(&to) <= blocks(&from) + blocks(&from) / 100, "{} {dirty}", io.name());
                let past = CopyRange { from_offset: 15 * MIB, to_offset: 0, length: 2 * MIB };
                // A hole at the source's end is as good as one behind it: whoever copies looks at the size himself.
                assert!(copy(&*io, (&from, &to), past, false).unwrap());
                assert!(fs::read(&path).unwrap()[..2 * MIB as usize].iter().all(|&byte| byte == 0));
            }
        }
    }

    #[test]
    fn zeros_are_written_where_no_hole_can_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir.path().join("f"), 200_000, &[(0, &[9; 200_000])]);
        write_zeros(&file, 1, 199_998).unwrap();
        let mut expected = vec![0; 200_000];
        (expected[0], expected[199_999]) = (9, 9);
        assert!(fs::read(dir.path().join("f")).unwrap() == expected);
        clear(&file, 0, 200_000).unwrap();
        assert!(fs::read(dir.path().join("f")).unwrap() == [0; 200_000]);
    }
}

//! Ranges of files at the sender: read, and described as records.

use std::ops::Range;

use super::frame::{FLAG_DATA, FLAG_END, FLAG_HOLE, MAX_RECORDS, Record};
use super::hashed::Hashed;
use super::pool::Buffer;
use super::source::Source;
use crate::error::{Error, Result};
use crate::io::name::quoted_path;
use crate::io::read::{self, Extent};

/// What is read is hashed in pieces of this size, while the second-level cache has them.
const HASH_PIECE_BYTES: usize = 256 * 1024;

/// Reads the data of one range and describes it; the file's last range carries the end mark.
pub fn read_chunk(
    source: &Source,
    offset: u64,
    length: usize,
    buffer: &mut Buffer,
    hashed: &Hashed,
) -> Result<Vec<Record>> {
    let file = source.open()?;
    let mut records = read_range(source, &file, offset, length, buffer)?;
    hashed.read(&source.reference, (offset, length as u64), &records, buffer.as_ref());
    finish(source, &file, length as u64, &mut records, hashed)?;
    Ok(records)
}

/// Counts bytes as read; with the last of them the file must still be as it was listed.
fn finish(
    source: &Source,
    file: &std::fs::File,
    length: u64,
    records: &mut [Record],
    hashed: &Hashed,
) -> Result<()> {
    if source.finish_range(length) {
        let unchanged = source.check_unchanged(file);
        hashed.finish(&source.reference, unchanged.is_ok());
        unchanged?;
        source.close();
        end_records(records);
    }
    Ok(())
}

/// Describes a range of a hole, of any length; the file's last range carries the end mark.
pub fn hole(source: &Source, range: Range<u64>, buffer: &mut Buffer, hashed: &Hashed) -> Result<Vec<Record>> {
    let length = range.end - range.start;
    let file = source.open()?;
    buffer.set_length(0);
    let mut records = vec![hole_record(source, range.start, length)];
    hashed.hole(&source.reference, range);
    finish(source, &file, length, &mut records, hashed)?;
    Ok(records)
}

/// Whether a range of a file has nothing but a hole, as far as its file system tells.
pub fn is_still_hole(source: &Source, range: Range<u64>) -> bool {
    let length = range.end - range.start;
    let ranges = |file| read::data_ranges(&file, range.start, length, &mut Extent::default());
    read::open_source(&source.reference).map(ranges).is_ok_and(|ranges| ranges.is_empty())
}

/// Reads a range once more. Others of the file may have arrived and even its end mark, so it must still be the same.
pub fn read_again(
    source: &Source,
    offset: u64,
    length: usize,
    end: bool,
    buffer: &mut Buffer,
) -> Result<Vec<Record>> {
    let file = read::open_source(&source.reference)?;
    let mut records = read_range(source, &file, offset, length, buffer)?;
    source.check_unchanged(&file)?;
    if end {
        end_records(&mut records);
    }
    Ok(records)
}

fn end_records(records: &mut [Record]) {
    if let Some(last) = records.last_mut() {
        last.flags |= FLAG_END;
    }
}

/// Reads the data of a range and describes it with its holes.
fn read_range(
    source: &Source,
    file: &std::fs::File,
    offset: u64,
    length: usize,
    buffer: &mut Buffer,
) -> Result<Vec<Record>> {
    let mut ranges = source.data_ranges(file, offset, length as u64);
    if 2 * ranges.len() + 2 > MAX_RECORDS {
        ranges.clear();
        ranges.push(offset..offset + length as u64);
    }
    // A hole may be longer than a buffer; data that has come into it since is not what was listed.
    if ranges.iter().map(|range| range.end - range.start).sum::<u64>() > buffer.space().len() as u64 {
        return Err(source.changed());
    }
    let mut records = Vec::with_capacity(2 * ranges.len() + 1);
    let mut used = 0;
    let mut at = offset;
    for range in ranges {
        if range.start > at {
            records.push(hole_record(source, at, range.start - at));
        }
        let wanted = (range.end - range.start) as usize;
        let space = &mut buffer.space()[used..used + wanted];
        let mut hasher = blake3::Hasher::new();
        let mut from = range.start;
        for piece in space.chunks_mut(HASH_PIECE_BYTES) {
            if read_full(source, file, piece, from)? != piece.len() {
                return Err(source.changed());
            }
            hasher.update(piece);
            from += piece.len() as u64;
        }
        records.push(Record {
            entry: source.reference.id,
            flags: FLAG_DATA,
            status: 0,
            offset: range.start,
            length: wanted as u64,
            hash: *hasher.finalize().as_bytes(),
        });
        used += wanted;
        at = range.end;
    }
    let end = offset + length as u64;
    if end > at {
        records.push(hole_record(source, at, end - at));
    }
    buffer.set_length(used);
    Ok(records)
}

fn read_full(source: &Source, file: &std::fs::File, space: &mut [u8], offset: u64) -> Result<usize> {
    read::read_at(file, space, offset).map_err(|error| {
        let path = quoted_path(&source.reference.path());
        Error { text: error.text.replacen("a file", &path, 1), ..error }
    })
}

/// Describes bytes of a file; without bytes it is the end mark at `offset`.
pub fn data_record(source: &Source, offset: u64, data: &[u8], flags: u16) -> Record {
    if data.is_empty() {
        return Record {
            entry: source.reference.id,
            flags: FLAG_END,
            status: 0,
            offset,
            length: 0,
            hash: [0; 32],
        };
    }
    Record {
        entry: source.reference.id,
        flags: FLAG_DATA | flags,
        status: 0,
        offset,
        length: data.len() as u64,
        hash: *blake3::hash(data).as_bytes(),
    }
}

fn hole_record(source: &Source, offset: u64, length: u64) -> Record {
    Record { entry: source.reference.id, flags: FLAG_HOLE, status: 0, offset, length, hash: [0; 32] }
}

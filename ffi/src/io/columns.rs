//! Many entries as one map of columns; `docs/design/contracts.md` §1 "Columns".

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;

use crate::error::{Error, Kind, Result};

pub const KIND_FILE: u8 = 1;
pub const KIND_DIRECTORY: u8 = 2;
pub const KIND_SYMLINK: u8 = 3;
/// A file of unknown size: standard input.
pub const KIND_STREAM: u8 = 4;
/// Something that a walk with marks leaves out; never on the wire.
pub const KIND_LEFT_OUT: u8 = 5;
/// `parents` of a root.
pub const NO_PARENT: u32 = u32::MAX;
/// `sizes` of a stream.
pub const SIZE_UNKNOWN: u64 = u64::MAX;

/// Entries in one page; caps allocation per page.
pub const MAX_ENTRIES: usize = 65_536;
/// Bytes of `names`, and of `targets`, in one page; caps allocation per page.
pub const MAX_NAME_BYTES: usize = 16 << 20;

/// One page of entries. Built with [`Columns::push`] or decoded, it is always consistent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub first: u32,
    pub count: u32,
    pub kinds: Vec<u8>,
    pub parents: Vec<u32>,
    pub name_lengths: Vec<u16>,
    pub names: Vec<u8>,
    pub modes: Vec<u32>,
    pub sizes: Vec<u64>,
    pub mtimes: Vec<i64>,
    pub targets: Vec<u8>,
    pub last: bool,
}

/// One entry of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub id: u32,
    pub kind: u8,
    pub parent: u32,
    /// One path component.
    pub name: &'a [u8],
    pub mode: u32,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime: i64,
    /// Where a symlink points; empty for everything else.
    pub target: &'a [u8],
}

impl Columns {
    /// An empty page whose first entry will have the id `first`.
    pub fn new(first: u32) -> Columns {
        Columns { first, ..Columns::default() }
    }

    /// Appends `entry`; its id is the next one, whatever it says.
    pub fn push(&mut self, entry: &Entry<'_>) {
        self.count += 1;
        self.kinds.push(entry.kind);
        self.parents.push(entry.parent);
        self.name_lengths.push(entry.name.len() as u16);
        self.names.extend_from_slice(entry.name);
        self.modes.push(entry.mode);
        self.sizes.push(entry.size);
        self.mtimes.push(entry.mtime);
        self.targets.extend_from_slice(entry.target);
    }

    /// Bytes that the page takes on the wire, without the few of the map's keys.
    pub fn encoded_bytes(&self) -> usize {
        self.count as usize * (1 + 4 + 2 + 4 + 8 + 8) + self.names.len() + self.targets.len()
    }

    /// Goes through the entries in order of their ids.
    pub fn iter(&self) -> Entries<'_> {
        Entries { columns: self, index: 0, name_at: 0, target_at: 0 }
    }

    /// Decodes and validates the CBOR of a page; any fault is PROTOCOL.
    pub fn decode(bytes: &[u8]) -> Result<Columns> {
        let wire: Wire = ciborium::from_reader(bytes).map_err(|error| bad(&error.to_string()))?;
        wire.check()
    }

    /// Encodes the page as CBOR.
    pub fn encode(&self) -> Result<Vec<u8>> {
        crate::op::encode(self)
    }
}

impl<'a> IntoIterator for &'a Columns {
    type Item = Entry<'a>;
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

/// Iterator of [`Columns::iter`].
pub struct Entries<'a> {
    columns: &'a Columns,
    index: usize,
    name_at: usize,
    target_at: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (columns, index) = (self.columns, self.index);
        if index >= columns.count as usize {
            return None;
        }
        let (kind, size) = (columns.kinds[index], columns.sizes[index]);
        let name_end = self.name_at + columns.name_lengths[index] as usize;
        let target_end = self.target_at + if kind == KIND_SYMLINK { size as usize } else { 0 };
        let entry = Entry {
            id: columns.first + index as u32,
            kind,
            parent: columns.parents[index],
            name: &columns.names[self.name_at..name_end],
            mode: columns.modes[index],
            size,
            mtime: columns.mtimes[index],
            target: &columns.targets[self.target_at..target_end],
        };
        (self.index, self.name_at, self.target_at) = (index + 1, name_end, target_end);
        Some(entry)
    }
}

/// The page as it travels: numbers as little-endian byte strings.
#[derive(Serialize, Deserialize)]
struct Wire {
    first: u32,
    count: u32,
    kinds: ByteBuf,
    parents: ByteBuf,
    name_lengths: ByteBuf,
    names: ByteBuf,
    modes: ByteBuf,
    sizes: ByteBuf,
    mtimes: ByteBuf,
    targets: ByteBuf,
    last: bool,
}

macro_rules! column {
    ($bytes:expr, $type:ty) => {
        $bytes
            .chunks_exact(size_of::<$type>())
            .map(|number| <$type>::from_le_bytes(number.try_into().unwrap()))
            .collect::<Vec<$type>>()
    };
}

fn little_endian<const N: usize>(numbers: impl Iterator<Item = [u8; N]>) -> ByteBuf {
    ByteBuf::from(numbers.flatten().collect::<Vec<u8>>())
}

impl Wire {
    fn check(self) -> Result<Columns> {
        let count = self.count as usize;
        if count > MAX_ENTRIES {
            return Err(bad("too many entries"));
        }
        if self.names.len() > MAX_NAME_BYTES || self.targets.len() > MAX_NAME_BYTES {
            return Err(bad("too many bytes of names"));
        }
        // The last id may not be NO_PARENT.
        if self.first.checked_add(self.count).is_none() {
            return Err(bad("ids overflow"));
        }
        let agree = self.kinds.len() == count
            && self.parents.len() == count * 4
            && self.name_lengths.len() == count * 2
            && self.modes.len() == count * 4
            && self.sizes.len() == count * 8
            && self.mtimes.len() == count * 8;
        if !agree {
            return Err(bad("columns of different lengths"));
        }
        let columns = Columns {
            first: self.first,
            count: self.count,
            parents: column!(self.parents, u32),
            name_lengths: column!(self.name_lengths, u16),
            modes: column!(self.modes, u32),
            sizes: column!(self.sizes, u64),
            mtimes: column!(self.mtimes, i64),
            kinds: self.kinds.into_vec(),
            names: self.names.into_vec(),
            targets: self.targets.into_vec(),
            last: self.last,
        };
        check_entries(&columns)?;
        Ok(columns)
    }
}

fn check_entries(columns: &Columns) -> Result<()> {
    let mut targets = 0u64;
    for index in 0..columns.count as usize {
        let (size, parent) = (columns.sizes[index], columns.parents[index]);
        match columns.kinds[index] {
            KIND_FILE if size > i64::MAX as u64 => return Err(bad("a file's size is too large")),
            KIND_FILE => {}
            KIND_DIRECTORY if size != 0 => return Err(bad("a directory has a size")),
            KIND_DIRECTORY => {}
            KIND_SYMLINK => {
                targets = targets.checked_add(size).ok_or_else(|| bad("a symlink's size is too large"))?
            }
            KIND_STREAM if size != SIZE_UNKNOWN => return Err(bad("a stream has a size")),
            KIND_STREAM => {}
            _ => return Err(bad("unknown kind of entry")),
        }
        if parent != NO_PARENT && parent >= columns.first + index as u32 {
            return Err(bad("an entry precedes its parent"));
        }
    }
    if columns.name_lengths.iter().map(|&length| length as usize).sum::<usize>() != columns.names.len() {
        return Err(bad("names and their lengths differ"));
    }
    if targets != columns.targets.len() as u64 {
        return Err(bad("targets and their lengths differ"));
    }
    Ok(())
}

fn bad(what: &str) -> Error {
    Error::new(Kind::Protocol, format!("Cannot read a page of entries: {what}"))
}

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        Wire {
            first: self.first,
            count: self.count,
            kinds: ByteBuf::from(self.kinds.clone()),
            parents: little_endian(self.parents.iter().map(|n| n.to_le_bytes())),
            name_lengths: little_endian(self.name_lengths.iter().map(|n| n.to_le_bytes())),
            names: ByteBuf::from(self.names.clone()),
            modes: little_endian(self.modes.iter().map(|n| n.to_le_bytes())),
            sizes: little_endian(self.sizes.iter().map(|n| n.to_le_bytes())),
            mtimes: little_endian(self.mtimes.iter().map(|n| n.to_le_bytes())),
            targets: ByteBuf::from(self.targets.clone()),
            last: self.last,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Columns, D::Error> {
        Wire::deserialize(deserializer)?.check().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "columns_test.rs"]
mod tests;

//! What local bytes a file is to be made of: checked, fitted around what is there already, and joined to long copies.

use std::ops::Range;

use crate::error::{Error, Kind, Result};

/// Encoded length of a piece: offset u64, length u64, offset in its source u64, source u32, flags u32, chunk id 32
/// bytes; little endian.
pub const PIECE_BYTES: usize = 64;

/// The source's stamp alone is proof of the piece's bytes.
const FLAG_SETTLED: u32 = 1;

/// Most bytes of a piece that has to be hashed before it counts: 16 MiB, the longest chunk on the wire.
const MAX_UNSETTLED_BYTES: u64 = 16 * 1024 * 1024;

/// Pieces of one call: 64 MiB of records, 4 TiB of file in 4 MiB chunks.
const MAX_PIECES: usize = 1 << 20;

/// Sources of one call.
pub const MAX_SOURCES: usize = 65_536;

/// A range of a file that a source has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub offset: u64,
    pub length: u64,
    pub source: u32,
    pub source_offset: u64,
    pub is_settled: bool,
    /// Zeros: unknown.
    pub id: [u8; 32],
}

/// A range to copy; what lies within is of one or more pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub source: u32,
    pub from_offset: u64,
    pub to_offset: u64,
    pub length: u64,
}

impl Piece {
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.length
    }
}

/// Reads pieces for a file of `size` bytes from sources of these sizes; gives them in the order of the file.
///
/// # Errors
/// INVALID_ARGUMENT when one is empty, leaves the file or its source, overlaps another, or cannot be proved;
/// LIMIT_EXCEEDED.
pub fn decode(bytes: &[u8], size: u64, sources: &[u64]) -> Result<Vec<Piece>> {
    let (records, rest) = bytes.as_chunks::<PIECE_BYTES>();
    if !rest.is_empty() {
        return Err(wrong("the pieces are cut"));
    }
    if records.len() > MAX_PIECES || sources.len() > MAX_SOURCES {
        return Err(Error::new(Kind::LimitExceeded, "Cannot place that many pieces at once"));
    }
    let mut pieces: Vec<Piece> = records.iter().map(piece).collect();
    for piece in &pieces {
        let within = |offset: u64, size| offset.checked_add(piece.length).is_some_and(|end| end <= size);
        let Some(&source_size) = sources.get(piece.source as usize) else {
            return Err(wrong("a piece is of no source"));
        };
        if piece.length == 0 || !within(piece.offset, size) || !within(piece.source_offset, source_size) {
            return Err(wrong("a piece is empty, or leaves the file or its source"));
        }
        if !piece.is_settled && (piece.length > MAX_UNSETTLED_BYTES || piece.id == [0; 32]) {
            return Err(wrong("a piece cannot be proved"));
        }
    }
    pieces.sort_unstable_by_key(|piece| piece.offset);
    match pieces.windows(2).any(|pair| pair[0].range().end > pair[1].offset) {
        true => Err(wrong("pieces overlap")),
        false => Ok(pieces),
    }
}

/// What is to be copied for `pieces` where `present` (sorted, apart) is there already: grouped by source, those that
/// continue each other joined.
pub fn copies(pieces: &[Piece], present: &[Range<u64>]) -> Vec<Copy> {
    let mut copies: Vec<Copy> = Vec::new();
    for piece in pieces {
        for range in without(piece.range(), present) {
            let from_offset = piece.source_offset + (range.start - piece.offset);
            let length = range.end - range.start;
            copies.push(Copy { source: piece.source, from_offset, to_offset: range.start, length });
        }
    }
    copies.sort_by_key(|copy| copy.source);
    copies.dedup_by(|next, last| {
        let follows = next.source == last.source
            && next.from_offset == last.from_offset + last.length
            && next.to_offset == last.to_offset + last.length;
        last.length += if follows { next.length } else { 0 };
        follows
    });
    copies
}

/// The parts of `range` that are in none of `present` (sorted, apart).
pub fn without(range: Range<u64>, present: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut parts = Vec::new();
    let mut at = range.start;
    let first = present.partition_point(|there| there.end <= range.start);
    for there in present[first..].iter().take_while(|there| there.start < range.end) {
        if there.start > at {
            parts.push(at..there.start);
        }
        at = there.end;
    }
    if at < range.end {
        parts.push(at..range.end);
    }
    parts
}

fn piece(record: &[u8; PIECE_BYTES]) -> Piece {
    let u64_at = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("8 bytes"));
    let u32_at = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().expect("4 bytes"));
    Piece {
        offset: u64_at(0),
        length: u64_at(8),
        source_offset: u64_at(16),
        source: u32_at(24),
        is_settled: u32_at(28) & FLAG_SETTLED != 0,
        id: record[32..].try_into().expect("32 bytes"),
    }
}

fn wrong(what: &str) -> Error {
    Error::new(Kind::InvalidArgument, format!("Cannot place local bytes: {what}"))
}

#[cfg(test)]
pub fn encode(pieces: &[Piece]) -> Vec<u8> {
    let record = |piece: &Piece| {
        let numbers = [piece.offset, piece.length, piece.source_offset];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend_from_slice(&piece.source.to_le_bytes());
        bytes.extend_from_slice(&u32::from(piece.is_settled).to_le_bytes());
        bytes.extend_from_slice(&piece.id);
        bytes
    };
    pieces.iter().flat_map(record).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settled(offset: u64, length: u64, source: u32, source_offset: u64) -> Piece {
        Piece { offset, length, source, source_offset, is_settled: true, id: [0; 32] }
    }

    #[test]
    fn pieces_are_read_in_the_order_of_the_file() {
        let pieces = [settled(5, 5, 1, 0), Piece { is_settled: false, id: [7; 32], ..settled(0, 5, 0, 95) }];
        let read = decode(&encode(&pieces), 10, &[100, 5]).unwrap();
        assert_eq!(read, [pieces[1].clone(), pieces[0].clone()]);
    }

    #[test]
    fn pieces_that_cannot_be_are_refused() {
        let unsettled = |length, id| Piece { is_settled: false, id, ..settled(0, length, 0, 0) };
        let long = MAX_UNSETTLED_BYTES + 1;
        let table: [(&str, Vec<Piece>); 9] = [
            ("empty", vec![settled(0, 0, 0, 0)]),
            ("beyond the file", vec![settled(long, 101, 0, 0)]),
            ("an end beyond all numbers", vec![settled(u64::MAX, 2, 0, 0)]),
            ("beyond the source", vec![settled(0, 6, 1, 0)]),
            ("from beyond all numbers", vec![settled(0, 2, 0, u64::MAX)]),
            ("of no source", vec![settled(0, 1, 2, 0)]),
            ("too long to be hashed", vec![unsettled(long, [1; 32])]),
            ("with nothing to prove it", vec![unsettled(1, [0; 32])]),
            ("overlapping", vec![settled(4, 4, 0, 0), settled(0, 5, 0, 0)]),
        ];
        for (why, pieces) in table {
            let error = decode(&encode(&pieces), long + 100, &[long + 100, 5]).unwrap_err();
            assert_eq!(error.kind, Kind::InvalidArgument, "{why}");
        }
        assert_eq!(decode(&[0; 63], 1, &[1]).unwrap_err().kind, Kind::InvalidArgument);
        let many = vec![0; PIECE_BYTES * (MAX_PIECES + 1)];
        assert_eq!(decode(&many, 1, &[1]).unwrap_err().kind, Kind::LimitExceeded);
        assert_eq!(decode(&[], 1, &vec![1; MAX_SOURCES + 1]).unwrap_err().kind, Kind::LimitExceeded);
    }

    #[test]
    fn neighbours_are_joined_to_one_copy() {
        let pieces: Vec<Piece> = (0..10).map(|at| settled(4 * at, 4, 0, 100 + 4 * at)).collect();
        let whole = Copy { source: 0, from_offset: 100, to_offset: 0, length: 40 };
        assert_eq!(copies(&pieces, &[]), std::slice::from_ref(&whole));
        let first = Copy { length: 6, ..whole };
        let second = Copy { source: 0, from_offset: 107, to_offset: 7, length: 33 };
        assert_eq!(copies(&pieces, std::slice::from_ref(&(6..7))), [first, second]);
        // Of two sources in turn, and of one in another order.
        let turns: Vec<Piece> = (0..4).map(|at| settled(at, 1, (at % 2) as u32, at)).collect();
        assert_eq!(copies(&turns, &[]).iter().map(|copy| copy.source).collect::<Vec<_>>(), [0, 0, 1, 1]);
        assert_eq!(copies(&[settled(0, 1, 0, 1), settled(1, 1, 0, 0)], &[]).len(), 2);
    }

    proptest! {
        #[test]
        fn copies_and_what_is_present_cover_the_pieces_once(
            lengths in prop::collection::vec((1u64..9, 0u32..3, any::<bool>()), 1..20),
            bounds in prop::collection::btree_set(0u64..120, 0..8),
        ) {
            let bounds: Vec<u64> = bounds.into_iter().collect();
            let present: Vec<Range<u64>> = bounds.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
            let (mut pieces, mut at) = (Vec::new(), 0);
            for (length, source, is_there) in lengths {
                if is_there {
                    pieces.push(settled(at, length, source, 1000 * u64::from(source) + at));
                }
                at += length;
            }
            let mut copied = [0; 200];
            for copy in copies(&pieces, &present) {
                prop_assert_eq!(copy.from_offset, 1000 * u64::from(copy.source) + copy.to_offset);
                copied[copy.to_offset as usize..(copy.to_offset + copy.length) as usize].iter_mut().for_each(|n| *n += 1);
            }
            for (at, &times) in copied.iter().enumerate() {
                let at = at as u64;
                let is_wanted = pieces.iter().any(|piece| piece.range().contains(&at))
                    && !present.iter().any(|range| range.contains(&at));
                prop_assert_eq!(times, i32::from(is_wanted), "at {}", at);
            }
        }
    }
}

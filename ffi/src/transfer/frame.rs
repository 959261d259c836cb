//! Chunk frames, the unit of the bulk streams (`src/wire/spec/chunk_data.md`).
//!
//! All numbers are little endian. A frame is a 16-byte header, `record_count` records of 56 bytes,
//! then the payload: the data records' bytes in order, encoded as one unit.

use crate::chunk::codec::Codec;
use crate::error::{Error, Kind, Result};

/// "WH": the first two bytes of every frame.
pub const MAGIC: u16 = 0x4857;
pub const VERSION: u8 = 1;
pub const HEADER_BYTES: usize = 16;
pub const RECORD_BYTES: usize = 56;

/// "WS": the first two bytes of every bulk stream.
pub const PREFACE_MAGIC: u16 = 0x5357;
pub const PREFACE_BYTES: usize = 8;

/// Bulk streams that one transfer may have: caps what a sender that opens and ends them makes its receiver remember.
pub const MAX_STREAM_NUMBERS: u32 = 65_536;

/// Records in one frame: caps the table at 56 KiB.
pub const MAX_RECORDS: usize = 1024;

/// Plaintext bytes in one frame: caps what one stream makes the receiver hold.
pub const MAX_PLAIN_BYTES: usize = 16 * 1024 * 1024;

pub const FLAG_DATA: u16 = 1;
pub const FLAG_HOLE: u16 = 2;
pub const FLAG_END: u16 = 4;
pub const FLAG_FAILED: u16 = 8;
const KNOWN_FLAGS: u16 = FLAG_DATA | FLAG_HOLE | FLAG_END | FLAG_FAILED;

/// The fixed start of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub codec: Codec,
    pub record_count: usize,
    pub plain_length: usize,
    pub wire_length: usize,
}

/// What a frame says of one range of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub entry: u32,
    pub flags: u16,
    /// An error number when `FLAG_FAILED` is set, else 0.
    pub status: u16,
    pub offset: u64,
    pub length: u64,
    /// BLAKE3-256 of the range's plaintext; zero without `FLAG_DATA`.
    pub hash: [u8; 32],
}

impl Record {
    pub fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Bytes that the record has in the payload.
    pub fn data_length(&self) -> usize {
        if self.is(FLAG_DATA) { self.length as usize } else { 0 }
    }
}

/// Writes what a bulk stream begins with: its number in the transfer.
pub fn encode_preface(stream: u32) -> [u8; PREFACE_BYTES] {
    let mut out = [0; PREFACE_BYTES];
    out[..2].copy_from_slice(&PREFACE_MAGIC.to_le_bytes());
    out[2] = VERSION;
    out[4..].copy_from_slice(&stream.to_le_bytes());
    out
}

/// Reads and checks what a bulk stream begins with.
pub fn decode_preface(bytes: &[u8; PREFACE_BYTES]) -> Result<u32> {
    let what = "Cannot read the peer's bulk stream";
    let broken = |why: &str| Err(Error::new(Kind::Protocol, format!("{what}: {why}")));
    if u16_at(bytes, 0) != PREFACE_MAGIC {
        return broken("it does not begin with the stream mark");
    }
    if bytes[2] != VERSION {
        return broken("its version is unknown");
    }
    if bytes[3] != 0 {
        return broken("its reserved field is not zero");
    }
    match u32_at(bytes, 4) {
        number if number < MAX_STREAM_NUMBERS => Ok(number),
        _ => Err(Error::new(Kind::LimitExceeded, format!("{what}: its number is out of range"))),
    }
}

/// Writes header and records, ready to be sent before the payload.
pub fn encode(codec: Codec, records: &[Record], plain_length: usize, wire_length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + records.len() * RECORD_BYTES);
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.push(VERSION);
    out.push(codec as u8);
    out.extend_from_slice(&(records.len() as u16).to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&(plain_length as u32).to_le_bytes());
    out.extend_from_slice(&(wire_length as u32).to_le_bytes());
    for record in records {
        out.extend_from_slice(&record.entry.to_le_bytes());
        out.extend_from_slice(&record.flags.to_le_bytes());
        out.extend_from_slice(&record.status.to_le_bytes());
        out.extend_from_slice(&record.offset.to_le_bytes());
        out.extend_from_slice(&record.length.to_le_bytes());
        out.extend_from_slice(&record.hash);
    }
    out
}

/// Reads and checks a header; every length is within its limit afterwards.
pub fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Result<Header> {
    if u16_at(bytes, 0) != MAGIC {
        return Err(broken("it does not begin with the frame mark"));
    }
    if bytes[2] != VERSION {
        return Err(broken("its version is unknown"));
    }
    let codec = Codec::from_number(bytes[3]).map_err(|_| broken("its codec is unknown"))?;
    let record_count = u16_at(bytes, 4) as usize;
    let plain_length = u32_at(bytes, 8) as usize;
    let wire_length = u32_at(bytes, 12) as usize;
    if record_count == 0 || record_count > MAX_RECORDS {
        return Err(limit("its number of records is out of range"));
    }
    if u16_at(bytes, 6) != 0 {
        return Err(broken("its reserved field is not zero"));
    }
    if plain_length > MAX_PLAIN_BYTES {
        return Err(limit("it is larger than 16 MiB"));
    }
    let fits = if codec == Codec::Raw { wire_length == plain_length } else { wire_length < plain_length };
    if !fits {
        return Err(broken("its lengths do not agree"));
    }
    Ok(Header { codec, record_count, plain_length, wire_length })
}

/// Reads and checks the records that follow `header`.
pub fn decode_records(header: &Header, bytes: &[u8]) -> Result<Vec<Record>> {
    debug_assert_eq!(bytes.len(), header.record_count * RECORD_BYTES);
    let mut records = Vec::with_capacity(header.record_count);
    let mut plain = 0u64;
    for raw in bytes.chunks_exact(RECORD_BYTES) {
        let record = Record {
            entry: u32_at(raw, 0),
            flags: u16_at(raw, 4),
            status: u16_at(raw, 6),
            offset: u64::from_le_bytes(raw[8..16].try_into().unwrap()),
            length: u64::from_le_bytes(raw[16..24].try_into().unwrap()),
            hash: raw[24..56].try_into().unwrap(),
        };
        check_record(&record)?;
        plain += record.data_length() as u64;
        records.push(record);
    }
    if plain != header.plain_length as u64 {
        return Err(broken("its records do not add up to its length"));
    }
    Ok(records)
}

/// Checks every data record's bytes, which lie in `plain` one after the other, against its hash.
pub fn verify(records: &[Record], plain: &[u8]) -> Result<()> {
    let mut at = 0;
    for record in records.iter().filter(|record| record.is(FLAG_DATA)) {
        let data = &plain[at..at + record.data_length()];
        at += data.len();
        if blake3::hash(data).as_bytes() != &record.hash {
            return Err(Error::new(Kind::Corrupt, "A chunk arrived damaged: its hash does not match"));
        }
    }
    Ok(())
}

fn check_record(record: &Record) -> Result<()> {
    if record.flags & !KNOWN_FLAGS != 0 || record.flags == 0 {
        return Err(broken("a record has unknown flags"));
    }
    let what = [FLAG_DATA, FLAG_HOLE, FLAG_FAILED].iter().filter(|&&flag| record.is(flag)).count();
    if what > 1 || (record.is(FLAG_FAILED) && record.is(FLAG_END)) {
        return Err(broken("a record has flags that exclude each other"));
    }
    if record.is(FLAG_FAILED) != (record.status != 0) {
        return Err(broken("a record's status does not fit its flags"));
    }
    if record.is(FLAG_DATA) && (record.length == 0 || record.length > MAX_PLAIN_BYTES as u64) {
        return Err(limit("a record's length is out of range"));
    }
    if record.is(FLAG_HOLE) && record.length == 0 {
        return Err(broken("a hole has no length"));
    }
    if record.is(FLAG_FAILED) && record.offset != 0 {
        return Err(broken("a failed record has an offset"));
    }
    if !record.is(FLAG_DATA) && !record.is(FLAG_HOLE) && record.length != 0 {
        return Err(broken("a record without bytes has a length"));
    }
    if !record.is(FLAG_DATA) && record.hash != [0; 32] {
        return Err(broken("a record without bytes has a hash"));
    }
    // Sizes are i64 for every file system; the sum must not wrap either.
    match record.offset.checked_add(record.length) {
        Some(end) if end <= i64::MAX as u64 => Ok(()),
        _ => Err(limit("a record's range is out of range")),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn broken(why: &str) -> Error {
    Error::new(Kind::Protocol, format!("Cannot read the peer's chunk frame: {why}"))
}

fn limit(why: &str) -> Error {
    Error::new(Kind::LimitExceeded, format!("Cannot read the peer's chunk frame: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;
    use proptest::prelude::*;

    fn record(flags: u16, status: u16, length: u64) -> Record {
        let hash = if flags & FLAG_DATA != 0 { [7; 32] } else { [0; 32] };
        let offset = if flags & FLAG_FAILED != 0 { 0 } else { 4096 };
        Record { entry: 3, flags, status, offset, length, hash }
    }

    fn read(bytes: &[u8]) -> Result<(Header, Vec<Record>)> {
        let header = decode_header(bytes[..HEADER_BYTES].try_into().unwrap())?;
        let records = &bytes[HEADER_BYTES..];
        if records.len() < header.record_count * RECORD_BYTES {
            return Err(broken("it is cut"));
        }
        Ok((header, decode_records(&header, &records[..header.record_count * RECORD_BYTES])?))
    }

    #[test]
    fn a_frame_reads_back_as_it_was_written() {
        let records = vec![
            record(FLAG_DATA, 0, 100),
            record(FLAG_HOLE | FLAG_END, 0, 1 << 40),
            record(FLAG_FAILED, 22, 0),
        ];
        let bytes = encode(Codec::Zstd, &records, 100, 40);
        let (header, read) = read(&bytes).unwrap();
        assert_eq!(read, records);
        assert_eq!(
            header,
            Header { codec: Codec::Zstd, record_count: 3, plain_length: 100, wire_length: 40 }
        );
    }

    #[test]
    fn frames_that_break_a_rule_are_refused() {
        let good = record(FLAG_DATA, 0, 10);
        let cases: &[(&str, Codec, Record, usize, usize)] = &[
            ("raw lengths differ", Codec::Raw, good, 10, 9),
            ("compressed is not smaller", Codec::Lz4, good, 10, 10),
            ("records do not add up", Codec::Raw, good, 11, 11),
            ("too large", Codec::Raw, record(FLAG_DATA, 0, 17 << 20), 17 << 20, 17 << 20),
            ("no flags", Codec::Raw, record(0, 0, 0), 0, 0),
            ("unknown flag", Codec::Raw, record(16, 0, 0), 0, 0),
            ("data and hole", Codec::Raw, record(FLAG_DATA | FLAG_HOLE, 0, 10), 10, 10),
            ("failed and ended", Codec::Raw, record(FLAG_FAILED | FLAG_END, 22, 0), 0, 0),
            ("failed without status", Codec::Raw, record(FLAG_FAILED, 0, 0), 0, 0),
            ("status without failure", Codec::Raw, record(FLAG_END, 22, 0), 0, 0),
            ("empty data", Codec::Raw, record(FLAG_DATA, 0, 0), 0, 0),
            ("end with length", Codec::Raw, record(FLAG_END, 0, 5), 0, 0),
            ("range beyond i64", Codec::Raw, record(FLAG_HOLE, 0, i64::MAX as u64), 0, 0),
            ("range wraps", Codec::Raw, record(FLAG_HOLE, 0, u64::MAX), 0, 0),
        ];
        for (description, codec, record, plain, wire) in cases {
            assert!(read(&encode(*codec, &[*record], *plain, *wire)).is_err(), "{description}");
        }
        let mut wrong_magic = encode(Codec::Raw, &[good], 10, 10);
        wrong_magic[0] = 0;
        assert_eq!(read(&wrong_magic).unwrap_err().kind, Kind::Protocol);
        assert_eq!(read(&encode(Codec::Raw, &[], 0, 0)).unwrap_err().kind, Kind::LimitExceeded);
        let many = vec![record(FLAG_END, 0, 0); MAX_RECORDS + 1];
        assert_eq!(read(&encode(Codec::Raw, &many, 0, 0)).unwrap_err().kind, Kind::LimitExceeded);
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        /// Of the stream that the frame is the first of.
        preface: String,
        header: String,
        records: String,
        payload: String,
        valid: bool,
        code: Option<String>,
    }

    /// As the receiving engine does, with the bytes of a stream that ends after them.
    fn receive(bytes: &[u8]) -> Result<()> {
        let cut = || Error::new(Kind::ConnectionLost, "cut");
        let (preface, rest) = bytes.split_at_checked(PREFACE_BYTES).ok_or_else(cut)?;
        decode_preface(preface.try_into().unwrap())?;
        let (head, rest) = rest.split_at_checked(HEADER_BYTES).ok_or_else(cut)?;
        let header = decode_header(head.try_into().unwrap())?;
        let (raw, rest) = rest.split_at_checked(header.record_count * RECORD_BYTES).ok_or_else(cut)?;
        let records = decode_records(&header, raw)?;
        let wire = rest.get(..header.wire_length).ok_or_else(cut)?;
        let mut plain = vec![0; header.plain_length];
        crate::chunk::codec::decompress(header.codec, wire, header.plain_length, &mut plain)?;
        verify(&records, &plain)
    }

    #[test]
    fn the_shared_vectors_are_read_as_they_say() {
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../../../tests/vectors/chunk_frames.json")).unwrap();
        assert!(vectors.len() >= 40);
        for vector in vectors {
            let bytes =
                hex::decode(&[vector.preface, vector.header, vector.records, vector.payload].concat());
            let code = receive(&bytes).err().map(|error| {
                Kind::ALL.iter().find(|(kind, ..)| *kind == error.kind).map(|(_, name, _)| name.to_string())
            });
            assert_eq!(code.is_none(), vector.valid, "{}: {code:?}", vector.name);
            assert_eq!(code.flatten(), vector.code, "{}", vector.name);
        }
    }

    proptest! {
        #[test]
        fn a_preface_is_read_only_as_it_is_written(bytes in any::<[u8; PREFACE_BYTES]>(), number in 0..MAX_STREAM_NUMBERS) {
            prop_assert_eq!(decode_preface(&encode_preface(number)).unwrap(), number);
            if let Ok(number) = decode_preface(&bytes) {
                prop_assert_eq!(encode_preface(number), bytes);
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), HEADER_BYTES..400)) {
            let _ = read(&bytes);
        }

        #[test]
        fn mutated_frames_never_panic(at in 0usize..128, value in any::<u8>()) {
            let mut bytes = encode(Codec::Raw, &[record(FLAG_DATA, 0, 10), record(FLAG_END, 0, 0)], 10, 10);
            bytes[at] = value;
            if let Ok((header, records)) = read(&bytes) {
                prop_assert!(records.iter().map(Record::data_length).sum::<usize>() == header.plain_length);
            }
        }
    }
}

//! Names a file's format from its first bytes. Whether that format is worth compressing is decided above.

/// Formats that `infer` does not know, by how their files begin.
const MORE: [(&str, &[u8]); 11] = [
    ("age", b"age-encryption.org/"),
    ("age", b"-----BEGIN AGE ENCRYPTED FILE-----"),
    ("gpg", b"-----BEGIN PGP MESSAGE-----"),
    ("luks", b"LUKS\xba\xbe"),
    // A git pack, which begins like a FLAC or Ogg file begins: with four letters.
    ("pack", b"PACK\0\0\0"),
    ("parquet", b"PAR1"),
    ("lzma", b"\x5d\x00\x00\x80\x00"),
    ("lzo", b"\x89LZO\0\r\n\x1a\n"),
    ("snappy", b"\xff\x06\x00\x00sNaPpY"),
    ("zip", b"PK\x05\x06"),
    ("salted", b"Salted__"),
];

/// Gives the usual file name extension of what begins with `start`, in lower case.
pub fn format_of(start: &[u8]) -> Option<&'static str> {
    let more = MORE.iter().find(|(_, magic)| start.starts_with(magic)).map(|(name, _)| *name);
    more.or_else(|| infer::get(&start[..start.len().min(LOOKED_AT)]).map(|found| found.extension()))
}

/// More is not looked at: `infer` searches archives for what is inside.
const LOOKED_AT: usize = 8192;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formats_are_named_by_their_first_bytes() {
        let cases: [(&[u8], Option<&str>); 16] = [
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0", Some("jpg")),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Some("png")),
            (b"GIF89a", Some("gif")),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Some("webp")),
            (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", Some("mp4")),
            (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", Some("gz")),
            (b"BZh91AY&SY", Some("bz2")),
            (b"\xfd7zXZ\0\0", Some("xz")),
            (b"\x28\xb5\x2f\xfd\x04\0\0", Some("zst")),
            (b"7z\xbc\xaf\x27\x1c\0\x04", Some("7z")),
            (b"fLaC\0\0\0\x22", Some("flac")),
            (b"PACK\0\0\0\x02", Some("pack")),
            (b"age-encryption.org/v1\n", Some("age")),
            (b"LUKS\xba\xbe\0\x02", Some("luks")),
            (b"All work and no play", None),
            (b"", None),
        ];
        for (start, name) in cases {
            assert_eq!(format_of(start), name, "{start:?}");
        }
    }

    proptest! {
        #[test]
        fn any_start_is_looked_at_without_harm(
            magic in proptest::sample::select(vec![&b"PK\x03\x04"[..], b"RIFF", b"\0\0\0\x20ftyp", b"\x1a\x45\xdf\xa3", b"ID3", b""]),
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut start = magic.to_vec();
            start.extend(rest);
            let _ = format_of(&start);
        }
    }
}

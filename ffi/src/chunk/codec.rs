//! Compressing chunks: zstd and lz4 blocks, with contexts that are made once per thread.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use crate::error::{Error, Kind, Result};

/// How a chunk's bytes travel; the number is the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    Raw = 0,
    /// One zstd frame (RFC 8878).
    Zstd = 1,
    /// One lz4 block, without a frame or a size.
    Lz4 = 2,
}

impl Codec {
    /// Gives the codec for a number off the wire.
    ///
    /// # Errors
    /// PROTOCOL for a number that is none.
    pub fn from_number(number: u8) -> Result<Codec> {
        match number {
            0 => Ok(Codec::Raw),
            1 => Ok(Codec::Zstd),
            2 => Ok(Codec::Lz4),
            _ => Err(Error::new(Kind::Protocol, format!("unknown codec {number}"))),
        }
    }
}

thread_local! {
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses `input` into `output`, which is replaced; see [`compress_into`]. Gives false, with `output` empty, when
/// that is not worth it.
pub fn compress(codec: Codec, level: i32, input: &[u8], output: &mut Vec<u8>) -> Result<bool> {
    output.resize(largest_output(input.len()), 0);
    let length = compress_into(codec, level, input, output)?;
    output.truncate(length.unwrap_or(0));
    Ok(length.is_some())
}

/// Room that [`compress_into`] needs for an input of `length` bytes, with any codec.
pub fn largest_output(length: usize) -> usize {
    lz4_flex::block::get_maximum_output_size(length).max(zstd::zstd_safe::compress_bound(length))
}

/// Compresses `input` into the start of `output`, which has the room of [`largest_output`]; `level` is zstd's (lz4 has
/// one level).
///
/// Gives the length, or none when the result is not at least 1/16 smaller: not worth the receiver's work. RAW always
/// gives none.
pub fn compress_into(codec: Codec, level: i32, input: &[u8], output: &mut [u8]) -> Result<Option<usize>> {
    let length = match codec {
        Codec::Raw => return Ok(None),
        Codec::Zstd => compress_zstd(level, input, output)?,
        Codec::Lz4 => lz4_flex::block::compress_into(input, output).map_err(|error| internal(&error))?,
    };
    Ok((length < input.len() - input.len() / 16).then_some(length))
}

/// Expands `input` into `output`.
///
/// # Errors
/// CORRUPT unless it gives exactly `expected_len` bytes. INVALID_ARGUMENT when `output` is not that long.
pub fn decompress(codec: Codec, input: &[u8], expected_len: usize, output: &mut [u8]) -> Result<()> {
    if output.len() != expected_len {
        return Err(Error::new(Kind::InvalidArgument, "the buffer is not as long as the chunk"));
    }
    let size = match codec {
        Codec::Raw if input.len() == expected_len => {
            output.copy_from_slice(input);
            expected_len
        }
        Codec::Raw => return Err(corrupt()),
        Codec::Zstd => decompress_zstd(input, output)?,
        Codec::Lz4 => lz4_flex::block::decompress_into(input, output).map_err(|_| corrupt())?,
    };
    if size == expected_len { Ok(()) } else { Err(corrupt()) }
}

fn compress_zstd(level: i32, input: &[u8], output: &mut [u8]) -> Result<usize> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let (current, compressor) = match slot {
            Some(made) => made,
            None => slot.insert((level, new_compressor(level).map_err(|error| internal(&error))?)),
        };
        if *current != level {
            compressor.set_compression_level(level).map_err(|error| internal(&error))?;
            *current = level;
        }
        compressor.compress_to_buffer(input, output).map_err(|error| internal(&error))
    })
}

fn new_compressor(level: i32) -> std::io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(level)?;
    // A frame is one chunk: there is nothing at a long distance, and looking for it costs memory and time.
    compressor.set_parameter(zstd::zstd_safe::CParameter::EnableLongDistanceMatching(false))?;
    Ok(compressor)
}

fn decompress_zstd(input: &[u8], output: &mut [u8]) -> Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(made) => made,
            None => slot.insert(Decompressor::new().map_err(|error| internal(&error))?),
        };
        decompressor.decompress_to_buffer(input, output).map_err(|_| corrupt())
    })
}

fn internal(error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("Cannot compress a chunk: {error}"))
}

fn corrupt() -> Error {
    Error::new(Kind::Corrupt, "Cannot expand a chunk: its compressed bytes are damaged")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACKED: [Codec; 2] = [Codec::Zstd, Codec::Lz4];

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn text_shrinks_and_comes_back() {
        let text = b"All work and no play makes Jack a dull boy.\n".repeat(3000);
        for codec in PACKED {
            for level in [1, 3, 3, -5] {
                let mut packed = vec![9; 3];
                assert!(compress(codec, level, &text, &mut packed).unwrap());
                assert!(packed.len() < text.len() / 10);
                let mut back = vec![0; text.len()];
                decompress(codec, &packed, text.len(), &mut back).unwrap();
                assert_eq!(back, text);
            }
        }
    }

    #[test]
    fn noise_and_nothing_stay_as_they_are() {
        let noise = noise(100_000);
        for codec in [Codec::Raw, Codec::Zstd, Codec::Lz4] {
            let mut packed = vec![];
            assert!(!compress(codec, 3, &noise, &mut packed).unwrap());
            assert!(packed.is_empty());
            assert!(!compress(codec, 3, b"", &mut packed).unwrap());
        }
        let mut back = vec![0; noise.len()];
        decompress(Codec::Raw, &noise, noise.len(), &mut back).unwrap();
        assert_eq!(back, noise);
    }

    #[test]
    fn another_length_than_promised_is_corrupt() {
        let text = b"abcabcabc".repeat(1000);
        for codec in PACKED {
            let mut packed = vec![];
            compress(codec, 3, &text, &mut packed).unwrap();
            for length in [0, text.len() - 1, text.len() + 1] {
                let result = decompress(codec, &packed, length, &mut vec![0; length]);
                assert_eq!(result.unwrap_err().kind, Kind::Corrupt, "{codec:?} {length}");
            }
            let cut = decompress(codec, &packed[..packed.len() / 2], text.len(), &mut vec![0; text.len()]);
            assert_eq!(cut.unwrap_err().kind, Kind::Corrupt);
            // The context is fit for use afterwards.
            decompress(codec, &packed, text.len(), &mut vec![0; text.len()]).unwrap();
        }
        assert_eq!(decompress(Codec::Raw, b"abc", 4, &mut [0; 4]).unwrap_err().kind, Kind::Corrupt);
        assert_eq!(Codec::from_number(3).unwrap_err().kind, Kind::Protocol);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(input in proptest::collection::vec(any::<u8>(), 0..300), length in 0usize..5000) {
            for codec in PACKED {
                let _ = decompress(codec, &input, length, &mut vec![0; length]);
            }
        }

        #[test]
        fn whatever_shrinks_comes_back(part in proptest::collection::vec(any::<u8>(), 1..50), times in 1usize..200) {
            let input = part.repeat(times);
            for codec in PACKED {
                let mut packed = vec![];
                if compress(codec, 1, &input, &mut packed).unwrap() {
                    prop_assert!(packed.len() < input.len());
                    let mut back = vec![0; input.len()];
                    decompress(codec, &packed, input.len(), &mut back).unwrap();
                    prop_assert_eq!(back, input.clone());
                }
            }
        }
    }
}

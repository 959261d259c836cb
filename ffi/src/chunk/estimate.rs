//! Guesses from a few samples whether bytes can be made fewer, for much less than hashing them costs.

/// Bytes of one sample.
const SAMPLE_BYTES: usize = 1024;

/// Samples of a chunk, evenly spread. Together with [`SAMPLE_BYTES`] this is the whole cost: 4 KiB of a chunk.
const SAMPLES: usize = 4;

/// Slots for the places where four bytes were seen last: few, so that they stay in the fastest cache.
const SLOTS: usize = 1 << 11;

/// What the samples show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Bits per byte when each byte is coded by how often it occurs: 0 to 8, and 8 for random bytes however few they
    /// are (the Miller-Madow correction: few samples look more orderly than they are).
    pub entropy: f32,
    /// Share of the samples, 0 to 1, where the next four bytes have been seen before.
    pub repeats: f32,
}

/// Looks at 4 KiB of `bytes`, or at all of them when they are fewer.
pub fn estimate(bytes: &[u8]) -> Estimate {
    let mut counts = [[0u16; 256]; 2];
    let mut seen = [0u32; SLOTS];
    let mut looked = 0u32;
    let mut repeated = 0u32;
    let spread = bytes.len().saturating_sub(SAMPLE_BYTES) / (SAMPLES - 1);
    let whole = bytes.len() <= SAMPLES * SAMPLE_BYTES;
    for index in 0..if whole { 1 } else { SAMPLES } {
        let sample = if whole { bytes } else { &bytes[index * spread..][..SAMPLE_BYTES] };
        // Two tables: neighbours that are equal would wait for each other's count.
        for pair in sample.chunks(2) {
            counts[0][pair[0] as usize] += 1;
            if let Some(&second) = pair.get(1) {
                counts[1][second as usize] += 1;
            }
        }
        for four in sample.windows(4).step_by(2) {
            let value = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            let slot = (value.wrapping_mul(2_654_435_761) >> (32 - SLOTS.ilog2())) as usize;
            // The first word of zeros counts as seen: no matter.
            repeated += u32::from(seen[slot] == value);
            seen[slot] = value;
            looked += 1;
        }
    }
    let counts: Vec<u32> =
        (0..256).map(|byte| u32::from(counts[0][byte]) + u32::from(counts[1][byte])).collect();
    Estimate { entropy: entropy(&counts), repeats: repeated as f32 / looked.max(1) as f32 }
}

fn entropy(counts: &[u32]) -> f32 {
    let total = counts.iter().sum::<u32>() as f32;
    if total == 0.0 {
        return 0.0;
    }
    let sum: f32 =
        counts.iter().filter(|&&count| count > 0).map(|&count| count as f32 * (count as f32).log2()).sum();
    let kinds = counts.iter().filter(|&&count| count > 0).count() as f32;
    let missed = (kinds - 1.0) / (2.0 * std::f32::consts::LN_2 * total);
    (total.log2() - sum / total + missed).clamp(0.0, 8.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chunk::codec::{Codec, compress};

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn noise_is_told_from_text() {
        for length in [2048, 4096, 5000, 1 << 20] {
            let Estimate { entropy, repeats } = estimate(&noise(length));
            assert!(entropy > 7.9 && repeats < 0.02, "{length}: {entropy} {repeats}");
            let text = b"All work and no play makes Jack a dull boy.\n".repeat(length / 44 + 1);
            let Estimate { entropy, repeats } = estimate(&text);
            assert!(entropy < 5.0 && repeats > 0.8, "{length}: {entropy} {repeats}");
        }
        assert_eq!(estimate(b""), Estimate { entropy: 0.0, repeats: 0.0 });
        assert_eq!(estimate(&[7; 100_000]).entropy, 0.0);
    }

    #[test]
    fn what_is_compressed_already_looks_like_noise() {
        // Every number differs, so that the result is long enough to be sampled.
        let text: String =
            (0..400_000u32).map(|n| format!("{} ok\n", n.wrapping_mul(2_654_435_761))).collect();
        for (codec, level) in [(Codec::Zstd, 3), (Codec::Zstd, 12)] {
            let mut packed = Vec::new();
            assert!(compress(codec, level, text.as_bytes(), &mut packed).unwrap());
            let Estimate { entropy, repeats } = estimate(&packed);
            assert!(entropy > 7.9 && repeats < 0.02, "{entropy} {repeats}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_numbers_within_bounds(
            part in proptest::collection::vec(any::<u8>(), 0..600), times in 0usize..40,
        ) {
            let Estimate { entropy, repeats } = estimate(&part.repeat(times));
            prop_assert!((0.0..=8.0).contains(&entropy));
            prop_assert!((0.0..=1.0).contains(&repeats));
        }
    }
}

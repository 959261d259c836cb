//! Prints speed and size of every codec and level on kinds of data, as JSON, for `bench/`:
//! `cargo run --release --example codecs -- [DIRECTORY]`, where DIRECTORY is a source tree (this crate by default).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wormhole_ffi::chunk::codec::{Codec, compress, decompress};
use wormhole_ffi::chunk::estimate;

const MIB: usize = 1024 * 1024;

/// Plaintext of one frame: a chunk, and a pack of small files.
const CHUNK_BYTES: usize = 4 * MIB;
const PACK_BYTES: usize = MIB;

/// Each kind of data is cut to this, so that a run takes seconds.
const DATA_BYTES: usize = 16 * MIB;

/// Each measurement is repeated for this long and the fastest pass counts.
const PATIENCE: Duration = Duration::from_millis(400);

/// The size that `zstd --train` makes by default.
const DICTIONARY_BYTES: usize = 112_640;

fn main() {
    let tree = std::env::args().nth(1).unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let text = log_lines(DATA_BYTES);
    let mut source = Vec::new();
    collect(&tree.into(), &mut source);
    let random = noise(DATA_BYTES);
    let packed = already_compressed(&text);
    let kinds: [(&str, &[u8], usize); 5] = [
        ("text", &text, CHUNK_BYTES),
        ("source", &source, CHUNK_BYTES),
        ("source, in packs", &source, PACK_BYTES),
        ("random", &random, CHUNK_BYTES),
        ("compressed", &packed, CHUNK_BYTES),
    ];
    let mut results = Vec::new();
    for (data, bytes, frame) in kinds {
        results.extend(measure(data, bytes, frame));
    }
    let report = serde_json::json!({ "codecs": results, "dictionary": dictionary(&source) });
    println!("{}", serde_json::to_string_pretty(&report).expect("plain JSON"));
}

fn measure(data: &str, bytes: &[u8], frame: usize) -> Vec<serde_json::Value> {
    let hash = fastest(bytes, || {
        bytes.chunks(frame).for_each(|chunk| _ = std::hint::black_box(blake3::hash(chunk)));
    });
    let estimated = fastest(bytes, || {
        bytes.chunks(frame).for_each(|chunk| _ = std::hint::black_box(estimate::estimate(chunk)));
    });
    let guess = estimate::estimate(&bytes[..frame.min(bytes.len())]);
    let mut rows = vec![serde_json::json!({
        "data": data, "frame": frame, "bytes": bytes.len(), "codec": "estimate", "speed": estimated,
        "hash_speed": hash, "entropy": guess.entropy, "repeats": guess.repeats,
    })];
    let zstd = [-5, -3, -1, 1, 2, 3, 4, 5, 6, 7, 9, 12].map(|level| (Codec::Zstd, level));
    for (codec, level) in [(Codec::Lz4, 0)].into_iter().chain(zstd) {
        let mut output = Vec::new();
        let mut size = 0;
        let speed = fastest(bytes, || {
            size = bytes.chunks(frame).map(|chunk| pack(codec, level, chunk, &mut output).1).sum();
        });
        let packs: Vec<(Codec, Vec<u8>, usize)> = bytes
            .chunks(frame)
            .map(|chunk| (pack(codec, level, chunk, &mut output).0, output.clone(), chunk.len()))
            .collect();
        let mut plain = vec![0; frame];
        let back = fastest(bytes, || {
            for (codec, packed, length) in packs.iter().filter(|(codec, _, _)| *codec != Codec::Raw) {
                decompress(*codec, packed, *length, &mut plain[..*length]).expect("what was compressed here");
            }
        });
        rows.push(serde_json::json!({
            "data": data, "frame": frame, "bytes": bytes.len(), "codec": format!("{codec:?}").to_lowercase(),
            "level": level, "share": size as f64 / bytes.len() as f64, "speed": speed, "expand_speed": back,
        }));
    }
    rows
}

/// Compresses as the engine would; gives the codec that the frame has, and its bytes.
fn pack(codec: Codec, level: i32, chunk: &[u8], output: &mut Vec<u8>) -> (Codec, usize) {
    if compress(codec, level, chunk, output).expect("zstd and lz4 take any bytes") {
        (codec, output.len())
    } else {
        (Codec::Raw, chunk.len())
    }
}

/// Bytes per second of the fastest of many passes over `bytes`.
fn fastest(bytes: &[u8], mut pass: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = Duration::MAX;
    while best == Duration::MAX || start.elapsed() < PATIENCE {
        let before = Instant::now();
        pass();
        best = best.min(before.elapsed());
    }
    (bytes.len() as f64 / best.as_secs_f64()).round()
}

/// What a dictionary would save on packs of small files: shares of the size, with zstd level 3.
fn dictionary(source: &[u8]) -> serde_json::Value {
    let mut plain = zstd::bulk::Compressor::new(3).expect("a level of zstd");
    // Pieces from all over: what training would choose from. It is not free: it has to be sent as well.
    let pieces =
        source.chunks(source.len() / 64).flat_map(|piece| &piece[..piece.len().min(DICTIONARY_BYTES / 64)]);
    let pieces: Vec<u8> = pieces.copied().collect();
    let mut helped = zstd::bulk::Compressor::with_dictionary(3, &pieces).expect("any bytes are a dictionary");
    let share = |compressor: &mut zstd::bulk::Compressor<'_>, frame: usize| {
        let sizes = source.chunks(frame).map(|pack| compressor.compress(pack).expect("room enough").len());
        sizes.sum::<usize>() as f64 / source.len() as f64
    };
    serde_json::json!({
        "level": 3,
        "dictionary_bytes": pieces.len(),
        "dictionary_share": plain.compress(&pieces).expect("room enough").len() as f64 / source.len() as f64,
        "packs": share(&mut plain, PACK_BYTES),
        "packs_with_dictionary": share(&mut helped, PACK_BYTES),
        "chunks": share(&mut plain, CHUNK_BYTES),
        "files_of_8_kib": share(&mut plain, 8192),
        "files_of_8_kib_with_dictionary": share(&mut helped, 8192),
    })
}

/// A made-up server log, which compresses about 4:1.
fn log_lines(length: usize) -> Vec<u8> {
    const WORDS: [&str; 14] = [
        "GET",
        "POST",
        "/index",
        "/api/v1/users",
        "/static/app.js",
        "200",
        "404",
        "ok",
        "slow",
        "agent",
        "from",
        "cache",
        "miss",
        "hit",
    ];
    let mut state = 12345u64;
    let mut next = move |limit: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % limit
    };
    let mut text = String::with_capacity(length + 128);
    while text.len() < length {
        let (day, hour, minute, second) = (10 + next(20), 10 + next(14), 10 + next(50), 10 + next(50));
        let (first, second_word) = (WORDS[next(14) as usize], WORDS[next(14) as usize]);
        text += &format!(
            "2026-01-{day}T{hour}:{minute}:{second}.{} {first} {second_word} id={} ms={}\n",
            next(1000),
            next(1_000_000_000),
            next(5000),
        );
    }
    text.into_bytes()
}

/// The files of a source tree one after the other, as they lie in packs.
fn collect(directory: &PathBuf, into: &mut Vec<u8>) {
    let Ok(listing) = std::fs::read_dir(directory) else { return };
    let mut paths: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if into.len() >= DATA_BYTES {
            return;
        }
        if path.is_dir() {
            collect(&path, into);
        } else if is_text(&path)
            && let Ok(bytes) = std::fs::read(&path)
        {
            into.extend(bytes);
        }
    }
    into.truncate(DATA_BYTES);
}

fn is_text(path: &Path) -> bool {
    let extensions = ["c", "h", "css", "html", "js", "json", "md", "py", "rs", "toml", "ts", "txt", "yaml"];
    path.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension))
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// Like a photo or a film: coded by its statistics already, though not perfectly random.
fn already_compressed(text: &[u8]) -> Vec<u8> {
    text.chunks(CHUNK_BYTES).flat_map(|chunk| zstd::bulk::compress(chunk, 12).expect("room enough")).collect()
}

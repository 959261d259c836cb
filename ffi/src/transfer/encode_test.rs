use std::ffi::OsStr;

use proptest::prelude::*;

use super::*;

fn rules() -> Rules {
    let extensions = ["jpg", "gz", "zst"].map(String::from).into();
    Rules { min_entropy: 7.9, max_repeats: 0.02, max_skipped: 4, extensions }
}

fn encoding(codec: Codec) -> Encoding {
    let encoding = Encoding::default();
    encoding.set_rules(rules()).unwrap();
    encoding.set_room(2, 1 << 20);
    encoding.tune(codec, 1);
    encoding
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn text(length: usize) -> Vec<u8> {
    b"All work and no play makes Jack a dull boy.\n".iter().copied().cycle().take(length).collect()
}

fn origin<'a>(history: &'a History, name: &'a str, is_start: bool) -> Option<Origin<'a>> {
    Some(Origin { history, name: OsStr::new(name), is_start })
}

/// Encodes frames of one file and tells which of them shrank.
fn shrunk(encoding: &Encoding, name: &str, frames: &[Vec<u8>]) -> String {
    let history = History::default();
    let mark = |(index, frame): (usize, &Vec<u8>)| {
        let packed = encoding.encode(frame, origin(&history, name, index == 0)).unwrap();
        if packed.is_some() { '+' } else { '.' }
    };
    frames.iter().enumerate().map(mark).collect()
}

#[test]
fn text_shrinks_and_noise_stays_as_it_is() {
    for codec in [Codec::Zstd, Codec::Lz4] {
        let encoding = encoding(codec);
        let plain = text(100_000);
        let (used, packed) = encoding.encode(&plain, None).unwrap().unwrap();
        assert_eq!(used, codec);
        let mut back = vec![0; plain.len()];
        codec::decompress(codec, packed.as_ref(), plain.len(), &mut back).unwrap();
        assert_eq!(back, plain);
        assert!(encoding.encode(&noise(100_000), None).unwrap().is_none());
        assert!(encoding.encode(b"", None).unwrap().is_none());
        assert_eq!(encoding.plain.load(Ordering::Relaxed), 200_000);
    }
}

#[test]
fn frames_after_a_disappointment_are_left_alone_for_a_while() {
    let encoding = encoding(Codec::Zstd);
    let mut frames = vec![noise(50_000); 3];
    frames.resize(12, text(50_000));
    // Looked at: 0 (skips 1), 2 (skips 2), then all.
    assert_eq!(shrunk(&encoding, "disk.img", &frames), ".....+++++++");
    let mixed: Vec<Vec<u8>> = (0..6).map(|n| if n == 0 { noise(50_000) } else { text(50_000) }).collect();
    assert_eq!(shrunk(&encoding, "disk.img", &mixed), "..++++");
}

#[test]
fn compressed_formats_are_known_by_name_and_by_content() {
    let encoding = encoding(Codec::Zstd);
    assert_eq!(shrunk(&encoding, "PHOTO.JPG", &vec![text(10_000); 7]), ".....++");
    let mut gz = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec();
    gz.extend(text(10_000));
    let mut frames = vec![text(10_000); 7];
    frames[0] = gz;
    assert_eq!(shrunk(&encoding, "backup", &frames), ".....++");
    assert_eq!(shrunk(&encoding, "notes.txt", &vec![text(10_000); 3]), "+++");
}

#[test]
fn raw_costs_nothing() {
    let encoding = encoding(Codec::Raw);
    assert!(encoding.encode(&text(100_000), None).unwrap().is_none());
    assert_eq!(encoding.cpu_us.load(Ordering::Relaxed), 0);
}

#[test]
fn probes_tell_what_every_candidate_gives() {
    let encoding = encoding(Codec::Raw);
    let candidates = [(2, 0), (1, 1), (1, 3)].map(|(codec, level)| Candidate { codec, level });
    encoding.probe(candidates.to_vec()).unwrap();
    assert!(encoding.take_probes().is_empty());
    encoding.encode(&text(1_000_000), None).unwrap();
    let probes = encoding.take_probes();
    assert_eq!(probes.len(), 3);
    assert!(probes.iter().all(|probe| probe.plain == PROBE_BYTES as u64 && probe.wire < probe.plain / 10));
    encoding.encode(&text(1_000_000), None).unwrap();
    assert!(encoding.take_probes().is_empty());
    encoding.probe(candidates.to_vec()).unwrap();
    encoding.encode(&noise(1_000_000), None).unwrap();
    assert!(encoding.take_probes().iter().all(|probe| probe.plain == probe.wire && probe.cpu_us == 0));
    assert_eq!(
        encoding.probe(vec![Candidate { codec: 7, level: 0 }]).unwrap_err().kind,
        Kind::InvalidArgument
    );
}

#[test]
fn a_closed_session_gives_no_room() {
    let encoding = encoding(Codec::Zstd);
    encoding.close();
    assert_eq!(encoding.encode(&text(1000), None).err().unwrap().kind, Kind::Closed);
}

proptest! {
    #[test]
    fn nothing_grows_or_gets_lost(
        part in proptest::collection::vec(any::<u8>(), 1..400), times in 1usize..60, level in -5i32..7, zstd: bool,
    ) {
        let encoding = encoding(if zstd { Codec::Zstd } else { Codec::Lz4 });
        encoding.tune(if zstd { Codec::Zstd } else { Codec::Lz4 }, level);
        let plain = part.repeat(times);
        if let Some((codec, packed)) = encoding.encode(&plain, None).unwrap() {
            prop_assert!(packed.as_ref().len() < plain.len());
            let mut back = vec![0; plain.len()];
            codec::decompress(codec, packed.as_ref(), plain.len(), &mut back).unwrap();
            prop_assert_eq!(back, plain);
        }
    }
}

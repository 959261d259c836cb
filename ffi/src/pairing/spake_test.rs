use serde::Deserialize;

use super::*;
use crate::hex;

/// `tests/vectors/spake2.json`; its `source` fields say where each comes from.
#[derive(Deserialize)]
struct Vectors {
    symmetric: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    password: String,
    id: String,
    scalars: [String; 2],
    messages: [String; 2],
    key: String,
}

fn seed(scalar: &str) -> Zeroizing<[u8; 64]> {
    let mut seed = Zeroizing::new([0; 64]);
    seed[..32].copy_from_slice(&hex::decode(scalar));
    seed
}

#[test]
fn messages_and_keys_are_python_spake2s() {
    let vectors: Vectors = serde_json::from_str(include_str!("../../../tests/vectors/spake2.json")).unwrap();
    assert!(vectors.symmetric.len() >= 5);
    for vector in vectors.symmetric {
        let (password, id) = (hex::decode(&vector.password), hex::decode(&vector.id));
        let start = |side: usize| Exchange::start_with(&password, &id, seed(&vector.scalars[side])).unwrap();
        let ((a, message_a), (b, message_b)) = (start(0), start(1));
        assert_eq!(message_a[..], hex::decode(&vector.messages[0]));
        assert_eq!(message_b[..], hex::decode(&vector.messages[1]));
        assert_eq!(a.finish(&message_b).unwrap()[..], hex::decode(&vector.key));
        assert_eq!(b.finish(&message_a).unwrap()[..], hex::decode(&vector.key));
    }
}

#[test]
fn a_wrong_password_or_id_gives_another_key() {
    let keys = |other: &[u8], id: &[u8]| {
        let (a, message_a) = Exchange::start(b"7-guitar-zebra", b"app").unwrap();
        let (b, message_b) = Exchange::start(other, id).unwrap();
        (a.finish(&message_b).unwrap(), b.finish(&message_a).unwrap())
    };
    let (a, b) = keys(b"7-guitar-zebra", b"app");
    assert_eq!(a, b);
    let (a, b) = keys(b"7-guitar-zebrb", b"app");
    assert_ne!(a, b);
    let (a, b) = keys(b"7-guitar-zebra", b"other");
    assert_ne!(a, b);
}

#[test]
fn malformed_and_reflected_messages_are_refused() {
    let start = || Exchange::start(b"p", b"").unwrap();
    // y = 2 is on no point of the curve.
    let mut no_element = [0; 33];
    no_element[..2].copy_from_slice(b"S\x02");
    let mut other_side = start().1;
    other_side[0] = b'A';
    for bad in [&b""[..], b"S", &no_element, &other_side, &[b'S'; 34]] {
        assert_eq!(start().0.finish(bad).unwrap_err().kind, Kind::Protocol);
    }
    let (exchange, own) = start();
    assert_eq!(exchange.finish(&own).unwrap_err().kind, Kind::Protocol);
}

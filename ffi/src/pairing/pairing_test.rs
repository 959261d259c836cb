use serde::Deserialize;

use super::*;
use crate::hex;

#[derive(Deserialize)]
struct Vectors {
    hkdf_sha256: Vec<Derivation>,
}

#[derive(Deserialize)]
struct Derivation {
    key: String,
    salt: String,
    info: String,
    output: String,
}

#[test]
fn hkdf_matches_rfc_5869() {
    let vectors: Vectors = serde_json::from_str(include_str!("../../../tests/vectors/hkdf.json")).unwrap();
    assert!(vectors.hkdf_sha256.len() >= 3);
    for vector in vectors.hkdf_sha256 {
        let expected = hex::decode(&vector.output);
        let mut output = vec![0; expected.len()];
        let salt = hex::decode(&vector.salt);
        let salt = (!salt.is_empty()).then_some(&salt[..]);
        hkdf(&hex::decode(&vector.key), salt, &hex::decode(&vector.info), &mut output).unwrap();
        assert_eq!(output, expected);
    }
    assert_eq!(hkdf(b"k", None, b"", &mut [0; 8161]).unwrap_err().kind, Kind::InvalidArgument);
}

#[test]
fn open_gives_back_what_was_sealed_and_nothing_else() {
    let (key, other) = ([7; 32], [8; 32]);
    for message in [&b""[..], b"hello", &[3; 5000]] {
        let sealed = seal(&key, message).unwrap();
        assert_eq!(sealed.len(), message.len() + SEAL_BYTES);
        assert_ne!(sealed, seal(&key, message).unwrap());
        assert_eq!(open(&key, &sealed).unwrap(), message);
        assert_eq!(open(&other, &sealed).unwrap_err().kind, Kind::Corrupt);
        for at in [0, NONCE_BYTES, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&key, &changed).unwrap_err().kind, Kind::Corrupt);
        }
    }
    assert_eq!(open(&key, &[0; 23]).unwrap_err().kind, Kind::Corrupt);
    assert_eq!(open(&key, &[0; 24]).unwrap_err().kind, Kind::Corrupt);
}

#[test]
fn open_reads_nacls_own_vector() {
    // NaCl, tests/secretbox.c (also libsodium's secretbox.exp): firstkey, nonce, and the box.
    let key = hex::decode("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    let nonce = hex::decode("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
    let message = hex::decode(concat!(
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c6129",
        "6cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde",
        "048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705"
    ));
    let boxed = hex::decode(concat!(
        "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186a",
        "c0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae",
        "90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74",
        "e355a5"
    ));
    let key: [u8; 32] = key.try_into().unwrap();
    assert_eq!(open(&key, &[nonce, boxed].concat()).unwrap(), message);
}

#[test]
fn ed25519_public_matches_rfc_8032() {
    // RFC 8032 §7.1, test 1.
    let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public = hex::decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(ed25519_public(&seed.try_into().unwrap())[..], public);
}

#[test]
fn random_differs() {
    let (mut a, mut b) = ([0; 32], [0; 32]);
    random(&mut a).unwrap();
    random(&mut b).unwrap();
    assert_ne!(a, b);
}

//! A relay on loopback and machines that use it, for tests.

use std::sync::Arc;
use std::time::Duration;

use super::{Hub, Options, RelayKey, RelayServer, TlsPem};
use crate::error::Result;
use crate::net::Connection;
use crate::net::endpoint::{self, Endpoint, RelayOptions};
use crate::net::proxy::Proxy;
use crate::net::quic_config::Congestion;
use crate::net::testing::long_paths;
use crate::transit_relay::testing::generous;

/// Options of a relay that anybody with a token may use.
pub fn options() -> Options {
    Options {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        tls: None,
        discovery: Some("127.0.0.1:0".parse().unwrap()),
        secret: [3; 32],
        max_clients: 100,
        client_bytes_per_second: None,
        joins: generous(),
    }
}

/// A certificate for 127.0.0.1 that nobody vouches for, and its hash.
pub fn certificate() -> (TlsPem, super::Pin) {
    use sha2::{Digest, Sha256};
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let pem = |label: &str, der: &[u8]| {
        let base64: Vec<u8> = base64(der);
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", String::from_utf8(base64).unwrap())
    };
    let tls = TlsPem {
        cert: pem("CERTIFICATE", made.cert.der()),
        key: pem("PRIVATE KEY", &made.signing_key.serialize_der()),
    };
    (tls, Sha256::digest(made.cert.der()).into())
}

/// RFC 4648 §4, in lines of 64 characters as PEM has them.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, at| word << 8 | u32::from(*three.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() { letter } else { b'=' });
        }
    }
    text.chunks(64).collect::<Vec<_>>().join(&b'\n')
}

/// What the hub of `relay` announces.
pub fn hub(relay: &RelayServer) -> Hub {
    Hub {
        url: format!("http://{}/", relay.addresses()[0]),
        token: relay.token(),
        discovery_port: relay.discovery().map(|(address, _)| address.port()),
        pins: relay.discovery().map(|(_, pin)| pin).into_iter().collect(),
    }
}

/// What everybody at the relay calls it.
pub const ID: super::RelayId = [4; 16];

/// A machine that is at the relay.
pub struct Machine {
    pub endpoint: Arc<Endpoint>,
    pub key: RelayKey,
}

/// A machine whose key is made of `seed`, at the hub's relay; `direct`: may use UDP as well.
pub async fn machine(seed: u8, direct: bool, hub: Hub) -> Machine {
    machine_by(None, (seed, direct), hub).await
}

/// The same, by way of `proxy`.
pub async fn machine_by(proxy: Option<Proxy>, (seed, direct): (u8, bool), hub: Hub) -> Machine {
    let endpoint = Endpoint::open(endpoint::Options {
        seed: [seed; 32],
        bind: vec!["127.0.0.1:0".parse().unwrap()],
        tcp: false,
        quic: false,
        congestion: Congestion::BbrFrom(Duration::from_millis(5)),
        long_paths: long_paths(),
    });
    let endpoint = Arc::new(endpoint.await.unwrap());
    let options = RelayOptions { id: ID, direct, port_mapping: false, proxy };
    let key = endpoint.use_relay(hub, options).await.unwrap();
    Machine { endpoint, key }
}

/// Dials `to` at the relay.
pub async fn dial(from: &Machine, to: &Machine, seconds: u64) -> Result<Connection> {
    from.endpoint.dial_relay(&to.key, to.endpoint.public_key(), Duration::from_secs(seconds)).await
}

/// Connects `a` to `b`, which have been told of nothing but the relay.
pub async fn connect(a: &Machine, b: &Machine) -> (Connection, Connection) {
    b.endpoint.allow_at_relay(&a.key, a.endpoint.public_key()).unwrap();
    // A dial that fails says why, rather than leave the other side waiting.
    let dialled = async { dial(a, b, 20).await.unwrap() };
    let (dialler, acceptor) = tokio::join!(dialled, b.endpoint.accept());
    let acceptor = acceptor.unwrap();
    assert_eq!(dialler.peer_key(), b.endpoint.public_key());
    assert_eq!(acceptor.peer_key(), a.endpoint.public_key());
    (dialler, acceptor)
}

use std::time::Duration;

use super::super::discovery::Discovery;
use super::*;
use crate::net::testing::runtime;

fn within<F: Future<Output = ()>>(test: F) {
    let run = async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("hangs") };
    runtime().block_on(run);
}

fn place(discovery: &Discovery) -> DiscoveryPlace {
    DiscoveryPlace {
        host: "127.0.0.1".to_owned(),
        port: discovery.address().port(),
        other_port: discovery.other_port(),
        pins: vec![discovery.pin()],
    }
}

#[test]
fn a_machine_without_a_nat_is_seen_as_it_is_from_both_ports_and_knocked_at() {
    within(async {
        let discovery = Discovery::open("127.0.0.1:0".parse().unwrap()).unwrap();
        let views = look(place(&discovery)).await.unwrap();
        let [View { local_port, seen, other, knocked }] = views[..] else { panic!("{views:?}") };
        assert_eq!(seen, ([127, 0, 0, 1], local_port).into());
        assert_eq!((other, knocked), (Some(seen), Some(true)));
    });
}

#[test]
fn what_cannot_be_seen_is_not_claimed() {
    within(async {
        let discovery = Discovery::open("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let silent_port = silent.local_addr().unwrap().port();
        let of = async |place| look(place).await.unwrap();
        let (no_other, blocked, nothing, stranger) = tokio::join!(
            of(DiscoveryPlace { other_port: None, ..place(&discovery) }),
            of(DiscoveryPlace { other_port: Some(silent_port), ..place(&discovery) }),
            of(DiscoveryPlace { port: silent_port, ..place(&discovery) }),
            of(DiscoveryPlace { pins: Vec::new(), ..place(&discovery) }),
        );
        for views in [no_other, blocked] {
            assert!(matches!(views[..], [View { other: None, knocked: None, .. }]), "{views:?}");
        }
        assert_eq!((nothing, stranger), (vec![], vec![]), "nobody answers, or somebody else does");
    });
}

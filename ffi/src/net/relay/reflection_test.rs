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

/// Looks until it is `wanted`: answers have their time, in which a busy machine may not get to them.
async fn look_for(place: DiscoveryPlace, wanted: impl Fn(&[View]) -> bool) -> Vec<View> {
    let mut views = Vec::new();
    for _ in 0..8 {
        views = look(place.clone()).await.unwrap();
        if wanted(&views) {
            break;
        }
    }
    views
}

#[test]
fn a_machine_without_a_nat_is_seen_as_it_is_from_both_ports_and_knocked_at() {
    within(async {
        let discovery = Discovery::open("127.0.0.1:0".parse().unwrap()).unwrap();
        let is_whole = |views: &[View]| matches!(views, [View { other: Some(_), knocked: Some(true), .. }]);
        let views = look_for(place(&discovery), is_whole).await;
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
        let seen = |place| look_for(place, |views| !views.is_empty());
        let unseen = async |place| look(place).await.unwrap();
        let (no_other, blocked, nothing, stranger) = tokio::join!(
            seen(DiscoveryPlace { other_port: None, ..place(&discovery) }),
            seen(DiscoveryPlace { other_port: Some(silent_port), ..place(&discovery) }),
            unseen(DiscoveryPlace { port: silent_port, ..place(&discovery) }),
            unseen(DiscoveryPlace { pins: Vec::new(), ..place(&discovery) }),
        );
        for views in [no_other, blocked] {
            assert!(matches!(views[..], [View { other: None, knocked: None, .. }]), "{views:?}");
        }
        assert_eq!((nothing, stranger), (vec![], vec![]), "nobody answers, or somebody else does");
    });
}

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::testing::{Machine, certificate, connect, dial, hub, machine_by, options};
use super::super::{Hub, RelayServer};
use super::*;
use crate::net::proxy::ProxyKind;
use crate::net::proxy::tests::{http_proxy, socks_proxy};
use crate::net::testing::runtime;

/// A name that only proxies know.
const NAME: &str = "relay.invalid";

fn within<F: Future<Output = ()>>(test: F) {
    let run = async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("hangs") };
    runtime().block_on(run);
}

fn proxy_at(kind: ProxyKind, port: u16, login: Option<(&str, &str)>) -> Proxy {
    let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
    Proxy { kind, host: "127.0.0.1".to_owned(), port, login }
}

/// The relay by the name that only proxies know.
fn named(relay: &RelayServer) -> Hub {
    let mut hub = hub(relay);
    hub.url = hub.url.replace("127.0.0.1", NAME);
    hub
}

async fn talk((from, to): (&Machine, &Machine), place: &str) {
    let (a, b) = connect(from, to).await;
    a.send_control(Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(b.recv_control().await.unwrap().unwrap(), b"hello".as_slice());
    assert!(a.stats().relayed && b.stats().relayed);
    assert_eq!(a.remote(), place);
}

#[test]
fn machines_whose_only_way_out_is_a_proxy_of_either_kind_meet_at_the_relay() {
    within(async {
        for encrypted in [false, true] {
            let (tls, pin) = certificate();
            let relay =
                RelayServer::open(crate::net::relay::Options { tls: encrypted.then_some(tls), ..options() });
            let relay = relay.await.unwrap();
            let mut hub = named(&relay);
            if encrypted {
                hub.url = hub.url.replace("http:", "https:");
                hub.pins.push(pin);
            }
            let login = ("someone", "p@ss:word/%");
            let heard = Arc::<Mutex<Vec<String>>>::default();
            let http = proxy_at(ProxyKind::Http, http_proxy(heard.clone()).await, Some(login));
            let socks = socks_proxy(heard.clone(), Some(login)).await;
            let socks = proxy_at(ProxyKind::Socks5, socks, Some(login));
            let (a, b) = tokio::join!(
                machine_by(Some(http), (1, false), hub.clone()),
                machine_by(Some(socks), (2, false), hub.clone())
            );
            let place = format!("relay {NAME}:{}", relay.addresses()[0].port());
            talk((&a, &b), &place).await;
            // A machine that has changed networks comes by the proxy again.
            b.endpoint.renew_relay().await.unwrap();
            talk((&b, &a), &place).await;
            let heard = heard.lock().unwrap();
            assert!(heard.iter().all(|said| said.contains(NAME)), "{heard:?}");
            assert!(heard.iter().any(|said| said.contains("Proxy-Authorization: Basic ")), "{heard:?}");
        }
    });
}

#[test]
fn a_machine_that_learns_of_a_relay_behind_a_proxy_later_gets_there_under_the_same_key() {
    within(async {
        let (near, far) =
            (RelayServer::open(options()).await.unwrap(), RelayServer::open(options()).await.unwrap());
        let proxy = proxy_at(ProxyKind::Socks5, socks_proxy(Arc::default(), None).await, None);
        let a = machine_by(None, (1, false), hub(&near)).await;
        let b = machine_by(Some(proxy.clone()), (2, false), named(&far)).await;
        let later = crate::net::endpoint::RelayOptions {
            id: a.key.relay,
            direct: false,
            port_mapping: false,
            proxy: Some(proxy),
        };
        let key = a.endpoint.use_relay(named(&far), later.clone()).await.unwrap();
        assert_eq!(key, a.key);
        talk((&a, &b), &format!("relay {NAME}:{}", far.addresses()[0].port())).await;
        // And a relay that needs none is reached through the same door.
        let c = machine_by(None, (3, false), hub(&near)).await;
        let plain = crate::net::endpoint::RelayOptions { proxy: None, ..later };
        a.endpoint.use_relay(hub(&near), plain).await.unwrap();
        talk((&a, &c), &format!("relay {}", near.addresses()[0])).await;
    });
}

#[test]
fn a_proxy_that_refuses_is_named_without_its_password() {
    within(async {
        let relay = RelayServer::open(options()).await.unwrap();
        let port = socks_proxy(Arc::default(), Some(("someone", "right"))).await;
        let wrong = proxy_at(ProxyKind::Socks5, port, Some(("someone", "wrong")));
        let a = machine_by(Some(wrong), (1, false), named(&relay)).await;
        let b = machine_by(None, (2, false), hub(&relay)).await;
        // What the proxy said comes after a round trip; on a busy machine the first dial may be over by then.
        let mut tries = 0;
        let error = loop {
            let error = dial(&a, &b, 3).await.map(|_| ()).unwrap_err();
            tries += 1;
            if error.text.contains("proxy") || tries == 10 {
                break error;
            }
        };
        let place = relay.addresses()[0].port();
        assert_eq!(
            (error.kind, error.text),
            (
                Kind::ConnectFailed,
                format!(
                    "Cannot connect over the relay: Cannot connect to {NAME}:{place} through the SOCKS5 proxy at \
                     127.0.0.1:{port}: the proxy does not take this user name and password"
                )
            )
        );
    });
}

#[test]
fn the_door_lets_in_only_those_who_know_its_password_and_only_to_the_relay() {
    within(async {
        let relay = RelayServer::open(options()).await.unwrap();
        let door = ProxyDoor::open().await.unwrap();
        let url: RelayUrl = hub(&relay).url.parse().unwrap();
        door.lead_to(&url, None);
        let at = ("127.0.0.1", door.url().port().unwrap());
        let right = door.ways.login.clone();
        let place = relay.addresses()[0];
        let rows = [
            (format!("CONNECT {place} HTTP/1.1\r\nHost: x\r\n\r\n"), "407"),
            (format!("CONNECT {place} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: {right}x\r\n\r\n"), "407"),
            (
                format!("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: {right}\r\n\r\n"),
                "403",
            ),
            (
                format!(
                    "GET http://{place}/ping HTTP/1.1\r\nHost: x\r\nProxy-Authorization: {right}\r\n\r\n"
                ),
                "200",
            ),
            (format!("CONNECT {place} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: {right}\r\n\r\n"), "200"),
        ];
        for (request, status) in rows {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, *format!("HTTP/1.1 {status}").as_bytes(), "{request}");
        }
        drop(door);
        tokio::task::yield_now().await;
        while TcpStream::connect(at).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
}

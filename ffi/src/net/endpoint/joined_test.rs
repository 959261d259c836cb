use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::net::proxy::tests::{Heard, http_proxy, socks_proxy};
use crate::net::proxy::{Proxy, ProxyKind};
use crate::net::relay::testing::{hub, options};
use crate::net::relay::{Held, JoinPlace, JoinSide, RelayServer};
use crate::net::testing::{endpoint, runtime};
use crate::net::{Payload, TransportKind};
use crate::transit_relay::{Asked, Counts};

use super::*;

const KEY: [u8; 32] = [0xab; 32];
const PATIENCE: Duration = Duration::from_secs(20);

fn within<F: Future<Output = ()>>(test: F) {
    runtime().block_on(async { tokio::time::timeout(3 * PATIENCE, test).await.expect("hangs") });
}

/// A hub's own port, whose requests this test reads as TypeScript does (`src/hub/joins.ts`).
struct HubPort {
    relay: Arc<RelayServer>,
    place: JoinPlace,
}

async fn hub_port() -> HubPort {
    let relay = Arc::new(RelayServer::open(options()).await.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let place = JoinPlace { host: "127.0.0.1".into(), port, token: hub(&relay).token, proxy: None };
    let at = relay.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass_on(at.clone(), stream));
        }
    });
    HubPort { relay, place }
}

async fn pass_on(relay: Arc<RelayServer>, mut stream: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("GET /relay/join HTTP/1.1\r\n"), "{head}");
    let field = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {head}")).to_owned()
    };
    assert_eq!((field("upgrade").as_str(), field("connection").as_str()), ("wormhole-join", "Upgrade"));
    let token = field("authorization").strip_prefix("Bearer ").unwrap().to_owned();
    let wanted = field("wormhole-join");
    let (key, side) = wanted.split_once(' ').unwrap();
    let asked = Asked { token: key.as_bytes().try_into().unwrap(), side: Some([side.parse().unwrap(); 16]) };
    let held = Held { local: stream.local_addr().unwrap(), remote: stream.peer_addr().unwrap() };
    if let Some(why) = relay.join(held, "here", &token, asked).await.unwrap() {
        let status = if why == "token" { 403 } else { 503 };
        let _ = stream.write_all(format!("HTTP/1.1 {status} No\r\n\r\n").as_bytes()).await;
    }
}

impl HubPort {
    fn join(&self, side: JoinSide) -> Join {
        Join { place: self.place.clone(), key: KEY, side }
    }

    async fn until(&self, holds: impl Fn(&Counts) -> bool) {
        while !holds(&self.relay.joined()) {
            tokio::task::yield_now().await;
        }
    }
}

/// Connects two machines that have nothing but the hub's port.
async fn connected(port: &HubPort) -> (Arc<Endpoint>, Arc<Endpoint>, Connection, Connection) {
    let (a, b) = (endpoint(1).await, endpoint(2).await);
    b.allow(a.public_key());
    let (dialled, met, accepted) = tokio::join!(
        a.dial_joined(port.join(JoinSide::Dialler), b.public_key(), PATIENCE),
        b.meet_joined(port.join(JoinSide::Acceptor), PATIENCE),
        b.accept()
    );
    met.unwrap();
    (a, b, dialled.unwrap(), accepted.unwrap())
}

#[test]
#[cfg(target_os = "linux")]
fn machines_that_have_nothing_but_a_hub_move_bulk_over_connections_that_it_joins() {
    within(async {
        let port = hub_port().await;
        let (a, b, dialler, acceptor) = connected(&port).await;
        assert_eq!((dialler.peer_key(), acceptor.peer_key()), (b.public_key(), a.public_key()));
        for end in [&dialler, &acceptor] {
            assert_eq!(end.kind(), TransportKind::Tcp);
            assert!(end.stats().relayed);
            assert_eq!(end.remote(), format!("relay 127.0.0.1:{}", port.place.port));
        }
        // More than go to the hub at once, in both directions.
        for (streams, length) in [(3, 5 << 20), (40, 1 << 16)] {
            for (from, to) in [(&dialler, &acceptor), (&acceptor, &dialler)] {
                let (grown, expected) = tokio::join!(from.bulk(streams), to.bulk(streams));
                grown.unwrap();
                expected.unwrap();
                for number in 0..streams {
                    let mut sink = from.open_sink().await.unwrap();
                    let write = tokio::task::spawn_blocking(move || {
                        sink.write(&[], Payload::new(vec![number as u8; length])).unwrap();
                        sink.finish().unwrap();
                    });
                    let mut source = to.next_source().await.unwrap();
                    let read = tokio::task::spawn_blocking(move || {
                        let mut buffer = vec![0; length];
                        assert!(source.read_exact(&mut buffer).unwrap());
                        assert!(!source.read_exact(&mut [0]).unwrap());
                        assert!(buffer.iter().all(|byte| *byte == number as u8));
                    });
                    write.await.unwrap();
                    read.await.unwrap();
                }
            }
        }
        assert_eq!(port.relay.joined().joined, 1 + 2 * (3 + 40));
        dialler.close(0, "");
        assert!(acceptor.recv_control().await.unwrap().is_none());
        drop((dialler, acceptor));
        port.until(|counts| counts.connections == 0).await;
    });
}

#[test]
#[cfg(target_os = "linux")]
fn machines_whose_only_way_out_is_a_proxy_of_either_kind_are_joined_with_further_streams() {
    within(async {
        let mut port = hub_port().await;
        let heard = Heard::default();
        let login = ("someone", "secret");
        let http = http_proxy(heard.clone()).await;
        let socks = socks_proxy(heard.clone(), Some(login)).await;
        let proxied = |kind, port| {
            let login = Some((login.0.to_owned(), login.1.to_owned()));
            Some(Arc::new(Proxy { kind, host: "127.0.0.1".into(), port, login }))
        };
        // A name that only proxies know.
        port.place.host = "hub.invalid".into();
        let (a, b) = (endpoint(1).await, endpoint(2).await);
        b.allow(a.public_key());
        let mut dialling = port.join(JoinSide::Dialler);
        dialling.place.proxy = proxied(ProxyKind::Http, http);
        let mut meeting = port.join(JoinSide::Acceptor);
        meeting.place.proxy = proxied(ProxyKind::Socks5, socks);
        let (dialler, met, acceptor) = tokio::join!(
            a.dial_joined(dialling, b.public_key(), PATIENCE),
            b.meet_joined(meeting, PATIENCE),
            b.accept()
        );
        met.unwrap();
        let (dialler, acceptor) = (dialler.unwrap(), acceptor.unwrap());
        let (grown, expected) = tokio::join!(dialler.bulk(3), acceptor.bulk(3));
        grown.unwrap();
        expected.unwrap();
        let heard = heard.lock().unwrap();
        assert_eq!(heard.iter().filter(|said| said.contains("hub.invalid")).count(), 8, "{heard:?}");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn whoever_the_hub_does_not_join_is_told() {
    within(async {
        let port = hub_port().await;
        let (a, b) = (endpoint(1).await, endpoint(2).await);
        let refused = Join {
            place: JoinPlace { token: "0.0".into(), ..port.place.clone() },
            ..port.join(JoinSide::Dialler)
        };
        let error = a.dial_joined(refused, b.public_key(), PATIENCE).await.err().unwrap();
        assert_eq!(error.kind, Kind::ConnectFailed);
        assert!(error.text.contains("does not know its token"), "{}", error.text);
        assert_eq!(port.relay.seen().refused_total, 1);

        let short = Duration::from_millis(100);
        let error = a.dial_joined(port.join(JoinSide::Dialler), b.public_key(), short).await.err().unwrap();
        assert_eq!(error.kind, Kind::Timeout);
        let error = b.meet_joined(port.join(JoinSide::Acceptor), short).await.unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
        // Whoever gave up is forgotten, and in nobody's way.
        port.until(|counts| counts.connections == 0).await;
        port.relay.drain();
        let error = b.meet_joined(port.join(JoinSide::Acceptor), PATIENCE).await.unwrap_err();
        assert!(error.text.contains("no room"), "{}", error.text);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_stranger_with_the_key_gets_past_nobody() {
    within(async {
        let port = hub_port().await;
        let (a, b) = (endpoint(1).await, endpoint(2).await);
        b.allow(a.public_key());
        // It takes the place of the dialling machine, and then of the other.
        let stranger = endpoint(3).await;
        let (dialled, met) = tokio::join!(
            stranger.dial_joined(port.join(JoinSide::Dialler), b.public_key(), PATIENCE),
            b.meet_joined(port.join(JoinSide::Acceptor), PATIENCE),
        );
        assert!(dialled.is_err() && met.is_err());
        stranger.allow(a.public_key());
        let (dialled, _met) = tokio::join!(
            a.dial_joined(port.join(JoinSide::Dialler), b.public_key(), PATIENCE),
            stranger.meet_joined(port.join(JoinSide::Acceptor), PATIENCE),
        );
        assert_eq!(dialled.err().unwrap().kind, Kind::PeerUnauthenticated);
        // Nor does one that talks nonsense.
        let nonsense = async {
            let mut stream = port.join(JoinSide::Dialler).connect().await.unwrap();
            stream.write_all(&[0x16; 64]).await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let (met, ()) = tokio::join!(b.meet_joined(port.join(JoinSide::Acceptor), PATIENCE), nonsense);
        assert!(met.is_err());
    });
}

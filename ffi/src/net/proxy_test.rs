use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::super::testing::{address, endpoint, runtime};
use super::super::{TransportKind, proxy_door};
use super::*;

const SOON: Duration = Duration::from_secs(60);

/// What the proxies of these tests were asked, in order.
pub type Heard = Arc<Mutex<Vec<String>>>;

/// A server on loopback that does the same with everybody; gives its port.
async fn server<F, Fut>(serve: F) -> u16
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = Option<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

/// Sends back what comes.
async fn echo() -> u16 {
    server(async |mut stream| {
        let (mut reader, mut writer) = stream.split();
        tokio::io::copy(&mut reader, &mut writer).await.ok().map(|_| ())
    })
    .await
}

/// Answers the first bytes with `answer` and hangs up.
async fn answers(answer: Vec<u8>) -> u16 {
    server(move |mut stream| {
        let answer = answer.clone();
        async move {
            let _request = stream.read(&mut [0; 1000]).await.ok()?;
            stream.write_all(&answer).await.ok()?;
            // Not a reset before the answer was read.
            stream.shutdown().await.ok()?;
            stream.read(&mut [0; 1000]).await.ok().map(|_| ())
        }
    })
    .await
}

/// Answers each write in turn.
async fn talks(answers: &'static [&'static [u8]]) -> u16 {
    server(move |mut stream| async move {
        for answer in answers {
            let _request = stream.read(&mut [0; 1000]).await.ok()?;
            stream.write_all(answer).await.ok()?;
        }
        stream.read(&mut [0; 1000]).await.ok().map(|_| ())
    })
    .await
}

/// An HTTP proxy that connects whatever name it is given to the asked port on loopback.
pub async fn http_proxy(heard: Heard) -> u16 {
    server(move |mut stream| {
        let heard = heard.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.ok()?);
            }
            let head = String::from_utf8(head).ok()?;
            let port = head.split(' ').nth(1)?.rsplit(':').next()?.parse::<u16>().ok()?;
            heard.lock().unwrap().push(head);
            let mut far = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n").await.ok()?;
            copy_bidirectional(&mut stream, &mut far).await.ok().map(|_| ())
        }
    })
    .await
}

/// The same for SOCKS5; with a login it wants that.
pub async fn socks_proxy(heard: Heard, login: Option<(&'static str, &'static str)>) -> u16 {
    server(move |mut stream| {
        let heard = heard.clone();
        async move {
            let mut part = async |length: usize| {
                let mut buffer = vec![0; length];
                stream.read_exact(&mut buffer).await.ok().map(|_| buffer)
            };
            let methods = part(2).await?[1];
            let methods = part(methods.into()).await?;
            let method = if login.is_some() { 2 } else { 0 };
            if !methods.contains(&method) {
                return stream.write_all(&[5, 0xff]).await.ok();
            }
            stream.write_all(&[5, method]).await.ok()?;
            let mut part = async |length: usize| {
                let mut buffer = vec![0; length];
                stream.read_exact(&mut buffer).await.ok().map(|_| buffer)
            };
            if let Some((user, password)) = login {
                let length = part(2).await?[1];
                let given = part(length.into()).await?;
                let length = part(1).await?[0];
                let secret = part(length.into()).await?;
                let right = given == user.as_bytes() && secret == password.as_bytes();
                stream.write_all(&[1, u8::from(!right)]).await.ok()?;
                if !right {
                    return None;
                }
            }
            let mut part = async |length: usize| {
                let mut buffer = vec![0; length];
                stream.read_exact(&mut buffer).await.ok().map(|_| buffer)
            };
            let host = match part(4).await?[3] {
                1 => format!("{:?}", part(4).await?),
                3 => {
                    let length = part(1).await?[0];
                    String::from_utf8(part(length.into()).await?).ok()?
                }
                _ => format!("{:?}", part(16).await?),
            };
            let port = part(2).await?;
            let port = u16::from_be_bytes([port[0], port[1]]);
            heard.lock().unwrap().push(host);
            let mut far = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            stream.write_all(&[5, 0, 0, 3, 4, b't', b'e', b's', b't', 0, 1]).await.ok()?;
            copy_bidirectional(&mut stream, &mut far).await.ok().map(|_| ())
        }
    })
    .await
}

fn proxy(kind: ProxyKind, port: u16, login: Option<(&str, &str)>) -> Proxy {
    let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
    Proxy { kind, host: "127.0.0.1".into(), port, login }
}

async fn echoes(mut stream: TcpStream) {
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
}

#[test]
fn both_kinds_carry_bytes_to_names_that_only_the_proxy_knows() {
    runtime().block_on(async {
        let heard = Heard::default();
        let target = Target::Name("hub.test".into(), echo().await);
        let login = Some(("us er", "pa:ss"));
        let http = proxy(ProxyKind::Http, http_proxy(heard.clone()).await, login);
        echoes(connect(&http, &target).await.unwrap()).await;
        let head = heard.lock().unwrap().remove(0);
        assert!(head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")), "{head}");
        // "us er:pa:ss"
        assert!(head.contains("Proxy-Authorization: Basic dXMgZXI6cGE6c3M=\r\n"), "{head}");
        for (wanted, given) in [(None, None), (None, login), (login, login)] {
            let socks = proxy(ProxyKind::Socks5, socks_proxy(heard.clone(), wanted).await, given);
            echoes(connect(&socks, &target).await.unwrap()).await;
            assert_eq!(heard.lock().unwrap().remove(0), "hub.test");
        }
    });
}

#[test]
fn every_refusal_has_its_own_words_and_no_password() {
    const SOCKS_NO: [&[u8]; 2] = [&[5, 0], &[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]];
    const SOCKS_REFUSED: [&[u8]; 2] = [&[5, 0], &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]];
    const SOCKS_FAR: [&[u8]; 2] = [&[5, 0], &[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]];
    const SOCKS_UNKNOWN: [&[u8]; 2] = [&[5, 0], &[5, 77, 0, 1, 0, 0, 0, 0, 0, 0]];
    const SOCKS_HALF: [&[u8]; 2] = [&[5, 0], &[5, 0, 0, 3, 255, 1]];
    runtime().block_on(async {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let long = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 100_000]].concat();
        let many = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: b\r\n".repeat(5000)].concat();
        let (http, socks) = (ProxyKind::Http, ProxyKind::Socks5);
        let login = Some(("name", "secret"));
        let heard = Heard::default();
        let rows = [
            (http, answers(b"HTTP/1.1 407 No\r\n\r\n".to_vec()).await, WANTS_LOGIN),
            (http, answers(b"HTTP/1.1 403 No\r\n\r\n".to_vec()).await, "the proxy refuses"),
            (http, answers(b"HTTP/1.1 502 No\r\nA: b\r\n\r\n".to_vec()).await, "the proxy refuses"),
            (http, answers(b"SSH-2.0-OpenSSH\r\n".to_vec()).await, "the proxy refuses"),
            (http, answers(b"HTTP/1.1 200 O".to_vec()).await, "the proxy hung up"),
            (http, answers(b"".to_vec()).await, "the proxy hung up"),
            (http, answers(long).await, "the proxy's answer is too long"),
            (http, answers(many).await, "the proxy refuses"),
            (http, closed, "the proxy cannot be reached (connection refused)"),
            (socks, closed, "the proxy cannot be reached (connection refused)"),
            (
                socks,
                socks_proxy(heard.clone(), Some(("name", "other"))).await,
                "the proxy does not take this user name and password",
            ),
            (socks, talks(&[&[5, 0xff]]).await, WANTS_LOGIN),
            (socks, talks(&[&[5, 1]]).await, "it is no SOCKS5 proxy"),
            (socks, talks(&SOCKS_NO).await, "the proxy refuses"),
            (socks, talks(&SOCKS_REFUSED).await, "nothing listens there, says the proxy"),
            (socks, talks(&SOCKS_FAR).await, "the proxy cannot reach it"),
            (socks, talks(&SOCKS_UNKNOWN).await, "it is no SOCKS5 proxy"),
            (socks, answers(b"HTTP/1.1 400 Bad\r\n\r\n".to_vec()).await, "it is no SOCKS5 proxy"),
            (socks, answers(b"".to_vec()).await, "the proxy hung up"),
            (socks, answers([&[5, 0][..], &[5; 100_000]].concat()).await, "it is no SOCKS5 proxy"),
        ];
        for (kind, port, state) in rows {
            let proxy = proxy(kind, port, login);
            let target = Target::Name("hub.test".into(), 443);
            let connected = tokio::time::timeout(SOON, connect(&proxy, &target)).await.expect(state);
            let error = connected.expect_err(state);
            assert_eq!(error.text, format!("Cannot connect to hub.test:443 through {proxy}: {state}"));
            assert_eq!(error.kind, Kind::ConnectFailed);
            assert!(!format!("{error:?} {proxy:?}").contains("secret"), "{error:?}");
        }
        // A proxy that stops in the middle of a word is the caller's to give up.
        let port = talks(&SOCKS_HALF).await;
        let (slow, target) = (proxy(socks, port, None), Target::Name("hub.test".into(), 443));
        assert!(tokio::time::timeout(Duration::from_millis(100), connect(&slow, &target)).await.is_err());
        for name in ["", "a b", "a\r\nX: y", "a/b", &"a".repeat(256)] {
            for kind in [http, socks] {
                let port = socks_proxy(heard.clone(), None).await;
                let (proxy, target) = (proxy(kind, port, None), Target::Name(name.into(), 443));
                let refused = tokio::time::timeout(SOON, connect(&proxy, &target)).await.expect(name);
                // A SOCKS5 proxy gets a name as it is, with its length.
                assert!(refused.is_err() || kind == socks, "{name:?}");
            }
        }
    });
}

#[test]
fn a_door_leads_through_the_proxy_for_whoever_knows_its_password_once() {
    runtime().block_on(async {
        let heard = Heard::default();
        let far = proxy(ProxyKind::Http, http_proxy(heard.clone()).await, None);
        let door = proxy_door::open(&far, &Target::Name("hub.test".into(), echo().await)).await.unwrap();
        let strangers =
            [None, Some((door.user.as_str(), "guessed")), Some(("guessed", door.password.as_str()))];
        let elsewhere = Target::Name("elsewhere.test".into(), 1);
        for login in strangers {
            let stranger = proxy(ProxyKind::Socks5, door.port, login);
            tokio::time::timeout(SOON, connect(&stranger, &elsewhere)).await.unwrap().unwrap_err();
        }
        let visitor = proxy(ProxyKind::Socks5, door.port, Some((&door.user, &door.password)));
        let through = connect(&visitor, &elsewhere).await.unwrap();
        let second = connect(&visitor, &elsewhere).await;
        second.expect_err("the door is shut");
        echoes(through).await;
        assert_eq!(heard.lock().unwrap().len(), 1);
    });
}

#[test]
fn a_connection_through_a_proxy_carries_control_and_bulk() {
    runtime().block_on(async {
        let heard = Heard::default();
        let (a, b) = (endpoint(1).await, endpoint(2).await);
        b.allow(a.public_key());
        let at = address(&b, TransportKind::Tcp);
        let through = proxy(ProxyKind::Socks5, socks_proxy(heard.clone(), None).await, None);
        let dial = a.dial_through(through, at, b.public_key(), SOON);
        let (dialler, acceptor) = tokio::join!(dial, b.accept());
        let (dialler, acceptor) = (dialler.unwrap(), acceptor.unwrap());
        assert_eq!(dialler.remote(), at.to_string());
        dialler.send_control(b"hello".to_vec().into()).await.unwrap();
        assert_eq!(acceptor.recv_control().await.unwrap().unwrap(), b"hello".as_slice());
        let (grown, expected) = tokio::join!(dialler.bulk(3), acceptor.bulk(3));
        grown.unwrap();
        expected.unwrap();
        assert_eq!(heard.lock().unwrap().len(), 4, "every stream goes through the proxy");
        let mut sink = dialler.open_sink().await.unwrap();
        let written = tokio::task::spawn_blocking(move || {
            sink.write(&[7; 100_000], super::super::Payload::none()).unwrap();
            sink.finish().unwrap();
        });
        let mut source = acceptor.next_source().await.unwrap();
        let read = tokio::task::spawn_blocking(move || {
            let mut read = vec![0; 100_000];
            assert!(source.read_exact(&mut read).unwrap());
            // Also its end: whoever hangs up before it may reset what is still being said.
            assert!(!source.read_exact(&mut [0]).unwrap());
            read
        });
        written.await.unwrap();
        assert_eq!(read.await.unwrap(), [7; 100_000]);
        // A proxy that says nothing ends with the dial's own deadline.
        let port = server(async |mut stream| {
            let _request = stream.read(&mut [0; 1000]).await.ok()?;
            std::future::pending::<Option<()>>().await
        });
        let silent = proxy(ProxyKind::Http, port.await, None);
        let gone = a.dial_through(silent, at, b.public_key(), Duration::from_millis(50)).await.err().unwrap();
        assert_eq!(gone.kind, Kind::Timeout);
        a.close().await;
        b.close().await;
    });
}

//! A door on loopback through which iroh's client of a relay goes to a proxy. It speaks HTTP CONNECT (RFC 9110 §9.3.6), which
//! is all that iroh knows of proxies; what is behind it speaks whatever the proxy speaks.
//!
//! So iroh never learns the proxy's login, which its log would hold. Visitors have to know a random name and password:
//! other people on this machine get nothing out of it. It leads to the relays that it was told of, and nowhere else.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{HeaderMap, PROXY_AUTHORIZATION};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{client, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use iroh::RelayUrl;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::error::{Error, Kind, Result};
use crate::net::proxy::{self, Proxy, Target};
use crate::net::proxy_door::{same, secret};

/// How long a visitor may take for its request.
const GREETING: Duration = Duration::from_secs(2);

/// How long the proxy may take; iroh tries again by itself.
const PROXY_TIMEOUT: Duration = Duration::from_secs(15);

/// Visitors at a time: iroh is there once, and for a moment again whenever it looks whether the relay answers.
const MAX_VISITORS: usize = 32;

/// Pause after the system could not give a connection: it has run out of something that others must give back.
const PAUSE: Duration = Duration::from_millis(100);

/// What the relay answers besides its WebSocket.
type Body = BoxBody<Bytes, hyper::Error>;

/// An open door, until it is dropped; what went through it stays.
pub struct ProxyDoor {
    url: RelayUrl,
    ways: Arc<Ways>,
    serving: AbortHandle,
}

impl ProxyDoor {
    /// Opens a door that leads nowhere yet.
    pub async fn open() -> Result<ProxyDoor> {
        let failed = |error: io::Error| Error::io("Cannot open a way through the proxy", &error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let (user, password) = (secret()?, secret()?);
        let url = format!("http://{user}:{password}@127.0.0.1:{port}/").parse().expect("a URL");
        let login = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        let ways = Arc::new(Ways { login, all: Mutex::default(), trouble: Mutex::default() });
        let serving = tokio::spawn(serve(listener, ways.clone())).abort_handle();
        Ok(ProxyDoor { url, ways, serving })
    }

    /// What iroh takes for its proxy.
    pub fn url(&self) -> &RelayUrl {
        &self.url
    }

    /// Lets visitors through to the relay at `url`, from now on by `proxy`, or without one.
    pub fn lead_to(&self, url: &RelayUrl, proxy: Option<Proxy>) {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let target = match bare.parse::<IpAddr>() {
            Ok(ip) => Target::Address((ip, port).into()),
            Err(_) => Target::Name(bare.to_owned(), port),
        };
        let way = Arc::new(Way { target, proxy });
        self.ways.all.lock().unwrap().insert((host.to_owned(), port), way);
    }

    /// Why nobody got through the last time; None when somebody did.
    pub fn trouble(&self) -> Option<Error> {
        self.ways.trouble.lock().unwrap().clone()
    }
}

impl Drop for ProxyDoor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Where visitors may go.
struct Ways {
    /// The header that they have to bring.
    login: String,
    /// By host, as in a URL, and port.
    all: Mutex<HashMap<(String, u16), Arc<Way>>>,
    trouble: Mutex<Option<Error>>,
}

struct Way {
    target: Target,
    proxy: Option<Proxy>,
}

impl Ways {
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let said = headers.get(PROXY_AUTHORIZATION).map(|value| value.as_bytes());
        said.is_some_and(|said| same(said, self.login.as_bytes()))
    }

    fn to(&self, uri: &Uri) -> Option<Arc<Way>> {
        let at = (uri.host()?.to_owned(), uri.port_u16().unwrap_or(80));
        self.all.lock().unwrap().get(&at).cloned()
    }

    async fn go(&self, way: &Way) -> Result<TcpStream> {
        let gone = tokio::time::timeout(PROXY_TIMEOUT, way.go()).await.unwrap_or_else(|_| {
            let text = format!("Cannot connect to {}: no answer", way.target);
            Err(Error::new(Kind::Timeout, text))
        });
        *self.trouble.lock().unwrap() = gone.as_ref().err().cloned();
        gone
    }
}

impl Way {
    async fn go(&self) -> Result<TcpStream> {
        let Some(proxy) = &self.proxy else {
            let connected = match &self.target {
                Target::Address(address) => TcpStream::connect(address).await,
                Target::Name(name, port) => TcpStream::connect((name.as_str(), *port)).await,
            };
            let stream =
                connected.map_err(|error| Error::io(format!("Cannot connect to {}", self.target), &error))?;
            // An improvement only.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        };
        proxy::connect(proxy, &self.target).await
    }
}

async fn serve(listener: TcpListener, ways: Arc<Ways>) {
    let mut visitors = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        while visitors.try_join_next().is_some() {}
        if visitors.len() >= MAX_VISITORS {
            continue;
        }
        let _ = stream.set_nodelay(true);
        let ways = ways.clone();
        visitors.spawn(async move {
            let service = service_fn(|request| {
                let ways = ways.clone();
                async move { Ok::<_, Infallible>(pass(&ways, request).await) }
            });
            let serving = server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(GREETING)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            // A visitor that leaves or talks nonsense concerns nobody here.
            let _ = serving.await;
        });
    }
}

async fn pass(ways: &Ways, mut request: Request<Incoming>) -> Response<Body> {
    if !ways.lets_in(request.headers()) {
        return bare(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    }
    let Some(way) = ways.to(request.uri()) else { return bare(StatusCode::FORBIDDEN) };
    let Ok(mut far) = ways.go(&way).await else { return bare(StatusCode::BAD_GATEWAY) };
    if request.method() != Method::CONNECT {
        return ask(far, request).await.unwrap_or_else(|_| bare(StatusCode::BAD_GATEWAY));
    }
    tokio::spawn(async move {
        let Ok(near) = hyper::upgrade::on(&mut request).await else { return };
        // However it ends: both sockets close, and each side sees that.
        let _ = copy_bidirectional(&mut TokioIo::new(near), &mut far).await;
    });
    bare(StatusCode::OK)
}

/// Asks the relay on a visitor's behalf: whether it is there, iroh asks without a tunnel where there is no TLS.
async fn ask(far: TcpStream, mut request: Request<Incoming>) -> hyper::Result<Response<Body>> {
    request.headers_mut().remove(PROXY_AUTHORIZATION);
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(far)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?.map(BodyExt::boxed))
}

/// An answer that is nothing but its status.
fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
#[path = "door_test.rs"]
mod tests;

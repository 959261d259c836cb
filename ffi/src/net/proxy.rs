//! Connections through a proxy: HTTP CONNECT (RFC 9110 §9.3.6) and SOCKS5 (RFC 1928, RFC 1929). Which connections go
//! through which proxy is decided in `src/config/proxies.ts`.
//!
//! Both protocols end with a plain socket on which nothing but the target's bytes travel. The target speaks second in
//! everything that goes through here (TLS, WebSocket), so that nothing of it can come with the proxy's last answer.
//! What a proxy says before is read into 8 KiB (CONNECT) or 513 bytes (SOCKS5) at most; the caller sets the deadline.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use tokio::net::TcpStream;
use tokio_socks::TargetAddr;
use tokio_socks::tcp::Socks5Stream;
use tower_service::Service;

use crate::error::{Error, Kind, Result};

/// Longest name of a host (RFC 1035 §2.3.4), and what a SOCKS5 request can carry.
const MAX_NAME_BYTES: usize = 255;

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    Http,
    Socks5,
}

/// A proxy to connect through.
#[derive(Clone)]
pub struct Proxy {
    pub kind: ProxyKind,
    /// Name or address, without brackets.
    pub host: String,
    pub port: u16,
    /// User name and password, at most 255 bytes each.
    pub login: Option<(String, String)>,
}

/// Where a proxy shall connect to.
#[derive(Clone, Debug)]
pub enum Target {
    Address(SocketAddr),
    /// A name that the proxy looks up.
    Name(String, u16),
}

/// Connects to `target` through `proxy`; dropping the future leaves nothing behind.
pub async fn connect(proxy: &Proxy, target: &Target) -> Result<TcpStream> {
    let what = format!("Cannot connect to {target} through {proxy}");
    let failed = |state: String| Error::new(Kind::ConnectFailed, format!("{what}: {state}"));
    let stream = match proxy.kind {
        ProxyKind::Http => tunnel(proxy, target).await,
        ProxyKind::Socks5 => socks(proxy, target).await,
    };
    let stream = stream.map_err(failed)?;
    // An improvement only.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// What came of one step, or how it stands: the end of `Cannot connect to …: <state>`.
type Attempt<T> = std::result::Result<T, String>;

async fn tunnel(proxy: &Proxy, target: &Target) -> Attempt<TcpStream> {
    let mut tunnel = Tunnel::new(uri(&proxy.host, proxy.port)?, HttpConnector::new());
    if let Some((user, password)) = &proxy.login {
        tunnel = tunnel.with_auth(basic(user, password));
    }
    let target = match target {
        Target::Address(address) => uri(&address.ip().to_string(), address.port())?,
        Target::Name(name, port) => uri(name, *port)?,
    };
    std::future::poll_fn(|context| tunnel.poll_ready(context)).await.map_err(|error| tunnel_state(&error))?;
    let stream = tunnel.call(target).await.map_err(|error| tunnel_state(&error))?;
    Ok(stream.into_inner())
}

async fn socks(proxy: &Proxy, target: &Target) -> Attempt<TcpStream> {
    let mut connector = HttpConnector::new();
    std::future::poll_fn(|context| connector.poll_ready(context))
        .await
        .map_err(|error| unreachable(&error))?;
    let connected = connector.call(uri(&proxy.host, proxy.port)?).await;
    let socket = connected.map_err(|error| unreachable(&error))?.into_inner();
    let target = match target {
        Target::Address(address) => TargetAddr::Ip(*address),
        Target::Name(name, port) if is_name(name) => TargetAddr::Domain(name.into(), *port),
        Target::Name(..) => return Err(NO_NAME.into()),
    };
    let stream = match &proxy.login {
        Some((user, password)) => {
            Socks5Stream::connect_with_password_and_socket(socket, target, user, password).await
        }
        None => Socks5Stream::connect_with_socket(socket, target).await,
    };
    Ok(stream.map_err(|error| socks_state(&error))?.into_inner())
}

/// An address as the crates take it; a name that is none fails.
fn uri(host: &str, port: u16) -> Attempt<Uri> {
    let written = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let uri =
        Uri::builder().scheme("http").authority(format!("{written}:{port}")).path_and_query("/").build();
    match uri {
        Ok(uri) if is_name(host) && uri.host() == Some(&written) => Ok(uri),
        _ => Err(NO_NAME.into()),
    }
}

fn is_name(host: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&host.len())
}

const NO_NAME: &str = "that is no name of a host";

/// RFC 7617 §2.
fn basic(user: &str, password: &str) -> HeaderValue {
    let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
    HeaderValue::try_from(format!("Basic {encoded}")).expect("base64 is valid in a header")
}

/// The crate does not export its errors' type, so its words are all there is.
fn tunnel_state(error: &(dyn StdError + 'static)) -> String {
    let text = error.to_string();
    let has = |words: &str| text.contains(words);
    if has("authorization required") {
        return WANTS_LOGIN.into();
    }
    if has("headers too long") {
        return "the proxy's answer is too long".into();
    }
    if has("unsuccessful") {
        return "the proxy refuses".into();
    }
    if has("end of file") {
        return "the proxy hung up".into();
    }
    unreachable(error)
}

fn socks_state(error: &tokio_socks::Error) -> String {
    use tokio_socks::Error as E;
    match error {
        E::AuthorizationRequired | E::NoAcceptableAuthMethods => WANTS_LOGIN.into(),
        E::PasswordAuthFailure(_) => "the proxy does not take this user name and password".into(),
        E::InvalidAuthValues(_) => "the proxy's user name and password must have 1 to 255 bytes each".into(),
        E::ConnectionNotAllowedByRuleset => "the proxy refuses".into(),
        E::NetworkUnreachable | E::HostUnreachable | E::TtlExpired => "the proxy cannot reach it".into(),
        E::ConnectionRefused => "nothing listens there, says the proxy".into(),
        E::GeneralSocksServerFailure | E::CommandNotSupported | E::AddressTypeNotSupported => {
            "the proxy cannot connect to it".into()
        }
        E::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => "the proxy hung up".into(),
        E::Io(error) => unreachable(error),
        _ => "it is no SOCKS5 proxy".into(),
    }
}

const WANTS_LOGIN: &str = "the proxy wants another user name and password";

/// What the system said about the way to the proxy.
fn unreachable(error: &(dyn StdError + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return format!("the proxy cannot be reached ({})", super::address::plain(error));
        }
        cause = error.source();
    }
    "the proxy cannot be reached".into()
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ProxyKind::Http => "HTTP",
            ProxyKind::Socks5 => "SOCKS5",
        };
        write!(f, "the {kind} proxy at ")?;
        place(f, &self.host, self.port)
    }
}

/// Without the login, which must not come into any log.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Address(address) => address.fmt(f),
            Target::Name(name, port) => place(f, name, *port),
        }
    }
}

fn place(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

#[cfg(test)]
#[path = "proxy_test.rs"]
pub(super) mod tests;

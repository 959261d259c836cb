//! `src/native/proxy.ts`: ways through a proxy.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::net::proxy::{Proxy, ProxyKind, Target};
use crate::net::proxy_door;
use crate::op::{self, Context, Op, OpFuture};

pub const OPERATIONS: &[(&str, Op)] = &[("proxy.open", open)];

/// Longest user name and password (RFC 1929 §2).
const MAX_LOGIN_BYTES: usize = 255;

/// A proxy as TypeScript names it.
#[derive(Deserialize)]
pub struct ProxyArgs {
    kind: String,
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
}

impl ProxyArgs {
    /// Checks what the protocols cannot carry.
    pub fn check(self) -> Result<Proxy> {
        let invalid = |state: &str| {
            Error::new(Kind::InvalidArgument, format!("Cannot use the proxy at {}: {state}", self.host))
        };
        let kind = match self.kind.as_str() {
            "http" => ProxyKind::Http,
            "socks5" => ProxyKind::Socks5,
            _ => return Err(invalid("its kind is unknown")),
        };
        let login = match (self.user, self.password) {
            (None, None) => None,
            (user, password) => Some((user.unwrap_or_default(), password.unwrap_or_default())),
        };
        if login.iter().any(|(user, password)| user.len().max(password.len()) > MAX_LOGIN_BYTES) {
            return Err(Error::new(
                Kind::InvalidArgument,
                format!("Cannot use the proxy at {}: its user name or password is too long", self.host),
            ));
        }
        Ok(Proxy { kind, host: self.host, port: self.port, login })
    }
}

#[derive(Deserialize)]
struct OpenArgs {
    proxy: ProxyArgs,
    host: String,
    port: u16,
    timeout_ms: u64,
}

#[derive(Serialize)]
struct OpenResult {
    port: u16,
    user: String,
    password: String,
}

fn open(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: OpenArgs| async move {
        let proxy = args.proxy.check()?;
        let target = match args.host.parse::<IpAddr>() {
            Ok(ip) => Target::Address((ip, args.port).into()),
            Err(_) => Target::Name(args.host, args.port),
        };
        let opening = proxy_door::open(&proxy, &target);
        let door = tokio::time::timeout(Duration::from_millis(args.timeout_ms), opening)
            .await
            .unwrap_or_else(|_| {
                let text = format!(
                    "Cannot connect to {target} through {proxy}: no answer within {} ms",
                    args.timeout_ms
                );
                Err(Error::new(Kind::Timeout, text))
            })?;
        Ok(OpenResult { port: door.port, user: door.user, password: door.password })
    })
}

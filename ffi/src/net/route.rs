//! How a TCP connection gets to a machine.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::proxy::{self, Proxy, Target};
use super::relay::Join;
use crate::error::{Error, Kind, Result};

/// A way that may be gone again and again.
#[derive(Clone)]
pub(super) enum Route {
    Address {
        address: SocketAddr,
        /// What connects on this machine's behalf; none: this machine itself.
        proxy: Option<Arc<Proxy>>,
    },
    /// By a hub, to which the other machine comes too.
    Joined(Arc<Join>),
}

impl Route {
    pub fn direct(address: SocketAddr) -> Route {
        Route::Address { address, proxy: None }
    }

    pub async fn connect(&self) -> Result<TcpStream> {
        match self {
            Route::Address { address, proxy: Some(proxy) } => {
                proxy::connect(proxy, &Target::Address(*address)).await
            }
            Route::Address { address, proxy: None } => {
                TcpStream::connect(address).await.map_err(|error| connect_error(&self.what(), &error))
            }
            Route::Joined(join) => join.connect().await,
        }
    }

    /// The beginning of what is said when it leads nowhere.
    pub fn what(&self) -> String {
        match self {
            Route::Address { address, .. } => format!("Cannot connect to {address} over tcp"),
            Route::Joined(join) => join.to_string(),
        }
    }

    /// Where the other end is.
    pub fn remote(&self) -> String {
        match self {
            Route::Address { address, .. } => address.to_string(),
            Route::Joined(join) => format!("relay {}", join.at()),
        }
    }

    pub fn is_relayed(&self) -> bool {
        matches!(self, Route::Joined(_))
    }
}

fn connect_error(what: &str, error: &io::Error) -> Error {
    let errno = error.raw_os_error().unwrap_or(0);
    let kind = match error.kind() {
        io::ErrorKind::TimedOut => Kind::Timeout,
        _ => Kind::ConnectFailed,
    };
    Error { kind, errno, text: format!("{what}: {}", super::address::plain(error)) }
}

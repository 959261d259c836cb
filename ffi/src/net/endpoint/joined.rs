//! Connections that a hub joins: both machines go to it, and from then on it is TCP as everywhere, further streams included.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Door, Endpoint, HANDSHAKE_TIMEOUT};
use crate::error::{Error, Kind, Result};
use crate::net::relay::Join;
use crate::net::route::Route;
use crate::net::{Connection, PeerKey, tcp};

impl Endpoint {
    /// Connects to the machine with `peer_key`, which comes to the same hub. As [`Endpoint::dial`].
    pub async fn dial_joined(&self, join: Join, peer_key: PeerKey, timeout: Duration) -> Result<Connection> {
        let route = Route::Joined(Arc::new(join));
        let what = route.what();
        self.dialled(self.dial_tcp(route, peer_key), &what, timeout).await
    }

    /// Goes to a hub to meet an allowed machine that dials there; done when that is let in, as if it had come by itself.
    pub async fn meet_joined(&self, join: Join, timeout: Duration) -> Result<()> {
        let route = Route::Joined(Arc::new(join));
        let what = route.what();
        let door = self.door.lock().unwrap().as_ref().map(Arc::downgrade);
        let door = door.ok_or_else(|| Error::new(Kind::Closed, "the endpoint is closed"))?;
        let met = tcp::Meets::meet(Arc::new(Meeting { door, route }));
        tokio::time::timeout(timeout, met).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::Timeout, format!("{what}: nobody came within {} ms", timeout.as_millis())))
        })
    }
}

/// Where an endpoint meets a machine that dials it.
struct Meeting {
    /// Weak: what a connection remembers keeps no endpoint open.
    door: Weak<Door>,
    route: Route,
}

impl tcp::Meets for Meeting {
    fn meet(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> {
        Box::pin(async move {
            let stream = self.route.connect().await?;
            let Some(door) = self.door.upgrade() else {
                return Err(Error::new(Kind::Closed, "the endpoint is closed"));
            };
            let what = self.route.what();
            let (config, registry, long) = (&door.config, &door.registry, &door.long_paths);
            let handshake = tcp::accept(config, registry, long, stream, Some(self.clone()));
            let accepted = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await.unwrap_or_else(|_| {
                Err(Error::new(Kind::Timeout, format!("{what}: the other machine says nothing")))
            });
            if let Some(connection) = accepted? {
                door.let_in(connection);
            }
            Ok(())
        })
    }

    fn remote(&self) -> String {
        self.route.remote()
    }
}

#[cfg(test)]
#[path = "joined_test.rs"]
mod tests;

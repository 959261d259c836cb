//! This machine on the network: its key, the sockets it listens on, the keys it lets in.

mod joined;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use iroh::{RelayUrl, SecretKey};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::congestion::LongPaths;
use super::handshakes::Handshakes;
use super::proxy::Proxy;
use super::quic_config::Congestion;
use super::relay::{Hub, ProxyDoor, RelayId, RelayKey, Trust};
use super::route::Route;
use super::tls::{AllowedKeys, Identity};
use super::{Connection, Inner, PeerKey, TransportKind, address, quic, relay, tcp};
use crate::error::{Error, Kind, Result};

/// How long a peer may take from its first byte to an authenticated connection.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Authenticated connections that may wait for `accept`; more are closed.
const MAX_UNACCEPTED: usize = 64;

/// How long closing waits for QUIC to tell the peers.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// The same when there is no peer to tell. What is left then are handshakes that lost a race, which QUIC would wait a
/// second or more for; as a rule closing takes 2 ms.
const CLOSE_UNUSED_TIMEOUT: Duration = Duration::from_millis(50);

/// What [`Endpoint::open`] listens with.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: [u8; 32],
    pub bind: Vec<SocketAddr>,
    pub tcp: bool,
    pub quic: bool,
    /// What QUIC sends with.
    pub congestion: Congestion,
    /// What TCP sends with where the path is long.
    pub long_paths: LongPaths,
}

/// One key with its listeners. Closing it closes its connections.
pub struct Endpoint {
    identity: Identity,
    allowed: AllowedKeys,
    long_paths: LongPaths,
    quic: Option<iroh::Endpoint>,
    relay: AsyncMutex<Option<AtRelay>>,
    secret_key: SecretKey,
    bind: Vec<SocketAddr>,
    congestion: Congestion,
    /// None once closed: it holds a sender of `accepted`.
    door: Mutex<Option<Arc<Door>>>,
    tcp_addresses: Vec<SocketAddr>,
    quic_addresses: Vec<SocketAddr>,
    accepted: AsyncMutex<mpsc::Receiver<Connection>>,
    connections: Arc<Connections>,
    listeners: Mutex<JoinSet<()>>,
}

impl Endpoint {
    /// Listens on every address of `options.bind` that this machine has, with each transport.
    pub async fn open(options: Options) -> Result<Endpoint> {
        let identity = Identity::from_seed(&options.seed)?;
        let allowed = AllowedKeys::default();
        let (sender, accepted) = mpsc::channel(MAX_UNACCEPTED);
        let connections = Arc::new(Connections::default());
        let door = Arc::new(Door {
            allowed: allowed.clone(),
            config: identity.server_config(allowed.clone())?,
            registry: tcp::Registry::default(),
            handshakes: Arc::default(),
            accepted: sender,
            connections: connections.clone(),
            long_paths: options.long_paths.clone(),
        });
        let mut listeners = JoinSet::new();
        let mut tcp_addresses = Vec::new();
        if options.tcp {
            for listener in address::listen(&options.bind)? {
                let failed = |error| Error::io("Cannot listen for tcp", &error);
                tcp_addresses.push(listener.local_addr().map_err(failed)?);
                listeners.spawn(listen_tcp(door.clone(), TcpListener::from_std(listener).map_err(failed)?));
            }
        }
        let mut quic_endpoint = None;
        let mut quic_addresses = Vec::new();
        if options.quic {
            let Options { seed, bind, congestion, .. } = &options;
            let bound = quic::BindOptions { seed, addresses: bind, congestion: *congestion, relay: None };
            let endpoint = quic::bind(bound).await?;
            quic_addresses = endpoint.bound_sockets();
            listeners.spawn(listen_quic(door.clone(), endpoint.clone()));
            quic_endpoint = Some(endpoint);
        }
        Ok(Endpoint {
            identity,
            allowed,
            long_paths: options.long_paths,
            quic: quic_endpoint,
            relay: AsyncMutex::default(),
            secret_key: SecretKey::from_bytes(&options.seed),
            bind: options.bind,
            congestion: options.congestion,
            door: Mutex::new(Some(door)),
            tcp_addresses,
            quic_addresses,
            accepted: AsyncMutex::new(accepted),
            connections,
            listeners: Mutex::new(listeners),
        })
    }

    pub fn public_key(&self) -> PeerKey {
        self.identity.public_key()
    }

    /// Where TCP listens.
    pub fn tcp_addresses(&self) -> &[SocketAddr] {
        &self.tcp_addresses
    }

    /// Where QUIC listens.
    pub fn quic_addresses(&self) -> &[SocketAddr] {
        &self.quic_addresses
    }

    /// Makes this machine reachable at a hub's relay, under a key of its own, which is made at the first call, and has it
    /// find its own address there. The last relay is the one that is dialled.
    ///
    /// A relay knows one connection per key; under the machine key, of two programs only the later one would be reached.
    pub async fn use_relay(&self, hub: Hub, options: RelayOptions) -> Result<RelayKey> {
        let mut relay = self.relay.lock().await;
        let id = options.id;
        let at = match relay.as_mut() {
            // iroh takes a proxy only when an endpoint is made.
            Some(at) if at.door.is_some() || options.proxy.is_none() => {
                at.join(hub, options).await?;
                at
            }
            other => {
                let key = other.map_or_else(SecretKey::generate, |at| at.endpoint.secret_key().clone());
                let new = self.open_at_relay(key, hub, options).await?;
                relay.replace(new).into_iter().for_each(AtRelay::end);
                relay.as_mut().expect("just put")
            }
        };
        Ok(RelayKey::sign(&self.secret_key, &at.endpoint.id(), &id))
    }

    /// Goes to the relay anew, under the same key, and ends what went over it; nothing where this machine is at none.
    ///
    /// For a machine that has changed networks. iroh (1.4.1) does not look after the connection to a relay while it waits
    /// to send on it, and takes a dead one for alive for 15 s; after failures it pauses for up to 16 s.
    pub async fn renew_relay(&self) -> Result<()> {
        let mut relay = self.relay.lock().await;
        let Some(old) = relay.as_ref() else { return Ok(()) };
        let Place { hub, options, .. } = old.place.clone();
        let new = self.open_at_relay(old.endpoint.secret_key().clone(), hub, options).await?;
        relay.replace(new).into_iter().for_each(AtRelay::end);
        Ok(())
    }

    async fn open_at_relay(&self, secret_key: SecretKey, hub: Hub, options: RelayOptions) -> Result<AtRelay> {
        let url = relay::url(&hub)?;
        // Ports of their own: those that the person may have set belong to the machine key.
        let addresses: Vec<_> = self.bind.iter().map(|address| SocketAddr::new(address.ip(), 0)).collect();
        let trust = Trust::default();
        let proxy_door = match options.proxy {
            Some(_) => Some(ProxyDoor::open().await?),
            None => None,
        };
        if let Some(door) = &proxy_door {
            door.lead_to(&url, options.proxy.clone());
        }
        let endpoint = quic::bind(quic::BindOptions {
            seed: &secret_key.to_bytes(),
            addresses: if options.direct { &addresses } else { &[] },
            congestion: self.congestion,
            relay: Some(quic::RelayUse {
                relays: relay::known(&trust, &url, &hub),
                trust: &trust,
                port_mapping: options.port_mapping,
                proxy: proxy_door.as_ref().map(ProxyDoor::url),
            }),
        })
        .await?;
        let door = self.door.lock().unwrap().clone();
        let door = door.ok_or_else(|| Error::new(Kind::Closed, "the endpoint is closed"))?;
        let listener = self.listeners.lock().unwrap().spawn(listen_quic(door, endpoint.clone()));
        relay::find_address(&endpoint, &url, &hub);
        Ok(AtRelay { endpoint, trust, door: proxy_door, listener, place: Place { hub, options, url } })
    }

    /// Lets the machine with `key` connect from now on.
    pub fn allow(&self, key: PeerKey) {
        self.allowed.insert(key);
    }

    /// Lets the machine with the key `owner` connect at the relay too.
    pub fn allow_at_relay(&self, relay_key: &RelayKey, owner: PeerKey) -> Result<()> {
        relay_key.verify(&owner)?;
        self.allowed.insert_relay_key(relay_key.key, owner);
        Ok(())
    }

    /// Gives the next connection that an allowed peer made. Cancel-safe.
    pub async fn accept(&self) -> Result<Connection> {
        let connection = self.accepted.lock().await.recv().await;
        connection.ok_or_else(|| Error::new(Kind::Closed, "the endpoint is closed"))
    }

    /// Connects to the machine with `peer_key` at `address`. Cancelling or timing out leaves nothing behind.
    pub async fn dial(
        &self,
        kind: TransportKind,
        address: SocketAddr,
        peer_key: PeerKey,
        timeout: Duration,
    ) -> Result<Connection> {
        let what = format!("Cannot connect to {address} over {kind}");
        let dial = async {
            match (kind, &self.quic) {
                (TransportKind::Tcp, _) => self.dial_tcp(Route::direct(address), peer_key).await,
                (TransportKind::Quic, Some(endpoint)) => {
                    let peer = quic::Peer::machine(peer_key);
                    quic::dial(endpoint, quic::Place::Address(address), peer).await
                }
                _ => Err(Error::new(Kind::Unsupported, format!("{what}: this endpoint does not use it"))),
            }
        };
        self.dialled(dial, &what, timeout).await
    }

    /// Connects as [`Endpoint::dial`] does, over TCP and through `proxy`, further streams included.
    pub async fn dial_through(
        &self,
        proxy: Proxy,
        address: SocketAddr,
        peer_key: PeerKey,
        timeout: Duration,
    ) -> Result<Connection> {
        let what = format!("Cannot connect to {address} over tcp through {proxy}");
        let route = Route::Address { address, proxy: Some(Arc::new(proxy)) };
        self.dialled(self.dial_tcp(route, peer_key), &what, timeout).await
    }

    async fn dial_tcp(&self, route: Route, peer_key: PeerKey) -> Result<Connection> {
        let config = self.identity.client_config(peer_key)?;
        tcp::dial(config, route, peer_key, self.long_paths.clone()).await
    }

    /// Connects to the machine with `peer_key` over the relay, from where iroh looks for a direct path. As
    /// [`Endpoint::dial`].
    pub async fn dial_relay(
        &self,
        relay_key: &RelayKey,
        peer_key: PeerKey,
        timeout: Duration,
    ) -> Result<Connection> {
        let what = "Cannot connect over the relay";
        relay_key.verify(&peer_key)?;
        let at = self.relay.lock().await;
        let known = at.as_ref().map(|at| (at.endpoint.clone(), at.place.url.clone()));
        drop(at);
        let Some((endpoint, url)) = known else {
            return Err(Error::new(Kind::Unsupported, format!("{what}: this endpoint knows none")));
        };
        let peer = quic::Peer { key: relay_key.key, peer_key };
        let dialled = self.dialled(quic::dial(&endpoint, quic::Place::Relay(url), peer), what, timeout).await;
        let Err(error) = dialled else { return dialled };
        // A proxy that lets nobody through says more than that there was no answer.
        let relay = self.relay.lock().await;
        match relay.as_ref().and_then(|at| at.door.as_ref()?.trouble()) {
            Some(trouble) => Err(Error::new(Kind::ConnectFailed, format!("{what}: {}", trouble.text))),
            None => Err(error),
        }
    }

    async fn dialled(
        &self,
        dial: impl Future<Output = Result<Connection>>,
        what: &str,
        timeout: Duration,
    ) -> Result<Connection> {
        let connection = tokio::time::timeout(timeout, dial).await.unwrap_or_else(|_| {
            let text = format!("{what}: no answer within {} ms", timeout.as_millis());
            Err(Error::new(Kind::Timeout, text))
        })?;
        self.connections.add(&connection);
        Ok(connection)
    }

    /// Stops listening and closes every connection of this endpoint; idempotent.
    pub async fn close(&self) {
        // The listeners hold the other senders of `accepted`, so a waiting `accept` ends too.
        self.door.lock().unwrap().take();
        self.listeners.lock().unwrap().abort_all();
        let connections = self.connections.close_all();
        let patience = if connections.is_empty() { CLOSE_UNUSED_TIMEOUT } else { CLOSE_TIMEOUT };
        for connection in connections {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection.settled()).await;
        }
        let at_relay = self.relay.lock().await.as_ref().map(|at| at.endpoint.clone());
        let endpoints: JoinSet<_> = self
            .quic
            .iter()
            .cloned()
            .chain(at_relay)
            .map(|endpoint| async move { endpoint.close().await })
            .collect();
        let _ = tokio::time::timeout(patience, endpoints.join_all()).await;
    }
}

/// How [`Endpoint::use_relay`] is at a relay.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// Which relay it is: everybody there was told the same.
    pub id: RelayId,
    /// Whether UDP may be used as well, for a direct path.
    pub direct: bool,
    /// Asks the router for a UDP port.
    pub port_mapping: bool,
    /// What connects to the relay on this machine's behalf.
    pub proxy: Option<Proxy>,
}

/// An endpoint that is at a relay.
struct AtRelay {
    endpoint: iroh::Endpoint,
    trust: Trust,
    /// The way to the relay, where it leads through a proxy.
    door: Option<ProxyDoor>,
    /// What takes connections there.
    listener: AbortHandle,
    place: Place,
}

impl AtRelay {
    /// Goes to one more relay; from now on that is the one that is dialled.
    async fn join(&mut self, hub: Hub, options: RelayOptions) -> Result<()> {
        let url = relay::url(&hub)?;
        if let Some(door) = &self.door {
            door.lead_to(&url, options.proxy.clone());
        }
        relay::join(&self.endpoint, &self.trust, &url, &hub).await;
        self.place = Place { hub, options, url };
        Ok(())
    }

    fn end(self) {
        let AtRelay { endpoint, listener, door, .. } = self;
        listener.abort();
        tokio::spawn(async move {
            endpoint.close().await;
            drop(door);
        });
    }
}

/// The relay that is dialled.
#[derive(Clone)]
struct Place {
    hub: Hub,
    options: RelayOptions,
    url: RelayUrl,
}

/// The connections of an endpoint, as long as somebody uses them.
#[derive(Default)]
struct Connections(Mutex<Vec<Weak<Inner>>>);

impl Connections {
    fn add(&self, connection: &Connection) {
        let mut all = self.0.lock().unwrap();
        all.retain(|each| each.strong_count() > 0);
        all.push(Arc::downgrade(&connection.inner));
    }

    fn close_all(&self) -> Vec<Connection> {
        let all = std::mem::take(&mut *self.0.lock().unwrap());
        let open: Vec<_> = all.iter().filter_map(Weak::upgrade).map(|inner| Connection { inner }).collect();
        open.iter().for_each(|connection| connection.close(0, "endpoint closed"));
        open
    }
}

/// What every listener needs to let a peer in.
struct Door {
    allowed: AllowedKeys,
    config: Arc<ServerConfig>,
    registry: tcp::Registry,
    handshakes: Arc<Handshakes>,
    accepted: mpsc::Sender<Connection>,
    connections: Arc<Connections>,
    long_paths: LongPaths,
}

impl Door {
    fn let_in(&self, connection: Connection) {
        self.connections.add(&connection);
        // A full queue drops the connection, which closes it.
        let _ = self.accepted.try_send(connection);
    }
}

/// A failed handshake concerns nobody here: strangers cause as many as they like.
async fn listen_tcp(door: Arc<Door>, listener: TcpListener) {
    let mut handshakes = JoinSet::new();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Out of file descriptors, or a peer that left the backlog; the listener itself is sound.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        while handshakes.try_join_next().is_some() {}
        let Some(counted) = door.handshakes.begin(from.ip()) else { continue };
        let door = door.clone();
        handshakes.spawn(async move {
            let _counted = counted;
            let handshake = tcp::accept(&door.config, &door.registry, &door.long_paths, stream, None);
            if let Ok(Ok(Some(connection))) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                door.let_in(connection);
            }
        });
    }
}

async fn listen_quic(door: Arc<Door>, endpoint: iroh::Endpoint) {
    let mut handshakes = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        while handshakes.try_join_next().is_some() {}
        let from = match incoming.remote_addr() {
            iroh::endpoint::IncomingAddr::Ip(address) => address.ip(),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        };
        let Some(counted) = door.handshakes.begin(from) else {
            incoming.refuse();
            continue;
        };
        let (door, endpoint) = (door.clone(), endpoint.clone());
        handshakes.spawn(async move {
            let _counted = counted;
            let handshake = quic::accept(&endpoint, incoming, &door.allowed);
            if let Ok(Ok(connection)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                door.let_in(connection);
            }
        });
    }
}

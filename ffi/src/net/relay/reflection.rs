//! How this machine looks from outside over UDP, as address discovery at a hub's relay sees it: whether anything gets there,
//! the address that is seen, whether another port sees another one, and whether a packet that nobody here asked for comes in.
//!
//! Terms: RFC 4787. One socket per family asks all of it, since a NAT's answer is about one socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use noq::crypto::rustls::{HandshakeData, QuicClientConfig};
use rustls::pki_types::ServerName;
use tokio::time::{sleep, timeout};

use super::discovery::{ALPN_KNOCK, ALPN_QUIC_ADDR_DISC, listener_config};
use super::{Pin, Trust};
use crate::error::{Error, Kind, Result};
use crate::net::tls;

/// How long the service has to tell an address: a lost packet and three round trips by satellite.
const ANSWER: Duration = Duration::from_millis(2500);

/// How long the knock has from then on; it is repeated after 0.3 and 1 s.
const KNOCK: Duration = Duration::from_millis(2000);

/// How often it is looked for an address that is on its way behind the handshake.
const LOOK: Duration = Duration::from_millis(5);

/// How long an end may take to be told to the service.
const GOODBYE: Duration = Duration::from_millis(50);

/// Where address discovery is.
#[derive(Clone, Debug)]
pub struct DiscoveryPlace {
    /// Name or address, without brackets.
    pub host: String,
    pub port: u16,
    /// Another port of the same service.
    pub other_port: Option<u16>,
    pub pins: Vec<Pin>,
}

/// What is seen of one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The port that it has on this machine.
    pub local_port: u16,
    /// Where its packets seem to come from.
    pub seen: SocketAddr,
    /// The same, seen from the other port; None where that says nothing.
    pub other: Option<SocketAddr>,
    /// Whether a packet came in from the other port before anything was sent there; None where nobody can tell.
    pub knocked: Option<bool>,
}

/// Asks over each family of addresses that the host has; empty when nothing comes back.
pub async fn look(place: DiscoveryPlace) -> Result<Vec<View>> {
    let failed = |state: String| {
        Error::new(
            Kind::ConnectFailed,
            format!("Cannot ask \"{}\" for this machine's address: {state}", place.host),
        )
    };
    let found = tokio::net::lookup_host((place.host.as_str(), place.port))
        .await
        .map_err(|error| failed(crate::net::address::plain(&error)))?;
    let found: Vec<SocketAddr> = found.collect();
    let trust = Trust::default();
    trust.believe(place.pins.iter().copied());
    let config = client_config(&trust)?;
    let first_of = |v6: bool| found.iter().find(|address| address.is_ipv6() == v6).copied();
    let ask = async |address: Option<SocketAddr>| match address {
        Some(address) => look_at(address, &place, &config).await,
        None => Ok(None),
    };
    let (v4, v6) = tokio::join!(ask(first_of(false)), ask(first_of(true)));
    // A family that this machine does not have is one over which nothing comes back.
    Ok([v4, v6].into_iter().filter_map(|view| view.ok().flatten()).collect())
}

async fn look_at(
    address: SocketAddr,
    place: &DiscoveryPlace,
    config: &noq::ClientConfig,
) -> Result<Option<View>> {
    let failed = |error| Error::io("Cannot open a socket for UDP", &error);
    let any: IpAddr =
        if address.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind((any, 0)).map_err(failed)?;
    let local_port = socket.local_addr().map_err(failed)?.port();
    // It takes connections only to see who knocks.
    let (knocked_at, _) = listener_config()?;
    let runtime = Arc::new(noq::TokioRuntime);
    let endpoint = noq::Endpoint::new(noq::EndpointConfig::default(), Some(knocked_at), socket, runtime)
        .map_err(failed)?;
    let view = ask(&endpoint, address, place, config).await;
    endpoint.close(0_u8.into(), b"");
    let _ = timeout(GOODBYE, endpoint.wait_idle()).await;
    Ok(view.map(|(seen, other, knocked)| View { local_port, seen, other, knocked }))
}

async fn ask(
    endpoint: &noq::Endpoint,
    address: SocketAddr,
    place: &DiscoveryPlace,
    config: &noq::ClientConfig,
) -> Option<(SocketAddr, Option<SocketAddr>, Option<bool>)> {
    let (_first, seen, knocks) = observed(endpoint, address, place, config).await?;
    let Some(port) = place.other_port else { return Some((seen, None, None)) };
    let from = SocketAddr::new(address.ip(), port);
    // Before anything is sent there: afterwards every NAT lets it in.
    let knocked = knocks && timeout(KNOCK, knock(endpoint, from)).await.is_ok();
    let other = observed(endpoint, from, place, config).await.map(|(_, seen, _)| seen);
    // A port that does not answer is one from which nothing comes.
    Some((seen, other, (knocked || knocks && other.is_some()).then_some(knocked)))
}

/// Connects, and gives the address that is seen there, and whether the other port knocks.
async fn observed(
    endpoint: &noq::Endpoint,
    address: SocketAddr,
    place: &DiscoveryPlace,
    config: &noq::ClientConfig,
) -> Option<(noq::Connection, SocketAddr, bool)> {
    let name = if ServerName::try_from(place.host.as_str()).is_ok() { &place.host } else { "discovery" };
    let asked = async {
        let connection = endpoint.connect_with(config.clone(), address, name).ok()?.await.ok()?;
        let observed = connection.observed_external_addr();
        let seen = loop {
            match observed.get() {
                Some(seen) => break seen,
                None => sleep(LOOK).await,
            }
        };
        Some((connection, seen))
    };
    let (connection, seen) = timeout(ANSWER, asked).await.ok()??;
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    let knocks = data.protocol.as_deref() == Some(ALPN_KNOCK);
    Some((connection, SocketAddr::new(seen.ip().to_canonical(), seen.port()), knocks))
}

/// Waits until something comes from `from`.
async fn knock(endpoint: &noq::Endpoint, from: SocketAddr) {
    while let Some(incoming) = endpoint.accept().await {
        let remote = incoming.remote_address();
        incoming.ignore();
        if SocketAddr::new(remote.ip().to_canonical(), remote.port()) == from {
            return;
        }
    }
    std::future::pending().await
}

fn client_config(trust: &Trust) -> Result<noq::ClientConfig> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(Kind::Internal, format!("Cannot ask for this machine's address: {error}"))
    };
    let mut crypto = trust.tls().client_config(Arc::new(tls::provider())).map_err(|error| failed(&error))?;
    crypto.alpn_protocols = vec![ALPN_KNOCK.to_vec(), ALPN_QUIC_ADDR_DISC.to_vec()];
    let crypto = QuicClientConfig::try_from(crypto).map_err(|error| failed(&error))?;
    let mut config = noq::ClientConfig::new(Arc::new(crypto));
    let mut transport = noq::TransportConfig::default();
    // Low, so that what is lost is soon sent again.
    transport.initial_rtt(Duration::from_millis(111)).receive_observed_address_reports(true);
    config.transport_config(Arc::new(transport));
    Ok(config)
}

#[cfg(test)]
#[path = "reflection_test.rs"]
mod tests;

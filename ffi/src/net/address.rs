//! This machine's addresses, binding to them, and the words for what the system answers.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::{Error, Kind, Result};

/// Connections that the system may hold for us before we accept them.
const BACKLOG: i32 = 256;

/// The machine's own addresses, those that other machines can use first: private and public IPv4 and IPv6, then
/// link-local, then loopback. What an interface has that is down is of no use to anybody, and not among them.
pub fn own() -> Result<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs()
        .map_err(|error| Error::io("Cannot list this machine's addresses", &error))?;
    let usable = |interface: &&if_addrs::Interface| interface.is_oper_up() || interface.is_loopback();
    let mut addresses: Vec<IpAddr> =
        interfaces.iter().filter(usable).map(|interface| interface.ip()).collect();
    addresses.sort_by_key(|ip| (rank(ip), *ip));
    addresses.dedup();
    Ok(addresses)
}

fn rank(ip: &IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() => 4,
        IpAddr::V6(ip) if ip.is_loopback() => 5,
        IpAddr::V4(ip) if ip.is_link_local() => 2,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => 3,
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => 1,
    }
}

/// Whether the internet may know a machine by this address: none of a private network, of a provider's, or of one link.
pub fn is_outside(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64; // RFC 6598.
            !(shared
                || ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast())
        }
        IpAddr::V6(ip) => ip.segments()[0] & 0xe000 == 0x2000, // RFC 4291 §2.4.
    }
}

/// Parses `ip:port` or `[ip]:port`.
pub fn parse(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| {
        Error::new(Kind::InvalidArgument, format!("Cannot use address \"{text}\": it is not ip:port"))
    })
}

/// Listens on every address that this machine can listen on; at least one.
///
/// A port that is taken is `ADDRESS_IN_USE`. An address of a family that the machine lacks is left out.
pub fn listen(addresses: &[SocketAddr]) -> Result<Vec<std::net::TcpListener>> {
    let mut listeners = Vec::new();
    let mut skipped = None;
    for address in addresses {
        match listen_on(*address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_missing(&error) => skipped = Some(bind_error(*address, &error)),
            Err(error) => return Err(bind_error(*address, &error)),
        }
    }
    match skipped {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

fn listen_on(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of a former run that are in TIME_WAIT must not block the port; a live listener still does.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Leaves out the UDP addresses of families that this machine lacks; fails when a port is taken.
pub fn usable_for_udp(addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>> {
    let mut usable = Vec::new();
    let mut skipped = None;
    for address in addresses {
        match probe_udp(*address) {
            Ok(()) => usable.push(*address),
            Err(error) if is_missing(&error) => skipped = Some(bind_error(*address, &error)),
            Err(error) => return Err(bind_error(*address, &error)),
        }
    }
    match skipped {
        Some(error) if usable.is_empty() => Err(error),
        _ => Ok(usable),
    }
}

fn probe_udp(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

/// No such address or address family here, as opposed to a port that is taken.
fn is_missing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let Some(raw) = error.raw_os_error() else { return false };
    matches!(Errno::from_raw_os_error(raw), Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
}

/// The error for a failed bind, in the words of the command line.
pub fn bind_error(address: SocketAddr, error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::AddrInUse {
        let text = format!("Cannot listen on {address}: the port is in use");
        return Error { kind: Kind::AddressInUse, errno: error.raw_os_error().unwrap_or(0), text };
    }
    Error::io(format!("Cannot listen on {address}"), error)
}

/// The system's sentence without Rust's ` (os error N)`.
pub(super) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => return "the peer is gone".to_owned(),
        io::ErrorKind::ConnectionReset => return "the peer reset it".to_owned(),
        _ => {}
    }
    // A transport's own error inside, and what it says is its cause.
    let inside = error
        .get_ref()
        .map(|inner| inner.source().map_or_else(|| inner.to_string(), |cause| cause.to_string()));
    let text = inside.unwrap_or_else(|| error.to_string());
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

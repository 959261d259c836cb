//! Finding each other on the local network: DNS-SD over multicast DNS (RFC 6762, RFC 6763), loopback included.
//!
//! What it finds is hearsay: whoever is on the network can say anything. Everything is bounded here; nothing is
//! believed before a handshake proves a key.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use crate::error::{Error, Kind, Result};

/// Limits on what one neighbour can make us hold. An instance name is one DNS label, a TXT entry one DNS string.
const MAX_INSTANCE_BYTES: usize = 63;
const MAX_TXT_ENTRIES: usize = 32;
const MAX_TXT_KEY_BYTES: usize = 64;
const MAX_TXT_VALUE_BYTES: usize = 255;
const MAX_ADDRESSES: usize = 16;

/// Finds that wait for `next`; more are dropped, and come again with the neighbour's next announcement.
const MAX_QUEUED: usize = 64;

/// How long withdrawing waits for the good-bye packet to leave.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(500);

/// One neighbour, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub instance: String,
    pub host: String,
    pub port: u16,
    /// IPv4 first, loopback last; link-local IPv6 left out, since it says nothing without an interface.
    pub addresses: Vec<IpAddr>,
    pub txt: BTreeMap<String, String>,
}

/// A service that this machine offers; withdrawn when dropped.
pub struct Announcement {
    daemon: ServiceDaemon,
    fullname: String,
    withdrawn: Mutex<bool>,
}

impl Announcement {
    /// Offers `instance` of `service` (`_name._tcp.local.`) on `port`, at `addresses` or at all that the machine has.
    pub fn start(
        service: &str,
        instance: &str,
        port: u16,
        addresses: &[IpAddr],
        txt: HashMap<String, String>,
    ) -> Result<Announcement> {
        check_service(service)?;
        if instance.is_empty() || instance.len() > MAX_INSTANCE_BYTES {
            return Err(invalid(format!("\"{instance}\" is not a name of 1 to {MAX_INSTANCE_BYTES} bytes")));
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| {
            Error::new(Kind::Internal, format!("Cannot announce \"{instance}\": {error}"))
        })?;
        let host = format!("wormhole-{:016x}.local.", u64::from_le_bytes(random));
        let mut info = ServiceInfo::new(service, instance, &host, addresses, port, txt)
            .map_err(|error| invalid(error.to_string()))?;
        if addresses.is_empty() {
            info = info.enable_addr_auto();
        }
        let fullname = info.get_fullname().to_owned();
        let failed = |error| unavailable(&format!("announce \"{instance}\""), error);
        let daemon = ServiceDaemon::new().map_err(failed)?;
        let announcement = Announcement { daemon, fullname, withdrawn: Mutex::new(false) };
        announcement.daemon.register(info).map_err(failed)?;
        Ok(announcement)
    }

    /// Says good-bye; idempotent. Blocks for at most half a second.
    pub fn withdraw(&self) {
        let mut withdrawn = self.withdrawn.lock().unwrap();
        if std::mem::replace(&mut *withdrawn, true) {
            return;
        }
        if let Ok(done) = self.daemon.unregister(&self.fullname) {
            let _ = done.recv_timeout(GOODBYE_TIMEOUT);
        }
        let _ = self.daemon.shutdown();
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if !*self.withdrawn.lock().unwrap() {
            let _ = self.daemon.unregister(&self.fullname);
            let _ = self.daemon.shutdown();
        }
    }
}

/// A search; stopped when dropped.
pub struct Browser {
    daemon: ServiceDaemon,
    found: AsyncMutex<mpsc::Receiver<Found>>,
}

impl Browser {
    /// Searches for `service` (`_name._tcp.local.`) until stopped.
    pub fn start(service: &str) -> Result<Browser> {
        check_service(service)?;
        let failed = |error| unavailable(&format!("search for \"{service}\""), error);
        let daemon = ServiceDaemon::new().map_err(failed)?;
        let events = daemon.browse(service).map_err(failed)?;
        let (sender, found) = mpsc::channel(MAX_QUEUED);
        let browser = Browser { daemon, found: AsyncMutex::new(found) };
        // Ends when the daemon does, which drops the other end of `events`.
        let thread = std::thread::Builder::new().name("wormhole-mdns".to_owned());
        let work = move || {
            while let Ok(event) = events.recv() {
                if let ServiceEvent::ServiceResolved(service) = event
                    && let Some(found) = bounded(&service)
                    && let Err(mpsc::error::TrySendError::Closed(_)) = sender.try_send(found)
                {
                    return;
                }
            }
        };
        thread.spawn(work).map_err(|error| Error::io("Cannot start a thread", &error))?;
        Ok(browser)
    }

    /// Gives the next neighbour; the same one again when it changes. Cancel-safe.
    pub async fn next(&self) -> Result<Found> {
        let found = self.found.lock().await.recv().await;
        found.ok_or_else(|| Error::new(Kind::Closed, "the search is stopped"))
    }

    /// Ends the search and a waiting [`Browser::next`].
    pub fn stop(&self) {
        let _ = self.daemon.shutdown();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Takes what a neighbour says within the limits; none when not even its name fits.
fn bounded(service: &ResolvedService) -> Option<Found> {
    let label = service.fullname.strip_suffix(&service.ty_domain)?.strip_suffix('.')?;
    let instance = unescape(label);
    if instance.is_empty() || instance.len() > MAX_INSTANCE_BYTES || service.port == 0 {
        return None;
    }
    let usable =
        |ip: &IpAddr| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) && !ip.is_unspecified();
    let mut addresses: Vec<IpAddr> =
        service.addresses.iter().map(|ip| ip.to_ip_addr()).filter(usable).collect();
    addresses.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6(), *ip));
    addresses.truncate(MAX_ADDRESSES);
    let txt = service.txt_properties.iter().take(MAX_TXT_ENTRIES).filter_map(|entry| {
        let value = std::str::from_utf8(entry.val().unwrap_or_default()).ok()?;
        let fits = entry.key().len() <= MAX_TXT_KEY_BYTES && value.len() <= MAX_TXT_VALUE_BYTES;
        fits.then(|| (entry.key().to_owned(), value.to_owned()))
    });
    let host: String = service.host.chars().take(255).collect();
    Some(Found { instance, host, port: service.port, addresses, txt: txt.collect() })
}

/// Undoes the backslashes that RFC 6763 §4.3 puts before dots and backslashes of an instance name.
fn unescape(label: &str) -> String {
    let mut plain = String::with_capacity(label.len());
    let mut characters = label.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            character => plain.push(character),
        }
    }
    plain
}

fn check_service(service: &str) -> Result<()> {
    let name = service.strip_suffix("._tcp.local.").or_else(|| service.strip_suffix("._udp.local."));
    match name.and_then(|name| name.strip_prefix('_')) {
        Some(name) if (1..=15).contains(&name.len()) => Ok(()),
        _ => Err(invalid(format!("\"{service}\" is not like _name._tcp.local."))),
    }
}

fn invalid(state: String) -> Error {
    Error::new(Kind::InvalidArgument, format!("Cannot use a service: {state}"))
}

fn unavailable(what: &str, error: mdns_sd::Error) -> Error {
    Error::new(Kind::Io, format!("Cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_escapes() {
        assert_eq!(unescape(r"a\.b\\c d"), r"a.b\c d");
        assert_eq!(unescape("end\\"), "end");
    }

    #[test]
    fn bad_services_are_refused() {
        for service in
            ["wormhole", "_x._tcp.local", "__._http.local.", "_._tcp.local.", "_sixteen-letters-._tcp.local."]
        {
            assert_eq!(Browser::start(service).err().unwrap().kind, Kind::InvalidArgument, "{service}");
        }
        let name = "x".repeat(64);
        let error =
            Announcement::start("_wormhole._tcp.local.", &name, 1, &[], HashMap::new()).err().unwrap();
        assert_eq!(error.kind, Kind::InvalidArgument);
    }

    /// Multicast does not exist in every sandbox, so a machine where nothing comes back passes with a note.
    #[test]
    fn two_programs_on_this_machine_find_each_other() {
        let runtime = crate::net::testing::runtime();
        runtime.block_on(async {
            let service = "_wh-selftest._tcp.local.";
            let instance = format!("test {}.x", std::process::id());
            let browser = Browser::start(service).unwrap();
            let txt = HashMap::from([("k".to_owned(), "v".to_owned())]);
            let announcement = Announcement::start(service, &instance, 4711, &[], txt).unwrap();
            let search = async {
                loop {
                    let found = browser.next().await.unwrap();
                    if found.instance == instance {
                        return found;
                    }
                }
            };
            match tokio::time::timeout(Duration::from_secs(8), search).await {
                Ok(found) => {
                    assert_eq!((found.port, found.txt["k"].as_str()), (4711, "v"));
                    assert!(!found.addresses.is_empty());
                }
                Err(_) => eprintln!("note: no multicast between two programs on this machine"),
            }
            announcement.withdraw();
            browser.stop();
            while browser.next().await.is_ok() {}
        });
    }
}

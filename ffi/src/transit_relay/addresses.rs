//! How many connections each address has and makes: one IPv4 address, or one IPv6 /64, since one household holds that.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::Limits;
use super::counters::Refusal;

/// Addresses that are remembered one by one; those beyond share one, so that a flood of addresses gains nothing.
const MAX_REMEMBERED: usize = 20_000;

/// What counts as one address.
pub type AddressKey = [u8; 16];

/// Gives what `ip` counts as.
pub fn key(ip: IpAddr) -> AddressKey {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => (u128::from(ip) >> 64 << 64).to_be_bytes(),
    }
}

/// Who is connected, and who has come lately.
pub struct Addresses {
    most: usize,
    most_each: usize,
    burst: f64,
    per_second: f64,
    total: usize,
    held: HashMap<AddressKey, usize>,
    /// Connections that an address may still make at once, and when that was so.
    allowed: HashMap<AddressKey, (f64, Instant)>,
}

impl Addresses {
    pub fn new(limits: &Limits) -> Addresses {
        Addresses {
            most: limits.connections,
            most_each: limits.connections_per_address,
            burst: f64::from(limits.connection_burst),
            per_second: f64::from(limits.connections_per_minute) / 60.0,
            total: 0,
            held: HashMap::new(),
            allowed: HashMap::new(),
        }
    }

    /// Counts a connection in, unless its address has or makes too many.
    pub fn enter(&mut self, key: AddressKey, now: Instant) -> Result<(), Refusal> {
        let held = self.held.get(&key).copied().unwrap_or(0);
        if self.total >= self.most || held >= self.most_each {
            return Err(Refusal::Connections);
        }
        if !self.pay(key, now) {
            return Err(Refusal::ConnectionsPerMinute);
        }
        self.total += 1;
        self.held.insert(key, held + 1);
        Ok(())
    }

    /// Counts a connection out.
    pub fn leave(&mut self, key: AddressKey) {
        self.total -= 1;
        let held = self.held.get_mut(&key).expect("it entered");
        *held -= 1;
        if *held == 0 {
            self.held.remove(&key);
        }
    }

    fn pay(&mut self, key: AddressKey, now: Instant) -> bool {
        let (burst, per_second) = (self.burst, self.per_second);
        let left = |&(left, at): &(f64, Instant)| {
            (left + now.saturating_duration_since(at).as_secs_f64() * per_second).min(burst)
        };
        let mut key = key;
        if !self.allowed.contains_key(&key) && self.allowed.len() >= MAX_REMEMBERED {
            self.allowed.retain(|_, each| left(each) < burst);
            if self.allowed.len() >= MAX_REMEMBERED {
                key = [0; 16];
            }
        }
        let left = self.allowed.get(&key).map_or(burst, left);
        self.allowed.insert(key, (if left < 1.0 { left } else { left - 1.0 }, now));
        left >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> Limits {
        Limits {
            connections: 5,
            connections_per_address: 2,
            connection_burst: 3,
            connections_per_minute: 60,
            waiting: 10,
            handshake: Duration::ZERO,
            wait: Duration::ZERO,
            idle: Duration::ZERO,
        }
    }

    #[test]
    fn an_address_is_one_of_ipv4_or_a_household_of_ipv6() {
        let of = |text: &str| key(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }

    #[test]
    fn an_address_has_and_makes_only_so_many_connections() {
        let mut addresses = Addresses::new(&limits());
        let now = Instant::now();
        let [one, two, three] = [[1; 16], [2; 16], [3; 16]];
        assert_eq!(addresses.enter(one, now), Ok(()));
        assert_eq!(addresses.enter(one, now), Ok(()));
        assert_eq!(addresses.enter(one, now), Err(Refusal::Connections));
        addresses.leave(one);
        assert_eq!(addresses.enter(one, now), Ok(()));
        addresses.leave(one);
        assert_eq!(addresses.enter(one, now), Err(Refusal::ConnectionsPerMinute));
        let later = now + Duration::from_secs(1);
        assert_eq!(addresses.enter(one, later), Ok(()));
        assert_eq!(addresses.enter(two, later), Ok(()));
        assert_eq!(addresses.enter(two, later), Ok(()));
        assert_eq!(addresses.enter(three, later), Ok(()));
        assert_eq!(addresses.enter([4; 16], later), Err(Refusal::Connections));
        for key in [one, one, two, two, three] {
            addresses.leave(key);
        }
        assert!(addresses.held.is_empty() && addresses.total == 0);
    }

    #[test]
    fn a_flood_of_addresses_is_remembered_within_bounds() {
        let many = Limits { connections: usize::MAX, ..limits() };
        let mut addresses = Addresses::new(&many);
        let now = Instant::now();
        let mut let_in = 0;
        for i in 0..30_000u32 {
            let mut key = [7; 16];
            key[..4].copy_from_slice(&i.to_be_bytes());
            let_in += usize::from(addresses.enter(key, now).is_ok());
        }
        assert_eq!(let_in, MAX_REMEMBERED + 3);
        assert!(addresses.allowed.len() <= MAX_REMEMBERED + 1);
    }
}

//! How many strangers may be at the door at a time: together, and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

/// Handshakes at a time; more are refused, which bounds what strangers can make us hold.
const MAX_HANDSHAKES: usize = 128;

/// The same from one address: what is left is enough for a peer elsewhere, which begins 16 at a time.
const MAX_PER_ADDRESS: usize = 96;

/// The handshakes under way.
#[derive(Default)]
pub(super) struct Handshakes(Mutex<HashMap<IpAddr, usize>>);

/// One handshake, until it is dropped.
pub(super) struct Handshake {
    all: Arc<Handshakes>,
    household: IpAddr,
}

impl Handshakes {
    /// Counts one handshake in; none when there are too many.
    pub fn begin(self: &Arc<Handshakes>, address: IpAddr) -> Option<Handshake> {
        let household = household(address);
        let mut all = self.0.lock().unwrap();
        if all.values().sum::<usize>() >= MAX_HANDSHAKES {
            return None;
        }
        let count = all.entry(household).or_default();
        if *count >= MAX_PER_ADDRESS {
            return None;
        }
        *count += 1;
        drop(all);
        Some(Handshake { all: self.clone(), household })
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap();
        if let Some(count) = all.get_mut(&self.household) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.household);
            }
        }
    }
}

/// What counts as one address: one machine has a whole /64 of IPv6 to itself.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(handshakes: &Arc<Handshakes>, address: &str) -> Option<Handshake> {
        handshakes.begin(address.parse().unwrap())
    }

    #[test]
    fn one_address_cannot_keep_the_others_out() {
        let all = Arc::new(Handshakes::default());
        let mut taken: Vec<_> = (0..MAX_PER_ADDRESS).map(|_| begin(&all, "192.0.2.1").unwrap()).collect();
        assert!(begin(&all, "192.0.2.1").is_none());
        assert!(begin(&all, "::ffff:192.0.2.1").is_none());
        taken.push(begin(&all, "192.0.2.2").unwrap());
        drop(taken.remove(0));
        taken.push(begin(&all, "192.0.2.1").unwrap());
        while taken.len() < MAX_HANDSHAKES {
            taken.push(begin(&all, &format!("198.51.100.{}", taken.len())).unwrap());
        }
        assert!(begin(&all, "203.0.113.1").is_none());
        taken.clear();
        assert!(all.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_one_household_is_one_address() {
        let all = Arc::new(Handshakes::default());
        let _taken: Vec<_> =
            (0..MAX_PER_ADDRESS).map(|index| begin(&all, &format!("2001:db8::{index:x}")).unwrap()).collect();
        assert!(begin(&all, "2001:db8::ffff").is_none());
        assert!(begin(&all, "2001:db8:0:1::1").is_some());
    }
}

//! Who may use a relay: whoever has a token of this hub, and not too many at once.
//!
//! A token is `<expiry>.<mac>`, both in hex: the hour since 1970 until which it opens the relay, and BLAKE3 of that,
//! keyed with the relay's secret. So nothing has to be remembered about tokens that were given.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use iroh::EndpointId;
use iroh_relay::server::{Access, AccessControl, ClientRequest, ConnectionId};

/// How long a token opens the relay: a transfer of a week may lose its connection to it.
const TOKEN_HOURS: u64 = 7 * 24;

/// Connections of one machine key: a roaming machine makes a new one before the old is known to be dead.
const MAX_PER_KEY: usize = 4;

/// Counts clients in and out.
#[derive(Debug)]
pub struct Gate {
    secret: [u8; 32],
    max_clients: usize,
    inside: Mutex<HashMap<EndpointId, usize>>,
    refused: AtomicU64,
}

impl Gate {
    pub fn new(secret: [u8; 32], max_clients: usize) -> Gate {
        Gate { secret, max_clients, inside: Mutex::default(), refused: AtomicU64::new(0) }
    }

    /// Connections that were let in and are still there.
    pub fn inside(&self) -> usize {
        self.inside.lock().unwrap().values().sum()
    }

    /// Connections that were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Tells whether `token` opens the relay; one that does not is counted.
    pub fn opens(&self, token: &str) -> bool {
        let opens = opens(&self.secret, token, hour());
        self.refused.fetch_add(u64::from(!opens), Ordering::Relaxed);
        opens
    }

    fn enter(&self, key: EndpointId, token: Option<&str>) -> Result<(), &'static str> {
        if !token.is_some_and(|token| opens(&self.secret, token, hour())) {
            return Err("this relay serves machines that its hub has paired");
        }
        let mut inside = self.inside.lock().unwrap();
        if inside.values().sum::<usize>() >= self.max_clients {
            return Err("this relay is full");
        }
        let count = inside.entry(key).or_default();
        if *count >= MAX_PER_KEY {
            return Err("this machine has too many connections");
        }
        *count += 1;
        Ok(())
    }

    fn leave(&self, key: EndpointId) {
        let mut inside = self.inside.lock().unwrap();
        if let Some(count) = inside.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&key);
            }
        }
    }
}

impl AccessControl for Gate {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        match self.enter(request.endpoint_id(), request.auth_token().as_deref()) {
            Ok(()) => Access::Allow,
            Err(reason) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Access::Deny { reason: Some(reason.to_owned()) }
            }
        }
    }

    fn on_disconnect(&self, key: EndpointId, _: ConnectionId) {
        self.leave(key);
    }
}

/// Gives a token that opens a relay with this secret from now on.
pub fn token_for(secret: &[u8; 32]) -> String {
    token(secret, hour() + TOKEN_HOURS)
}

fn token(secret: &[u8; 32], expiry: u64) -> String {
    format!("{expiry:x}.{}", mac(secret, expiry).to_hex())
}

fn mac(secret: &[u8; 32], expiry: u64) -> blake3::Hash {
    blake3::keyed_hash(secret, &expiry.to_be_bytes())
}

fn opens(secret: &[u8; 32], token: &str, now: u64) -> bool {
    let parts = token.split_once('.');
    let Some((Ok(expiry), Ok(given))) =
        parts.map(|(expiry, mac)| (u64::from_str_radix(expiry, 16), blake3::Hash::from_hex(mac)))
    else {
        return false;
    };
    // The comparison of hashes takes the same time whatever they are.
    given == mac(secret, expiry) && now < expiry
}

/// Whole hours since 1970.
fn hour() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs() / 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn key(seed: u8) -> EndpointId {
        iroh::SecretKey::from_bytes(&[seed; 32]).public()
    }

    #[test]
    fn a_token_opens_its_own_relay_until_it_expires() {
        let token = token(&SECRET, 100);
        assert!(opens(&SECRET, &token, 99));
        assert!(!opens(&SECRET, &token, 100), "expired");
        assert!(!opens(&[8; 32], &token, 99), "another relay's");
        assert!(!opens(&SECRET, &token.replacen("64.", "65.", 1), 99), "made to last longer");
        for nonsense in ["", ".", "64", "64.", "64.00", "zz.00", &format!("{token}0")] {
            assert!(!opens(&SECRET, nonsense, 0), "{nonsense:?}");
        }
        assert!(opens(&SECRET, &token_for(&SECRET), hour()));
    }

    #[test]
    fn a_full_gate_lets_nobody_in_until_somebody_leaves() {
        let gate = Gate::new(SECRET, 2);
        let token = token_for(&SECRET);
        assert!(gate.enter(key(1), None).is_err());
        gate.enter(key(1), Some(&token)).expect("first");
        gate.enter(key(2), Some(&token)).expect("second");
        assert_eq!(gate.enter(key(3), Some(&token)), Err("this relay is full"));
        assert_eq!(gate.inside(), 2);
        gate.leave(key(1));
        gate.enter(key(3), Some(&token)).expect("after one left");
    }

    #[test]
    fn one_machine_has_a_few_connections_at_most() {
        let gate = Gate::new(SECRET, 100);
        let token = token_for(&SECRET);
        for _ in 0..MAX_PER_KEY {
            gate.enter(key(1), Some(&token)).expect("within the bound");
        }
        assert!(gate.enter(key(1), Some(&token)).is_err());
        gate.enter(key(2), Some(&token)).expect("another machine");
    }
}

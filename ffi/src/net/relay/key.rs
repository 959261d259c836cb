//! The key that a machine uses at a relay instead of its machine key, for one endpoint only. The machine key vouches for
//! it, so that whoever knows the one knows the other.

use iroh::{EndpointId, PublicKey, SecretKey, Signature};

use crate::error::{Error, Kind, Result};
use crate::net::PeerKey;

/// What a hub calls its relay.
pub type RelayId = [u8; 16];

/// What the machine key signs: this, then the relay's id, then the key.
const SIGNED: &[u8] = b"wormhole:relay-key:";

/// A key at a relay, with the machine key's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayKey {
    pub relay: RelayId,
    pub key: PeerKey,
    pub proof: [u8; 64],
}

impl RelayKey {
    pub fn sign(machine: &SecretKey, key: &EndpointId, relay: &RelayId) -> RelayKey {
        let key = *key.as_bytes();
        RelayKey { relay: *relay, key, proof: machine.sign(&message(relay, &key)).to_bytes() }
    }

    /// Checks that the machine with the key `owner` made it.
    pub fn verify(&self, owner: &PeerKey) -> Result<()> {
        let signature = Signature::from_bytes(&self.proof);
        PublicKey::from_bytes(owner)
            .is_ok_and(|owner| owner.verify(&message(&self.relay, &self.key), &signature).is_ok())
            .then_some(())
            .ok_or_else(|| {
                let text = "Cannot use the peer's key at the relay: its machine key does not vouch for it";
                Error::new(Kind::PeerUnauthenticated, text)
            })
    }
}

fn message(relay: &RelayId, key: &PeerKey) -> Vec<u8> {
    [SIGNED, relay, key].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_key_is_its_machines_and_that_relays_only() {
        let machine = SecretKey::from_bytes(&[1; 32]);
        let key = RelayKey::sign(&machine, &SecretKey::from_bytes(&[2; 32]).public(), &[3; 16]);
        let owner = *machine.public().as_bytes();
        key.verify(&owner).expect("its own");
        assert!(
            key.verify(SecretKey::from_bytes(&[4; 32]).public().as_bytes()).is_err(),
            "another machine's"
        );
        assert!(RelayKey { relay: [5; 16], ..key.clone() }.verify(&owner).is_err(), "another relay");
        assert!(RelayKey { key: [6; 32], ..key.clone() }.verify(&owner).is_err(), "another key");
    }
}

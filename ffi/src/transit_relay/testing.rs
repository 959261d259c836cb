//! Limits for tests, of this relay and of the connections that a hub joins.

use std::time::Duration;

use super::Limits;

/// More than any test needs.
pub fn generous() -> Limits {
    let long = Duration::from_secs(60);
    Limits {
        connections: 1_000,
        connections_per_address: 1_000,
        connection_burst: 10_000,
        connections_per_minute: 0,
        waiting: 500,
        handshake: long,
        wait: long,
        idle: long,
    }
}

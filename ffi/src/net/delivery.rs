//! How fast a path delivers: rate samples from acknowledgements, after draft-cheng-iccrg-delivery-rate-estimation.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets whose fate is unknown for this many round trips are forgotten: nobody tells of a lost MTU probe.
const FORGET_AFTER_ROUNDS: u64 = 10;

/// Packet numbers without a packet that needs an acknowledgement; more begin a new record.
const MAX_NUMBER_GAP: u64 = 4096;

/// What was known when a packet was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    round: u64,
    app_limited: bool,
}

/// One measurement of the path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Bytes/s; none when the time was too short to tell.
    pub rate: Option<u64>,
    /// The sender had nothing more to send, so the path may be faster.
    pub app_limited: bool,
    /// The first of a round trip.
    pub round_began: bool,
}

/// The packet of a batch of acknowledgements that was sent last.
#[derive(Clone, Copy, Debug)]
struct Newest {
    sent: Sent,
    sent_at: Instant,
}

/// Remembers what is in flight.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    packets: VecDeque<Option<Sent>>,
    /// The number of the first of `packets`.
    base: u64,
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    in_flight: u64,
    /// Samples of packets sent before this many bytes were delivered are limited by the application.
    app_limited_until: u64,
    round: u64,
    round_ends_at: u64,
    newest: Option<Newest>,
}

impl Delivery {
    pub fn new(now: Instant) -> Delivery {
        Delivery {
            packets: VecDeque::new(),
            base: 0,
            delivered: 0,
            delivered_at: now,
            first_sent_at: now,
            in_flight: 0,
            app_limited_until: 0,
            round: 0,
            round_ends_at: 0,
            newest: None,
        }
    }

    /// Bytes that arrived since the beginning.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Round trips since the beginning.
    pub fn round(&self) -> u64 {
        self.round
    }

    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    pub fn sent(&mut self, now: Instant, number: u64, bytes: u64) {
        if self.in_flight == 0 {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        self.in_flight += bytes;
        let next = self.base + self.packets.len() as u64;
        // Numbers begin anew after the handshake.
        if self.packets.is_empty() || number < next || number - next > MAX_NUMBER_GAP {
            self.packets.clear();
            self.base = number;
        } else {
            self.packets.resize((number - self.base) as usize, None);
        }
        self.packets.push_back(Some(Sent {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            round: self.round,
            app_limited: self.app_limited_until > 0,
        }));
    }

    pub fn lost(&mut self, number: u64, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        self.take(number);
    }

    pub fn acked(&mut self, now: Instant, number: u64, bytes: u64, sent_at: Instant) {
        self.delivered += bytes;
        self.delivered_at = now;
        self.in_flight = self.in_flight.saturating_sub(bytes);
        let Some(sent) = self.take(number) else { return };
        if self
            .newest
            .is_none_or(|newest| sent.delivered >= newest.sent.delivered && sent_at >= newest.sent_at)
        {
            self.newest = Some(Newest { sent, sent_at });
            self.first_sent_at = sent_at;
        }
    }

    /// Ends a batch of acknowledgements, after which `in_flight` bytes are on their way.
    pub fn sample(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        min_rtt: Duration,
    ) -> Option<Sample> {
        self.in_flight = in_flight;
        if self.app_limited_until > 0 && self.delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
        if app_limited {
            self.app_limited_until = (self.delivered + in_flight).max(1);
        }
        let Newest { sent, sent_at } = self.newest.take()?;
        let round_began = sent.delivered >= self.round_ends_at;
        if round_began {
            self.round += 1;
            self.round_ends_at = self.delivered;
            self.forget();
        }
        let acked_in = now.saturating_duration_since(sent.delivered_at);
        let interval = acked_in.max(sent_at.saturating_duration_since(sent.first_sent_at));
        let bytes = self.delivered - sent.delivered;
        // Shorter than a round trip means that acknowledgements came in a clump.
        let rate = (interval >= min_rtt && !interval.is_zero())
            .then(|| (bytes as f64 / interval.as_secs_f64()) as u64);
        Some(Sample { rate, app_limited: sent.app_limited, round_began })
    }

    fn take(&mut self, number: u64) -> Option<Sent> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        let sent = self.packets.get_mut(index)?.take();
        while self.packets.front().is_some_and(Option::is_none) {
            self.packets.pop_front();
            self.base += 1;
        }
        sent
    }

    fn forget(&mut self) {
        let old = |sent: &Option<Sent>| sent.is_none_or(|sent| sent.round + FORGET_AFTER_ROUNDS < self.round);
        while self.packets.front().is_some_and(old) {
            self.packets.pop_front();
            self.base += 1;
        }
    }
}

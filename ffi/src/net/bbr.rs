//! Congestion control for QUIC that does not take every loss for congestion: BBR version 1
//! (draft-cardwell-iccrg-bbr-congestion-control-00), sending at the rate that the path was seen to deliver.
//!
//! noq-proto has BBR version 3, which slows down in every round trip that loses a packet: with 1% loss it keeps half of
//! a link of 1 Gbit/s and 100 ms (docs/design/links.md). Here only a round trip that loses more than [`LOSS_LIMIT`]
//! counts, which is what a full shallow queue or a policer does: then the rate is what arrived in it.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use noq_proto::RttEstimator;
use noq_proto::congestion::{Controller, ControllerFactory, ControllerMetrics};

use super::delivery::{Delivery, Sample};

/// Packets of the first flight; as in Chromium's QUIC.
const INITIAL_PACKETS: u64 = 32;

/// Fewer packets in flight could not tell a lost one.
const MINIMUM_PACKETS: u64 = 4;

/// 2/ln 2: doubles the rate every round trip.
const STARTUP_GAIN: f64 = 2.885;

/// In flight: the path, and as much again for late acknowledgements and for what is lost but not yet known to be.
const WINDOW_GAIN: f64 = 2.0;

/// Probes for more, lets the queue that this made drain, then cruises; one round trip each.
const CYCLE: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];

/// The rate is the highest of so many round trips, a little more than a cycle.
const RATE_ROUNDS: u64 = 10;

/// Slightly below the path's rate, so that queues drain.
const PACING_MARGIN: f64 = 0.99;

/// The round trip of the empty path is measured again when none was as short for this long.
const MIN_RTT_EXPIRY: Duration = Duration::from_secs(10);
const PROBE_RTT_TIME: Duration = Duration::from_millis(200);
const PROBE_RTT_GAIN: f64 = 0.5;

/// The share of a round trip's bytes above which a loss is congestion.
const LOSS_LIMIT: f64 = 0.2;

/// Fewer lost packets in a round trip are chance whatever their share: of three packets of a conversation, reordering or a
/// lossy radio link soon loses one. (BBR version 3 counts 6 losses, draft-ietf-ccwg-bbr §5.3.1.3.)
const LEAST_LOST_PACKETS: u64 = 8;

/// What congestion leaves of the rate at least, in one round trip (BBR version 3: BBR.Beta). One bad round trip, such as
/// the first after an interruption, must not cost dozens of slow ones.
const RATE_KEPT: f64 = 0.7;

/// Bytes handed to the network card at once; three of them may wait in the ends.
const MAX_QUANTUM: u64 = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Startup,
    Drain,
    ProbeRate { phase: usize, since: Instant },
    ProbeRtt { until: Instant, round: u64 },
}

/// Makes a [`Bbr`] for each path.
#[derive(Debug, Default)]
pub(super) struct BbrFactory;

impl ControllerFactory for BbrFactory {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        Box::new(Bbr::new(now, mtu))
    }
}

/// The model of one path.
#[derive(Clone, Debug)]
pub(super) struct Bbr {
    mtu: u64,
    delivery: Delivery,
    mode: Mode,
    /// The highest rates of late rounds: (round, bytes/s), the oldest first, each higher than those after it.
    rates: std::collections::VecDeque<(u64, u64)>,
    min_rtt: Option<Duration>,
    min_rtt_at: Instant,
    /// The shortest round trip while probing for it, which may be longer than the old one.
    probed_rtt: Option<Duration>,
    /// The rate when the path last seemed faster than before, and round trips since.
    full_rate: u64,
    full_rounds: u32,
    filled: bool,
    window: u64,
    pacing_rate: u64,
    acked_now: u64,
    lost_in_round: u64,
    delivered_before_round: u64,
}

impl Bbr {
    pub fn new(now: Instant, mtu: u16) -> Bbr {
        let mtu = u64::from(mtu);
        Bbr {
            mtu,
            delivery: Delivery::new(now),
            mode: Mode::Startup,
            rates: Default::default(),
            min_rtt: None,
            min_rtt_at: now,
            probed_rtt: None,
            full_rate: 0,
            full_rounds: 0,
            filled: false,
            window: INITIAL_PACKETS * mtu,
            pacing_rate: 0,
            acked_now: 0,
            lost_in_round: 0,
            delivered_before_round: 0,
        }
    }

    fn rate(&self) -> u64 {
        self.rates.front().map_or(0, |(_, rate)| *rate)
    }

    fn note_rate(&mut self, rate: u64) {
        let round = self.delivery.round();
        while self.rates.back().is_some_and(|(_, lower)| *lower <= rate) {
            self.rates.pop_back();
        }
        self.rates.push_back((round, rate));
        while self.rates.front().is_some_and(|(since, _)| since + RATE_ROUNDS < round) {
            self.rates.pop_front();
        }
    }

    /// What the path holds when it carries `gain` times its rate.
    fn path_bytes(&self, gain: f64) -> u64 {
        let min_rtt = self.min_rtt.unwrap_or_default();
        (gain * self.rate() as f64 * min_rtt.as_secs_f64()) as u64
    }

    /// The first flight in one round trip, as fast as everything is sent while starting.
    fn initial_rate(&self) -> u64 {
        let min_rtt = self.min_rtt.unwrap_or_default().max(Duration::from_millis(1));
        (STARTUP_GAIN * (INITIAL_PACKETS * self.mtu) as f64 / min_rtt.as_secs_f64()) as u64
    }

    fn pacing_gain(&self) -> f64 {
        match self.mode {
            Mode::Startup => STARTUP_GAIN,
            Mode::Drain => 1.0 / STARTUP_GAIN,
            Mode::ProbeRate { phase, .. } => CYCLE[phase],
            Mode::ProbeRtt { .. } => 1.0,
        }
    }

    fn learn(&mut self, now: Instant, sample: Sample) {
        if let Some(rate) = sample.rate
            && (!sample.app_limited || rate >= self.rate())
        {
            self.note_rate(rate);
        }
        if !sample.round_began {
            return;
        }
        let delivered = self.delivery.delivered() - self.delivered_before_round;
        let share = self.lost_in_round as f64 / (delivered + self.lost_in_round).max(1) as f64;
        let congested =
            !sample.app_limited && share > LOSS_LIMIT && self.lost_in_round >= LEAST_LOST_PACKETS * self.mtu;
        self.delivered_before_round = self.delivery.delivered();
        self.lost_in_round = 0;
        if congested {
            self.filled = true;
            if let Some(rate) = sample.rate {
                let least = (RATE_KEPT * self.rate() as f64) as u64;
                self.rates.clear();
                self.note_rate(rate.max(least));
            }
        }
        if !self.filled && !sample.app_limited {
            if self.rate() as f64 >= 1.25 * self.full_rate as f64 {
                (self.full_rate, self.full_rounds) = (self.rate(), 0);
            } else {
                self.full_rounds += 1;
                self.filled = self.full_rounds >= 3;
            }
        }
        if self.filled && self.mode == Mode::Startup {
            self.mode = Mode::Drain;
        }
        if let Mode::ProbeRtt { until, round } = self.mode
            && now >= until
            && self.delivery.round() > round
        {
            self.min_rtt_at = now;
            self.min_rtt = self.probed_rtt.or(self.min_rtt);
            self.mode = if self.filled { self.cruise(now) } else { Mode::Startup };
        }
    }

    /// A cruising phase, another one for each connection, so that they do not probe together.
    fn cruise(&self, now: Instant) -> Mode {
        Mode::ProbeRate { phase: 2 + (self.delivery.delivered() / self.mtu) as usize % 6, since: now }
    }

    fn advance(&mut self, now: Instant, lost: bool) {
        let in_flight = self.delivery.in_flight();
        match self.mode {
            Mode::Drain if in_flight <= self.path_bytes(1.0) => self.mode = self.cruise(now),
            Mode::ProbeRate { phase, since } => {
                let over = now.saturating_duration_since(since) >= self.min_rtt.unwrap_or_default();
                let gain = CYCLE[phase];
                let next = match gain {
                    // Until the queue shows it, unless there is no room for one.
                    gain if gain > 1.0 => over && (lost || in_flight >= self.path_bytes(gain)),
                    gain if gain < 1.0 => over || in_flight <= self.path_bytes(1.0),
                    _ => over,
                };
                if next {
                    self.mode = Mode::ProbeRate { phase: (phase + 1) % CYCLE.len(), since: now };
                }
            }
            _ => {}
        }
        let stale = now.saturating_duration_since(self.min_rtt_at) > MIN_RTT_EXPIRY;
        if stale && self.filled && !matches!(self.mode, Mode::ProbeRtt { .. }) {
            self.mode = Mode::ProbeRtt { until: now + PROBE_RTT_TIME, round: self.delivery.round() + 1 };
            self.probed_rtt = None;
        }
    }

    fn measure_rtt(&mut self, now: Instant, rtt: Duration) {
        if self.min_rtt.is_none_or(|least| rtt <= least) {
            self.min_rtt = Some(rtt);
            self.min_rtt_at = now;
        }
        if let Mode::ProbeRtt { .. } = self.mode {
            self.probed_rtt = Some(self.probed_rtt.map_or(rtt, |least| least.min(rtt)));
        }
    }

    pub fn acked(&mut self, now: Instant, sent: Instant, bytes: u64, number: u64) {
        self.delivery.acked(now, number, bytes, sent);
        self.acked_now += bytes;
        self.measure_rtt(now, now.saturating_duration_since(sent));
    }

    fn set_rates(&mut self) {
        let gain = self.pacing_gain();
        let least = MINIMUM_PACKETS * self.mtu;
        if self.rate() == 0 {
            return;
        }
        let rate = (gain * PACING_MARGIN * self.rate() as f64) as u64;
        if self.filled {
            self.pacing_rate = rate.max(least);
        } else {
            // While starting, a sample may be low because little has been sent: a conversation comes before the data.
            self.pacing_rate = self.pacing_rate.max(rate).max(self.initial_rate());
        }
        let waiting = 3 * (self.rate() / 1000).clamp(2 * self.mtu, MAX_QUANTUM);
        let target = self.path_bytes(WINDOW_GAIN) + waiting;
        // Grows by what arrived, so that a path that answers again after a silence is not flooded.
        if self.filled {
            self.window = (self.window + self.acked_now).min(target);
        } else if self.window < target || self.delivery.delivered() < INITIAL_PACKETS * self.mtu {
            self.window += self.acked_now;
        }
        if let Mode::ProbeRtt { .. } = self.mode {
            self.window = self.window.min(self.path_bytes(PROBE_RTT_GAIN));
        }
        self.window = self.window.max(least);
        self.acked_now = 0;
    }
}

impl Controller for Bbr {
    fn on_packet_sent(&mut self, now: Instant, bytes: u16, number: u64) {
        self.delivery.sent(now, number, bytes.into());
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, number: u64, _: bool, _: &RttEstimator) {
        self.acked(now, sent, bytes, number);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, _: Option<u64>) {
        let min_rtt = self.min_rtt.unwrap_or_default();
        if let Some(sample) = self.delivery.sample(now, in_flight, app_limited, min_rtt) {
            self.learn(now, sample);
        }
        self.advance(now, self.lost_in_round > 0);
        self.set_rates();
    }

    fn on_packet_lost(&mut self, bytes: u16, number: u64, _: Instant) {
        self.delivery.lost(number, bytes.into());
        self.lost_in_round += u64::from(bytes);
    }

    fn on_congestion_event(&mut self, _: Instant, _: Instant, persistent: bool, _: bool, _: u64, _: u64) {
        if persistent {
            self.window = MINIMUM_PACKETS * self.mtu;
        }
    }

    fn on_mtu_update(&mut self, mtu: u16) {
        self.mtu = mtu.into();
        self.window = self.window.max(MINIMUM_PACKETS * self.mtu);
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.window;
        metrics.pacing_rate = (self.pacing_rate > 0).then_some(self.pacing_rate);
        metrics.bandwidth_estimate = Some(8 * self.rate());
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        INITIAL_PACKETS * self.mtu
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

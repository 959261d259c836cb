//! The controller on simulated links: a bottleneck with a queue, a delay, and random loss.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use noq_proto::congestion::Controller;

use super::bbr::Bbr;

const PACKET: u64 = 1452;

struct Link {
    bits: u64,
    rtt_ms: u64,
    loss: f64,
    /// In path contents: rate times round trip.
    queue: f64,
}

struct Outcome {
    /// Share of the link's rate in the second half of the time.
    share: f64,
    /// Of what was sent in the second half of the time, the share that the queue had no room for.
    overflow: f64,
    longest_wait: Duration,
}

struct Flying {
    number: u64,
    sent_at: Instant,
    arrives: Option<Instant>,
}

/// xorshift, so that every run is the same.
fn chance(state: &mut u64, probability: f64) -> bool {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / ((1u64 << 53) as f64) < probability
}

fn simulate(link: &Link, seconds: u64) -> Outcome {
    let begin = Instant::now();
    let (end, half) = (begin + Duration::from_secs(seconds), begin + Duration::from_secs(seconds) / 2);
    let rate = link.bits as f64 / 8.0;
    let delay = Duration::from_millis(link.rtt_ms);
    let queue = Duration::from_secs_f64(delay.as_secs_f64() * link.queue);
    let on_wire = Duration::from_secs_f64(PACKET as f64 / rate);
    let mut bbr = Bbr::new(begin, PACKET as u16);
    let mut flying: VecDeque<Flying> = VecDeque::new();
    let (mut now, mut next_send, mut free_at) = (begin, begin, begin);
    let (mut number, mut random) = (0, 0x9E37_79B9_7F4A_7C15);
    let (mut arrived, mut sent, mut dropped, mut longest_wait) = (0u64, 0u64, 0u64, Duration::ZERO);
    while now < end {
        let in_flight = flying.len() as u64 * PACKET;
        let may_send = in_flight + PACKET <= bbr.window();
        let ack = flying.iter().filter_map(|packet| packet.arrives).next();
        if may_send && ack.is_none_or(|ack| next_send.max(now) <= ack) {
            now = next_send.max(now);
            let waits = free_at.saturating_duration_since(now);
            let fits = waits <= queue;
            let mut arrives = None;
            if fits {
                free_at = free_at.max(now) + on_wire;
                arrives = (!chance(&mut random, link.loss)).then_some(free_at + delay);
            }
            if now >= half {
                (sent, dropped) = (sent + 1, dropped + u64::from(!fits));
                longest_wait = longest_wait.max(waits);
            }
            flying.push_back(Flying { number, sent_at: now, arrives });
            bbr.on_packet_sent(now, PACKET as u16, number);
            number += 1;
            if let Some(pacing) = bbr.metrics().pacing_rate {
                next_send = now + Duration::from_secs_f64(PACKET as f64 / pacing as f64);
            }
            continue;
        }
        let Some(ack) = ack else {
            // Everything was lost: the timer tells.
            now += 3 * delay;
            for packet in flying.drain(..) {
                bbr.on_packet_lost(PACKET as u16, packet.number, now);
            }
            bbr.on_congestion_event(now, now, true, false, 0, number);
            continue;
        };
        now = ack;
        let at = flying.iter().position(|packet| packet.arrives.is_some()).expect("it was found");
        let packet = flying.remove(at).expect("it was found");
        bbr.acked(now, packet.sent_at, PACKET, packet.number);
        arrived += u64::from(now >= half);
        bbr.on_end_acks(now, flying.len() as u64 * PACKET, false, Some(packet.number));
        while flying.front().is_some_and(|first| first.arrives.is_none() && first.number + 3 <= packet.number)
        {
            let lost = flying.pop_front().expect("it was there");
            bbr.on_packet_lost(PACKET as u16, lost.number, now);
        }
    }
    let share = (arrived * PACKET) as f64 / (rate * seconds as f64 / 2.0);
    Outcome { share, overflow: dropped as f64 / sent.max(1) as f64, longest_wait }
}

#[test]
fn the_rate_of_a_link_is_used() {
    let mbit = 1_000_000;
    // (description, link, seconds, least share, most overflow)
    let cases = [
        ("long and clean", Link { bits: 1000 * mbit, rtt_ms: 50, loss: 0.0, queue: 1.0 }, 8, 0.92, 0.001),
        ("slow", Link { bits: 20 * mbit, rtt_ms: 20, loss: 0.0, queue: 1.0 }, 20, 0.92, 0.001),
        ("lossy", Link { bits: 1000 * mbit, rtt_ms: 100, loss: 0.01, queue: 1.0 }, 12, 0.90, 0.001),
        ("very lossy", Link { bits: 200 * mbit, rtt_ms: 300, loss: 0.05, queue: 1.0 }, 40, 0.82, 0.001),
        ("a fast LAN", Link { bits: 1000 * mbit, rtt_ms: 1, loss: 0.0, queue: 1.0 }, 2, 0.92, 0.01),
        ("hardly a queue", Link { bits: 100 * mbit, rtt_ms: 40, loss: 0.0, queue: 0.1 }, 20, 0.85, 0.08),
    ];
    for (description, link, seconds, least, overflow) in cases {
        let outcome = simulate(&link, seconds);
        println!(
            "{description}: {:.3} overflow {:.4} wait {:?}",
            outcome.share, outcome.overflow, outcome.longest_wait
        );
        assert!(outcome.share >= least, "{description}: {:.3} of the link", outcome.share);
        assert!(outcome.overflow <= overflow, "{description}: {:.4} overflowed", outcome.overflow);
        let most = Duration::from_millis(link.rtt_ms).mul_f64(0.6) + Duration::from_millis(2);
        assert!(outcome.longest_wait <= most, "{description}: {:?} in the queue", outcome.longest_wait);
    }
}

#[test]
fn a_link_that_drops_a_third_is_not_flooded() {
    // A policer: no queue, and what is above the rate is dropped.
    let link = Link { bits: 50_000_000, rtt_ms: 30, loss: 0.0, queue: 0.0 };
    let outcome = simulate(&link, 20);
    assert!(outcome.share >= 0.7, "{:.3} of the link", outcome.share);
    assert!(outcome.overflow <= 0.15, "{:.3} overflowed", outcome.overflow);
}

#[test]
fn a_conversation_that_loses_packets_does_not_slow_the_data_that_follow_it() {
    // Offer, answer and pings: a few packets in each round trip, of which reordering or a radio link loses some.
    let rtt = Duration::from_millis(80);
    let mut now = Instant::now();
    let mut bbr = Bbr::new(now, PACKET as u16);
    for number in (0..30).step_by(3) {
        for packet in number..number + 3 {
            bbr.on_packet_sent(now, 200, packet);
        }
        let sent = now;
        now += rtt;
        bbr.acked(now, sent, 200, number);
        bbr.acked(now, sent, 200, number + 2);
        bbr.on_packet_lost(200, number + 1, now);
        bbr.on_end_acks(now, 0, true, Some(number + 2));
    }
    let first_flight = bbr.initial_window() as f64 / rtt.as_secs_f64();
    let pacing = bbr.metrics().pacing_rate.expect("round trips were measured") as f64;
    assert!(pacing >= first_flight, "{pacing:.0} bytes/s");
    assert!(bbr.window() >= bbr.initial_window(), "{} bytes", bbr.window());
}

#[test]
fn a_bad_round_trip_costs_three_tenths_of_the_rate_at_most() {
    let rtt = Duration::from_millis(80);
    let mut now = Instant::now();
    let mut bbr = Bbr::new(now, PACKET as u16);
    let mut number = 0;
    let mut flight = |bbr: &mut Bbr, now: &mut Instant, packets: u64, arrive: u64| {
        let sent = *now;
        for packet in number..number + packets {
            bbr.on_packet_sent(sent, PACKET as u16, packet);
        }
        *now += rtt;
        for packet in number + arrive..number + packets {
            bbr.on_packet_lost(PACKET as u16, packet, *now);
        }
        for packet in number..number + arrive {
            bbr.acked(*now, sent, PACKET, packet);
        }
        bbr.on_end_acks(*now, 0, false, Some(number + arrive));
        number += packets;
    };
    for _ in 0..20 {
        flight(&mut bbr, &mut now, 200, 200);
    }
    let before = bbr.metrics().bandwidth_estimate.expect("BBR tells");
    flight(&mut bbr, &mut now, 200, 2);
    flight(&mut bbr, &mut now, 200, 2);
    let after = bbr.metrics().bandwidth_estimate.expect("BBR tells");
    assert!(
        before > 0 && after < before,
        "the loss of nearly everything is congestion: {before}, then {after}"
    );
    assert!(after as f64 > 0.48 * before as f64, "two of them: {before} bit/s, then {after}");
}

/** Which transport carries, and with how many streams, when there are two: on simulated paths. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { type PathProfile, SimulatedPath } from "./path.ts";
import { steer } from "./steer.ts";
import { Steering } from "../../src/transport/steering.ts";

const MEGA = 1e6;
const GIGABIT: PathProfile = { rate: 125 * MEGA, rttMs: 50, loss: 0 };

function rate(bytes: number): string {
  return `${(bytes / MEGA).toFixed(1)} MB/s`;
}

Deno.test("Steering takes TCP on a LAN at once, and leaves QUIC alone", () => {
  const path = new SimulatedPath({ ...GIGABIT, rttMs: 1 });
  const { links } = steer(path, { kinds: ["quic", "tcp"], ms: 20_000 });
  assertEquals(new Set(links.get(0)!.moments.map(({ streams }) => streams)), new Set([0]));
  assertTrue(links.get(1)!.goodput(500, 20_000) > 0.97 * path.profile.rate);
});

Deno.test("Steering stays with a link that no other beats", () => {
  const path = new SimulatedPath({ ...GIGABIT, rttMs: 100, loss: 0.01 });
  const { total, links } = steer(path, { kinds: ["quic", "tcp"], ms: 60_000 });
  assertTrue(total.goodput(5000, 60_000) > 0.85 * path.profile.rate, rate(total.goodput(5000, 60_000)));
  assertTrue(links.get(0)!.goodput(10_000, 45_000) > 0.85 * path.profile.rate);
});

Deno.test("Steering moves to TCP where UDP is throttled from the start", () => {
  const path = new SimulatedPath({ ...GIGABIT, quicRate: 5 * MEGA });
  const { total, links } = steer(path, { kinds: ["quic", "tcp"], ms: 20_000 });
  assertTrue(total.goodput(4000, 20_000) > 0.9 * path.profile.rate, rate(total.goodput(4000, 20_000)));
  assertEquals(links.get(0)!.streams(19_000), 0);
});

for (const [from, seed] of [[10_000, 1], [14_000, 2], [17_000, 3]] as const) {
  Deno.test(`Steering moves to TCP when UDP is throttled after ${from / 1000} s`, () => {
    const path = new SimulatedPath(GIGABIT, { seed });
    const { total } = steer(path, {
      kinds: ["quic", "tcp"],
      ms: from + 20_000,
      happens: (now) => {
        if (now >= from) path.profile.quicRate = 5 * MEGA;
      },
    });
    const after = total.goodput(from + 8000, from + 20_000);
    assertTrue(after > 0.9 * path.profile.rate, rate(after));
  });
}

Deno.test("Steering uses both where each is throttled for itself", () => {
  const path = new SimulatedPath({ ...GIGABIT, quicRate: 30 * MEGA, tcpRate: 40 * MEGA });
  const { total, links } = steer(path, { kinds: ["quic", "tcp"], ms: 30_000 });
  assertTrue(total.goodput(10_000, 30_000) > 0.9 * 70 * MEGA, rate(total.goodput(10_000, 30_000)));
  assertTrue([0, 1].every((link) => links.get(link)!.streams(29_000) > 0));
});

Deno.test("Steering leaves a link at once that falls silent, and gives it up later", () => {
  const path = new SimulatedPath(GIGABIT);
  const { total, given_up } = steer(path, {
    kinds: ["tcp", "quic"],
    ms: 40_000,
    happens: (now) => {
      if (now >= 15_000) path.profile.tcpRate = 0;
    },
  });
  assertTrue(total.goodput(20_000, 40_000) > 0.9 * path.profile.rate, rate(total.goodput(20_000, 40_000)));
  assertEquals(given_up.map(([link]) => link), [0]);
});

Deno.test("Steering does not move for a transfer that is nearly over", () => {
  const path = new SimulatedPath({ ...GIGABIT, quicRate: 20 * MEGA });
  const { links } = steer(path, { kinds: ["quic", "tcp"], ms: 8000, remaining: 150 * MEGA });
  assertEquals(new Set(links.get(1)!.moments.map(({ streams }) => streams)), new Set([0]));
});

Deno.test("Steering moves seldom while nothing changes", () => {
  for (
    const profile of [GIGABIT, { ...GIGABIT, rttMs: 100, loss: 0.01 }, { ...GIGABIT, rate: 12.5 * MEGA }]
  ) {
    const path = new SimulatedPath(profile, { seed: 4 });
    const { links } = steer(path, { kinds: ["quic", "tcp"], ms: 120_000 });
    for (const [link, run] of links) {
      const moves = run.moments.filter(({ streams }, i) =>
        i > 0 && (streams === 0) !== (run.moments[i - 1]!.streams === 0)
      );
      assertTrue(moves.length <= 6, `link ${link} moved ${moves.length} times in two minutes`);
    }
  }
});

Deno.test("Steering never wants more streams than both sides allow", () => {
  const path = new SimulatedPath({
    ...GIGABIT,
    rate: 1250 * MEGA,
    rttMs: 200,
    quicRate: 30 * MEGA,
    loss: 0.01,
  });
  const { links } = steer(path, { kinds: ["quic", "tcp"], ms: 30_000 });
  const [quic, tcp] = [links.get(0)!.moments, links.get(1)!.moments];
  for (const [i, { streams }] of quic.entries()) assertTrue(streams + tcp[i]!.streams <= 256);
});

Deno.test("Steering takes TCP at once where all goes over a relay, and measures nothing", () => {
  const path = new SimulatedPath({ ...GIGABIT, quicRate: 30 * MEGA });
  const { links } = steer(path, { kinds: ["quic", "tcp"], ms: 60_000, isRelayed: () => true });
  assertEquals(links.get(0)!.streams(1000), 0);
  assertTrue(links.get(1)!.goodput(2000, 60_000) > 0.9 * path.profile.rate);
});

Deno.test("Steering leaves a relay at once for a direct path, whatever that brings, and comes back where it is lost", () => {
  const path = new SimulatedPath(GIGABIT);
  const { links } = steer(path, {
    kinds: ["quic", "tcp"],
    ms: 60_000,
    isRelayed: (link, now) => link === 1 || now < 10_000 || now >= 40_000,
  });
  const [direct, joined] = [links.get(0)!, links.get(1)!];
  assertTrue(joined.streams(9000) > 0 && direct.streams(9000) === 0);
  for (const at of [10_500, 20_000, 39_000]) {
    assertTrue(direct.streams(at) > 0 && joined.streams(at) === 0, `at ${at}`);
  }
  assertTrue(joined.streams(42_000) > 0 && direct.streams(42_000) === 0);
});

Deno.test("Steering goes on over the relay's other link when what the hub joined falls silent", () => {
  const path = new SimulatedPath(GIGABIT);
  const { total, links, given_up } = steer(path, {
    kinds: ["quic", "tcp"],
    ms: 40_000,
    isRelayed: () => true,
    happens: (now) => {
      if (now >= 15_000) path.profile.tcpRate = 0;
    },
  });
  assertTrue(total.goodput(20_000, 40_000) > 0.9 * path.profile.rate, rate(total.goodput(20_000, 40_000)));
  assertTrue(links.get(0)!.streams(19_500) > 0);
  assertEquals(given_up.map(([link]) => link), [1]);
});

Deno.test("Steering takes the way to the hub and on for the length of a link that the hub joins", () => {
  const steering = new Steering({ cpuCount: 2, minStreams: 16, maxStreams: 256 }, { start: 16 });
  const common = { received: 0, lostPackets: 0, sentPackets: 0, blockedUs: 0, streams: 4, isOwing: false };
  const tick = (now: number, rttMs: number) =>
    steering.tick({
      now,
      remaining: Infinity,
      links: [
        { ...common, link: 0, kind: "quic", rttMs, isRelayed: true },
        // The hub is next door.
        { ...common, link: 1, kind: "tcp", rttMs: 1, isRelayed: true },
      ],
    }).streams;
  // On a LAN there were as many as two processors can use.
  assertEquals(tick(0, 100).get(1), 16);
  // What waits on link 0 later makes the way no longer.
  assertEquals(tick(100, 4).get(1), 4);
  assertEquals(tick(200, 900).get(1), 4);
});

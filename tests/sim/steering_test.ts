/** Which transport carries, and with how many streams, when there are two: on simulated paths. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { type PathProfile, SimulatedPath } from "./path.ts";
import { steer } from "./steer.ts";

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

/** The stream controller on the paths that the issue names, next to the best fixed number of streams. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { control, fixed } from "./control.ts";
import { type Machines, type PathProfile, SimulatedPath } from "./path.ts";

const MEGA = 1e6;
const EIGHT_CORES: Machines = { cores: 8, cost: { tcp: 0.8, quic: 1.6 } };

interface Case extends PathProfile {
  readonly description: string;
  readonly kind: "tcp" | "quic";
  /** By then, in ms, the controller is as good as the best fixed number. */
  readonly by: number;
  readonly machines?: Machines;
  /** Fixed numbers to compare with. */
  readonly counts?: readonly number[];
}

/** BBR and slow start need about ten round trips to fill a path, whatever the number of streams. */
const CASES: readonly Case[] = [
  { description: "1 Gbit/s, 50 ms", kind: "tcp", rate: 125 * MEGA, rttMs: 50, loss: 0, by: 1500 },
  { description: "1 Gbit/s, 50 ms", kind: "quic", rate: 125 * MEGA, rttMs: 50, loss: 0, by: 1500 },
  {
    description: "1 Gbit/s, 100 ms, 1% loss",
    kind: "quic",
    rate: 125 * MEGA,
    rttMs: 100,
    loss: 0.01,
    by: 2000,
  },
  {
    description: "1 Gbit/s, 100 ms, 1% loss",
    kind: "tcp",
    rate: 125 * MEGA,
    rttMs: 100,
    loss: 0.01,
    by: 6000,
  },
  { description: "LAN, 1 ms", kind: "tcp", rate: 125 * MEGA, rttMs: 1, loss: 0, by: 500, counts: [2, 4, 16] },
  { description: "100 Mbit/s, 20 ms", kind: "tcp", rate: 12.5 * MEGA, rttMs: 20, loss: 0, by: 1000 },
  { description: "100 Mbit/s, 20 ms", kind: "quic", rate: 12.5 * MEGA, rttMs: 20, loss: 0, by: 1000 },
  {
    description: "1 Gbit/s, 1 s, 5% loss",
    kind: "quic",
    rate: 125 * MEGA,
    rttMs: 1000,
    loss: 0.05,
    by: 20_000,
  },
  {
    description: "10 Gbit/s, 100 ms",
    kind: "tcp",
    rate: 1250 * MEGA,
    rttMs: 100,
    loss: 0,
    by: 4000,
    machines: EIGHT_CORES,
  },
  {
    description: "10 Gbit/s, 100 ms",
    kind: "quic",
    rate: 1250 * MEGA,
    rttMs: 100,
    loss: 0,
    by: 3000,
    machines: EIGHT_CORES,
  },
];

for (const { description, kind, by, machines, counts = [4, 16, 64, 256], ...profile } of CASES) {
  Deno.test(`StreamController reaches what the best number does: ${description}, ${kind}`, () => {
    const end = by + Math.max(8000, by / 2);
    const path = () => new SimulatedPath(profile, { seed: 3, ...machines && { machines } });
    const best = Math.max(
      ...counts.map((streams) => fixed(path(), { kind, ms: end, streams }).goodput(by, end)),
    );
    const run = control(path(), { kind, ms: end });
    const reached = run.goodput(by, end) / best;
    assertTrue(reached >= 0.9, `${(100 * reached).toFixed(1)}% of ${(best / MEGA).toFixed(1)} MB/s`);
  });

  Deno.test(`StreamController does not flap: ${description}, ${kind}`, () => {
    for (const seed of [1, 2, 3]) {
      const path = new SimulatedPath(profile, { seed, ...machines && { machines } });
      const run = control(path, { kind, ms: by + 60_000 });
      // Every finding is tried again now and then, ever more rarely.
      const changes = run.changes(by, by + 60_000);
      assertTrue(changes <= 14, `${changes} changes in a minute, seed ${seed}`);
    }
  });
}

Deno.test("StreamController keeps to its limits", () => {
  const path = () =>
    new SimulatedPath({ rate: 1250 * MEGA, rttMs: 100, loss: 0.001 }, { machines: EIGHT_CORES });
  for (const [minStreams, maxStreams] of [[1, 1], [3, 7], [16, 16], [4, 256]] as const) {
    for (const kind of ["tcp", "quic"] as const) {
      const run = control(path(), { kind, ms: 8000, limits: { minStreams, maxStreams } });
      for (const { streams } of run.moments) {
        assertTrue(streams >= minStreams && streams <= maxStreams, `${streams} streams`);
      }
    }
  }
});

Deno.test("StreamController has a thread per core on a LAN and no more", () => {
  for (const [cpuCount, streams] of [[1, 2], [2, 2], [4, 4], [64, 8]] as const) {
    const path = new SimulatedPath({ rate: 1250 * MEGA, rttMs: 0.2, loss: 0 });
    const run = control(path, { kind: "tcp", ms: 1000, limits: { cpuCount, minStreams: 1 } });
    assertEquals(run.streams(900), streams);
  }
});

Deno.test("StreamController grows when the path gets wider", () => {
  const path = new SimulatedPath({ rate: 50 * MEGA, rttMs: 80, loss: 0 });
  const happens = (now: number) => {
    if (now >= 10_000) path.profile.rate = 250 * MEGA;
  };
  const run = control(path, { kind: "tcp", ms: 40_000, happens });
  assertTrue(run.goodput(25_000, 40_000) > 0.9 * 250 * MEGA, `${run.goodput(25_000, 40_000) / MEGA} MB/s`);
});

Deno.test("StreamController shrinks when the path gets narrower", () => {
  const path = new SimulatedPath({ rate: 600 * MEGA, rttMs: 80, loss: 0 }, { machines: EIGHT_CORES });
  const happens = (now: number) => {
    if (now >= 12_000) path.profile.rate = 30 * MEGA;
  };
  const run = control(path, { kind: "tcp", ms: 60_000, happens });
  assertTrue(run.streams(11_000) >= 24, `${run.streams(11_000)} before`);
  assertTrue(run.streams(59_000) <= run.streams(11_000) / 2, `${run.streams(59_000)} after`);
  assertTrue(run.goodput(20_000, 60_000) > 0.9 * 30 * MEGA);
});

Deno.test("StreamController leaves the number alone near the end", () => {
  const path = new SimulatedPath({ rate: 125 * MEGA, rttMs: 50, loss: 0 });
  const run = control(path, { kind: "tcp", ms: 2000, remaining: 40 * MEGA });
  assertEquals(new Set(run.moments.filter(({ at }) => at > 300).map(({ streams }) => streams)).size, 1);
});

Deno.test("a simulated path gives the same run for the same seed", () => {
  const run = (seed: number) =>
    control(new SimulatedPath({ rate: 50 * MEGA, rttMs: 40, loss: 0.01 }, { seed }), {
      kind: "tcp",
      ms: 5000,
    });
  assertEquals(run(5).moments, run(5).moments);
  assertTrue(run(5).moments.at(-1)!.received !== run(6).moments.at(-1)!.received);
});

import { assertEquals, assertTrue } from "../base/testing.ts";
import { candidates, type Codec, type CodecChoice, isSameChoice, RAW } from "./compression.ts";
import { CompressionController, type CompressionOptions } from "./compression_controller.ts";
import type { CompressionFacts } from "./compression_facts.ts";

const BOTH = new Set<Codec>(["raw", "zstd", "lz4"]);
const MIB = 1024 * 1024;

/** What a codec does to some kind of data; speeds as `ffi/examples/codecs.rs` prints them, in bytes/s of one core. */
type Data = Readonly<Record<string, { readonly ratio: number; readonly speed: number }>>;
const TEXT: Data = {
  "lz4 0": { ratio: 0.539, speed: 390e6 },
  "zstd 1": { ratio: 0.335, speed: 291e6 },
  "zstd 3": { ratio: 0.331, speed: 176e6 },
  "zstd 6": { ratio: 0.317, speed: 64e6 },
  "zstd 9": { ratio: 0.304, speed: 37e6 },
};
const SOURCE: Data = {
  "lz4 0": { ratio: 0.372, speed: 466e6 },
  "zstd 1": { ratio: 0.229, speed: 397e6 },
  "zstd 3": { ratio: 0.202, speed: 287e6 },
  "zstd 6": { ratio: 0.184, speed: 102e6 },
  "zstd 9": { ratio: 0.178, speed: 66e6 },
};
const NOISE: Data = Object.fromEntries(Object.keys(TEXT).map((key) => [key, { ratio: 1, speed: 4e9 }]));

/** A sender, a link and a receiver. */
interface World {
  readonly name: string;
  readonly data: Data;
  /** Bytes/s on the wire. */
  readonly link: number;
  readonly cores: number;
  readonly streams: number;
  /** The receiver runs on the same processors. */
  readonly local?: boolean;
  /** Bytes/s that the receiver can take, or the disk gives, whatever is on the wire. */
  readonly receiver?: number;
  readonly disk?: number;
  readonly rttMs?: number;
  readonly level?: number;
}

/** CPU seconds per byte: reading and hashing plus sealing here; opening, hashing, writing at a local receiver. */
const SEND_COST = 0.5e-9;
const RECEIVE_COST = 0.7e-9;
/** Processors that other programs keep busy. */
const OTHERS = 0.05;

/** Steady speed in plain bytes/s. */
function speedOf(world: World, choice: CodecChoice): number {
  const { ratio, cost } = effectOf(world, choice);
  const expand = world.local && choice.codec !== "raw" ? 0.7e-9 : 0;
  const perByte = SEND_COST + cost + (world.local ? RECEIVE_COST + expand : 0);
  const byThreads = world.streams / (SEND_COST + cost);
  const { receiver = Infinity, disk = Infinity } = world;
  return Math.min(world.link / ratio, (world.cores - OTHERS) / perByte, byThreads, receiver, disk);
}

function effectOf({ data }: World, { codec, level }: CodecChoice): { ratio: number; cost: number } {
  const effect = data[`${codec} ${level}`];
  return effect ? { ratio: effect.ratio, cost: 1 / effect.speed } : { ratio: 1, cost: 0 };
}

/** Repeatable noise from -1 to 1. */
function noiseFrom(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 31 - 1;
}

/** Lets a controller run a world for a while, and gives the choice after each window of a second. */
class Simulation {
  readonly controller: CompressionController;
  readonly #noise: () => number;
  #facts: CompressionFacts;
  #probe: readonly CodecChoice[];
  moved = 0;

  constructor(world: World, seed = 1) {
    this.controller = new CompressionController(optionsOf(world));
    this.#noise = noiseFrom(seed);
    this.#probe = this.controller.firstProbe;
    this.#facts = {
      atMs: 0,
      plainBytes: 0,
      wireBytes: 0,
      blockedMs: 0,
      encodeMs: 0,
      ownMs: 0,
      idleMs: 0,
      streams: world.streams,
      probes: [],
    };
    this.controller.next(this.#facts);
  }

  run(world: World, seconds: number): CodecChoice[] {
    const choices: CodecChoice[] = [];
    for (let step = 0; step < seconds * 10; step++) {
      this.#step(world, 0.1);
      if (step % 10 === 9) choices.push(this.controller.choice);
    }
    return choices;
  }

  #step(world: World, seconds: number): void {
    const { choice } = this.controller;
    const { ratio, cost } = effectOf(world, choice);
    const speed = speedOf(world, choice) * (1 + 0.05 * this.#noise());
    const own = Math.min(world.cores, speed * (SEND_COST + cost));
    const others = (world.local ? speed * (RECEIVE_COST + (choice.codec === "raw" ? 0 : 0.7e-9)) : 0) +
      OTHERS;
    const { disk = Infinity } = world;
    const busy = Math.min(1, speed * (SEND_COST + cost) / world.streams);
    // Threads that do not work wait: for the disk when that is the bottleneck, else for the link.
    const waiting = speed >= 0.9 * disk ? 0 : 1 - busy;
    const before = this.#facts;
    const bytes = speed * seconds;
    this.moved += bytes;
    this.#facts = {
      atMs: before.atMs + seconds * 1000,
      plainBytes: before.plainBytes + bytes,
      wireBytes: before.wireBytes + bytes * ratio,
      blockedMs: before.blockedMs + waiting * world.streams * seconds * 1000,
      encodeMs: before.encodeMs + bytes * cost * 1000,
      ownMs: before.ownMs + own * seconds * 1000,
      idleMs: before.idleMs + Math.max(0, world.cores - own - others) * seconds * 1000,
      streams: world.streams,
      probes: this.#probe.map((choice) => this.#probed(world, choice)),
    };
    this.#probe = this.controller.next(this.#facts)?.probe ?? [];
  }

  /** Samples compress a little less than the whole, and take a little longer. */
  #probed(world: World, choice: CodecChoice) {
    const { ratio, cost } = effectOf(world, choice);
    const plainBytes = 128 * 1024;
    const wireBytes = plainBytes * Math.min(1, ratio * (1.05 + 0.03 * this.#noise()));
    return {
      ...choice,
      plainBytes,
      wireBytes,
      cpuMs: plainBytes * cost * 1000 * (1.05 + 0.05 * this.#noise()),
    };
  }
}

function optionsOf({ level = 3, rttMs }: World): CompressionOptions {
  return { mode: "auto", level, supported: BOTH, ...rttMs !== undefined && { rttMs } };
}

function changesOf(choices: readonly CodecChoice[]): number {
  return choices.filter((choice, index) => index > 0 && !isSameChoice(choice, choices[index - 1]!)).length;
}

function assertSettlesOnBest(world: World, simulation: Simulation, limits: { changes: number }): void {
  const choices = simulation.run(world, 120);
  const settled = choices.slice(60);
  const best = Math.max(...candidates(world.level ?? 3, BOTH).map((choice) => speedOf(world, choice)));
  const reached = settled.reduce((sum, choice) => sum + speedOf(world, choice), 0) / settled.length;
  const told = `${world.name}: ${choices.map(({ codec, level }) => `${codec}${level}`).join(" ")}`;
  assertTrue(reached >= 0.95 * best, `${(reached / best).toFixed(3)} of the best; ${told}`);
  assertTrue(changesOf(choices) <= limits.changes, told);
  assertTrue(changesOf(settled) <= 3, told);
}

const LINKS: readonly [name: string, link: number, rttMs: number][] = [
  ["1 Mbit/s", 125e3, 60],
  ["10 Mbit/s", 1.25e6, 40],
  ["100 Mbit/s", 12.5e6, 20],
  ["300 Mbit/s", 37.5e6, 2],
  ["1 Gbit/s", 117e6, 1],
  ["1 Gbit/s far", 117e6, 50],
  ["2.5 Gbit/s", 300e6, 1],
  ["10 Gbit/s", 1.2e9, 0.5],
  ["100 Gbit/s", 12e9, 0.2],
];

Deno.test("CompressionController ends near the best fixed choice on every link, machine and kind of data", () => {
  const kinds: [string, Data][] = [["text", TEXT], ["source", SOURCE], ["noise", NOISE]];
  let seed = 1;
  for (const [link, rate, rttMs] of LINKS) {
    for (const cores of [1, 2, 8]) {
      for (const [kind, data] of kinds) {
        for (const [level, streams] of [[3, 4], [9, 8], [3, 1]] as const) {
          const name = `${kind}, ${link}, ${cores} cores, level ${level}, ${streams} streams`;
          const world: World = { name, data, link: rate, cores, streams, level, rttMs };
          assertSettlesOnBest(world, new Simulation(world, seed++), { changes: 6 });
        }
      }
    }
  }
});

Deno.test("CompressionController stays raw on one machine", () => {
  for (const cores of [1, 2, 4]) {
    const world: World = {
      name: "loopback",
      data: TEXT,
      link: 8e9,
      cores,
      streams: 4,
      local: true,
      rttMs: 0.05,
    };
    const choices = new Simulation(world).run(world, 30);
    assertTrue(choices.every((choice) => isSameChoice(choice, RAW)), `${cores} cores`);
  }
});

Deno.test("CompressionController gives up what does not pay because the receiver or the disk is the bottleneck", () => {
  const slow = { data: TEXT, link: 1e9, cores: 8, streams: 4, rttMs: 1 };
  const receiver: World = { name: "slow receiver", ...slow, receiver: 80 * MIB };
  assertSettlesOnBest(receiver, new Simulation(receiver), { changes: 8 });
  const disk: World = { name: "slow disk", ...slow, disk: 80 * MIB };
  const choices = new Simulation(disk).run(disk, 30);
  assertTrue(choices.every((choice) => isSameChoice(choice, RAW)), "disk");
});

Deno.test("CompressionController starts near the best choice on a far path, and raw on a near one", () => {
  const far: World = { name: "far", data: TEXT, link: 12.5e6, cores: 2, streams: 4, rttMs: 20 };
  const simulation = new Simulation(far);
  assertEquals(simulation.controller.choice, { codec: "zstd", level: 1 });
  simulation.run(far, 5);
  const best = Math.max(...candidates(3, BOTH).map((choice) => speedOf(far, choice)));
  assertTrue(simulation.moved >= 0.9 * 5 * best, `${simulation.moved / 5 / best} of the best from the start`);
  assertEquals(new Simulation({ ...far, rttMs: 1 }).controller.choice, RAW);
});

Deno.test("CompressionController follows a link and data that change", () => {
  const slow: World = { name: "slow", data: TEXT, link: 12.5e6, cores: 2, streams: 4, rttMs: 1 };
  const fast: World = { ...slow, name: "fast", link: 1.2e9 };
  const noise: World = { ...slow, name: "noise", data: NOISE };
  const simulation = new Simulation(slow);
  for (const world of [slow, fast, slow, noise, slow]) {
    assertSettlesOnBest(world, simulation, { changes: 8 });
  }
});

Deno.test("CompressionController follows the person's mode and what the receiver reads", () => {
  const choiceOf = (options: Partial<CompressionOptions>) =>
    new CompressionController({ mode: "always", level: 5, supported: BOTH, rttMs: 50, ...options }).choice;
  assertEquals(choiceOf({}), { codec: "zstd", level: 5 });
  assertEquals(choiceOf({ supported: new Set<Codec>(["lz4"]) }), { codec: "lz4", level: 0 });
  assertEquals(choiceOf({ supported: new Set<Codec>() }), RAW);
  assertEquals(choiceOf({ mode: "never" }), RAW);
  assertEquals(choiceOf({ mode: "auto", supported: new Set<Codec>() }), RAW);
  const world: World = { name: "never", data: TEXT, link: 1e6, cores: 2, streams: 1 };
  const never = new CompressionController({ ...optionsOf(world), mode: "never" });
  assertEquals(never.firstProbe, []);
});

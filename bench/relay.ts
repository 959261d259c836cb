/**
 * What the hub's relay carries between our own clients, beside a TCP proxy that splices (HAProxy): bytes from memory to memory, and whole
 * transfers. Linux; haproxy (Debian: apt install haproxy) is what everything is compared with.
 */
import { HubProcess, type HubProcessOptions } from "../tests/e2e/faults/hub_process.ts";
import { type Bench, type Case, runBench } from "./bench.ts";
import { type Column, RATE, WALL } from "./columns.ts";
import { Inputs } from "./inputs.ts";
import type { Sample } from "./results.ts";
import { runExampleLines } from "./tools/example.ts";
import { type Haproxy, startHaproxy } from "./tools/haproxy.ts";
import { relayOf } from "./tools/hub_relay.ts";
import { moveCase, sampleOf } from "./tools/tool.ts";
import { wormhole } from "./tools/wormhole.ts";

const GIB = 2 ** 30;

/** Pairs of clients at a time, by job. */
const POURS: Readonly<Record<string, number>> = { one: 1, many: 16 };

const LIMITS = { connectionsPerAddress: 1e4, connectionBurst: 1e9, claimBurst: 1e9, nameplateBurst: 1e9 };

/** Ways through a hub, and what it is told to be one. */
const HUBS: Readonly<Record<string, { options: HubProcessOptions; note: string }>> = {
  "relay": {
    options: { relay: { listen: "127.0.0.1:0" } },
    note: "`wormhole hub --relay-listen`: the relay's own port",
  },
  "relay-hub-port": { options: { relay: {} }, note: "`wormhole hub`: the relay at the hub's own port" },
  "joined": {
    options: { relay: { joins: { connectionsPerAddress: 2_000, connectionBurst: 1e9 } } },
    note:
      "TCP connections that `wormhole hub` joins at its own port; transfers begin at the relay, which also carries control",
  },
};

/** What is between the two ends. */
interface Between {
  readonly tool: string;
  readonly note: string;
  readonly version?: string;
  cpu(): Promise<number>;
  /** Arguments of the example `relay_pour`. */
  pour(): Promise<readonly string[]>;
  /** Arguments of `send` and `recv`. */
  readonly send: readonly string[];
  readonly recv: readonly string[];
}

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "relay",
    title: "Through the hub's relay",
    about:
      "Two ends on one machine that have nothing but what stands between them. *Of the first*: the rate as a part of that of the first line in the " +
      "same run: through HAProxy, or of a transfer over TCP with nothing between. *CPU between*: of the hub, or of HAProxy, alone. All ends and the hub share the machine's cores, so what the ends cost " +
      "takes from the rate.",
    jobs: {
      one: "Bytes from memory to memory, one pair of clients (`ffi/examples/relay_pour.rs`)",
      many: "The same, 16 pairs at a time",
      transfer: "`send` and `recv` of 512 MiB of random bytes, tmpfs to tmpfs, whole commands",
    },
    columns: [
      WALL,
      RATE,
      part("share", "of the first"),
      perGib("cpu_between", "CPU s/GiB between"),
      perGib("cpu_ends", "CPU s/GiB of the ends"),
    ],
  },
  async prepare(plan) {
    await using stack = new AsyncDisposableStack();
    const ways: Between[] = [];
    const missing: string[] = [];
    const haproxy = await startHaproxy(plan.scratch);
    if (haproxy) ways.push(proxied(stack.use(haproxy)));
    else missing.push("HAProxy is not installed: nothing to compare with");
    for (const [tool, { options, note }] of Object.entries(HUBS)) {
      if (!plan.tool(tool)) continue;
      const hub = stack.use(await HubProcess.start({ limits: LIMITS, ...options }));
      ways.push({
        tool,
        note,
        cpu: () => hub.cpu(),
        pour: async () => {
          const { url, token } = await relayOf(hub.url);
          const to = tool === "joined" ? ["--join", hub.url.host] : ["--relay", url];
          return [...to, "--token", token];
        },
        send: ["--hub", hub.url.href, "--transport", "relay"],
        recv: ["--hub", hub.url.href, "--transport", "relay"],
      });
    }
    const cases: Case[] = [];
    for (const [job, pairs] of Object.entries(POURS)) {
      if (!plan.job(job)) continue;
      const bytes = Math.ceil(GIB / plan.part);
      for (const way of ways) {
        cases.push(compared(way, { job, run: () => poured(way, { bytes, pairs }) }));
      }
    }
    if (plan.job("transfer")) {
      const inputs = new Inputs(plan.scratch);
      // Through any hub they are the same: the relay and what is joined at the hub's own port. No proxy can be put between two ends on one
      // machine, which find each other's addresses.
      for (const way of [DIRECT, ...ways.filter(({ tool }) => tool === "joined")]) {
        cases.push(await transferred(way, { inputs, plan }));
      }
    }
    const kept = stack.move();
    return { cases, missing, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  },
};

function proxied(haproxy: Haproxy): Between {
  const { port, sink, version } = haproxy;
  return {
    tool: "HAProxy",
    note: "TCP mode, splicing",
    version,
    cpu: () => haproxy.cpu(),
    pour: () => Promise.resolve(["--proxy", `127.0.0.1:${port}`, "--sink", String(sink)]),
    send: [],
    recv: [],
  };
}

/** What transfers through a hub are compared with. */
const DIRECT: Between = {
  tool: "direct",
  note: "transfers over TCP (TLS 1.3) with nothing between the ends",
  cpu: () => Promise.resolve(0),
  pour: () => Promise.resolve([]),
  send: ["--transport", "tcp"],
  recv: ["--transport", "tcp"],
};

async function poured(
  { cpu, pour }: Between,
  { bytes, pairs }: { bytes: number; pairs: number },
): Promise<Sample> {
  const args = [...await pour(), "--bytes", String(bytes), "--pairs", String(pairs)];
  const before = await cpu();
  const [line] = await runExampleLines("relay_pour", args);
  const { bytes: moved, wall_s, cpu_s } = line!;
  return { bytes: moved!, wall: wall_s!, cpu_between: await cpu() - before, cpu_ends: cpu_s! };
}

async function transferred(
  way: Between,
  { inputs, plan }: { inputs: Inputs; plan: { scratch: string; part: number } },
): Promise<Case> {
  const { tool, send, recv } = way;
  const made = await wormhole({ name: tool, send: [...send, "--compress", "never"], recv })({
    scratch: plan.scratch,
  });
  if ("missing" in made) throw new Error(made.missing);
  const input = () => inputs.random(GIB / 2 / plan.part);
  const moved = moveCase(made, { job: "transfer", input, scratch: plan.scratch, measure: sampleOf });
  const run = async () => {
    const before = await way.cpu();
    const { bytes, wall, cpu_sender = 0, cpu_receiver = 0 } = await moved.run();
    return {
      bytes: bytes!,
      wall: wall!,
      cpu_between: await way.cpu() - before,
      cpu_ends: cpu_sender + cpu_receiver,
    };
  };
  return compared(way, { job: "transfer", run });
}

/** Rates of the first way in the run that is under way, by job. */
const ofFirst = new Map<string, number>();

/** Makes a case whose samples also say what part of the first way's rate they are. */
function compared(
  { tool, note, version }: Between,
  { job, run }: { job: string; run: () => Promise<Sample> },
): Case {
  return {
    job,
    tool,
    note,
    ...version && { version },
    ours: tool !== "HAProxy",
    run: async () => {
      const sample = await run();
      const rate = sample.bytes! / sample.wall!;
      if (tool === "HAProxy" || tool === "direct") ofFirst.set(job, rate);
      const first = ofFirst.get(job);
      return { ...sample, ...first !== undefined && { share: rate / first } };
    },
  };
}

/** A column of percents. */
function part(name: string, header: string): Column {
  return {
    header: `${header}, %`,
    of: ({ [name]: value }) => value === undefined ? undefined : 100 * value,
    digits: 0,
    range: true,
  };
}

function perGib(name: string, header: string): Column {
  return {
    header,
    of: ({ bytes, [name]: value }) => value === undefined ? undefined : value / (bytes! / GIB),
    digits: 2,
  };
}

if (import.meta.main) await runBench(BENCH);

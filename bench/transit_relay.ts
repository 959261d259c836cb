/**
 * What the hub's transit relay (for magic-wormhole's clients) carries, beside a TCP proxy that splices (HAProxy) and no proxy at all, and
 * what sides that wait cost in memory. Linux; python3, and haproxy where it is to be compared (Debian: apt install haproxy).
 */
import { fromFileUrl } from "../src/base/paths.ts";
import { HubProcess } from "../tests/e2e/faults/hub_process.ts";
import { type Bench, type Case, runBench } from "./bench.ts";
import { type Column, plain, RATE, WALL } from "./columns.ts";
import { output } from "./process.ts";
import type { Sample } from "./results.ts";
import { startHaproxy } from "./tools/haproxy.ts";

const GIB = 2 ** 30;

/** Pairs at a time, by job. */
const POURS: Readonly<Record<string, number>> = { one: 1, many: 100 };

const WAITING = 1_000;

/** Time for collectors to run before memory is read, in ms. */
const SETTLE_MS = 3_000;

/** What takes longer hangs, in s. */
const PATIENCE_S = 60;

const POUR = fromFileUrl(new URL("./tools/pour.py", import.meta.url));

/** All clients come from few addresses. */
const LIMITS = { connectionsPerAddress: 1e5, connectionBurst: 1e9, connections: 1e5, waiting: 1e5 };

/** What is between the two ends. */
interface Between {
  readonly tool: string;
  readonly note: string;
  readonly version?: string;
  cpu?(): Promise<number>;
  /** Words of `pour.py` before the amounts. */
  readonly words: readonly string[];
}

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "transit_relay",
    title: "Through the hub's transit relay",
    about:
      "Bytes poured through TCP connections of this machine as cheaply as a program can: sendfile(2) at one end, recv(2) with MSG_TRUNC at the other. " +
      "*Of the proxy*: the rate as a part of HAProxy's in the same run. *CPU*: of the hub or of HAProxy alone.",
    jobs: {
      one: "2 GiB, one pair of clients",
      many: "2 GiB, 100 pairs at a time",
      waiting: "Memory of the hub, of its own (PSS), before and while 1,000 sides wait",
    },
    columns: [
      WALL,
      RATE,
      { header: "of the proxy, %", of: ({ share }) => share && 100 * share, digits: 0, range: true },
      {
        header: "CPU s/GiB",
        of: ({ bytes, cpu }) => cpu && cpu / (bytes! / GIB),
        digits: 2,
      } satisfies Column,
      plain("empty", { header: "MiB with nobody", digits: 1 }),
      plain("held", { header: "MiB with 1,000", digits: 1 }),
      plain("each", { header: "KiB each", digits: 1 }),
    ],
  },
  async prepare(plan) {
    await using stack = new AsyncDisposableStack();
    const ways: Between[] = [{ tool: "no proxy", note: "straight over loopback", words: ["direct"] }];
    const missing: string[] = [];
    const haproxy = plan.tool("HAProxy") ? await startHaproxy(plan.scratch) : undefined;
    if (haproxy) {
      stack.use(haproxy);
      ways.unshift({
        tool: "HAProxy",
        note: "TCP mode, splicing",
        version: haproxy.version,
        cpu: haproxy.cpu,
        words: ["proxy", `127.0.0.1:${haproxy.port}`, String(haproxy.sink)],
      });
    } else missing.push("HAProxy");
    const hub = stack.use(await HubProcess.start({ transit: { listen: "127.0.0.1:0", limits: LIMITS } }));
    ways.push({
      tool: "wormhole hub",
      note: "`--transit-listen`, limits per address lifted",
      cpu: () => hub.cpu(),
      words: ["relay", hub.transit!],
    });
    const cases: Case[] = [];
    for (const [job, pairs] of Object.entries(POURS)) {
      if (!plan.job(job)) continue;
      const bytes = Math.ceil(2 * GIB / plan.part);
      for (const way of ways.filter(({ tool }) => plan.tool(tool))) {
        const { tool, note, version } = way;
        const run = () => poured(way, { job, bytes, pairs });
        cases.push({ job, tool, note, ...version && { version }, ours: tool === "wormhole hub", run });
      }
    }
    if (plan.job("waiting")) cases.push({ job: "waiting", tool: "wormhole hub", ours: true, run: waiting });
    const kept = stack.move();
    return { cases, missing, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  },
};

/** Rates through the proxy in the run that is under way, by job. */
const ofProxy = new Map<string, number>();

async function poured(
  { tool, cpu, words }: Between,
  { job, bytes, pairs }: { job: string; bytes: number; pairs: number },
): Promise<Sample> {
  const before = await cpu?.() ?? 0;
  const line = await output([
    "timeout",
    String(PATIENCE_S),
    "python3",
    POUR,
    ...words,
    String(bytes),
    String(pairs),
  ]);
  const wall: number = JSON.parse(line).seconds;
  if (tool === "HAProxy") ofProxy.set(job, bytes / wall);
  const proxy = ofProxy.get(job);
  return {
    bytes,
    wall,
    ...cpu && { cpu: await cpu() - before },
    ...proxy !== undefined && { share: bytes / wall / proxy },
  };
}

async function waiting(): Promise<Sample> {
  await using hub = await HubProcess.start({ transit: { listen: "127.0.0.1:0", limits: LIMITS } });
  const empty = await settled(hub);
  const sides = new Deno.Command("timeout", {
    args: [String(PATIENCE_S), "python3", POUR, "wait", hub.transit!, String(WAITING)],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const said = sides.stdout.getReader();
  const { done } = await said.read();
  if (done) throw new Error("pour.py wait: it ended");
  const held = await settled(hub);
  await sides.stdin.close();
  await said.cancel();
  await sides.status;
  return { empty: empty / 2 ** 20, held: held / 2 ** 20, each: (held - empty) / WAITING / 1024 };
}

/** Memory of its own, in bytes, once collectors have run. */
async function settled(hub: HubProcess): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const status = await Deno.readTextFile(`/proc/${hub.pid}/smaps_rollup`);
  return Number(/^Pss:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}

if (import.meta.main) await runBench(BENCH);

/**
 * What a hub holds and how much it does: memory of 1,000 idle clients and of 1,000 open codes, code exchanges beside them, and 100 pairs
 * that relay at the same time. Linux.
 */
import { HubClient } from "../tests/e2e/faults/hub_client.ts";
import { HubProcess, type HubProcessOptions } from "../tests/e2e/faults/hub_process.ts";
import { type Bench, type Case, runBench } from "./bench.ts";
import { type Column, plain } from "./columns.ts";
import type { Sample } from "./results.ts";
import { runExampleLines } from "./tools/example.ts";
import { relayOf } from "./tools/hub_relay.ts";

const MIB = 2 ** 20;

const IDLE = 1_000;
const ACTIVE = 100;
const EXCHANGES = 2_000;
const RELAYED_BYTES = 2 ** 30;

/** Messages that each side adds in one exchange, and bytes of their hex: what this program's own pairing does. */
const MESSAGES = 3;
const BODY = "ab".repeat(120);

/** Time for collectors to run before memory is read, in ms. */
const SETTLE_MS = 4_000;

/** How often memory is read while bytes are relayed, in ms. */
const LOOK_MS = 100;

/** All clients come from one address. */
const LIMITS = {
  connectionsPerAddress: 1e5,
  connectionBurst: 1e9,
  mailboxesPerAddress: 1e5,
  claimBurst: 1e9,
  nameplateBurst: 1e9,
};

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "hub",
    title: "Hub",
    about:
      "One `wormhole hub` in a process of its own (limits per address lifted, since all clients come from one), resident memory read 4 s after " +
      "each step. *Idle*: connected and bound. *Open code*: allocated, claimed, opened, one message of 240 hex digits. *Code*: allocate, " +
      "claim, open, six messages, release and close by both sides, 100 pairs at a time beside the 1,000 that wait; the clients run in the " +
      "bench's own process on the same cores and take most of their time, so codes/s is a lower bound. *Active session*: two machines at the " +
      "relay at the hub's own port, one of which sends to the other as fast as it can, 100 pairs at a time beside 1,000 open codes; memory is the most " +
      "that was seen, read every 100 ms.",
    jobs: {
      codes: "1,000 idle clients, 1,000 open codes, then codes that are used",
      sessions: "1,000 open codes and 100 active sessions",
    },
    columns: [
      plain("empty", { header: "MiB with nobody", digits: 1 }),
      kib("idle", "KiB per idle client"),
      kib("open", "KiB per open code"),
      plain("codes", { header: "codes/s", digits: 0 }),
      plain("cpu_ms", { header: "hub's CPU ms per code", digits: 1 }),
      plain("slowest_ms", { header: "slowest code, ms", digits: 0 }),
      kib("active", "KiB per active session"),
      plain("peak", { header: "MiB at most", digits: 1 }),
      plain("after", { header: "MiB 4 s later", digits: 1 }),
      plain("rate", { header: "MiB/s relayed", digits: 0 }),
    ],
  },
  runs: 1,
  prepare({ scratch, job, tool }) {
    const kept: Readonly<Record<string, HubProcessOptions>> = {
      "in memory": {},
      "in a database": { database: `${scratch}/hub.sqlite` },
    };
    const cases: Case[] = [];
    for (const [name, options] of Object.entries(kept)) {
      if (tool(name) && job("codes")) {
        cases.push({ job: "codes", tool: name, ours: true, run: () => codes(options) });
      }
    }
    if (tool("in memory") && job("sessions")) {
      cases.push({ job: "sessions", tool: "in memory", ours: true, run: sessions });
    }
    return Promise.resolve({ cases });
  },
};

async function codes(options: HubProcessOptions): Promise<Sample> {
  await using hub = await HubProcess.start({ limits: LIMITS, ...options });
  const empty = await settled(hub);
  const clients = await many(IDLE, (i) => HubClient.connect(hub.url, `idle${i}`));
  const idle = await settled(hub);
  await many(IDLE, (i) => offer(clients[i]!));
  const open = await settled(hub);
  const before = await hub.cpu();
  const started = performance.now();
  let next = 0;
  let slowest = 0;
  await many(ACTIVE, async () => {
    while (next < EXCHANGES) {
      const began = performance.now();
      await exchange(hub.url, next++);
      slowest = Math.max(slowest, performance.now() - began);
    }
  });
  const seconds = (performance.now() - started) / 1_000;
  const cpu = await hub.cpu() - before;
  const peak = await hub.memory();
  for (const client of clients) client[Symbol.dispose]();
  return {
    empty: empty / MIB,
    idle: (idle - empty) / IDLE,
    open: (open - empty) / IDLE,
    codes: EXCHANGES / seconds,
    cpu_ms: cpu * 1_000 / EXCHANGES,
    slowest_ms: slowest,
    peak: peak / MIB,
  };
}

async function sessions(): Promise<Sample> {
  await using hub = await HubProcess.start({ limits: LIMITS, relay: {} });
  const empty = await settled(hub);
  const clients = await many(IDLE, (i) => HubClient.connect(hub.url, `idle${i}`));
  await many(IDLE, (i) => offer(clients[i]!));
  const open = await settled(hub);
  const { url, token } = await relayOf(hub.url);
  let peak = 0;
  const look = setInterval(async () => peak = Math.max(peak, await hub.memory()), LOOK_MS);
  const args = [
    "--relay",
    url,
    "--token",
    token,
    "--bytes",
    String(RELAYED_BYTES),
    "--pairs",
    String(ACTIVE),
  ];
  const [poured] = await runExampleLines("relay_pour", args).finally(() => clearInterval(look));
  const after = await settled(hub);
  for (const client of clients) client[Symbol.dispose]();
  return {
    empty: empty / MIB,
    open: (open - empty) / IDLE,
    active: (peak - open) / ACTIVE,
    peak: peak / MIB,
    after: after / MIB,
    rate: poured!.bytes! / MIB / poured!.wall_s!,
  };
}

/** Makes a code and waits under it, as a sender does. */
async function offer(client: HubClient): Promise<string> {
  const { nameplate } = await client.ask({ type: "allocate" }, "allocated");
  const { mailbox } = await client.ask({ type: "claim", nameplate }, "claimed");
  client.say({ type: "open", mailbox });
  await client.ask({ type: "add", phase: "pake", body: BODY }, "message");
  return String(nameplate);
}

/** Two sides meet under a code, swap their messages and leave, as at the beginning of a transfer. */
async function exchange(url: URL, number: number): Promise<void> {
  using sender = await HubClient.connect(url, `s${number}`);
  const nameplate = await offer(sender);
  using receiver = await HubClient.connect(url, `r${number}`);
  const { mailbox } = await receiver.ask({ type: "claim", nameplate, must_exist: true }, "claimed");
  receiver.say({ type: "open", mailbox });
  for (let i = 0; i < MESSAGES; i++) {
    await receiver.ask({ type: "add", phase: `r${i}`, body: BODY }, "message");
    if (i > 0) await sender.ask({ type: "add", phase: `s${i}`, body: BODY }, "message");
  }
  for (const client of [sender, receiver]) {
    await client.ask({ type: "release" }, "released");
    await client.ask({ type: "close", mood: "happy" }, "closed");
  }
}

function many<T>(count: number, run: (i: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => run(i)));
}

async function settled(hub: HubProcess): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  return await hub.memory();
}

function kib(name: string, header: string): Column {
  return {
    header,
    of: ({ [name]: value }) => value === undefined ? undefined : value / 1024,
    digits: 1,
  };
}

if (import.meta.main) await runBench(BENCH);

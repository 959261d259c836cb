/**
 * What a hub holds and how much it does: memory of 1,000 idle clients and 1,000 open codes, and 100 code exchanges at a time
 * beside them. Prints a section for RESULTS.md: `deno run -A bench/hub.ts`. Linux.
 */
import { HubClient } from "../tests/e2e/faults/hub_client.ts";
import { HubProcess } from "../tests/e2e/faults/hub_process.ts";

const IDLE = 1_000;
const ACTIVE = 100;
const EXCHANGES = 2_000;

/** Messages that each side adds in one exchange, and bytes of their hex: what this program's own pairing does. */
const MESSAGES = 3;
const BODY = "ab".repeat(120);

/** Time for collectors to run before memory is read, in ms. */
const SETTLE_MS = 4_000;

const LIMITS = {
  connectionsPerAddress: 1e5,
  connectionBurst: 1e9,
  mailboxesPerAddress: 1e5,
  claimBurst: 1e9,
  nameplateBurst: 1e9,
};

const database = `${await Deno.makeTempDir()}/hub.sqlite`;
console.log(
  "| kept | clients | hub's memory | per client | codes/s | hub CPU ms per code | slowest code ms |",
);
console.log("|---|---|---:|---:|---:|---:|---:|");
for (const [kept, options] of [["in memory", {}], ["in a database", { database }]] as const) {
  await using hub = await HubProcess.start({ limits: LIMITS, ...options });
  const empty = await settled(hub);
  row(kept, "none", empty, 0, 0);
  const clients = await many(IDLE, (i) => HubClient.connect(hub.url, `idle${i}`));
  const idle = await settled(hub);
  row(kept, `${IDLE} idle`, idle, (idle - empty) / IDLE);
  await many(IDLE, (i) => offer(clients[i]!));
  const waiting = await settled(hub);
  row(kept, `${IDLE} with an open code each`, waiting, (waiting - empty) / IDLE);
  const before = await cpuMs(hub.pid);
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
  const cpu = (await cpuMs(hub.pid) - before) / EXCHANGES;
  const active = await hub.memory();
  const speed = [EXCHANGES / seconds, cpu, slowest].map((value) => value.toFixed(value < 10 ? 1 : 0)).join(
    " | ",
  );
  console.log(
    `| ${kept} | and ${ACTIVE} pairs at a time, ${EXCHANGES} codes | ${mib(active)} | | ${speed} |`,
  );
  for (const client of clients) client[Symbol.dispose]();
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

/** CPU time of a process so far, in ms (proc(5): clock ticks of 10 ms). */
async function cpuMs(pid: number): Promise<number> {
  const fields = (await Deno.readTextFile(`/proc/${pid}/stat`)).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function row(kept: string, clients: string, memory: number, perClient: number, shown = 1): void {
  const each = shown === 0 ? "" : `${(perClient / 1024).toFixed(1)} KiB`;
  console.log(`| ${kept} | ${clients} | ${mib(memory)} | ${each} | | | |`);
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

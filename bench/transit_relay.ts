/**
 * What the hub's transit relay carries, beside a bare TCP proxy that splices (HAProxy) and no proxy at all, and what its
 * clients cost in memory. Prints a section for RESULTS.md: `deno run -A bench/transit_relay.ts`. Linux; python3, and haproxy where
 * it is to be compared (Debian: apt install haproxy).
 */
import { runHub } from "../src/hub/mod.ts";
import { systemClock } from "../src/base/clock.ts";
import { Logger } from "../src/base/log.ts";
import { fromFileUrl } from "../src/base/paths.ts";

const GIB = 2 ** 30;
const ROUNDS = 5;
const PAIRS = [1, 100] as const;
const BYTES = { 1: 2 * GIB, 100: 2 * GIB } as const;
const WAITING = 1_000;
const POUR = fromFileUrl(new URL("./tools/pour.py", import.meta.url));

/** Time for collectors to run before memory is read, in ms. */
const SETTLE_MS = 3_000;

if (Deno.args[0] === "hub") await hub();
else await bench();

/** The hub alone in its process, so that its CPU time and memory are its own. */
async function hub(): Promise<void> {
  await runHub({
    listen: "127.0.0.1:0",
    transit: {
      listen: "127.0.0.1:0",
      limits: { connectionsPerAddress: 1e5, connectionBurst: 1e9, connections: 1e5, waiting: 1e5 },
    },
    log: new Logger({ level: "error", clock: systemClock, sink: () => {} }),
    signal: new AbortController().signal,
    onListening: ({ transit }) => console.log(transit![0]),
  });
}

interface Proxy {
  readonly name: string;
  readonly process: Deno.ChildProcess | undefined;
  /** Words of `pour.py` before the amounts. */
  readonly words: readonly string[];
}

async function bench(): Promise<void> {
  const relay = await startHub();
  const proxies: Proxy[] = [{ name: "no proxy", process: undefined, words: ["direct"] }];
  const haproxy = await startHaproxy();
  if (haproxy) proxies.push(haproxy);
  else console.log("no haproxy: not compared\n");
  proxies.push(relay);
  try {
    const empty = await settled(relay);
    const waiting = new Deno.Command("python3", {
      args: [POUR, "wait", relay.words[1]!, String(WAITING)],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    await waiting.stdout.getReader().read();
    const held = await settled(relay);
    console.log("| | median GiB/s | of the splicing proxy | proxy's CPU s/GiB |\n|---|---:|---:|---:|");
    for (const pairs of PAIRS) await compare(proxies, pairs);
    const after = await memory(relay);
    await waiting.stdin.close();
    await waiting.status;
    console.log(
      `\nMemory of the hub: ${mib(empty)} with nobody, ${mib(held)} with ${WAITING} sides that wait (${
        ((held - empty) / WAITING / 1024).toFixed(1)
      } KiB each), ${mib(after)} at the end with these and after ${PAIRS.at(-1)} pairs at a time.`,
    );
  } finally {
    for (const { process } of proxies) process?.kill("SIGKILL");
  }
}

async function compare(proxies: readonly Proxy[], pairs: typeof PAIRS[number]): Promise<void> {
  const rates = new Map<string, number[]>();
  const cpu = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, process, words } of proxies) {
      const before = process ? await cpuMs(process.pid) : 0;
      const seconds = await pour([...words, String(BYTES[pairs]), String(pairs)]);
      if (process) cpu.set(name, (cpu.get(name) ?? 0) + await cpuMs(process.pid) - before);
      rates.set(name, [...rates.get(name) ?? [], BYTES[pairs] / GIB / seconds]);
    }
  }
  const splicing = median(rates.get("HAProxy, splicing") ?? [NaN]);
  for (const { name, process } of proxies) {
    const rate = median(rates.get(name)!);
    const share = Number.isNaN(splicing) ? "" : `${Math.round(100 * rate / splicing)} %`;
    const cost = process ? (cpu.get(name)! / 1_000 / (ROUNDS * BYTES[pairs] / GIB)).toFixed(2) : "";
    console.log(
      `| ${name}, ${pairs} ${pairs === 1 ? "pair" : "pairs"} | ${rate.toFixed(2)} | ${share} | ${cost} |`,
    );
  }
}

async function startHub(): Promise<Proxy> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", fromFileUrl(new URL(import.meta.url)), "hub"],
    stdout: "piped",
  }).spawn();
  const { value } = await process.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
  return { name: "`wormhole hub`", process, words: ["relay", value!.trim()] };
}

async function startHaproxy(): Promise<Proxy | undefined> {
  const [listen, sink] = [freePort(), freePort()];
  const config = await Deno.makeTempFile({ suffix: ".cfg" });
  await Deno.writeTextFile(
    config,
    `global\n  maxconn 1000\ndefaults\n  mode tcp\n  option splice-request\n  option splice-response\n  timeout connect 5s\n` +
      `  timeout client 60s\n  timeout server 60s\nlisten bare\n  bind 127.0.0.1:${listen}\n  server sink 127.0.0.1:${sink}\n`,
  );
  try {
    const env = { PATH: `${Deno.env.get("PATH")}:/usr/sbin` };
    const process = new Deno.Command("haproxy", { args: ["-db", "-f", config], env, stderr: "null" }).spawn();
    for (let tries = 0; tries < 100; tries++) {
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port: listen })).close();
        break;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    return { name: "HAProxy, splicing", process, words: ["proxy", `127.0.0.1:${listen}`, String(sink)] };
  } catch {
    return undefined;
  }
}

async function pour(words: readonly string[]): Promise<number> {
  const { success, stdout } = await new Deno.Command("python3", {
    args: [POUR, ...words],
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`pour.py ${words.join(" ")} failed`);
  return JSON.parse(new TextDecoder().decode(stdout)).seconds;
}

async function settled(proxy: Proxy): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  return await memory(proxy);
}

/** Memory of its own, in bytes. */
async function memory({ process }: Proxy): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${process!.pid}/smaps_rollup`);
  return Number(/^Pss:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}

/** CPU time so far, in ms (proc(5): clock ticks of 10 ms). */
async function cpuMs(pid: number): Promise<number> {
  const fields = (await Deno.readTextFile(`/proc/${pid}/stat`)).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** `scripts/soak`: runs one fault scenario with many seeds and says how it goes. */
import { COPY } from "./copy.ts";
import { COPY_MILLION } from "./copy_million.ts";
import { CRON } from "./cron.ts";
import { DISK } from "./disk.ts";
import { FLIP } from "./flip.ts";
import { endFuzzedHub, HUB_FRAMES } from "./hub_frames.ts";
import { HUB_KILL } from "./hub_kill.ts";
import { KILL } from "./kill.ts";
import { POWER } from "./power.ts";
import { SYNC_KILL } from "./sync_kill.ts";
import { SYNC_MODEL } from "./sync_model.ts";
import { SYNC_PEER_KILL } from "./sync_peer_kill.ts";
import { SYSTEMD } from "./systemd.ts";
import { type Results, runScenario, type Scenario } from "./scenario.ts";

const SCENARIOS: readonly Scenario[] = [
  KILL,
  DISK,
  POWER,
  FLIP,
  HUB_KILL,
  HUB_FRAMES,
  SYNC_MODEL,
  SYNC_KILL,
  SYNC_PEER_KILL,
  COPY,
  COPY_MILLION,
  CRON,
  SYSTEMD,
];

/** How often progress is printed, in ms. */
const EVERY_MS = 10_000;

const options = new Map<string, number>();
const [name, ...rest] = Deno.args;
for (let at = 0; at < rest.length; at += 2) {
  const value = Number(rest[at + 1]);
  if (!["--runs", "--seed", "--minutes"].includes(rest[at]!) || !(value >= 0)) {
    usage(`what is "${rest[at]}"?`);
  }
  options.set(rest[at]!, value);
}
const scenario = SCENARIOS.find((each) => each.name === name);
if (scenario === undefined) usage(name === undefined ? undefined : `there is no scenario "${name}"`);

const reason = await scenario.unable?.();
if (reason !== undefined) {
  console.log(`Cannot run here: ${reason}\n0 passed, 0 failed`);
  Deno.exit(1);
}
const seed = options.get("--seed") ?? crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
console.log(`${scenario.name}, from seed ${seed}: ${scenario.about}`);
const started = performance.now();
let printed = started;
let told = 0;
const minutes = options.get("--minutes");
const stop = new AbortController();
Deno.addSignalListener("SIGINT", () => stop.abort());
const results = await runScenario(scenario, {
  runs: options.get("--runs") ?? Infinity,
  seed,
  ...minutes !== undefined && { withinMs: minutes * 60_000 },
  signal: stop.signal,
  onRun,
});
await endFuzzedHub();
console.log(`${results.tally}`);
console.log(`${results.passed} passed, ${results.failed.length} failed`);
Deno.exit(results.failed.length === 0 ? 0 : 1);

function onRun({ passed, failed, tally }: Results): void {
  for (const { seed, error } of failed.slice(told)) {
    console.log(
      `FAILED: scripts/soak ${scenario!.name} --seed ${seed} --runs 1\n${
        error instanceof Error ? error.stack : error
      }`,
    );
  }
  told = failed.length;
  if (performance.now() - printed < EVERY_MS) return;
  printed = performance.now();
  const seconds = Math.round((printed - started) / 1000);
  console.log(`${seconds} s: ${passed} passed, ${failed.length} failed (${tally})`);
}

function usage(complaint?: string): never {
  if (complaint !== undefined) console.error(`soak: ${complaint}`);
  console.error("usage: scripts/soak SCENARIO [--runs N] [--minutes N] [--seed N]\n");
  for (const { name, about } of SCENARIOS) console.error(`  ${name.padEnd(13)} ${about}`);
  Deno.exit(2);
}

/**
 * 100,000 hostile manifests: none makes the receiver write outside of its destination, crash or run out of memory.
 *
 * A program, since what other tests hold in their process must not count. Each is read by the getter's check and what passes goes to the engine, as in a real transfer; then the engine gets
 * it without that check, since it must stand alone. `WORMHOLE_HOSTILE_RUNS` and `WORMHOLE_HOSTILE_SEED` change the
 * number and the first seed; a failure names its seed.
 */
import { encodeName } from "../../src/base/names.ts";
import { isWormholeError } from "../../src/base/errors.ts";
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { NativeQueue } from "../../src/native/queue.ts";
import { NativeReceive, type RootPlan } from "../../src/native/receive.ts";
import { ManifestReader } from "../../src/transfer/manifest_reader.ts";
import type { Columns, MessageOf } from "../../src/wire/mod.ts";
import { Dice, type HostilePage, hostilePage } from "./hostile_manifests.ts";
import { Sandbox } from "./sandbox.ts";
import { listTree } from "./trees.ts";

const RUNS = Number(Deno.env.get("WORMHOLE_HOSTILE_RUNS") ?? 100_000);
const FIRST_SEED = Number(Deno.env.get("WORMHOLE_HOSTILE_SEED") ?? 1);
/** Every how many manifests the disk is looked at; a write outside is found then, and its batch is named. */
const LOOK_EVERY = 2000;
/** Sessions at a time: the engine waits for the disk, the seeds do not depend on each other. */
const AT_ONCE = 8;
/**
 * Growth of the memory outside of V8's heap over the whole run that would be a leak: 100,000 manifests of a KiB are
 * 100 MiB. With the allocator settings of scripts/test it does not grow, without them fragments add up to 200 MiB.
 */
const MAX_GROWTH_BYTES = 256 * 1024 * 1024;

/** A destination with traps in it: symlinks to what must not be touched. */
interface Arena {
  readonly sandbox: Sandbox;
  readonly outside: string;
  readonly destinations: readonly string[];
}

const KNOWN = ["trap", "trap-file", "real", "mine"];

async function arena(): Promise<Arena> {
  const sandbox = await Sandbox.create();
  const outside = await sandbox.folder("outside");
  await sandbox.file("outside/precious", "precious");
  const destinations: string[] = [];
  for (let index = 0; index < AT_ONCE; index++) {
    destinations.push(await trapped(sandbox, `below/destination-${index}`));
  }
  return { sandbox, outside, destinations };
}

async function trapped(sandbox: Sandbox, name: string): Promise<string> {
  const destination = await sandbox.folder(name);
  await sandbox.file(`${name}/mine`, "mine");
  await sandbox.folder(`${name}/real`);
  await Deno.symlink("../../outside", `${destination}/trap`);
  await Deno.symlink("../../outside/precious", `${destination}/trap-file`);
  await Deno.symlink("../../../outside", `${destination}/real/trap`);
  return destination;
}

if (import.meta.main) {
  const { sandbox, outside, destinations } = await arena();
  await using _ = sandbox;
  await using queue = NativeQueue.open();
  const before = await listTree(outside);
  const surroundings = { outside, known: KNOWN };
  const outcomes = new Map<string, number>();
  const count = (outcome: string) => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  let startedAt = 0;
  for (let from = 0; from < RUNS; from += LOOK_EVERY) {
    const until = Math.min(RUNS, from + LOOK_EVERY);
    let next = from;
    await Promise.all(destinations.map(async (destination) => {
      while (next < until) {
        const seed = FIRST_SEED + next++;
        const page = hostilePage(new Dice(seed), surroundings);
        await survives(seed, async () => count(await takeChecked(queue, destination, page)));
        await survives(seed, async () => count(await takeRaw(queue, destination, page, new Dice(seed))));
      }
    }));
    const seeds = `seeds ${FIRST_SEED + from} to ${FIRST_SEED + until - 1}`;
    assertEquals(await listTree(outside), before, `${seeds} changed what is outside`);
    assertEquals(await namesIn(sandbox.dir), ["below", "outside"], `${seeds} wrote above`);
    assertEquals((await namesIn(sandbox.path("below"))).length, AT_ONCE, `${seeds} wrote beside`);
    for (const [index, destination] of destinations.entries()) {
      const left = (await namesIn(destination)).filter(isStaging);
      assertEquals(left, [], `${seeds} left staging behind`);
      await Deno.remove(destination, { recursive: true });
      await trapped(sandbox, `below/destination-${index}`);
    }
    // The first batch fills caches and pools; what counts is the growth after it.
    if (from === 0) startedAt = nativeBytes();
  }
  const growth = nativeBytes() - startedAt;
  assertTrue(growth < MAX_GROWTH_BYTES, `the process grew by ${growth} bytes`);
  assertTrue((outcomes.get("placed") ?? 0) > RUNS / 100, `hardly any manifest got far: ${[...outcomes]}`);
  assertTrue(!outcomes.has("INTERNAL"), `panics: ${[...outcomes]}`);
}

function nativeBytes(): number {
  const { rss, heapTotal } = Deno.memoryUsage();
  return rss - heapTotal;
}

/**
 * Tells whether this is a staging folder: 16 random hex digits. Manifests use the name with 16 zeros themselves, a few
 * bytes of it changed; no staging folder ever has that many.
 */
function isStaging(name: string): boolean {
  const [, digits] = /^\.wormhole-([0-9a-f]{16})\.part$/.exec(name) ?? [];
  return digits !== undefined && digits.replaceAll("0", "").length > 4;
}

async function survives(seed: number, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** Takes a page as a receiver does. */
async function takeChecked(
  queue: NativeQueue,
  destination: string,
  { columns }: HostilePage,
): Promise<string> {
  const reader = new ManifestReader({ offer: offerFor(columns) });
  try {
    const { wanted, roots } = reader.read(columns);
    const plans = roots.map(({ entry, name }) => plan(entry, encodeName(name), "overwrite"));
    return await place(queue, destination, { columns, wanted, roots: plans });
  } catch (error) {
    if (!isWormholeError(error)) throw error;
    return error.code;
  }
}

/** Gives a page to the engine with nobody looking at it first, under its own hostile names. */
async function takeRaw(
  queue: NativeQueue,
  destination: string,
  page: HostilePage,
  dice: Dice,
): Promise<string> {
  const { columns } = page;
  const wanted = new Uint8Array(Math.ceil(Math.min(columns.count, 65_536) / 8)).fill(0xff);
  const policy = dice.pick(["fresh", "overwrite", "skip"] as const);
  const roots = page.roots.map(({ entry, name }) => plan(entry, name, policy));
  try {
    return await place(queue, destination, { columns, wanted, roots });
  } catch (error) {
    if (!isWormholeError(error)) throw error;
    return error.code;
  }
}

async function place(
  queue: NativeQueue,
  destination: string,
  page: { columns: Columns; wanted: Uint8Array; roots: RootPlan[] },
): Promise<string> {
  await using receive = await NativeReceive.open(queue, {
    destination: encodeName(destination),
    pool_bytes: 16 * 1024 * 1024,
  });
  await receive.expect(page);
  // Nobody sends the content: what needs none (empty files, folders, links) is placed all the same.
  const { files, directories, symlinks } = await receive.commit();
  return files + directories + symlinks > 0 ? "placed" : "nothing placed";
}

function plan(entry: number, name: Uint8Array, policy: RootPlan["policy"]): RootPlan {
  return { entry, final_name: name, policy };
}

function offerFor({ kinds }: Columns): MessageOf<"offer"> {
  return {
    type: "offer",
    kind: kinds[0] === 4 ? "stream" : "files",
    transfer: new Uint8Array(16),
    roots: [],
    totals: { files: 0, directories: 0, symlinks: 0, bytes: 0 },
    counting: true,
  } as unknown as MessageOf<"offer">;
}

async function namesIn(dir: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(dir), ({ name }) => name)).sort();
}

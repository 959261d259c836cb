/** kill -9 of `wormhole sync` at any instant, while somebody works in both folders. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { run, start } from "../command.ts";
import { Dice } from "../hostile_manifests.ts";
import { type Person, Sandbox } from "../sandbox.ts";
import type { Scenario } from "./scenario.ts";

/** Runs killed in one run of the scenario. */
export const SYNC_KILLS_PER_RUN = 4;

/** Quiet runs after which both folders must be the same. */
const MAX_RUNS = 4;

/** Exit code of a run that did not reach the other machine, or lost it. */
const OFFLINE = 4;

/** See {@linkcode Scenario.about}. */
export const SYNC_KILL: Scenario = {
  name: "sync-kill",
  about:
    `${SYNC_KILLS_PER_RUN} kills of sync per run: every version that nobody touched since is in view, then both are the same`,
  lanes: 2,
  async run(seed, tally) {
    const dice = new Dice(seed);
    await using sandbox = await Sandbox.create();
    const person = await sandbox.person("keeper");
    const folders = [await sandbox.folder("a"), await sandbox.folder("b")] as const;
    const people = new People(dice, folders);
    for (let i = 0; i < 40; i++) await people.act();
    const args = ["sync", "--json", "--max-delete", "100%", ...folders];
    const begun = performance.now();
    await run([...args, "--dry-run"], { person });
    // From before it has begun to after it has ended, on a machine of any speed.
    const longest = 1.5 * (performance.now() - begun);
    for (let kill = 0; kill < SYNC_KILLS_PER_RUN; kill++) {
      await using running = start(args, { person });
      await new Promise((resolve) => setTimeout(resolve, dice.below(longest)));
      const ended = await killed(running);
      tally.add(ended ? "kills too late" : "kills in the middle");
      if (dice.once(2)) { for (let i = 0; i < 6; i++) await people.act(); }
    }
    await people.comeToRest(person, folders);
    const [a, b] = [await contentsOf(folders[0]), await contentsOf(folders[1])];
    assertEquals([...a].sort(), [...b].sort());
    tally.add("versions kept", people.assertKept(a));
  },
};

/** Kills it; tells whether it had ended before. */
export async function killed(running: ReturnType<typeof start>): Promise<boolean> {
  try {
    running.signal("SIGKILL");
  } catch {
    return true; // it has ended
  }
  return (await running.ending()).signal !== "SIGKILL";
}

/** Somebody who writes, replaces, deletes and moves files in both folders. */
export class People {
  readonly written = new Set<string>();
  /** Replaced or deleted by somebody: it may go. */
  readonly touched = new Set<string>();
  #next = 0;

  constructor(readonly dice: Dice, readonly folders: readonly [string, string]) {}

  async act(): Promise<void> {
    const folder = this.dice.pick(this.folders);
    const files = [...await contentsOf(folder)];
    if (files.length === 0 || this.dice.once(2)) {
      const name = Array.from({ length: 1 + this.dice.below(2) }, () => `n${this.dice.below(6)}`).join("/");
      return await this.#write(`${folder}/${name}`);
    }
    const [path, text] = this.dice.pick(files);
    if (this.dice.once(2)) return await this.#write(`${folder}/${path}`);
    if (this.dice.once(2)) {
      await Deno.remove(`${folder}/${path}`);
      this.touched.add(text);
    } else {
      const to = `${folder}/moved${this.#next++}`;
      await Deno.rename(`${folder}/${path}`, to);
    }
  }

  /** Replaces by a rename, as editors do, so that no reader sees half of it. */
  async #write(path: string): Promise<void> {
    const text = `version ${this.#next++} `.repeat(1 + this.dice.below(2000));
    const there = await Deno.readTextFile(path).catch(() => undefined);
    try {
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      const fresh = `${this.folders[0]}-new`;
      await Deno.writeTextFile(fresh, text);
      await Deno.rename(fresh, path);
    } catch {
      return; // a folder has that name, or a file the folder's
    }
    this.written.add(text);
    if (there !== undefined) this.touched.add(there);
  }

  /** Gives how many versions nobody has touched; each must be in view. */
  assertKept(contents: ReadonlyMap<string, string>): number {
    const texts = new Set(contents.values());
    for (const text of this.written) {
      if (!this.touched.has(text)) assertTrue(texts.has(text), `the version "${text.slice(0, 20)}" is lost`);
    }
    return this.written.size - this.touched.size;
  }

  /**
   * Synchronizes until nothing changes any more; `ends`: the two as the command calls them. `onOffline` is told the code of a run that did
   * not reach the other machine; without it that is a failure.
   */
  async comeToRest(
    person: Person,
    ends: readonly string[],
    { onOffline }: { onOffline?: (code: string) => void } = {},
  ): Promise<void> {
    for (let run = 0; run < MAX_RUNS; run++) {
      const args = ["sync", "--json", "--max-delete", "100%", ...ends];
      await using running = start(args, { person });
      const { code, events, stderr } = await running.ending();
      if (code === OFFLINE && onOffline !== undefined) {
        onOffline(events.at(-1)!.code);
        continue;
      }
      assertTrue(code === 0 || code === 9, `ended with ${code}: ${stderr}`);
      const { alpha, beta } = events.find(({ event }) => event === "synced")!;
      if (alpha.changes + beta.changes === 0) return;
    }
    throw new Error(`it does not come to rest in ${MAX_RUNS} runs`);
  }
}

/** Texts by path, without sync's own folder. What goes meanwhile is left out. */
export async function contentsOf(folder: string, below = ""): Promise<Map<string, string>> {
  const contents = new Map<string, string>();
  for await (const { name, isDirectory } of entriesOf(`${folder}/${below}`)) {
    const path = below + name;
    if (path === ".wormhole-sync") continue;
    if (isDirectory) {
      for (const [at, text] of await contentsOf(folder, `${path}/`)) contents.set(at, text);
    } else {
      const text = await Deno.readTextFile(`${folder}/${path}`).catch(ignoreMissing);
      if (text !== undefined) contents.set(path, text);
    }
  }
  return contents;
}

async function* entriesOf(folder: string): AsyncGenerator<Deno.DirEntry> {
  try {
    yield* Deno.readDir(folder);
  } catch (error) {
    ignoreMissing(error);
  }
}

function ignoreMissing(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

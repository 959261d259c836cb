/** A disk that fails at the k-th call: full, broken, read-only, over quota, slow, or writing by half. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { fromFileUrl } from "../../../src/base/paths.ts";
import { Dice } from "../hostile_manifests.ts";
import { Sandbox, succeeds } from "../sandbox.ts";
import { stagingFolders } from "../trees.ts";
import { OneProcess } from "./one_process.ts";
import type { Scenario } from "./scenario.ts";
import { assertWhole, type Files, someFiles, writeFiles } from "./small_tree.ts";

/** Error numbers of Linux, with the codes that may come of them. */
export const ERRORS = { EIO: 5, ENOSPC: 28, EROFS: 30, EDQUOT: 122 } as const;

/** What fails; see inject.c. */
export interface Plan {
  /** The call that fails, counted from 1 below the folder; 0: none. */
  readonly at: number;
  readonly error?: keyof typeof ERRORS;
  /** `once` that call, `on` that and all later ones, `short` writes half of it, `slow` takes 20 ms longer. */
  readonly mode?: "once" | "on" | "short" | "slow";
  /** Bits of the kinds of calls that count; all without. */
  readonly kinds?: number;
}

const MODES = ["once", "on", "short", "slow"] as const;
const SLOW_MS = 20;
const EVERY_KIND = 0x1ff;
/** Kind of calls that bring things to the disk; see inject.c. */
export const SYNC = 2;

/** A disk that can be told to fail, for the command that runs after {@linkcode FaultyDisk.prefix}. */
export class FaultyDisk {
  readonly prefix: readonly string[];
  readonly #plan: string;

  private constructor(prefix: readonly string[], plan: string) {
    this.prefix = prefix;
    this.#plan = plan;
  }

  /** Builds the injector; gives the reason when that is impossible here. */
  static async make(sandbox: Sandbox, folder: string): Promise<FaultyDisk | string> {
    if (Deno.build.os !== "linux") return "the disk's faults are injected by Linux's seccomp";
    const program = sandbox.path("inject");
    const source = fromFileUrl(new URL("./inject.c", import.meta.url));
    if (!await succeeds("cc", ["-O1", "-Wall", "-o", program, source])) return "there is no C compiler (cc)";
    const plan = sandbox.path("plan");
    await Deno.writeFile(plan, new Uint8Array(24));
    const prefix = [program, await Deno.realPath(folder), plan];
    if (!await succeeds(program, [...prefix.slice(1), "true"])) {
      return "this kernel notifies nobody of system calls";
    }
    return new FaultyDisk(prefix, plan);
  }

  /** What fails from now on. */
  async set({ at, error = "EIO", mode = "once", kinds = EVERY_KIND }: Plan): Promise<void> {
    const number = mode === "slow" ? SLOW_MS : ERRORS[error];
    const words = new Uint32Array([at, number, MODES.indexOf(mode), kinds, 0, 0]);
    // Not truncated: the injector has it mapped.
    using file = await Deno.open(this.#plan, { write: true });
    await file.write(new Uint8Array(words.buffer));
  }

  /** Calls below the folder since the last {@linkcode FaultyDisk.set}, and how many of them had a fault. */
  async counts(): Promise<{ calls: number; hits: number }> {
    const words = new Uint32Array((await Deno.readFile(this.#plan)).buffer);
    return { calls: words[4]!, hits: words[5]! };
  }
}

/** Codes with which a receiver may end when its disk fails. */
const HONEST = ["IO", "NO_SPACE", "READ_ONLY", "PARTIAL"];

/** One folder that is received again and again, onto a disk that fails. */
export class FaultyReceiver implements AsyncDisposable {
  private constructor(
    readonly sandbox: Sandbox,
    readonly disk: FaultyDisk,
    readonly process: OneProcess,
    readonly source: string,
    readonly files: Files,
  ) {}

  /** `journaled`: the journal is on that disk as well. Gives the reason when it cannot be. */
  static async make(sandbox: Sandbox, dice: Dice): Promise<FaultyReceiver | string> {
    const files = someFiles(dice, 700_000);
    const source = await writeFiles(sandbox, "from/album", files);
    const disk = await FaultyDisk.make(sandbox, await sandbox.folder("disk"));
    if (typeof disk === "string") return disk;
    // io_uring's operations are no system calls: the injector hides it, so that every write is seen.
    const process = new OneProcess({ prefix: disk.prefix, env: { WORMHOLE_DEBUG_IO: "std" } });
    return new FaultyReceiver(sandbox, disk, process, source, files);
  }

  /** Receives once with a fault and once without; gives the calls that the first made, and whether it failed. */
  async run(
    plan: Plan,
    { replaces, journalToo }: { replaces: boolean; journalToo: boolean },
  ): Promise<{ calls: number; hits: number; code: string | undefined; failed: number }> {
    const { sandbox, disk, process, source, files } = this;
    const into = await sandbox.folder("disk/into");
    const journal = await sandbox.folder(journalToo ? "disk/state" : "state") + "/transfers.db";
    const before = replaces
      ? new Map([["large", new Uint8Array(9)], ["mine", new Uint8Array(1)]])
      : undefined;
    if (before) await writeFiles(sandbox, "disk/into/album", before);
    const task = { source, into, journal, ...replaces && { existing: "overwrite" as const } };
    await disk.set(plan);
    const ended = await process.run(task);
    const counts = await disk.counts();
    await disk.set({ at: 0 });
    const what = `${JSON.stringify(plan)}: ${ended?.code} ${ended?.message}`;
    if (ended === undefined) throw new Error(`${what}: the process died: ${await process.status()}`);
    if (ended.code !== undefined) {
      assertTrue(HONEST.includes(ended.code), what);
      assertTrue(/^Cannot /.test(ended.message ?? ""), what);
      assertTrue(counts.hits > 0, `${what}, and there was no fault`);
    }
    const now = files;
    // A file of which the disk said that it failed is absent; none is there by half.
    const isWhole = ended.failed === 0;
    const state = await assertWhole(`${into}/album`, { now, before, partial: !isWhole });
    if (ended.code === undefined && isWhole) assertEquals(state, before ? "mixed" : "new", what);
    assertEquals(await assertWhole(source, { now }), "new", what);
    if (state !== "absent" && !before) await Deno.remove(`${into}/album`, { recursive: true });
    const again = await process.run(task);
    assertEquals(
      [again?.code, again?.failed],
      [undefined, 0],
      `${what}, then ${again?.code} ${again?.message}`,
    );
    assertEquals(await assertWhole(`${into}/album`, { now, before }), before ? "mixed" : "new", what);
    for (const left of await stagingFolders(into)) {
      // What could neither be locked nor removed goes a minute later, when no other process can be making it.
      const lockless = await Deno.stat(`${into}/${left}/lock`).then(() => false, () => true);
      assertTrue(lockless, `${what}, then "${left}" was left`);
    }
    await Deno.remove(into, { recursive: true });
    return { ...counts, code: ended.code, failed: ended.failed };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}

/** Every how many calls of one run the next fault comes: the whole of it is covered by the runs that follow each other. */
const FAULTS_PER_RUN = 40;

/** See {@linkcode Scenario.about}. */
export const DISK: Scenario = {
  name: "disk",
  about:
    `${FAULTS_PER_RUN} transfers per run, each with one fault of the disk: one error, nothing by half, then it converges`,
  lanes: 2,
  async unable() {
    await using sandbox = await Sandbox.create();
    const disk = await FaultyDisk.make(sandbox, await sandbox.folder("disk"));
    return typeof disk === "string" ? disk : undefined;
  },
  async run(seed, tally) {
    const dice = new Dice(seed);
    await using sandbox = await Sandbox.create();
    const receiver = await FaultyReceiver.make(sandbox, dice);
    if (typeof receiver === "string") throw new Error(receiver);
    await using _ = receiver;
    const about = { replaces: dice.once(2), journalToo: dice.once(3) };
    const { calls } = await receiver.run({ at: 0 }, about);
    tally.most("calls of one transfer", calls);
    for (let fault = 0; fault < FAULTS_PER_RUN; fault++) {
      const { hits, code } = await receiver.run({
        at: 1 + dice.below(calls),
        error: dice.pick(Object.keys(ERRORS) as (keyof typeof ERRORS)[]),
        mode: dice.pick(["once", "once", "once", "on", "short", "slow"]),
      }, about);
      tally.add("faults");
      if (hits > 0) tally.add(`then ${code ?? "well"}`);
    }
  },
};

/** kill -9 of either command at any instant. */
import { encodeName } from "../../../src/base/names.ts";
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { Journal } from "../../../src/store/mod.ts";
import type { Running } from "../command.ts";
import { accept, assertDone, offer, type TransferOptions } from "../harness.ts";
import { Dice } from "../hostile_manifests.ts";
import { Sandbox } from "../sandbox.ts";
import { assertSameTree, stagingFolders } from "../trees.ts";
import type { Scenario, Tally } from "./scenario.ts";
import {
  assertWhole,
  CHUNK_BYTES,
  type Files,
  sizeOf,
  SLOW_LEVEL,
  someFiles,
  WIRE_PER_BYTE,
  writeFiles,
} from "./small_tree.ts";

const MIB = 1024 * 1024;
const STREAMS = 4;
/** Commands killed in one run, two in each round. */
export const KILLS_PER_RUN = 8;

/** What is killed, and when. */
interface Blow {
  readonly first: "sender" | "receiver";
  /** The event after which the clock runs: the code is shown, the offer came, bytes came. */
  readonly after: "code" | "offer" | "progress";
  readonly delayMs: number;
  /** How long the other lives on. */
  readonly restMs: number;
}

/** See {@linkcode Scenario.about}. */
export const KILL: Scenario = {
  name: "kill",
  about:
    `${KILLS_PER_RUN} kills per run: nothing incomplete at a final name, then it converges and little comes twice`,
  lanes: 2,
  async run(seed, tally) {
    const dice = new Dice(seed);
    await using sandbox = await Sandbox.create();
    const files = someFiles(dice, (12 + dice.below(16)) * MIB);
    const source = await writeFiles(sandbox, "from/album", files);
    const before = dice.once(3) ? olderOf(files, dice) : undefined;
    if (before) await writeFiles(sandbox, "into/album", before);
    const story = new Story(sandbox, { source, files, before, transport: dice.pick(["tcp", "quic"]) }, tally);
    for (let kills = 0; kills < KILLS_PER_RUN; kills += 2) {
      const after = dice.pick(["code", "offer", "offer", "progress", "progress"] as const);
      await story.strike({
        first: dice.pick(["sender", "receiver"]),
        after,
        delayMs: dice.once(5) ? dice.below(400) : dice.below(after === "progress" ? 20 : 120),
        restMs: dice.pick([0, 5, 50, 200]),
      });
    }
    await story.end();
  },
};

/** One folder that is sent until it has arrived. */
class Story {
  /** Bytes that recv said to have; these must not come again. */
  #arrived = 0;

  constructor(
    readonly sandbox: Sandbox,
    readonly about: { source: string; files: Files; before: Files | undefined; transport: "tcp" | "quic" },
    readonly tally: Tally,
  ) {}

  get #options(): Required<Pick<TransferOptions, "send" | "recv">> {
    const { before, transport } = this.about;
    return {
      send: [
        "--streams",
        String(STREAMS),
        "--compress",
        "always",
        "--compression-level",
        String(SLOW_LEVEL),
        "--transport",
        transport,
      ],
      recv: ["--yes", ...before ? ["--overwrite"] : []],
    };
  }

  async #begin() {
    await using undo = new AsyncDisposableStack();
    const offered = undo.use(
      await offer(this.sandbox, [this.about.source], {
        ...this.#options,
        env: { WORMHOLE_BULK_CHUNK_SIZE: "64KiB" },
      }),
    );
    const receiver = undo.use(accept(offered, await this.sandbox.folder("into"), this.#options));
    const stack = undo.move();
    return { sender: offered.sender, receiver, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }

  async strike({ first, after, delayMs, restMs }: Blow): Promise<void> {
    await using both = await this.#begin();
    const { sender, receiver } = both;
    // It may end before that; then the blow comes late, which is an instant like any other.
    if (after !== "code") {
      await Promise.race([
        receiver.event(after, ({ bytes }) => after === "offer" || bytes > 0).catch(() => {}),
        receiver.ending(),
      ]);
    }
    await delay(delayMs);
    const [one, other]: Running[] = first === "sender" ? [sender, receiver] : [receiver, sender];
    kill(one!);
    await delay(restMs);
    kill(other!);
    const [, received] = await Promise.all([sender.ending(), receiver.ending()]);
    this.tally.add("kills", 2);
    const told = received.events.filter(({ event }) => event === "progress").map(({ bytes }) =>
      bytes as number
    );
    const { files, before } = this.about;
    const state = await assertWhole(this.sandbox.path("into/album"), { now: files, before });
    this.tally.add(`then ${state}`);
    if (received.events.some(({ event }) => event === "done") || state === "new" || state === "mixed") {
      // What is placed is no part of an unfinished transfer: it will come again.
      this.#arrived = 0;
      if (state === "new" && !before) await Deno.remove(this.sandbox.path("into/album"), { recursive: true });
      return;
    }
    this.#arrived = Math.max(this.#arrived, ...told);
    const kept = await this.#journaled();
    assertTrue(kept >= this.#arrived, `recv told of ${this.#arrived} bytes, the journal knows ${kept}`);
    if (kept > 0) this.tally.add("kills in the middle", 2);
  }

  async end(): Promise<void> {
    const { source, files } = this.about;
    await using both = await this.#begin();
    const [sender, receiver] = await Promise.all([both.sender.ending(), both.receiver.ending()]);
    assertDone({ sender, receiver });
    assertEquals(
      await assertWhole(this.sandbox.path("into/album"), { now: files, before: this.#mine }),
      this.#mine ? "mixed" : "new",
    );
    if (!this.#mine) await assertSameTree(this.sandbox.path("into/album"), source);
    assertEquals(await stagingFolders(this.sandbox.path("into")), []);
    assertEquals(await this.#journaled(), 0, "the journal has something unfinished");
    const { bytes_on_wire } = receiver.events.find(({ event }) => event === "done")!;
    const most = (sizeOf(files) - this.#arrived) * WIRE_PER_BYTE + STREAMS * CHUNK_BYTES;
    assertTrue(
      bytes_on_wire <= most,
      `${this.#arrived} of ${sizeOf(files)} were here, yet ${bytes_on_wire} came`,
    );
  }

  /** What is in the folder and is not sent. */
  get #mine(): Files | undefined {
    const { before, files } = this.about;
    return before && new Map([...before].filter(([path]) => !files.has(path)));
  }

  /** Bytes that the receiver's journal has of unfinished transfers. */
  async #journaled(): Promise<number> {
    const path = this.sandbox.path("people/receiver/state/wormhole/transfers.db");
    if (!await Deno.stat(path).then(() => true, () => false)) return 0;
    using journal = Journal.open(path, { bootId: "another" });
    const into = await Deno.realPath(this.sandbox.path("into"));
    const unfinished = journal.list(new Uint8Array(encodeName(into)));
    return unfinished.reduce((most, { bytesDone }) => Math.max(most, bytesDone), 0);
  }
}

/** Gives other content for some of the files, and one that is not sent. */
function olderOf(files: Files, dice: Dice): Files {
  const older = [...files].filter(() => dice.once(2)).map(([path, { length }]) =>
    [path, new Uint8Array(dice.below(length + 1)).fill(0x6f)] as const
  );
  return new Map([...older, ["mine", new Uint8Array([1, 2, 3])]]);
}

function kill(running: Running): void {
  try {
    running.signal("SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

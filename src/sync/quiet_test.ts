import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects } from "../base/testing.ts";
import { farPair } from "../../tests/compliance/sync_remote.ts";
import { Sandbox } from "../../tests/e2e/sandbox.ts";
import { NativeQueue } from "../native/queue.ts";
import type { End } from "./end.ts";
import { LocalEnd } from "./local_end.ts";
import { openOwnFolder } from "./own_folder.ts";
import { ALL_ABILITIES, type Mode } from "./policy.ts";
import { Quiet } from "./quiet.ts";
import { Snapshot } from "./snapshot.ts";
import { SyncState } from "./state.ts";
import { synchronize } from "./synchronize.ts";
import { snapshotOf } from "./testing.ts";

/** What is written now is older than two seconds, so that its stamp is proof. */
const now = () => Date.now() + 10_000;

/** Two ends with folders `local` and `remote`, and runs of both as a command makes them. */
class Pair implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #state: SyncState;
  identities: [string, string] = ["one", "two"];
  mode: Mode = "two-way-safe";

  private constructor(readonly sandbox: Sandbox, readonly ends: [End, End]) {
    this.#state = this.#stack.use(SyncState.open(sandbox.path("state.db"), { flipped: false }));
  }

  static async near(): Promise<Pair> {
    const sandbox = await Sandbox.create();
    const queue = NativeQueue.open();
    const ends = await Promise.all(["local", "remote"].map(async (name) => {
      const root = await sandbox.folder(name);
      const own = await openOwnFolder(root);
      const abilities = ALL_ABILITIES;
      const end = new LocalEnd(root, { queue, exclude: [], oneFileSystem: false, abilities, now });
      return { end, own };
    }));
    const pair = new Pair(sandbox, [ends[0]!.end, ends[1]!.end]);
    for (const { own } of ends) pair.#stack.use(own);
    pair.#stack.use(queue);
    pair.#stack.defer(() => sandbox[Symbol.asyncDispose]());
    return pair;
  }

  static async far(): Promise<Pair> {
    const far = await farPair({ now });
    const pair = new Pair(far.sandbox, [far.local, far.remote]);
    pair.#stack.use(far);
    return pair;
  }

  path(path: string): string {
    return this.sandbox.path(...path.split("/"));
  }

  /** Gives how many entries nobody had to look at, or what had to be done. */
  async run(): Promise<number | string> {
    const { ends, identities, mode } = this;
    const policy = { mode, prefer: "alpha", permissions: "all" } as const;
    const quiet = new Quiet({ state: this.#state, identities, ends, policy });
    const entries = await quiet.entries();
    if (entries !== undefined) return entries;
    const { changes, conflicts, isQuiet, entries: both } = await synchronize({
      ends,
      names: ["alpha", "beta"],
      policy: { ...policy, conflictName: (path) => `${path}.conflict` },
      maxDelete: { share: 1 },
      ancestor: this.#state.ancestor(identities) ?? Snapshot.empty(2),
      save: (agreed) => this.#state.save(agreed, identities),
      now,
    });
    if (isQuiet) await quiet.remember(both);
    return `${changes.join(" and ")} changes, ${conflicts} conflicts`;
  }

  /** Runs until nobody has to look any more; gives what the first run did. */
  async settle(): Promise<number | string> {
    const first = await this.run();
    for (let runs = 0; runs < 4; runs++) if (typeof await this.run() === "number") return first;
    throw new Error("somebody has to look each time");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** What happens to the folders `local` and `remote`, and what a run does then. */
const CHANGES: readonly [what: string, done: string, change: (pair: Pair) => Promise<unknown>][] = [
  ["an edit here", "0 and 1", ({ sandbox }) => sandbox.file("local/a", "longer than before")],
  ["an edit there", "1 and 0", ({ sandbox }) => sandbox.file("remote/d/b", "longer than before")],
  ["a new file", "0 and 1", ({ sandbox }) => sandbox.file("local/d/new", "new")],
  ["a deletion", "1 and 0", (pair) => Deno.remove(pair.path("remote/d/new"))],
  ["permissions", "0 and 1", (pair) => Deno.chmod(pair.path("local/a"), 0o600)],
  ["a new name", "1 and 0", (pair) => Deno.rename(pair.path("remote/a"), pair.path("remote/z"))],
  ["another target of a symlink", "0 and 1", async (pair) => {
    await Deno.remove(pair.path("local/link"));
    await Deno.symlink("z", pair.path("local/link"));
  }],
  [
    "a rule that leaves something alone",
    "0 and 1",
    ({ sandbox }) => sandbox.file("local/.wormholeignore", "z\n"),
  ],
];

Deno.test("Quiet waits for no end once another one is seen to have changed", async () => {
  await using sandbox = await Sandbox.create();
  using state = SyncState.open(sandbox.path("state.db"), { flipped: true });
  const identities = ["one", "two"] as const;
  state.save(snapshotOf("a=1", { ends: 2 }), [...identities]);
  const marks = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] as const;
  const end = (mark: Promise<Uint8Array | undefined>): End => ({
    abilities: () => Promise.resolve(ALL_ABILITIES),
    ignored: () => Promise.resolve([]),
    mark: () => mark,
    scan: () => Promise.reject(new Error("nobody scans")),
    space: () => Promise.reject(new Error("nobody asks for room")),
    stage: () => Promise.reject(new Error("nobody stages")),
    change: () => Promise.reject(new Error("nobody changes")),
    flush: () => Promise.reject(new Error("nobody flushes")),
  });
  const quiet = (...given: readonly Promise<Uint8Array | undefined>[]) =>
    new Quiet({
      state,
      identities: [...identities],
      ends: [end(given[0]!), end(given[1]!)],
      policy: { mode: "two-way-safe", prefer: "alpha", permissions: "all" },
    });
  const never = new Promise<Uint8Array>(() => {});
  const [a, b] = marks.map((mark) => Promise.resolve(mark));
  const other = Promise.resolve(new Uint8Array(32).fill(3));
  // Nothing is known yet, so nobody is waited for.
  assertEquals(await quiet(never, never).entries(), undefined);
  const first = quiet(a!, b!);
  assertEquals(await first.entries(), undefined);
  await first.remember(7);
  assertEquals(await quiet(a!, b!).entries(), 7);
  for (const changed of [[other, never], [never, other], [Promise.resolve(undefined), never], [b!, a!]]) {
    assertEquals(await quiet(...changed).entries(), undefined);
  }
  await assertRejects(() => quiet(a!, Promise.reject(new WormholeError("IO", "gone"))).entries(), "IO");
  assertEquals(await quiet(a!, b!).entries(), 7);
});

for (const [name, open] of [["two folders here", Pair.near], ["a folder there", Pair.far]] as const) {
  Deno.test(`Quiet of ${name} spares looking just until something changes`, async () => {
    await using pair = await open();
    const { sandbox } = pair;
    await sandbox.file("local/a", "a");
    await sandbox.file("remote/d/b", "b");
    await Deno.symlink("a", pair.path("local/link"));
    assertEquals(await pair.settle(), "2 and 2 changes, 0 conflicts");
    assertEquals(await pair.run(), 4);
    for (const [what, done, change] of CHANGES) {
      await change(pair);
      assertEquals(await pair.settle(), `${done} changes, 0 conflicts`, what);
    }
    // Another policy may decide otherwise, and other roots have another past.
    pair.mode = "one-way-safe";
    assertEquals(await pair.settle(), "0 and 0 changes, 0 conflicts");
    pair.identities = ["one", "another"];
    assertEquals(await pair.settle(), "0 and 0 changes, 0 conflicts");
  });
}

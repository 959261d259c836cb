/** Several transfers of the same things side by side, over the memory transport. */
import { assertEquals } from "../../src/base/testing.ts";
import { crowdFailure, serveComers, serveEach, TimeUp } from "../../src/send/crowd.ts";
import { runGetter, runProvider, SendSource } from "../../src/transfer/mod.ts";
import { WormholeError } from "../../src/base/errors.ts";
import { Sandbox } from "../e2e/sandbox.ts";
import { assertSameTree, makeMany, noise, stagingFolders } from "../e2e/trees.ts";
import { memoryLinks } from "./pairs.ts";
import { getterOptions, providerOptions } from "./transfer.ts";
import type { LinkedPair } from "./transport.ts";

const CHUNK_BYTES = 4 * 1024 * 1024;

async function scene() {
  const sandbox = await Sandbox.create();
  const tree = await makeMany(sandbox.path("tree"), 300);
  await sandbox.file("tree/big", noise(3 * CHUNK_BYTES + 5));
  return { sandbox, tree };
}

/** Sends the tree over one pair, by a source of its own. */
async function provide(pair: LinkedPair, tree: string) {
  await using source = await SendSource.open(pair.queue, { paths: [tree], chunkBytes: CHUNK_BYTES });
  return await runProvider({ ...providerOptions(pair, source), poolBytes: 2 * CHUNK_BYTES });
}

Deno.test("serveEach() carries a tree to three at once; one that refuses ends nobody else", async () => {
  const { sandbox, tree } = await scene();
  await using _ = sandbox;
  await using stack = new AsyncDisposableStack();
  const pairs: LinkedPair[] = [];
  for (let i = 0; i < 3; i++) pairs.push(stack.use(await memoryLinks()));
  const getting = pairs.map(async (pair, i) => {
    const options = getterOptions(pair, await sandbox.folder(`into${i}`));
    const accept = () => {
      if (i !== 1) return { accept: true } as const;
      throw new WormholeError("NO_SPACE", "full");
    };
    return await runGetter({ ...options, accept });
  });
  const [{ ends, cause }] = await Promise.all([
    serveEach(3, { serve: (receiver) => provide(pairs[receiver - 1]!, tree) }),
    Promise.allSettled(getting),
  ]);
  assertEquals(cause, undefined);
  assertEquals(ends.map((end) => "outcome" in end), [true, false, true]);
  assertEquals((crowdFailure({ ends }) as WormholeError).code, "PARTIAL");
  for (const i of [0, 2]) await assertSameTree(sandbox.path(`into${i}/tree`), tree);
  assertEquals(await stagingFolders(sandbox.path("into1")), []);
});

Deno.test("serveComers() carries a tree to whoever comes until it is told to stop", async () => {
  const { sandbox, tree } = await scene();
  await using _ = sandbox;
  await using stack = new AsyncDisposableStack();
  const pairs: LinkedPair[] = [];
  for (let i = 0; i < 3; i++) pairs.push(stack.use(await memoryLinks()));
  const until = new AbortController();
  const comers = pairs.values();
  const serving = serveComers<LinkedPair>({
    next: ({ signal }) => {
      const { value } = comers.next();
      if (value !== undefined) return Promise.resolve(value);
      // The last one has come: the code closes while all of them are being served.
      until.abort(new TimeUp(1));
      return Promise.reject(signal.reason);
    },
    serve: (pair, { paired }) => {
      paired();
      return provide(pair, tree);
    },
    close: () => Promise.resolve(),
    until: until.signal,
    atOnce: 8,
  });
  const getting = pairs.map(async (pair, i) =>
    await runGetter(getterOptions(pair, await sandbox.folder(`into${i}`)))
  );
  const [result, ...got] = await Promise.all([serving, ...getting]);
  assertEquals(crowdFailure(result), undefined);
  assertEquals(result.ends.map(({ receiver }) => receiver), [1, 2, 3]);
  for (const [i] of got.entries()) await assertSameTree(sandbox.path(`into${i}/tree`), tree);
});

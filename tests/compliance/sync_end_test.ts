import { NativeQueue } from "../../src/native/queue.ts";
import { LocalEnd } from "../../src/sync/local_end.ts";
import { openOwnFolder } from "../../src/sync/own_folder.ts";
import { ALL_ABILITIES } from "../../src/sync/policy.ts";
import { FILE } from "../../src/sync/snapshot.ts";
import { Sandbox } from "../e2e/sandbox.ts";
import { SimFolder } from "../sim/sync_folder.ts";
import { testSyncEnd, type TwoEnds } from "./sync_end.ts";
import { asEnds, farPair } from "./sync_remote.ts";

testSyncEnd("a folder in memory", () => {
  const ends = [new SimFolder(), new SimFolder()] as const;
  const two: TwoEnds = {
    ends,
    write: (side, path, text) => Promise.resolve(void ends[side].put(path, FILE, Number(text))),
    remove: (side, path) => Promise.resolve(void ends[side].remove(path)),
    read: (side, path) => Promise.resolve(ends[side].entries.get(path)?.content.toString()),
    trash: (side) => Promise.resolve(ends[side].trash.map(String)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return Promise.resolve(two);
});

testSyncEnd("a folder of this machine", async () => {
  const stack = new AsyncDisposableStack();
  const sandbox = stack.use(await Sandbox.create());
  const queue = stack.use(NativeQueue.open());
  const roots = [await sandbox.folder("alpha"), await sandbox.folder("beta")];
  const ends = [];
  for (const root of roots) {
    stack.use(await openOwnFolder(root));
    const options = { queue, exclude: [], oneFileSystem: false, abilities: ALL_ABILITIES, now: Date.now };
    ends.push(new LocalEnd(root, options));
  }
  return {
    ends: [ends[0]!, ends[1]!],
    write: async (side, path, text) => void await sandbox.file(`${["alpha", "beta"][side]}/${path}`, text),
    remove: (side, path) => Deno.remove(`${roots[side]}/${path}`, { recursive: true }),
    read: (side, path) => Deno.readTextFile(`${roots[side]}/${path}`).catch(() => undefined),
    trash: (side) => textsBelow(`${roots[side]}/.wormhole-sync/trash`),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
});

for (const first of ["local", "remote"] as const) {
  testSyncEnd(`a folder of another machine, ${first} first`, async () => {
    const pair = await farPair();
    const { ends, roots } = asEnds(pair, first);
    const names = [first, first === "local" ? "remote" : "local"] as const;
    return {
      ends,
      write: async (side, path, text) => void await pair.sandbox.file(`${names[side]}/${path}`, text),
      remove: (side, path) => Deno.remove(`${roots[side]}/${path}`, { recursive: true }),
      read: (side, path) => Deno.readTextFile(`${roots[side]}/${path}`).catch(() => undefined),
      trash: (side) => textsBelow(`${roots[side]}/.wormhole-sync/trash`),
      [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
    };
  });
}

async function textsBelow(folder: string): Promise<string[]> {
  const texts: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    texts.push(...isDirectory ? await textsBelow(path) : [await Deno.readTextFile(path)]);
  }
  return texts;
}

/** A link that breaks at any moment: every file is its old or its new version, and the next run brings both together. */
import { isWormholeError } from "../../base/errors.ts";
import { assertEquals, assertTrue } from "../../base/testing.ts";
import {
  begin,
  type FarOptions,
  type FarPair,
  farPair,
  runPair,
} from "../../../tests/compliance/sync_remote.ts";
import { Sandbox } from "../../../tests/e2e/sandbox.ts";
import { Snapshot } from "../snapshot.ts";

/** More frames than the client sends in the runs below. */
const MOST_FRAMES = 60;

for (const link of ["control", "data"] as const) {
  Deno.test(`a run whose ${link} link breaks before any frame leaves whole files, and the next one ends it`, async () => {
    await using sandbox = await Sandbox.create();
    let agreed = Snapshot.empty(2);
    const runIn = async (pair: FarPair) =>
      void await runPair(pair, { ancestor: agreed, save: (next) => void (agreed = next) });
    for (const side of ["local", "remote"]) await sandbox.file(`${side}/base`, "0");
    let cuts = 0;
    for (let frames = 0; frames < MOST_FRAMES; frames++) {
      const versions = await work(sandbox, frames);
      const isCut = await cutAt(sandbox, { link, frames }, runIn);
      await assertWhole(sandbox, versions);
      {
        await using pair = await farPair({ sandbox });
        await runIn(pair);
      }
      const [near, far] = await Promise.all(["local", "remote"].map((side) => treeOf(sandbox.path(side))));
      assertEquals(near, far, `after a cut at ${frames}`);
      if (!isCut) break;
      cuts++;
    }
    assertTrue(cuts >= (link === "control" ? 10 : 3) && cuts < MOST_FRAMES, `${cuts} cuts`);
  });
}

/** Tells whether the run broke off. */
async function cutAt(
  sandbox: Sandbox,
  cut: NonNullable<FarOptions["cut"]>,
  runIn: (pair: FarPair) => Promise<void>,
): Promise<boolean> {
  try {
    await using pair = await farPair({ sandbox, cut });
    if (cut.link === "control") await begin(pair.channel);
    await runIn(pair);
    return false;
  } catch (error) {
    const failure = error instanceof SuppressedError ? error.suppressed : error;
    if (isWormholeError(failure)) return true;
    throw error;
  }
}

/** Somebody edits, deletes and moves in both folders; gives every text that a path may have now. */
async function work(sandbox: Sandbox, round: number): Promise<Map<string, Set<string | undefined>>> {
  const versions = new Map<string, Set<string | undefined>>();
  for (const side of ["local", "remote"]) {
    const tree = await treeOf(sandbox.path(side));
    for (const [path, text] of Object.entries(tree)) versions.set(path, new Set([text, undefined]));
  }
  const write = async (path: string, text: string) => {
    await sandbox.file(path, text);
    const below = path.slice(path.indexOf("/") + 1);
    versions.set(below, (versions.get(below) ?? new Set<string | undefined>([undefined])).add(text));
  };
  await write("local/base", `l${round}`);
  await write(`local/new-${round}`, `new ${round}`);
  await write(`remote/d/far-${round}`, `far ${round}`);
  if (round > 0) await Deno.remove(sandbox.path(`remote/new-${round - 1}`));
  return versions;
}

async function assertWhole(sandbox: Sandbox, versions: ReadonlyMap<string, ReadonlySet<string | undefined>>) {
  for (const side of ["local", "remote"]) {
    const tree = await treeOf(sandbox.path(side));
    for (const [path, text] of Object.entries(tree)) {
      assertTrue(versions.get(path)?.has(text), `${side}/${path} is "${text}", which nobody wrote`);
    }
  }
}

async function treeOf(root: string, below = ""): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  for await (const { name, isDirectory } of Deno.readDir(`${root}/${below}`)) {
    const path = below + name;
    if (path === ".wormhole-sync") continue;
    if (isDirectory) Object.assign(tree, await treeOf(root, `${path}/`));
    else tree[path] = await Deno.readTextFile(`${root}/${path}`);
  }
  return Object.fromEntries(Object.entries(tree).sort());
}

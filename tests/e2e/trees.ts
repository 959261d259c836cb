/** Makes, lists and compares folder trees; `trees.py` does what needs names as bytes. */
import { fromFileUrl } from "../../src/base/paths.ts";
import { assertEquals, assertTrue } from "../../src/base/testing.ts";

/** One entry of a tree; names with lone surrogates for bytes that are not UTF-8. */
export interface TreeEntry {
  /** From the tree's root, "" for the root itself. */
  readonly path: string;
  readonly kind: "file" | "directory" | "symlink" | "other";
  /** Permission bits; absent for symlinks. */
  readonly mode?: number;
  /** ns since 1970, decimal. */
  readonly mtime: string;
  readonly size?: number;
  /** 512-byte blocks that the file takes on the disk. */
  readonly blocks?: number;
  readonly hash?: string;
  readonly target?: string;
}

const SCRIPT = fromFileUrl(new URL("./trees.py", import.meta.url));

/** Makes a tree with everything that is hard to carry: names, modes, times, symlinks, holes. */
export async function makeOddities(dir: string): Promise<string> {
  await python(["oddities", dir]);
  return dir;
}

/** Makes `levels` nested folders with one file at the bottom. */
export async function makeDeep(dir: string, levels: number): Promise<string> {
  await python(["deep", dir, String(levels)]);
  return dir;
}

/** Makes `count` small files in folders of 100. */
export async function makeMany(dir: string, count: number): Promise<string> {
  await python(["many", dir, String(count)]);
  return dir;
}

/** Lists everything under `dir`, sorted by path, `dir` itself first. */
export async function listTree(dir: string): Promise<TreeEntry[]> {
  return JSON.parse(await python(["list", dir]));
}

/** Fails unless both trees are equal: names, kinds, modes, ns times, targets, content, and holes stay holes. */
export async function assertSameTree(actualDir: string, expectedDir: string): Promise<void> {
  const [actual, expected] = await Promise.all([listTree(actualDir), listTree(expectedDir)]);
  assertEquals(actual.map(comparable), expected.map(comparable));
  for (const [index, entry] of expected.entries()) {
    const { blocks } = actual[index]!;
    const allowed = Math.max(entry.blocks ?? 0, 8) * 1.1 + 16;
    assertTrue(
      (blocks ?? 0) <= allowed,
      `"${entry.path}" takes ${blocks} blocks, its source ${entry.blocks}`,
    );
  }
}

/** A staging folder in the folder that is received into, and everything in it. */
const STAGED = /^\.wormhole-[0-9a-f]{16}\.part(\/|$)/;

/** Fails unless `dir` still holds exactly `before`; with `kept` a hidden staging folder may have come, for another try. */
export async function assertUnchanged(
  dir: string,
  before: readonly TreeEntry[],
  { kept = false }: { kept?: boolean } = {},
): Promise<void> {
  const now = await listTree(dir);
  // The folder's own mtime moves when a staging folder comes and goes; what is in it may not.
  assertEquals(now.slice(1).filter(({ path }) => !kept || !STAGED.test(path)), before.slice(1));
}

/** Gives the names of the staging folders in `dir`. */
export async function stagingFolders(dir: string): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(dir), ({ name }) => name);
  return names.filter((name) => STAGED.test(name));
}

/** Gives `size` bytes of fast, reproducible noise. */
export function noise(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state >>> 0;
  }
  return new Uint8Array(words.buffer, 0, size);
}

/** Gives `size` bytes that take zstd's highest levels long: the digits of noise, half as many bits as bytes. */
export function slowToPack(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const digits = new TextEncoder().encode("0123456789abcdef");
  const bytes = new Uint8Array(size);
  const source = noise(Math.ceil(size / 2), seed);
  for (let at = 0; at < size; at++) bytes[at] = digits[(source[at >> 1]! >> (at % 2 * 4)) & 15]!;
  return bytes;
}

function comparable({ blocks: _, ...entry }: TreeEntry): Omit<TreeEntry, "blocks"> {
  return entry;
}

async function python(args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("python3", { args: [SCRIPT, ...args] }).output();
  if (!success) throw new Error(`trees.py ${args[0]}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

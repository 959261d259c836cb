/** Small trees with many chunks, and a look at what is at their final names. */
import { assertTrue } from "../../../src/base/testing.ts";
import type { Dice } from "../hostile_manifests.ts";
import type { Sandbox } from "../sandbox.ts";
import { slowToPack } from "../trees.ts";

/** The smallest `bulk_chunk_size`: what is sent again after a break is counted in these. */
export const CHUNK_BYTES = 64 * 1024;

/**
 * Level of zstd at which a transfer takes so long that faults find it under way, and bytes on the wire per byte of
 * content then: half as many, and what each chunk and small file takes beside.
 */
export const SLOW_LEVEL = 9;
export const WIRE_PER_BYTE = 0.62;

/** Content of the files by path. */
export type Files = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/** Gives a folder's files: one large, some of a few chunks, small ones, an empty one; `size` bytes or a little more. */
export function someFiles(dice: Dice, size: number): Files {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const put = (path: string, bytes: number) =>
    void files.set(path, slowToPack(bytes, 1 + dice.below(2 ** 31)));
  put("large", size >> 1);
  for (let left = size >> 1, index = 0; left > 0; index++) {
    const bytes = dice.once(3) ? dice.below(8 * CHUNK_BYTES) : dice.below(2000);
    put(`folder-${index % 3}/${index}`, bytes);
    left -= bytes + 1000;
  }
  put("empty", 0);
  return files;
}

/** Writes the files below the folder `name` of the sandbox; gives its path. */
export async function writeFiles(sandbox: Sandbox, name: string, files: Files): Promise<string> {
  for (const [path, bytes] of files) await sandbox.file(`${name}/${path}`, bytes);
  return sandbox.path(name);
}

/** Gives the bytes of all files. */
export function sizeOf(files: Files): number {
  return files.values().reduce((sum, { length }) => sum + length, 0);
}

/** Tells what a folder holds at `path`: nothing, or the paths of the files that are whole in either version. */
export async function assertWhole(
  path: string,
  { now, before, partial = false }: {
    now: Files;
    before?: Files | undefined;
    /** Some of the files were reported as failed. */
    partial?: boolean;
  },
): Promise<"absent" | "old" | "new" | "mixed"> {
  let old = 0, fresh = 0;
  const found = await walk(path);
  if (found === undefined) {
    assertTrue(before === undefined, `"${path}" is gone`);
    return "absent";
  }
  for (const name of found) {
    const bytes = await Deno.readFile(`${path}/${name}`);
    if (isSame(bytes, now.get(name))) fresh++;
    else if (isSame(bytes, before?.get(name))) old++;
    else {throw new Error(
        `"${path}/${name}" is neither the old file nor the new one: ${different(bytes, now.get(name))}`,
      );}
  }
  // A tree that was not there before comes in one rename.
  if (before === undefined) {
    assertTrue(partial || fresh === now.size, `${fresh} of ${now.size} files are in "${path}"`);
  } else for (const name of before.keys()) assertTrue(found.includes(name), `"${path}/${name}" is gone`);
  return old === 0 ? "new" : fresh === 0 ? "old" : "mixed";
}

/** Gives the names of all files under `path`; undefined when there is nothing. */
async function walk(path: string, prefix = ""): Promise<string[] | undefined> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(`${path}/${prefix}`)) {
      const name = prefix + entry.name;
      if (entry.isDirectory) names.push(...await walk(path, `${name}/`) ?? []);
      else names.push(name);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return names;
}

function isSame(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && a.length === b.length && firstDifference(a, b) === undefined;
}

function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  const words = (bytes: Uint8Array) => new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3);
  const [x, y] = [words(a), words(b)];
  let at = 0;
  while (at < x.length && x[at] === y[at]) at++;
  for (at *= 8; at < a.length; at++) if (a[at] !== b[at]) return at;
  return undefined;
}

function different(actual: Uint8Array, expected: Uint8Array | undefined): string {
  if (expected === undefined) return "it was never sent";
  if (actual.length !== expected.length) return `${actual.length} bytes of ${expected.length}`;
  const from = firstDifference(actual, expected)!;
  const to = actual.findLastIndex((byte, at) => byte !== expected[at]);
  const what = actual.subarray(from, to).every((byte) => byte === 0) ? "zeros" : "other bytes";
  return `${what} from ${from} to ${to} of ${actual.length}`;
}

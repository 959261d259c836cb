/** Trees with everything that a file can have; `trees.py` makes and compares them, with names as bytes. */
import { fromFileUrl } from "../../../src/base/paths.ts";
import { assertEquals } from "../../../src/base/testing.ts";

const SCRIPT = fromFileUrl(new URL("./trees.py", import.meta.url));

/** Makes a tree with every attribute and oddity that this user may make there. */
export async function makeEverything(dir: string): Promise<string> {
  await python(["everything", dir]);
  return dir;
}

/** Makes `count` small random trees `DIR/0`, `DIR/1`, …, the first from `seed`. */
export async function makeRandom(
  dir: string,
  { count, seed }: { count: number; seed: number },
): Promise<string[]> {
  await python(["random", dir, String(count), String(seed)]);
  return Array.from({ length: count }, (_, index) => `${dir}/${index}`);
}

/** Changes each of `dirs` a little. */
export async function change(dirs: readonly string[], { seed }: { seed: number }): Promise<void> {
  await python(["changing", String(seed), ...dirs]);
}

/** What a comparison looks at; everything without. */
export interface Compared {
  /** The room that files take. */
  readonly holes?: boolean;
  readonly xattrs?: boolean;
}

/** Gives what differs between each pair of trees, in words. */
export async function differences(
  pairs: readonly (readonly [string, string])[],
  { holes = true, xattrs = true }: Compared = {},
): Promise<string[][]> {
  const flags = [
    ...holes ? [] : ["--no-holes"],
    ...xattrs ? [] : ["--no-xattrs"],
  ];
  return JSON.parse(await python(["compare", ...flags, ...pairs.flat()]));
}

/** Fails unless both trees are the same in everything but the names of their roots. */
export async function assertSame(actual: string, expected: string, options: Compared = {}): Promise<void> {
  const [found] = await differences([[expected, actual]], options);
  assertEquals(found, []);
}

/** Fails unless every file of `actual` has the bytes that it has in `source`; not all need be there. */
export async function assertWhole(source: string, actual: string, what: string): Promise<void> {
  assertEquals(
    JSON.parse(await python(["whole", source, actual])),
    [],
    `something is there by half: ${what}`,
  );
}

/** Fails when rsync would still change something; passes over where there is no rsync. */
export async function assertRsyncAgrees(actual: string, expected: string): Promise<void> {
  const args = ["-aHAXSn", "--delete", "--checksum", "--itemize-changes", `${expected}/`, `${actual}/`];
  const { stdout, stderr, success } = await new Deno.Command("rsync", { args }).output().catch((error) => {
    if (error instanceof Deno.errors.NotFound) {
      return { stdout: new Uint8Array(), stderr: new Uint8Array(), success: true };
    }
    throw error;
  });
  assertEquals([success, text(stdout) + text(stderr)], [true, ""]);
}

async function python(args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("python3", { args: [SCRIPT, ...args] }).output();
  if (!success) throw new Error(`trees.py ${args[0]}: ${text(stderr)}`);
  return text(stdout);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Where the journal of a copy that can go on is: the same command finds the same file. */
import { encodeName } from "../base/names.ts";
import { join } from "../base/paths.ts";
import type { Root } from "./places.ts";

/** Folder of the journals below the state folder. */
const FOLDER = "copies";

/** Hex digits of a journal's name: 128 bits never meet by chance. */
const NAME_DIGITS = 32;

/** After that a journal is of no use to anybody, in ms: 90 days. */
const KEPT_MS = 90 * 24 * 60 * 60 * 1000;

/** Makes the folder for the journal of `roots`, removes old ones from it, and gives the journal's path. */
export async function makeJournalPath(
  stateDir: string,
  roots: readonly Root[],
  { nowMs }: { nowMs: number },
): Promise<string> {
  const folder = join(stateDir, FOLDER);
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const path = await journalPath(stateDir, roots);
  for await (const { name } of Deno.readDir(folder)) {
    const other = join(folder, name);
    if (other === path) continue;
    // Another copy may remove it just now.
    const mtime = (await Deno.lstat(other).catch(() => undefined))?.mtime?.getTime();
    if (mtime !== undefined && mtime < nowMs - KEPT_MS) await Deno.remove(other).catch(() => {});
  }
  return path;
}

/** Tells whether a copy to `roots` was begun and not ended. */
export async function wasStopped(stateDir: string, roots: readonly Root[]): Promise<boolean> {
  return await Deno.lstat(await journalPath(stateDir, roots)).then(({ isFile }) => isFile, () => false);
}

/** Forgets that a copy to `roots` was begun. */
export async function forgetStopped(stateDir: string, roots: readonly Root[]): Promise<void> {
  await Deno.remove(await journalPath(stateDir, roots)).catch(() => {}); // mostly there is none
}

async function journalPath(stateDir: string, roots: readonly Root[]): Promise<string> {
  const folder = join(stateDir, FOLDER);
  const here = Deno.cwd();
  const lines = roots.map(({ source, target }) =>
    [source, target].map((path) => absolute(path, here)).join("\0")
  );
  const digest = await crypto.subtle.digest("SHA-256", encodeName(lines.join("\0\0")));
  const name = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return join(folder, `${name.slice(0, NAME_DIGITS)}.journal`);
}

function absolute(path: string, here: string): string {
  return path.startsWith("/") ? path : join(here, path);
}

/** Where the journal of a copy that can go on is: the same command finds the same file. */
import { encodeName } from "../base/names.ts";
import { join } from "../base/paths.ts";
import type { Root } from "./places.ts";

/** Folder of the journals below the state folder. */
const FOLDER = "copies";

/** Hex digits of a journal's name: 128 bits never meet by chance. */
const NAME_DIGITS = 32;

/** Makes the folder for the journal of `roots` and gives the journal's path. */
export async function journalPath(stateDir: string, roots: readonly Root[]): Promise<string> {
  const folder = join(stateDir, FOLDER);
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
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

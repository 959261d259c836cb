/** The folders of the command line as they are on this machine, and the second one where it is still to be made. */
import { WormholeError } from "../base/errors.ts";
import { basename, dirname, join } from "../base/paths.ts";
import { diskFailure } from "./own_folder.ts";

/**
 * Gives where a folder really is; undefined: there is nothing.
 *
 * @throws {WormholeError} NOT_DIRECTORY, PERMISSION_DENIED, IO.
 */
export async function realFolder(path: string): Promise<string | undefined> {
  try {
    const real = await Deno.realPath(path);
    if ((await Deno.stat(real)).isDirectory) return real;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    const code = error instanceof Deno.errors.PermissionDenied ? "PERMISSION_DENIED" : "IO";
    const state = error instanceof Error ? error.message : String(error);
    throw new WormholeError(code, `Cannot synchronize "${path}": ${state}`, { cause: error });
  }
  throw new WormholeError("NOT_DIRECTORY", `Cannot synchronize "${path}": it is no folder`);
}

/**
 * Gives where a folder that is not there would really be.
 *
 * @throws {WormholeError} NOT_FOUND when it cannot be made: its parent is not there, or something else is in its place.
 */
export async function placeFor(path: string): Promise<string> {
  const bare = path.replace(/(.)\/+$/, "$1");
  const name = basename(bare);
  const above = /^\.{1,2}$/.test(name) ? undefined : await realFolder(dirname(bare));
  // A symlink that leads nowhere is no place for a folder.
  const isTaken = await Deno.lstat(bare).then(() => true, () => false);
  if (above === undefined || isTaken) {
    throw new WormholeError("NOT_FOUND", `Cannot synchronize "${path}": there is no such folder`);
  }
  return join(above, name);
}

/** Makes a folder, its parent being there; `given` is what the person called it. @throws {WormholeError} what the disk says. */
export async function makeFolder(place: string, given: string): Promise<void> {
  try {
    await Deno.mkdir(place);
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists) return; // just now
    throw diskFailure(cause, `Cannot make "${given}"`);
  }
}

/** An empty folder somewhere, while a dry run looks at it. */
export class EmptyFolder implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async make(): Promise<EmptyFolder> {
    return new EmptyFolder(await Deno.makeTempDir({ prefix: "wormhole-sync-" }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path);
  }
}

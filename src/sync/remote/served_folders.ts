/** The folders of this machine that another one may synchronize: found by what it calls them, locked while it works. */
import { systemClock } from "../../base/clock.ts";
import { WormholeError } from "../../base/errors.ts";
import { join } from "../../base/paths.ts";
import { hashBuffer } from "../../native/hash.ts";
import { LockBook } from "../../locks/mod.ts";
import type { NativeQueue } from "../../native/queue.ts";
import type { SharedFolder } from "../../peers/mod.ts";
import type { FileIndex } from "../../store/mod.ts";
import { LocalEnd } from "../local_end.ts";
import type { Look, LookAhead } from "../look_ahead.ts";
import { LocksBelow } from "../locks_below.ts";
import { emptyTrash, identityIn, openOwnFolder, probe } from "../own_folder.ts";
import { ALL_ABILITIES } from "../policy.ts";
import { absolutePath, isMissingIn, wayTo } from "./asked_path.ts";
import { PageCache } from "./page_cache.ts";
import type { Served, ServedRun } from "./serve_folder.ts";

/** What {@linkcode findServed} needs. */
export interface ServedOptions {
  /** The folders that the other machine may synchronize, with everything in them. */
  readonly allowed: readonly SharedFolder[];
  /** What a relative path is below. */
  readonly home: string;
  readonly stateDir: string;
  readonly queue: NativeQueue;
  readonly index?: FileIndex;
  /** How long what is displaced stays in the trash, in ms. */
  readonly trashMs: number;
  /** A look at it that has begun already. */
  readonly look?: LookAhead;
  /** Told each time what is looked at. */
  onLook?(look: Look): void;
  onWarning?(sentence: string): void;
  /** ms since 1970. */
  readonly now: () => number;
}

/**
 * Finds the folder that another machine calls `path`: absolute, below the home folder, or nothing for the only one that it may
 * synchronize.
 *
 * @throws {WormholeError} REFUSED outside of what is allowed, whether there is something or not; NOT_FOUND, NOT_DIRECTORY.
 */
export async function findServed(path: string, options: ServedOptions): Promise<Served> {
  const { allowed, home } = options;
  const asked = absolutePath(path, { folders: allowed, home });
  if (asked === undefined) throw refused();
  let place: string;
  try {
    place = await Deno.realPath(asked);
  } catch {
    // Whoever has no right there learns nothing of what is there.
    if (!await isMissingIn(allowed, asked)) throw refused();
    throw new WormholeError("NOT_FOUND", `Cannot synchronize "${asked}": it is not there`);
  }
  const way = wayTo(allowed, place);
  if (way === undefined) throw refused();
  if (!(await Deno.stat(place)).isDirectory) {
    throw new WormholeError("NOT_DIRECTORY", `Cannot synchronize "${place}": it is no folder`);
  }
  return {
    place,
    way,
    identity: () => identityIn(place),
    begin: (about, { signal }) => begin(place, about, { ...options, signal }),
  };
}

function refused(): WormholeError {
  return new WormholeError("REFUSED", "Cannot synchronize: there is no right to that folder");
}

async function begin(
  place: string,
  { dry_run: isDryRun, one_file_system: oneFileSystem, skip_symlinks, way = "both" }: Parameters<
    Served["begin"]
  >[0],
  options: ServedOptions & { signal: AbortSignal },
): Promise<ServedRun> {
  const { stateDir, queue, index, now, signal } = options;
  // Between the question and this somebody may have put a symlink into its path, who has a right to a folder above it.
  if (await Deno.realPath(place).catch(() => undefined) !== place) throw refused();
  using stack = new DisposableStack();
  // A dry run leaves nothing behind, not even a folder of its own.
  const mayOpen = !isDryRun || await identityIn(place) !== undefined;
  const own = mayOpen ? stack.use(await openOwnFolder(place)) : undefined;
  const folder = join(stateDir, "sync", "served");
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const name = hashBuffer(new TextEncoder().encode(place)).toHex().slice(0, 32);
  const cache = stack.use(PageCache.open(join(folder, `${name}.db`)));
  const abilities = own === undefined ? ALL_ABILITIES : await probe(place);
  // It only looks, and waits for nobody.
  const book = stack.use(new LockBook(stateDir, { clock: { ...systemClock, now } }));
  const locks = new LocksBelow(place, book);
  const end = new LocalEnd(place, {
    locks,
    ...own && { assertThere: own.assertThere },
    queue,
    exclude: [],
    oneFileSystem,
    abilities: skip_symlinks ? { ...abilities, symlinks: false } : abilities,
    ...index && { index },
    ahead(rules) {
      const look = { root: place, rules, exclude: [], oneFileSystem };
      options.onLook?.(look);
      return options.look?.take(look, own?.found, signal);
    },
    now,
    signal,
  });
  const held = stack.move();
  return {
    end,
    ...own && { own },
    cache,
    locks,
    isDryRun,
    way,
    finish: async () => {
      await emptyTrash(place, { keepMs: options.trashMs, now: now() }).catch((error) => {
        // All is done; what is too old in the trash stays a little longer.
        const state = error instanceof Error ? error.message : String(error);
        options.onWarning?.(`Cannot empty the trash of "${place}": ${state}`);
      });
    },
    [Symbol.asyncDispose]: async () => {
      using _held = held;
      await end.leave();
      await options.look?.[Symbol.asyncDispose]();
    },
  };
}

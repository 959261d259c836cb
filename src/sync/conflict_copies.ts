/** Conflict copies in a folder, by their names alone: whoever has the folder can settle them, on any machine. */
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { encodeName } from "../base/names.ts";
import { dirname, join } from "../base/paths.ts";
import { NativeQueue } from "../native/queue.ts";
import { changeFolder, type NativeStep } from "../native/sync.ts";
import { MAX_NAME_BYTES } from "../wire/limits.ts";
import { openOwnFolder } from "./own_folder.ts";
import { OWN_FOLDER, parseConflictName, TRASH, trashName } from "./places.ts";
import { scanFolder } from "./scan.ts";
import { DIRECTORY, FILE, Snapshot } from "./snapshot.ts";

/** Which version stays. */
export type Keep = "current" | "copy" | "both";

/** A conflict that nobody has settled yet. Paths are relative to the root. */
export interface ConflictCopy {
  readonly path: string;
  readonly copy: string;
  readonly machine: string;
  /** As in the name: 20261121T150822Z. */
  readonly time: string;
}

/** Gives the conflict copies below `root`. @throws {WormholeError} when it cannot be read. */
export async function conflictCopies(
  root: string,
  options: { signal?: AbortSignal } = {},
): Promise<ConflictCopy[]> {
  await using queue = NativeQueue.open();
  return copiesIn((await look(root, queue, options)).snapshot);
}

/**
 * Settles the conflicts of `copies`: `current` puts the copy into the trash, `copy` puts it in place and the current
 * version into the trash, `both` gives it a name of its own. Gives those that could not be settled.
 *
 * @throws {WormholeError} BUSY while the folder is being synchronized; NOT_FOUND when it never was.
 */
export async function settleConflicts(
  root: string,
  { copies, keep, now, signal }: {
    copies: readonly ConflictCopy[];
    keep: Keep;
    /** ms since 1970. */
    now: number;
    signal?: AbortSignal;
  },
): Promise<{ copy: ConflictCopy; message: string }[]> {
  if (!(await Deno.stat(join(root, OWN_FOLDER)).catch(() => undefined))?.isDirectory) {
    throw new WormholeError("NOT_FOUND", `Cannot settle conflicts in "${root}": it was never synchronized`);
  }
  using _own = await openOwnFolder(root);
  await using queue = NativeQueue.open();
  const { snapshot } = await look(root, queue, signal === undefined ? {} : { signal });
  const trash = `${TRASH}/${trashName(now)}`;
  const failed: { copy: ConflictCopy; message: string }[] = [];
  for (const copy of copies) {
    const row = snapshot.find(copy.copy);
    const step = row < 0 ? undefined : stepFor(copy, { snapshot, row, keep, trash });
    if (step === undefined) {
      const state = row < 0 ? "it is not there any more" : "a folder is there; move it by hand";
      failed.push({ copy, message: `Cannot settle "${copy.copy}": ${state}` });
      continue;
    }
    const { failed: [failure] } = await changeFolder(queue, { root, steps: [step] });
    if (failure !== undefined) failed.push({ copy, message: failure.message });
  }
  return failed;
}

function stepFor(
  { path, copy, machine, time }: ConflictCopy,
  { snapshot, row, keep, trash }: { snapshot: Snapshot; row: number; keep: Keep; trash: string },
): NativeStep | undefined {
  const was = snapshot.stamp(row);
  if (keep === "both") {
    const above = path.includes("/") ? `${dirname(path)}/` : "";
    const name = path.slice(above.length);
    return { do: "move", from: copy, path: `${above}${name} (${machine} ${time})`, was };
  }
  if (keep === "current") {
    // A folder is moved whole.
    return snapshot.kind(row) === DIRECTORY
      ? { do: "move", from: copy, path: join(trash, copy), was }
      : { do: "take", path: copy, was, keep: join(trash, copy) };
  }
  const current = snapshot.find(path);
  if (current < 0) return { do: "move", from: copy, path, was };
  if (snapshot.kind(row) !== FILE || snapshot.kind(current) !== FILE) return undefined;
  return { do: "put", from: copy, path, was: snapshot.stamp(current), keep: join(trash, path) };
}

function copiesIn(snapshot: Snapshot): ConflictCopy[] {
  const copies: ConflictCopy[] = [];
  for (const { row, path } of snapshot.paths()) {
    const parsed = parseConflictName(snapshot.name(row));
    if (parsed === undefined) continue;
    const above = path.includes("/") ? `${dirname(path)}/` : "";
    copies.push({
      path: above + originalName(parsed.name, { above, copy: snapshot.name(row), snapshot }),
      copy: path,
      machine: parsed.machine,
      time: parsed.time,
    });
  }
  return copies;
}

/** Gives the name of the current version: that of a copy is cut where it would be too long, so the only one that begins like it. */
function originalName(
  name: string,
  { above, copy, snapshot }: { above: string; copy: string; snapshot: Snapshot },
): string {
  // The last character that was cut may have had four bytes.
  const wasCut = encodeName(copy).length > MAX_NAME_BYTES - 4;
  if (!wasCut || snapshot.find(above + name) >= 0) return name;
  const names = new Set<string>();
  for (const { row, path } of snapshot.paths()) {
    const other = snapshot.name(row);
    if (path === above + other && other.startsWith(name) && parseConflictName(other) === undefined) {
      names.add(other);
    }
  }
  const [only = name] = names;
  return names.size === 1 ? only : name;
}

function look(root: string, queue: NativeQueue, { signal }: { signal?: AbortSignal }) {
  return scanFolder(root, { snapshot: Snapshot.empty(2), side: 0 }, {
    queue,
    exclude: [],
    oneFileSystem: false,
    namesOnly: true,
    now: Date.now,
    ...signal && { signal },
  }).catch((error) => {
    if (isWormholeError(error, "NOT_FOUND")) {
      throw new WormholeError(
        "NOT_FOUND",
        `Cannot look for conflicts in "${root}": there is no such folder`,
        {
          cause: error,
        },
      );
    }
    throw error;
  });
}

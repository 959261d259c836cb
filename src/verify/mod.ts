/**
 * `wormhole verify` and `--checksum`: whole-file BLAKE3 checksums, compatible with `b3sum`. It reads files and never
 * changes one; it never prints, the commands do.
 */
import { type ErrorCode, WormholeError } from "../base/errors.ts";
import { decodeName } from "../base/names.ts";
import { join } from "../base/paths.ts";
import { hashFiles } from "../native/hash.ts";
import { NativeQueue } from "../native/queue.ts";
import { Walk } from "../native/walk.ts";
import { parseSums, type Sum } from "./sum_list.ts";

export { formatSum, MAX_LIST_BYTES, parseSums, type Sum } from "./sum_list.ts";

/** What became of one file. */
export type Checked =
  | { readonly sum: Sum; readonly bytes: number }
  | { readonly name: string; readonly code: ErrorCode; readonly message: string };

/** Options of {@linkcode checksums}. */
export interface ChecksumOptions {
  readonly signal?: AbortSignal;
}

/** Options of {@linkcode verify}. */
export interface VerifyOptions extends ChecksumOptions {
  /** Text of the list of checksums. */
  readonly list: string;
  /** Where the list comes from, for messages. */
  readonly source: string;
}

interface Reading {
  readonly queue: NativeQueue;
  readonly signal?: AbortSignal;
}

/** Files hashed by one operation: enough to make its cost vanish, few enough that a report comes often. */
const BATCH_FILES = 256;

/**
 * Gives the checksum of every file in `path`, or of `path` itself, in the order of a walk. Names are relative to the
 * folder; a single file's is its own last part.
 *
 * @throws {WormholeError} NOT_FOUND, UNSUPPORTED and their kin when `path` itself cannot be read.
 */
export async function* checksums(path: string, { signal }: ChecksumOptions = {}): AsyncGenerator<Checked> {
  await using queue = NativeQueue.open();
  const reading: Reading = { queue, ...signal && { signal } };
  const batch: string[] = [];
  for await (const entry of filesBelow(path, reading)) {
    if (typeof entry !== "string") yield entry;
    else if (batch.push(entry) === BATCH_FILES) yield* hashed(path, batch.splice(0), reading);
  }
  yield* hashed(path, batch, reading);
}

/** Gives the checksums of `files`, read at `path` and listed under `name`, in their order. */
export async function* checksumsOf(
  files: readonly { readonly name: string; readonly path: string }[],
  { signal }: ChecksumOptions = {},
): AsyncGenerator<Checked> {
  await using queue = NativeQueue.open();
  for (let at = 0; at < files.length; at += BATCH_FILES) {
    const batch = files.slice(at, at + BATCH_FILES);
    const results = await hashFiles(queue, batch.map(({ path }) => path), { ...signal && { signal } });
    for (const [i, result] of results.entries()) yield checkedAs(batch[i]!.name, result);
  }
}

/**
 * Compares the files that `list` names below the folder `path` with their checksums, in the list's order. With a single
 * line, `path` may be the file itself.
 *
 * @throws {WormholeError} INVALID_ARGUMENT when the list is none, names nothing, or names something outside the folder.
 */
export async function* verify(
  path: string,
  { list, source, signal }: VerifyOptions,
): AsyncGenerator<Checked> {
  const sums = parseSums(list, { source });
  if (sums.length === 0) {
    throw new WormholeError("INVALID_ARGUMENT", `Cannot verify with "${source}": it names no file`);
  }
  const isFolder = (await Deno.stat(path).catch((cause) => {
    throw new WormholeError("NOT_FOUND", `Cannot verify "${path}": there is no such file or folder`, {
      cause,
    });
  })).isDirectory;
  if (!isFolder && sums.length > 1) {
    throw new WormholeError(
      "NOT_DIRECTORY",
      `Cannot verify "${path}": "${source}" names ${sums.length} files, and this is one`,
    );
  }
  for (const { name } of sums) if (isFolder) mustBeInside(name, source);
  await using queue = NativeQueue.open();
  for (let at = 0; at < sums.length; at += BATCH_FILES) {
    const part = sums.slice(at, at + BATCH_FILES);
    const paths = part.map(({ name }) => isFolder ? join(path, name) : path);
    const results = await hashFiles(queue, paths, { ...signal && { signal } });
    for (const [i, result] of results.entries()) yield compared(part[i]!, result);
  }
}

type Hashed = Awaited<ReturnType<typeof hashFiles>>[number];

function compared(sum: Sum, result: Hashed): Checked {
  const { name } = sum;
  if ("code" in result) return { name, code: result.code, message: result.message };
  if (result.hash === sum.hash) return { sum, bytes: result.bytes };
  return { name, code: "CORRUPT", message: `Cannot verify "${name}": its content differs from the list's` };
}

/** A list comes from somebody else as often as the files do. */
function mustBeInside(name: string, source: string): void {
  if (!name.startsWith("/") && !name.split("/").includes("..") && !name.includes("\0")) return;
  throw new WormholeError(
    "INVALID_ARGUMENT",
    `Cannot verify with "${source}": "${name}" is outside of the folder that is verified`,
  );
}

async function* hashed(
  root: string,
  names: readonly string[],
  { queue, signal }: Reading,
): AsyncGenerator<Checked> {
  if (names.length === 0) return;
  const paths = names.map((name) => name === "" ? root : join(root, name));
  const results = await hashFiles(queue, paths, { ...signal && { signal } });
  for (const [i, result] of results.entries()) {
    const name = names[i] || root.slice(root.lastIndexOf("/") + 1);
    yield checkedAs(name, result);
  }
}

function checkedAs(name: string, result: Hashed): Checked {
  if ("code" in result) return { name, code: result.code, message: result.message };
  return { sum: { hash: result.hash, name }, bytes: result.bytes };
}

/** Gives the names of the files in `path` relative to it, "" for itself, and what cannot be looked at. */
async function* filesBelow(
  path: string,
  { queue, signal }: Reading,
): AsyncGenerator<string | Checked> {
  await using walk = await Walk.open(queue, [{ path, name: "." }], { ...signal && { signal } });
  const directories = new Map<number, string>();
  for (let last = false; !last;) {
    const { columns, problems } = await walk.next({ ...signal && { signal } });
    last = columns.last;
    for (const { path: name, code, message } of problems) yield { name, code, message };
    const view = new DataView(columns.parents.buffer, columns.parents.byteOffset, columns.parents.length);
    const lengths = new DataView(columns.name_lengths.buffer, columns.name_lengths.byteOffset);
    for (let i = 0, at = 0; i < columns.count; i++) {
      const length = lengths.getUint16(2 * i, true);
      const own = decodeName(columns.names.subarray(at, at + length));
      at += length;
      const parent = view.getUint32(4 * i, true);
      const above = parent === ROOT ? undefined : directories.get(parent);
      const name = above === undefined ? "" : above === "" ? own : `${above}/${own}`;
      if (columns.kinds[i] === FILE) yield name;
      else if (columns.kinds[i] === DIRECTORY) directories.set(columns.first + i, name);
    }
  }
}

/** As in the columns of a walk; docs/design/contracts.md §1. */
const ROOT = 0xffffffff, FILE = 1, DIRECTORY = 2;

/** Files that are to be copied, failures and pages, between what ends use and the columns of messages; wire/spec/sync.md §5. */
import { concat } from "../../base/bytes.ts";
import { ERROR_NUMBERS, errorCode, WormholeError } from "../../base/errors.ts";
import { encodeName } from "../../base/names.ts";
import { MAX_FILE_BYTES, MAX_PATHS_BYTES, MAX_STAGED_FILES, type SyncMessageOf } from "../../wire/mod.ts";
import type { Failure, Staged } from "../end.ts";
import { CONTENT_BYTES, FILE, SYMLINK } from "../snapshot.ts";
import { parsePath } from "./checks.ts";
import { stateOf } from "./states.ts";

/** Gives the messages that name files. */
export function* filesMessages(files: readonly Staged[]): Generator<SyncMessageOf<"files">> {
  for (let at = 0; at < files.length;) {
    const paths: Uint8Array[] = [];
    for (let bytes = 0; at + paths.length < files.length && paths.length < MAX_STAGED_FILES;) {
      const path = encodeName(files[at + paths.length]!.path);
      bytes += path.length;
      if (bytes > MAX_PATHS_BYTES && paths.length > 0) break;
      paths.push(path);
    }
    const some = files.slice(at, at + paths.length);
    at += some.length;
    yield {
      type: "files",
      count: some.length,
      slots: bytesOf(Uint32Array.from(some, ({ slot }) => slot)),
      kinds: Uint8Array.from(some, ({ isSymlink }) => isSymlink ? SYMLINK : FILE),
      sizes: bytesOf(BigUint64Array.from(some, ({ size }) => BigInt(size))),
      mtimes: bytesOf(BigInt64Array.from(some, ({ mtime }) => mtime)),
      modes: bytesOf(Uint16Array.from(some, ({ mode }) => mode)),
      contents: concat(...some.map(({ content }) => content)),
      path_lengths: bytesOf(Uint32Array.from(paths, ({ length }) => length)),
      paths: concat(...paths),
    };
  }
}

/** Gives the files of a message. @throws {WormholeError} PROTOCOL, HOSTILE_NAME, LIMIT_EXCEEDED when they cannot be. */
export function filesOf(message: SyncMessageOf<"files">): Staged[] {
  const { count, kinds, contents, paths } = message;
  const columns = {
    slots: numbers(message.slots, 4, count),
    sizes: numbers(message.sizes, 8, count),
    mtimes: numbers(message.mtimes, 8, count),
    modes: numbers(message.modes, 2, count),
    lengths: numbers(message.path_lengths, 4, count),
  };
  if (kinds.length !== count || contents.length !== count * CONTENT_BYTES) throw wrong();
  const files: Staged[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const length = columns.lengths.getUint32(4 * i, true);
    const size = columns.sizes.getBigUint64(8 * i, true), mode = columns.modes.getUint16(2 * i, true);
    if (length > paths.length - at || mode > 0o777 || (kinds[i] !== FILE && kinds[i] !== SYMLINK)) {
      throw wrong();
    }
    if (size > BigInt(MAX_FILE_BYTES)) {
      throw new WormholeError("LIMIT_EXCEEDED", "Cannot read a message: a file is larger than files may be");
    }
    files.push({
      slot: columns.slots.getUint32(4 * i, true),
      path: parsePath(paths.subarray(at, at += length)),
      isSymlink: kinds[i] === SYMLINK,
      size: Number(size),
      mtime: columns.mtimes.getBigInt64(8 * i, true),
      mode,
      content: contents.slice(CONTENT_BYTES * i, CONTENT_BYTES * (i + 1)),
    });
  }
  if (at !== paths.length) throw wrong();
  return files;
}

/** Gives failures by number as two columns. */
export function failureColumns(
  failed: ReadonlyMap<number, Failure>,
): { failed: Uint8Array; codes: Uint8Array } {
  return {
    failed: bytesOf(Uint32Array.from(failed.keys())),
    codes: bytesOf(Uint16Array.from(failed.values(), ({ code }) => ERROR_NUMBERS[code])),
  };
}

/** Gives failures by number; `pathOf` gives what a number stands for, undefined for none. @throws {WormholeError} PROTOCOL. */
export function failuresOf(
  { failed, codes }: { readonly failed: Uint8Array; readonly codes: Uint8Array },
  pathOf: (number: number) => string | undefined,
): Map<number, Failure> {
  const found = new Map<number, Failure>();
  const kinds = numbers(codes, 2, failed.length / 4);
  for (const [i, number] of u32s(failed).entries()) {
    const path = pathOf(number);
    if (path === undefined) throw wrong();
    const code = errorCode(kinds.getUint16(2 * i, true));
    found.set(number, { code, message: `Cannot synchronize "${path}": ${stateOf(code)}` });
  }
  return found;
}

/** Gives the numbers of a u32 column. */
export function u32s(column: Uint8Array): number[] {
  const view = new DataView(column.buffer, column.byteOffset, column.length);
  return Array.from({ length: column.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

/** Gives the numbers of a column of two bytes each. */
export function u16s(column: Uint8Array): Uint16Array {
  return new Uint16Array(column.slice().buffer);
}

/** Gives the column of some numbers. */
export function u32Column(values: Iterable<number>): Uint8Array {
  return bytesOf(Uint32Array.from(values));
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

function numbers(column: Uint8Array, width: number, count: number): DataView {
  if (column.length !== width * count) throw wrong();
  return new DataView(column.buffer, column.byteOffset, column.length);
}

function wrong(): WormholeError {
  return new WormholeError("PROTOCOL", "Cannot read a message: its columns contradict each other");
}

/** What earlier transfers left in a destination; thin typed functions over `ffi/src/export/leftover.rs`. */
import { decode, encode } from "cborg";
import { WormholeError } from "../base/errors.ts";
import type { CallOptions, NativeQueue } from "./queue.ts";
import type { NativeColumns } from "./entries.ts";

/** Bytes of one verified record: entry u32, length u32, offset u64, chunk id 32 bytes; little endian. */
export const RECORD_BYTES = 48;

/** A manifest page with its entries' versions (u64 each). */
export interface VersionedPage {
  readonly columns: NativeColumns;
  readonly versions: Uint8Array;
}

/** Gives a page as the journal keeps it and {@linkcode addLeftover} reads it. */
export function encodeVersionedPage({ columns, versions }: VersionedPage): Uint8Array<ArrayBuffer> {
  return new Uint8Array(encode({ columns, versions }));
}

/** Reads what {@linkcode encodeVersionedPage} made. @throws {WormholeError} CORRUPT when it is something else. */
export function decodeVersionedPage(page: Uint8Array): VersionedPage {
  try {
    const { columns, versions } = decode(page);
    if (typeof columns === "object" && columns !== null && versions instanceof Uint8Array) {
      return { columns, versions };
    }
  } catch {
    // As below.
  }
  throw new WormholeError("CORRUPT", "Cannot read a page of the journal: it is damaged");
}

/**
 * Lets a receive session take over files of an earlier transfer; false when its staging folder is gone or in use.
 *
 * @throws {WormholeError} CORRUPT or PROTOCOL when the journal's pages and records are damaged.
 */
export async function addLeftover(
  queue: NativeQueue,
  leftover: {
    readonly receive: number;
    readonly staging: Uint8Array;
    readonly pages: readonly Uint8Array[];
    /** Blobs of records, which hold while the disk stays mounted. */
    readonly verified: readonly Uint8Array[];
    /** Those of them that were brought to the disk. */
    readonly synced: readonly Uint8Array[];
  },
  options: CallOptions = {},
): Promise<boolean> {
  return (await queue.call<{ taken: boolean }>("leftover.add", leftover, options)).taken;
}

/** Gives the records (48 bytes each) of what would be taken over for a page, under the page's own entry ids. */
export async function leftoverRecords(
  queue: NativeQueue,
  page: VersionedPage & { readonly receive: number },
): Promise<Uint8Array> {
  return (await queue.call<{ records: Uint8Array }>("leftover.records", page)).records;
}

/** Gives the staging folders of which everything was taken over. */
export async function spentLeftovers(queue: NativeQueue, receive: number): Promise<Uint8Array[]> {
  return (await queue.call<{ staging: Uint8Array[] }>("leftover.spent", { receive })).staging;
}

/** Removes those of the session's leftovers with all that is still in them. @throws {WormholeError} what the disk says. */
export async function removeLeftovers(
  queue: NativeQueue,
  leftovers: { readonly receive: number; readonly staging: readonly Uint8Array[] },
): Promise<void> {
  await queue.call("leftover.remove", leftovers);
}

/** Removes a staging folder that nobody works on; true when it is gone. @throws {WormholeError} what the disk says. */
export async function cleanLeftover(
  queue: NativeQueue,
  leftover: { readonly destination: Uint8Array; readonly staging: Uint8Array },
  options: CallOptions = {},
): Promise<boolean> {
  return (await queue.call<{ removed: boolean }>("leftover.clean", leftover, options)).removed;
}

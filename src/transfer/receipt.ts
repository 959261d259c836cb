/** What both ends of a transfer noted of it, as one hash that they compare at its end; wire/spec/chunks.md §4. */
import { Hasher } from "../native/hash.ts";
import { sameBytes } from "../base/bytes.ts";
import { encodeMessage, type MessageOf } from "../wire/mod.ts";

/** What an outcome says of the receipt. */
export interface Receipt {
  /** 64 hex digits: BLAKE3-256 of what this end noted. */
  readonly hash: string;
  /** The other end noted the same, something else, or did not say. */
  readonly state: "agreed" | "differs" | "unconfirmed";
}

/** Notes one transfer in its order. Dispose it when the transfer ends before {@linkcode ReceiptLog.finish}. */
export class ReceiptLog implements Disposable {
  readonly #hasher = new Hasher();

  /** Notes the text of an offer that is one. */
  text(text: string): void {
    this.#note(new TextEncoder().encode(text));
  }

  /** Notes a page as it went over the wire, or as it came. */
  page(page: MessageOf<"manifest_page">): void {
    this.#note(encodeMessage(page));
  }

  /** Gives the 32 bytes of the receipt for what `done` says is in place; nothing can be noted after that. */
  finish({ files, directories, symlinks, bytes, failed, failed_count }: MessageOf<"done">): Uint8Array {
    const counts = [files, directories, symlinks, bytes, failed_count];
    const end = new DataView(new ArrayBuffer(counts.length * 8 + failed.length * 4));
    counts.forEach((count, i) => end.setBigUint64(i * 8, BigInt(count), true));
    // The codes are left out: an end that does not know one reads another.
    failed.forEach(({ entry }, i) => end.setUint32(counts.length * 8 + i * 4, entry, true));
    this.#note(new Uint8Array(end.buffer));
    return this.#hasher.finish();
  }

  [Symbol.dispose](): void {
    this.#hasher[Symbol.dispose]();
  }

  #note(bytes: Uint8Array): void {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, bytes.length, true);
    this.#hasher.update(length).update(bytes);
  }
}

/** Compares both ends' hashes; an end that knows no receipts gives none. */
export function receiptOf(ours: Uint8Array, theirs: Uint8Array | undefined): Receipt {
  const state = theirs === undefined ? "unconfirmed" : sameBytes(ours, theirs) ? "agreed" : "differs";
  return { hash: ours.toHex(), state };
}

/** A file's chunk list as it comes from the peer, part by part; spec/chunks.md §2. Pure. */
import { concat } from "../../base/bytes.ts";
import { WormholeError } from "../../base/errors.ts";
import { CHUNK_BYTES, MAX_LIST_CHUNKS, type MessageOf, MIN_CONTENT_CHUNK_BYTES } from "../../wire/mod.ts";

/** How a list is cut: every 4 MiB, or by the file's content. */
export type Cut = "fixed" | "content";

/** The chunks of one file, in order and without a gap. */
export interface ListedChunks {
  /** Bytes of each chunk. */
  readonly sizes: Uint32Array;
  /** 32 bytes for each chunk. */
  readonly ids: Uint8Array;
}

/** Most bytes of a file that is cut by content: its sender reads all of it before it says a word. */
const MAX_CONTENT_BYTES = 32 * 1024 ** 3;

/** Gives the most chunks that the list of a file of `size` bytes may have. */
export function mostChunks(size: number, cut: Cut): number {
  return Math.ceil(size / leastBytes(cut));
}

/** Tells whether the list of such a file may be asked for. */
export function isListable(size: number, cut: Cut): boolean {
  return mostChunks(size, cut) <= MAX_LIST_CHUNKS && (cut === "fixed" || size <= MAX_CONTENT_BYTES);
}

/** Reads one list; what no honest sender says ends the transfer, so that no peer makes us keep more than it may. */
export class ListReader {
  readonly #entry: number;
  readonly #size: number;
  readonly #cut: Cut;
  readonly #sizes: number[] = [];
  readonly #ids: Uint8Array[] = [];
  /** Where the next chunk begins. */
  #at = 0;

  constructor({ entry, size, cut }: { entry: number; size: number; cut: Cut }) {
    this.#entry = entry;
    this.#size = size;
    this.#cut = cut;
  }

  /**
   * Takes the next part; gives the list when that was the last.
   *
   * @throws {WormholeError} PROTOCOL when it does not fit the file, what came before, or itself.
   */
  read({ size, offsets, sizes, hashes, last }: MessageOf<"manifest_response">): ListedChunks | undefined {
    if (size !== this.#size) throw this.#wrong(`is of a file of ${size} bytes, not ${this.#size}`);
    const count = sizes.length / 4;
    if (offsets.length !== count * 8 || hashes.length !== count * 32) {
      throw this.#wrong("has columns of different lengths");
    }
    if (count === 0 && !last) throw this.#wrong("has a part without chunks");
    const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const [begins, lengths] = [view(offsets), view(sizes)];
    for (let i = 0; i < count; i++) {
      const length = lengths.getUint32(i * 4, true);
      if (begins.getBigUint64(i * 8, true) !== BigInt(this.#at)) throw this.#wrong("has a gap");
      this.#check(length);
      this.#sizes.push(length);
      this.#at += length;
    }
    // The message's bytes may be a view of a whole frame.
    this.#ids.push(hashes.slice());
    if (last !== (this.#at === this.#size)) throw this.#wrong("does not end where the file does");
    return last ? { sizes: new Uint32Array(this.#sizes), ids: concat(...this.#ids) } : undefined;
  }

  #check(length: number): void {
    const end = this.#at + length;
    if (length === 0 || end > this.#size) throw this.#wrong("is longer than the file");
    if (length > CHUNK_BYTES) throw this.#wrong("has a chunk that is too long");
    if (length < leastBytes(this.#cut) && end < this.#size) {
      throw this.#wrong("has a chunk that is too short");
    }
  }

  #wrong(state: string): WormholeError {
    return new WormholeError(
      "PROTOCOL",
      `Cannot go on: the other side's chunk list of entry ${this.#entry} ${state}`,
    );
  }
}

function leastBytes(cut: Cut): number {
  return cut === "content" ? MIN_CONTENT_CHUNK_BYTES : CHUNK_BYTES;
}

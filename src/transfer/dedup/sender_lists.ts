import { sameBytes } from "../../base/bytes.ts";
import { WormholeError } from "../../base/errors.ts";
import { hashChunks } from "../../native/hash.ts";
import type { NativeQueue } from "../../native/queue.ts";
import type { NativeSend } from "../../native/send.ts";
import { type ChunkList, chunkOffsets, type FileStamp, wasSettledWhenRead } from "../../store/mod.ts";
import { CHUNK_BYTES, MAX_RESPONSE_CHUNKS } from "../../wire/mod.ts";
import type { ListPart } from "../chunk_list.ts";
import type { KnownContent } from "./known_content.ts";
import type { Learned } from "./learned.ts";
import type { Cut } from "./list_reader.ts";

/** What a sender's lists are made from. */
export interface SenderListsOptions {
  readonly queue: NativeQueue;
  readonly engine: NativeSend;
  readonly known?: KnownContent;
  readonly learned: Learned;
}

/** Chunks that are read for one part: 4 GiB, so that the receiver hears of us now and then. */
const MAX_READ_CHUNKS = 1024;

interface CurrentList {
  readonly list: ChunkList;
  readonly offsets: Float64Array;
}

/** The sender's chunk lists: out of the index where a file is known there, or by reading it, once. */
export class SenderLists {
  readonly #options: SenderListsOptions;
  /** The list that is being sent in parts. */
  #current: CurrentList | undefined;

  constructor(options: SenderListsOptions) {
    this.#options = options;
  }

  /**
   * Gives the part of a file's list that begins at `offset`, where one before it ended.
   *
   * @throws {WormholeError} UNSUPPORTED when it is no file, or was pushed or released; SOURCE_CHANGED; the disk's code.
   */
  async part(
    { entry, offset, cut }: { entry: number; offset: number; cut: Cut },
    { signal }: { signal: AbortSignal },
  ): Promise<ListPart> {
    if (offset === 0) this.#current = await this.#list(entry, cut, signal);
    const current = this.#current;
    if (current === undefined) return await this.#hash(entry, offset, signal);
    const first = current.offsets.indexOf(offset);
    const last = Math.min(first + MAX_RESPONSE_CHUNKS, current.offsets.length - 1);
    const { ids, size } = current.list;
    const sizes = new Uint32Array(last - first);
    for (let i = first; i < last; i++) sizes[i - first] = current.offsets[i + 1]! - current.offsets[i]!;
    if (last === current.offsets.length - 1) this.#current = undefined;
    return { hashes: ids.subarray(32 * first, 32 * last), sizes, size };
  }

  async #list(entry: number, cut: Cut, signal: AbortSignal): Promise<CurrentList | undefined> {
    const { queue, engine, known, learned } = this.#options;
    const { path, stamp } = await engine.stamp(entry, { signal });
    const chunking = cut === "content" ? "cdc" : CHUNK_BYTES;
    const list = await known?.ask((index) => index.find(stamp.slice(), chunking));
    if (list !== undefined && isComplete(list)) {
      if (chunking === CHUNK_BYTES) learned.chunks(entry, { offset: 0, ids: list.ids });
      return { list, offsets: chunkOffsets(list) };
    }
    if (chunking !== "cdc") return undefined;
    const readMs = Date.now();
    const cutFile = await hashChunks(queue, path, { chunkBytes: chunking, signal });
    if (!sameBytes(cutFile.stamp, stamp)) {
      throw new WormholeError("SOURCE_CHANGED", "Cannot list the chunks of a file: it has changed");
    }
    const { hashes: ids, sizes, size } = cutFile;
    const made: ChunkList = { chunking, size, ids, ...sizes && { sizes } };
    const file: { path: Uint8Array<ArrayBuffer>; stamp: FileStamp } = {
      path: path.slice(),
      stamp: stamp.slice(),
    };
    learned.other({ ...file, settled: wasSettledWhenRead(stamp, readMs), chunks: made });
    return { list: made, offsets: chunkOffsets(made) };
  }

  async #hash(entry: number, offset: number, signal: AbortSignal): Promise<ListPart> {
    const { engine, learned } = this.#options;
    const part = { entry, offset, chunk_bytes: CHUNK_BYTES, max_chunks: MAX_READ_CHUNKS };
    const { hashes, size } = await engine.hash(part, { signal });
    learned.chunks(entry, { offset, ids: hashes });
    return { hashes, size };
  }
}

/** Every chunk's id is known. */
function isComplete({ ids }: ChunkList): boolean {
  for (let at = 0; at < ids.length; at += 32) {
    if (ids.subarray(at, at + 32).every((byte) => byte === 0)) return false;
  }
  return true;
}

import { sameBytes } from "../../base/bytes.ts";
import type { NativeQueue } from "../../native/queue.ts";
import {
  fileStamps,
  MAX_SOURCES,
  MAX_STAMPS,
  MAX_UNSETTLED_BYTES,
  type Piece,
  type PieceSource,
} from "../../native/reuse.ts";
import { type KnownFile, sizeOf, wasSettledWhenRead } from "../../store/mod.ts";
import type { KnownContent } from "./known_content.ts";
import type { Learned } from "./learned.ts";
import type { UnfinishedContent } from "./unfinished_content.ts";

/** A chunk of the file that is to be received. */
export interface WantedChunk {
  /** 32 bytes; zeros where it is not known. */
  readonly id: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

/** A known file with where its chunks begin. */
export interface Known extends KnownFile {
  readonly offsets: Float64Array;
}

/** A file on this machine, looked at a moment ago. */
interface Source extends PieceSource {
  readonly path: Uint8Array<ArrayBuffer>;
  readonly stamp: Uint8Array<ArrayBuffer>;
  readonly settled: boolean;
  /** The stamp under which the index knows it. */
  readonly remembered?: Uint8Array<ArrayBuffer>;
  /** The whole file, to be remembered as proven when all of it was hashed. */
  readonly whole?: KnownFile;
}

interface Found {
  readonly source: Source;
  readonly offset: number;
}

/** What {@linkcode ChunkPlaces} needs. */
export interface ChunkPlacesOptions {
  readonly queue: NativeQueue;
  readonly known: KnownContent;
  readonly learned: Learned;
  readonly wanted: readonly WantedChunk[];
}

/** How often the index is asked for another place of the same chunk: files that are gone are forgotten meanwhile. */
const MAX_LOOKUPS = 4;

/** Where the chunks of one file are on this machine. */
export class ChunkPlaces {
  readonly #options: ChunkPlacesOptions;
  readonly #found: (Found | undefined)[];
  readonly #readMs = Date.now();

  constructor(options: ChunkPlacesOptions) {
    this.#options = options;
    this.#found = new Array(options.wanted.length);
  }

  /** Chunks without a place. */
  get missing(): number {
    return this.#missing().length;
  }

  /** Looks in one file; `isTheSame`: it has exactly the wanted chunks, also those whose ids are not known. */
  async inFile(file: Known, { isTheSame }: { isTheSame: boolean }): Promise<void> {
    const source = (await this.#sources([file]))[0];
    if (source === undefined) return;
    const whole = { ...source, whole: file };
    const places = new Map<string, number>();
    if (!isTheSame) {
      for (let i = 0; i < file.offsets.length - 1; i++) {
        places.set(file.chunks.ids.subarray(32 * i, 32 * (i + 1)).toHex(), file.offsets[i]!);
      }
    }
    for (const i of this.#missing()) {
      const { id, offset } = this.#options.wanted[i]!;
      const isKnown = id.some((byte) => byte !== 0);
      const at = isTheSame ? offset : isKnown ? places.get(id.toHex()) : undefined;
      if (at !== undefined && (isKnown || source.settled)) this.#found[i] = { source: whole, offset: at };
    }
  }

  /** Looks in the index, which forgets what is gone. */
  async inIndex(): Promise<void> {
    const { known, wanted } = this.#options;
    for (let round = 0; round < MAX_LOOKUPS; round++) {
      const missing = this.#missing();
      if (missing.length === 0) return;
      const ids = new Uint8Array(32 * missing.length);
      missing.forEach((i, at) => ids.set(wanted[i]!.id, 32 * at));
      const places = await known.ask((index) => index.lookup(ids)) ?? [];
      const files = [
        ...new Map(places.flatMap((place) => place ? [[place.stamp, place] as const] : [])).values(),
      ];
      if (files.length === 0) return;
      const sources = new Map((await this.#sources(files)).map((source, i) => [files[i]!.stamp, source]));
      places.forEach((place, at) => {
        const i = missing[at]!;
        const source = place && sources.get(place.stamp);
        if (place === undefined || source === undefined || place.length !== wanted[i]!.length) return;
        this.#found[i] = { source, offset: place.offset };
      });
      const gone = files.filter(({ stamp }) => sources.get(stamp) === undefined);
      if (gone.length === 0) return;
      await known.ask((index) => gone.forEach(({ stamp }) => index.forget(stamp)));
    }
  }

  /** Looks in what unfinished transfers have. */
  async inUnfinished(unfinished: UnfinishedContent): Promise<void> {
    const { wanted } = this.#options;
    const places = this.#missing().flatMap((i) => {
      const place = unfinished.find(wanted[i]!.id);
      return place?.length === wanted[i]!.length ? [{ i, place }] : [];
    });
    const paths = [...new Set(places.map(({ place }) => place.path))];
    const stamps = await this.#stamps(paths);
    const sources = new Map(paths.map((path, i) => [path, { path, stamp: stamps[i]!, settled: false }]));
    for (const { i, place } of places) {
      const source = sources.get(place.path)!;
      if (!isNone(source.stamp)) this.#found[i] = { source, offset: place.offset };
    }
  }

  /** Gives what is to be placed. */
  pieces(): { sources: Source[]; pieces: Piece[] } {
    const numbers = new Map<Source, number>();
    const pieces: Piece[] = [];
    this.#found.forEach((found, i) => {
      if (found === undefined) return;
      const { source, offset: sourceOffset } = found;
      const { id, offset, length } = this.#options.wanted[i]!;
      const number = numbers.get(source) ?? numbers.size;
      if (number === MAX_SOURCES || !source.settled && length > MAX_UNSETTLED_BYTES) return;
      numbers.set(source, number);
      pieces.push({ offset, length, source: number, sourceOffset, settled: source.settled, id });
    });
    return { sources: [...numbers.keys()], pieces };
  }

  /** Learns from what became of the pieces: what was wrong is forgotten, what was hashed as a whole is proven. */
  async used({ stale, rejected }: { stale: ReadonlySet<number>; rejected: number }): Promise<void> {
    const { sources, pieces } = this.pieces();
    const bad = sources.filter((source, i) => stale.has(i) || rejected > 0 && !source.settled);
    const stamps = bad.flatMap(({ remembered }) => remembered ? [remembered] : []);
    if (stamps.length > 0) {
      await this.#options.known.ask((index) => stamps.forEach((stamp) => index.forget(stamp)));
    }
    for (const [i, source] of sources.entries()) {
      const { whole, settled, path, stamp } = source;
      if (settled || whole === undefined || bad.includes(source)) continue;
      const bytes = pieces.reduce((sum, piece) => piece.source === i ? sum + piece.length : sum, 0);
      if (bytes !== whole.chunks.size) continue;
      this.#options.learned.other({
        ...whole,
        path,
        stamp,
        settled: wasSettledWhenRead(stamp, this.#readMs),
      });
    }
  }

  #missing(): number[] {
    return this.#options.wanted.flatMap((_, i) => this.#found[i] === undefined ? [i] : []);
  }

  /**
   * Looks at known files as they are now: one with another stamp and the same size may only have been touched or moved,
   * so its bytes are hashed; one of another size is none.
   */
  async #sources(
    files: readonly Pick<KnownFile, "path" | "stamp" | "settled">[],
  ): Promise<(Source | undefined)[]> {
    const stamps = await this.#stamps(files.map(({ path }) => path));
    return files.map(({ path, stamp, settled }, i) => {
      const now = stamps[i]!;
      if (sameBytes(now, stamp)) return { path, stamp, settled, remembered: stamp };
      if (isNone(now) || sizeOf(now) !== sizeOf(stamp)) return undefined;
      return { path, stamp: now, settled: false, remembered: stamp };
    });
  }

  async #stamps(paths: readonly Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer>[]> {
    const all: Uint8Array<ArrayBuffer>[] = [];
    for (let from = 0; from < paths.length; from += MAX_STAMPS) {
      const some = paths.slice(from, from + MAX_STAMPS);
      const stamps = await fileStamps(this.#options.queue, some);
      some.forEach((_, i) => all.push(stamps.slice(40 * i, 40 * (i + 1))));
    }
    return all;
  }
}

function isNone(stamp: Uint8Array): boolean {
  return stamp.every((byte) => byte === 0);
}

/**
 * What the receiver holds back until it knows what of it is here: asks the sender for chunk lists, a few at a time, has
 * them placed, and tells up to which entry nothing can be asked for any more. Pure.
 * Design: docs/design/dedup_and_resume.md.
 */
import { MAX_LIST_CHUNKS, type Message, type MessageOf } from "../../wire/mod.ts";
import { unexpected } from "../machine.ts";
import { type Cut, type ListedChunks, ListReader, mostChunks } from "./list_reader.ts";

/** A file that is held back. */
export interface HeldEntry {
  readonly entry: number;
  readonly size: number;
  /** The list that is to be asked for; undefined: its chunks are known without. */
  readonly question: Cut | undefined;
}

/** What only questions want done. */
export type QuestionAction =
  /** Put in place what is here of the entry; `list` is missing where none was asked for. */
  | { readonly type: "place"; readonly entry: number; readonly list?: ListedChunks }
  /** Look for nothing of the entry: the sender has no list of it. */
  | { readonly type: "release"; readonly entry: number };

/** What a `place` or `release` left to be asked for. */
export interface PlacedEntry {
  readonly entry: number;
  /** All of it: ask for it in a run. */
  readonly whole: boolean;
  /** There is nothing to ask for. */
  readonly complete: boolean;
  /** Otherwise these, 24 bytes each. */
  readonly ranges: Uint8Array;
  /** Bytes that were found here. */
  readonly found: number;
  /** Bytes of the file. */
  readonly size: number;
}

/** Lists that are asked for at once: enough for a long path; the sender makes them one after the other. */
const MAX_ASKED = 64;

/** Entries that are placed at once: each reads and writes a file. */
const MAX_PLACING = 8;

/** One held entry on its way. */
interface Held extends HeldEntry {
  readonly page: Page;
  readonly reader: ListReader | undefined;
  list?: ListedChunks;
}

/** A manifest page that has entries which are held. */
interface Page {
  readonly last: number;
  held: number;
}

/** What {@linkcode Questions} needs. */
export interface QuestionsOptions {
  act(action: QuestionAction): void;
  send(message: Message): void;
}

/** All that is held back in one transfer. */
export class Questions {
  readonly #options: QuestionsOptions;
  readonly #pages: Page[] = [];
  /** In the order of the manifest: not asked for yet, asked for, to be placed, being placed. */
  readonly #waiting: Held[] = [];
  readonly #asked = new Map<number, Held>();
  readonly #ready: Held[] = [];
  readonly #placing = new Map<number, Held>();
  /** Chunks that the lists which are asked for or kept may have. */
  #chunks = 0;
  /** Up to which entry nothing is asked for any more, where that has not been told. */
  #released: number | undefined;

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  /** Entries that are held. */
  get open(): number {
    return this.#waiting.length + this.#asked.size + this.#ready.length + this.#placing.size;
  }

  /** Lists that are asked for and not complete. */
  get asked(): number {
    return this.#asked.size;
  }

  /** Takes the held entries of the next page, whose last entry is `last`. */
  page(last: number, held: readonly HeldEntry[]): void {
    const page: Page = { last, held: held.length };
    this.#pages.push(page);
    for (const each of held) {
      const reader = each.question && new ListReader({ ...each, cut: each.question });
      (reader ? this.#waiting : this.#ready).push({ ...each, page, reader });
    }
    this.#go();
  }

  /** Takes part of a list. @throws {WormholeError} PROTOCOL when it was not asked for or cannot be. */
  heard(message: MessageOf<"manifest_response">): void {
    const held = this.#asked.get(message.entry);
    if (held === undefined) throw unexpected(message.type);
    const list = held.reader!.read(message);
    if (list === undefined) return;
    held.list = list;
    this.#asked.delete(message.entry);
    this.#ready.push(held);
    this.#go();
  }

  /** The sender has no list of that entry; false when none was asked for. */
  refused(entry: number): boolean {
    const held = this.#asked.get(entry);
    if (held === undefined) return false;
    this.#asked.delete(entry);
    this.#placing.set(entry, held);
    this.#options.act({ type: "release", entry });
    this.#go();
    return true;
  }

  /** The entry is held no longer. */
  placed(entry: number): void {
    const held = this.#placing.get(entry);
    if (held === undefined) return;
    this.#placing.delete(entry);
    this.#chunks -= weight(held);
    held.page.held--;
    this.#go();
  }

  /** Gives the entry up to which the sender may forget all, once for each; undefined when that is as before. */
  takeReleased(): number | undefined {
    while (this.#pages[0]?.held === 0) this.#released = this.#pages.shift()!.last;
    const released = this.#released;
    this.#released = undefined;
    return released;
  }

  #go(): void {
    while (this.#ready.length > 0 && this.#placing.size < MAX_PLACING) {
      const held = this.#ready.shift()!;
      const { entry, list } = held;
      this.#placing.set(entry, held);
      this.#options.act({ type: "place", entry, ...list && { list } });
    }
    while (this.#waiting.length > 0 && this.#asked.size < MAX_ASKED) {
      const held = this.#waiting[0]!;
      // One list at least may always be on its way.
      if (this.#chunks > 0 && this.#chunks + weight(held) > MAX_LIST_CHUNKS) return;
      this.#chunks += weight(held);
      this.#waiting.shift();
      this.#asked.set(held.entry, held);
      const cut = held.question === "content" ? { cut: held.question } : {};
      this.#options.send({ type: "request_manifest", entry: held.entry, ...cut });
    }
  }
}

function weight({ size, question }: HeldEntry): number {
  return question === undefined ? 0 : mostChunks(size, question);
}

/**
 * The receiver's side of resume: keeps the journal of one transfer, finds what earlier ones left in the same folder, and
 * decides what stays when it ends. The engine moves files; the wire knows only versions and ranges.
 * Design: docs/design/dedup_and_resume.md.
 */
import { sameBytes } from "../base/bytes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { type ErrorCode, isWormholeError } from "../base/errors.ts";
import { cleanLeftover, encodeVersionedPage, RECORD_BYTES } from "../native/leftover.ts";
import type { NativeQueue } from "../native/queue.ts";
import type { NativeReceive } from "../native/receive.ts";
import type { Journal, UnfinishedTransfer } from "../store/mod.ts";
import type { Columns } from "../wire/mod.ts";

/** What a transfer is journaled under. */
export interface ResumeOptions {
  readonly journal: Journal;
  readonly queue: NativeQueue;
  /** 32 bytes: the sender's machine key. */
  readonly peer: Uint8Array;
  /** Folder that is received into, bytes of the system. */
  readonly destination: Uint8Array;
  /** The names of the roots, for the person. */
  readonly title: string;
  /** What the person knows it by, where those say nothing. */
  readonly label?: string;
  readonly bytesTotal: number | undefined;
  /** Told, once, when the journal cannot be kept any more: the transfer goes on without. */
  onWarning?(sentence: string): void;
  readonly clock?: Pick<Clock, "now">;
}

const NOTHING = new Uint8Array();

/** How often what was received is brought to the disk for good, in ms: what a power cut may cost. */
const SYNC_EVERY_MS = 5000;

/** Unfinished transfers that are older are dropped when the next one into the same folder begins, in ms: 30 days. */
const MAX_AGE_MS = 30 * 86_400_000;

/**
 * Those with nothing to show for in the journal are dropped sooner, in ms: another process may have begun one a moment ago, and
 * what arrived just before a program was killed only the staging folder itself knows.
 */
const MAX_EMPTY_AGE_MS = 3_600_000;

/** Leftovers that are looked at for one transfer, the newest first. */
const MAX_LEFTOVERS = 16;

/** Failures after which nothing of that peer is kept: what it sent cannot be relied on. */
const UNTRUSTED: readonly ErrorCode[] = [
  "PROTOCOL",
  "LIMIT_EXCEEDED",
  "CORRUPT",
  "HOSTILE_NAME",
  "PATH_ESCAPES",
  "VERSION_UNSUPPORTED",
  "PEER_UNAUTHENTICATED",
];

/** The names of the staging folders that must stay, and those whose content may be taken over. */
export interface Leftovers {
  readonly kept: Uint8Array[];
  readonly usable: UnfinishedTransfer[];
}

/** Finds what earlier transfers left in the folder, and forgets what is too old or came to nothing. */
export function findLeftovers(
  { journal, peer, destination }: ResumeOptions,
  now: number = Date.now(),
): Leftovers {
  const kept: Uint8Array[] = [];
  const usable: UnfinishedTransfer[] = [];
  for (const left of journal.list(new Uint8Array(destination))) {
    const idle = now - left.updatedMs;
    if (idle > (left.bytesDone === 0 ? MAX_EMPTY_AGE_MS : MAX_AGE_MS)) journal.end(left.id);
    else {
      kept.push(left.staging);
      if (usable.length < MAX_LEFTOVERS && sameBytes(left.peer, peer)) usable.push(left);
    }
  }
  return { kept, usable };
}

/** One transfer's journal, from its first page to its end. */
export class ResumeLog {
  readonly #options: ResumeOptions;
  readonly #engine: NativeReceive;
  readonly #clock: Pick<Clock, "now">;
  readonly #id: Uint8Array<ArrayBuffer>;
  readonly #taken: UnfinishedTransfer[] = [];
  #page = 0;
  #isBroken = false;
  #bytesDone = 0;
  /** Bytes of what earlier transfers left and this one took over. */
  #bytesTaken = 0;
  #unsynced = false;
  #syncedAt: number;
  #syncing: Promise<void> | undefined;

  private constructor(options: ResumeOptions, engine: NativeReceive) {
    this.#options = options;
    this.#engine = engine;
    this.#clock = options.clock ?? systemClock;
    this.#id = crypto.getRandomValues(new Uint8Array(16));
    this.#syncedAt = this.#clock.now();
  }

  /** Journals a transfer that `engine` stages, and gives it what earlier ones left. */
  static async begin(
    options: ResumeOptions,
    { engine, usable }: { engine: NativeReceive; usable: readonly UnfinishedTransfer[] },
  ): Promise<ResumeLog> {
    const log = new ResumeLog(options, engine);
    const { journal, peer, destination, title, label, bytesTotal } = options;
    log.#write(() =>
      journal.begin({
        id: log.#id,
        peer: new Uint8Array(peer),
        destination: new Uint8Array(destination),
        staging: new Uint8Array(engine.staging),
        title,
        ...label !== undefined && { label },
        bytesTotal,
      })
    );
    for (const left of usable) await log.#give(left);
    return log;
  }

  /**
   * Journals a page, with what the engine will take over for it; call before the engine expects the page. Gives the
   * records of that.
   */
  async page(columns: Columns, versions: Uint8Array | undefined): Promise<Uint8Array> {
    if (versions === undefined) return NOTHING;
    const { journal } = this.#options;
    this.#write(() => journal.addPage(this.#id, this.#page++, encodeVersionedPage({ columns, versions })));
    if (this.#taken.length === 0) return NOTHING;
    const records = await this.#engine.leftoverRecords({ columns, versions });
    if (records.length === 0) return NOTHING;
    this.#bytesTaken += bytesOf(records);
    const bytes = Math.max(this.#bytesDone, this.#bytesTaken);
    this.#write(() => journal.addVerified(this.#id, new Uint8Array(records), bytes));
    return records;
  }

  /** Journals what has been verified and written since the last call; brings it to the disk now and then. */
  verified(records: Uint8Array, bytesDone: number): void {
    if (records.length > 0 || bytesDone !== this.#bytesDone) {
      this.#bytesDone = bytesDone;
      this.#write(() => this.#options.journal.addVerified(this.#id, new Uint8Array(records), bytesDone));
      this.#unsynced = true;
    }
    const now = this.#clock.now();
    if (
      this.#isBroken || !this.#unsynced || this.#syncing !== undefined || now - this.#syncedAt < SYNC_EVERY_MS
    ) return;
    this.#unsynced = false;
    this.#syncing = this.#sync().finally(() => {
      this.#syncing = undefined;
      this.#syncedAt = this.#clock.now();
    });
  }

  /**
   * Everything is in place: nothing of those that it went on with is needed any more, and of this transfer, when it was
   * `whole`, what lies where.
   */
  async placed({ whole }: { whole: boolean }): Promise<void> {
    const { journal, title } = this.#options;
    await this.#syncing;
    this.#write(() => whole ? journal.finish(this.#id) : journal.end(this.#id));
    const spent = await this.#engine.spentLeftovers();
    const done = this.#taken.filter((left) =>
      // Whoever received the same things whole wants no half of them.
      left.title === title || spent.some((staging) => sameBytes(staging, left.staging))
    );
    await this.#engine.removeLeftovers(done.map(({ staging }) => staging));
    for (const { id } of done) this.#write(() => journal.end(id));
  }

  /** The transfer failed with `error`; gives the bytes that are kept for another try, 0 when nothing is. */
  async failed(error: unknown): Promise<number> {
    await this.#syncing;
    const { journal } = this.#options;
    const keep = !this.#isBroken && !isWormholeError(error, ...UNTRUSTED);
    if (keep) await this.#dropSpent();
    const last = await this.#engine.close({ keep });
    // What was taken over may be all there is, when the connection was lost before anything else came; and what came may
    // be newer than the last report.
    const bytes = Math.max(this.#bytesDone, this.#bytesTaken) + bytesOf(last);
    if (keep && bytes > 0) {
      this.#write(() => journal.addVerified(this.#id, new Uint8Array(last), bytes));
      return bytes;
    }
    this.#write(() => journal.end(this.#id));
    if (keep) await this.#clean();
    return 0;
  }

  /** Removes the staging folder, in which there is nothing. */
  async #clean(): Promise<void> {
    const { queue, destination } = this.#options;
    try {
      await cleanLeftover(queue, { destination, staging: this.#engine.staging });
    } catch (error) {
      // Why the transfer failed says more; the next one into that folder removes it.
      if (!isWormholeError(error)) throw error;
    }
  }

  /** Forgets leftovers of which everything was taken over, so that one connection lost after the other leaves only one. */
  async #dropSpent(): Promise<void> {
    try {
      const spent = await this.#engine.spentLeftovers();
      await this.#engine.removeLeftovers(spent);
      for (const { id, staging } of this.#taken) {
        if (spent.some((name) => sameBytes(name, staging))) this.#write(() => this.#options.journal.end(id));
      }
    } catch (error) {
      // Why the transfer failed says more; they go when everything is in place.
      if (!isWormholeError(error)) throw error;
    }
  }

  /** Writes to the journal, whose failure (a full disk, a home that is read-only) is none of the transfer. */
  #write(change: () => void): void {
    if (this.#isBroken) return;
    try {
      change();
    } catch (error) {
      if (!isWormholeError(error)) throw error;
      this.#isBroken = true;
      const { onWarning } = this.#options;
      onWarning?.call(this.#options, `What arrives is not kept for another try: ${error.message}`);
    }
  }

  async #give(left: UnfinishedTransfer): Promise<void> {
    const { journal } = this.#options;
    try {
      const taken = await this.#engine.addLeftover({
        staging: left.staging,
        pages: journal.pages(left.id),
        verified: journal.verified(left.id),
        synced: journal.synced(left.id),
      });
      if (taken) this.#taken.push(left);
    } catch (error) {
      // A damaged journal costs what it described, no more.
      if (!isWormholeError(error)) throw error;
      if (isWormholeError(error, "CORRUPT", "PROTOCOL")) this.#write(() => journal.end(left.id));
    }
  }

  async #sync(): Promise<void> {
    const { journal } = this.#options;
    try {
      const mark = journal.mark(this.#id);
      await this.#engine.sync();
      this.#write(() => journal.settle(this.#id, mark));
    } catch (error) {
      // The transfer itself tells what is wrong with the disk; without the barrier there is only less to go on with.
      if (!isWormholeError(error)) throw error;
    }
  }
}

/** Bytes of content that `records` are about; their form is in native/leftover.ts. */
function bytesOf(records: Uint8Array): number {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  let bytes = 0;
  for (let at = 0; at + RECORD_BYTES <= records.length; at += RECORD_BYTES) {
    bytes += view.getUint32(at + 4, true);
  }
  return bytes;
}

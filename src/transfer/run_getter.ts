import { type Clock, systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { decodeName, encodeName } from "../base/names.ts";
import { diskSpace } from "../native/files.ts";
import type { NativeQueue } from "../native/queue.ts";
import { type CommitResult, NativeReceive, type RootPlan } from "../native/receive.ts";
import type { Journal } from "../store/mod.ts";
import type { PeerConnection } from "../transport/connection.ts";
import { type EntryName, parseName, printable } from "../tree/mod.ts";
import type { MessageOf, Totals } from "../wire/mod.ts";
import { drive } from "./drive.ts";
import type { Finder } from "./dedup/finder.ts";
import type { KnownContent } from "./dedup/known_content.ts";
import { Learned } from "./dedup/learned.ts";
import { SmallFiles } from "./dedup/small_files.ts";
import { FileNames, type TransferFile } from "./file_names.ts";
import { Getter, type GetterAction, type GetterEvent, roomFor } from "./getter.ts";
import { makeHello } from "./handshake.ts";
import { Lane } from "./lane.ts";
import type { Progress, TransferOutcome } from "./outcome.ts";
import { LARGE_BYTES, type ManifestRoot } from "./manifest_reader.ts";
import { TransferLinks } from "./transfer_links.ts";
import { type ExistingPolicy, Placement } from "./placement.ts";
import { ReceiptLog } from "./receipt.ts";
import { findLeftovers, type Leftovers, ResumeLog, type ResumeOptions } from "./resume.ts";

/** An offer as the person sees it; names are checked, show them through `printable`. */
export interface Offer {
  readonly kind: "files" | "text" | "stream";
  readonly roots: readonly OfferedRoot[];
  /** Roots beyond those listed. */
  readonly more: number;
  readonly totals: Totals;
  /** The totals are not complete. */
  readonly counting: boolean;
  readonly text: string | undefined;
}

/** One thing that is offered. */
export interface OfferedRoot {
  readonly name: EntryName;
  readonly kind: "file" | "directory" | "symlink" | "stream";
  /** Bytes; 0 where the sender does not know. */
  readonly size: number;
  readonly files: number;
  /** The destination has something of that name. */
  readonly exists: boolean;
}

/** What the person decided. */
export type Acceptance =
  | { readonly accept: true; readonly existing?: ExistingPolicy | undefined }
  | { readonly accept: false };

/** What {@linkcode runGetter} needs. */
export interface RunGetterOptions {
  readonly connection: PeerConnection;
  readonly queue: NativeQueue;
  /** Folder to receive into; it must exist. */
  readonly destination: string;
  /** Program and version, such as `wormhole/0.1.0`. */
  readonly agent: string;
  readonly maxStreams: number;
  /** Bytes of all buffers. */
  readonly poolBytes: number;
  /** Forces how files are written; see `debug_io`. */
  readonly io?: string;
  /**
   * Asks the person; called once. A WormholeError that it throws refuses the offer with that code. `signal` aborts
   * when the peer has gone meanwhile.
   */
  accept(offer: Offer, options: { signal: AbortSignal }): Promise<Acceptance> | Acceptance;
  /** Globs; with any only entries that match, and everything in directories that match, are received. */
  readonly only?: readonly string[];
  /** Take symlinks that lead out of what was sent. */
  readonly unsafeLinks?: boolean;
  /** Where what arrived is written down, so that a transfer that fails can be gone on with; without it nothing stays. */
  readonly journal?: Journal;
  /** What a person knows the transfer by, where the names of its roots say nothing. */
  readonly label?: string;
  /** Told every file that is to be received, by its path in the destination, before it is. */
  onFile?(file: TransferFile): void;
  /** What this machine has; without it nothing is looked up or remembered. */
  readonly content?: KnownContent;
  /** Look for what is offered before it is asked for; true unless told otherwise. */
  readonly dedup?: boolean;
  /** Gives where an older version of a file is, by its path in the destination; that place itself when left out. */
  olderAt?(path: readonly string[]): string | undefined;
  /** Told the outcome before what was received is remembered, which may take a moment. */
  onOutcome?(outcome: TransferOutcome): void | Promise<void>;
  /** Told when the transfer fails and bytes of it are kept for another try. */
  onKept?(bytes: number): void;
  /** Told of what is odd but no failure of the transfer. */
  onWarning?(sentence: string): void;
  readonly clock?: Clock;
  onProgress?(progress: Progress): void;
  readonly signal?: AbortSignal;
}

/**
 * Receives over an authenticated connection, which stays open when all went well. When it fails, nothing but what was
 * there before stays in the destination, and, with a journal, a hidden folder that another transfer goes on with.
 *
 * @throws {WormholeError} REFUSED when `accept` declined; DESTINATION_EXISTS when something exists and no policy was
 * given; NO_SPACE and other disk codes; CANCELLED when the sender stopped; PEER_FROZEN or CONNECTION_LOST; PROTOCOL,
 * LIMIT_EXCEEDED, HOSTILE_NAME, CORRUPT when the peer misbehaves; the sender's own code when it failed; the signal's
 * reason when aborted before the placing began. Entries that fail are in the outcome.
 */
export async function runGetter(options: RunGetterOptions): Promise<TransferOutcome> {
  const { connection, agent, maxStreams, clock = systemClock, onProgress, signal } = options;
  using receipt = new ReceiptLog();
  const machine = new Getter({
    receipt,
    hello: makeHello({ agent, nonce: crypto.getRandomValues(new Uint8Array(16)), streams: maxStreams }),
    maxStreams,
  });
  await using work = new Work(options);
  try {
    const outcome = await drive<GetterEvent, GetterAction>({
      machine,
      connection,
      clock,
      perform: (action, over) => work.perform(action, over),
      ...onProgress && { onProgress },
      ...signal && { signal },
    });
    await work.placed(outcome);
    await options.onOutcome?.(outcome);
    await work.remember(outcome.bytesFound);
    return outcome;
  } catch (error) {
    const kept = await work.failed(error);
    if (kept > 0) options.onKept?.(kept);
    throw error;
  }
}

/** Names of an offer that the journal's title has. */
const MAX_TITLE_NAMES = 8;

/** Does what the machine wants with the person, the disk and the engine. */
class Work implements AsyncDisposable {
  readonly #options: RunGetterOptions;
  /** Pages keep their order; nothing is closed under one. */
  readonly #lane = new Lane();
  readonly #destination: Uint8Array;
  readonly #links: TransferLinks;
  #placement: Placement | undefined;
  #engine: NativeReceive | undefined;
  #log: ResumeLog | undefined;
  readonly #learned = new Learned();
  #finder: Finder | undefined;
  #small: SmallFiles | undefined;
  /** A root has another name here than in the manifest. */
  #isRenamed = false;
  /** Names of roots whose files are replaced. */
  readonly #replaced = new Set<string>();
  #committing: Promise<CommitResult> | undefined;
  #over = false;
  /** What is offered is what will be written. */
  #needsSpace = false;

  readonly #names: FileNames | undefined;

  constructor(options: RunGetterOptions) {
    this.#options = options;
    if (options.onFile) this.#names = new FileNames((file) => options.onFile?.(file));
    this.#destination = encodeName(options.destination);
    this.#links = new TransferLinks(options.connection);
  }

  async perform(action: GetterAction, signal: AbortSignal): Promise<GetterEvent | undefined> {
    switch (action.type) {
      case "ask":
        return await this.#ask(action.offer, signal);
      case "start":
        return await this.#start(action, signal);
      case "find_link": {
        const made = await this.#links.next(signal);
        return made && { type: "linked", link: made.link };
      }
      case "watch_link":
        await this.#links.gone(action.link, signal);
        return { type: "link_gone", link: action.link };
      case "drop_link":
        await this.#links.drop(action.link);
        return undefined;
      case "give_up":
        return { type: "gave_up", stream: action.stream, frames: await this.#opened().giveUp(action.stream) };
      case "look_at_links": {
        const received: number[] = [];
        for (const { link, bytesReceived } of await this.#links.status()) received[link] = bytesReceived;
        const isPlacing = await this.#opened().isPlacing();
        return { type: "links", received: Array.from(received, (each = 0) => each), isPlacing };
      }
      case "expect":
        return await this.#lane.run(() => this.#expect(action, signal));
      case "place":
        return { type: "placed", result: await this.#finder!.place(action, { signal }) };
      case "release":
        return { type: "placed", result: await this.#finder!.release(action.entry) };
      case "watch":
        return await this.#watch(action.generation, signal);
      case "check_space":
        return this.#needsSpace ? { type: "space", available: Number(await this.#space()) } : undefined;
      case "commit":
        this.#committing = this.#opened().commit();
        return { type: "committed", result: await this.#committing };
    }
  }

  /** Everything is in place: nothing is needed for another try. */
  async placed({ failedCount, skipped }: TransferOutcome): Promise<void> {
    const { dedup = true, only = [] } = this.#options;
    // Where something else may lie under a name of the manifest, nothing is concluded from it later.
    const whole = dedup && only.length === 0 && failedCount === 0 && skipped === 0 && !this.#isRenamed;
    await this.#log?.placed({ whole });
    this.#log = undefined;
  }

  /** Keeps in mind what is here now, so that it need not come again. A failure is none of the transfer. */
  async remember(savedBytes: number): Promise<void> {
    const { content, onWarning } = this.#options;
    const engine = this.#engine;
    if (content === undefined || engine === undefined) return;
    const now = Date.now();
    try {
      const { isSettledWhenPlaced } = await import("../store/mod.ts");
      await this.#learned.remember(content, {
        stamps: (entries) => engine.stamps(entries),
        isSettled: (stamp) => isSettledWhenPlaced(stamp, now),
        savedBytes,
      });
    } catch (error) {
      if (!isWormholeError(error)) throw error;
      onWarning?.call(this.#options, `What was received is not remembered: ${error.message}`);
    }
  }

  /** The transfer failed; gives the bytes that are kept for another try. */
  async failed(error: unknown): Promise<number> {
    await this.#idle();
    const log = this.#log;
    this.#log = undefined;
    return await log?.failed(error) ?? 0;
  }

  /** Waits for what runs, then removes what is staged. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#idle();
    await this.#links[Symbol.asyncDispose]();
    try {
      await this.#engine?.close();
    } catch (error) {
      // By now everything is in place, or the transfer has failed for a reason that says more.
      if (!isWormholeError(error)) throw error;
      this.#options.onWarning?.(`Something hidden is left in the folder: ${error.message}`);
    }
  }

  async #idle(): Promise<void> {
    this.#over = true;
    await this.#lane.idle();
    await Promise.allSettled([this.#committing]);
  }

  async #start(
    { link, streams }: GetterAction & { type: "start" },
    signal: AbortSignal,
  ): Promise<GetterEvent> {
    try {
      const connection = this.#links.get(link);
      await connection.bulk(streams, { signal });
      await this.#opened().start({ connection: connection.native, streams }, { signal });
      return { type: "opened", link };
    } catch (error) {
      if (signal.aborted || !isWormholeError(error)) throw error;
      return { type: "not_opened", link, count: streams, error };
    }
  }

  async #watch(generation: number, signal: AbortSignal): Promise<GetterEvent | undefined> {
    try {
      const report = await this.#opened().wait({ signal });
      this.#learned.records(report.verified);
      this.#log?.verified(report.verified, report.bytes);
      return { type: "received", report, generation };
    } catch (error) {
      // What is placed is complete: whatever else arrives matters no more.
      if (this.#committing !== undefined) return undefined;
      throw error;
    }
  }

  async #ask(message: MessageOf<"offer">, signal: AbortSignal): Promise<GetterEvent> {
    const { accept, only, unsafeLinks } = this.#options;
    const offer = await this.#look(message);
    const acceptance = await accept.call(this.#options, offer, { signal });
    if (!acceptance.accept) return { type: "decided", decision: { accept: false } };
    if (offer.kind !== "text") {
      await this.#check(offer, acceptance.existing);
      this.#placement = new Placement({
        exists: (names) => this.#exists(names),
        existing: acceptance.existing,
      });
      await this.#open(offer);
    }
    const decision = { accept: true, ...only && { only }, ...unsafeLinks && { unsafeLinks } } as const;
    return { type: "decided", decision };
  }

  async #look(message: MessageOf<"offer">): Promise<Offer> {
    // Names that only this platform cannot hold fail one by one later.
    const names = message.roots.map(({ name }) => parseName(name, { platform: "posix" }));
    const exists = names.length === 0 ? new Set() : await this.#exists(message.roots.map(({ name }) => name));
    return {
      kind: message.kind,
      roots: message.roots.map(({ kind, size, files }, i) => ({
        name: names[i]!,
        kind,
        size,
        files,
        exists: exists.has(i),
      })),
      more: message.more ?? 0,
      totals: message.totals,
      counting: message.counting || message.kind === "stream",
      text: message.text,
    };
  }

  /** Refuses before anything is sent what cannot end well. */
  async #check(offer: Offer, existing: ExistingPolicy | undefined): Promise<void> {
    // Who takes a part may not want what is in the way, and needs less room.
    this.#needsSpace = (this.#options.only?.length ?? 0) === 0 && existing !== "skip";
    if ((this.#options.only?.length ?? 0) > 0) return;
    const taken = offer.roots.find(({ exists }) => exists);
    if (taken !== undefined && existing === undefined) {
      throw new WormholeError(
        "DESTINATION_EXISTS",
        `Cannot receive "${printable(taken.name)}": it exists already in "${
          printable(this.#options.destination)
        }"`,
      );
    }
    // What is replaced may be the same already, and then needs no room.
    if (offer.counting || existing === "skip" || (taken !== undefined && existing === "overwrite")) return;
    const available = Number(await this.#space());
    const needed = roomFor(offer.totals);
    if (available >= needed || available + this.#keptBytes(offer) >= needed) return;
    throw new WormholeError(
      "NO_SPACE",
      `Cannot receive into "${printable(this.#options.destination)}": not enough space, ${
        mebibytes(available)
      } are ` +
        `free and ${mebibytes(needed)} are needed`,
    );
  }

  /** Bytes of an earlier try at the same things that take room in the destination already. */
  #keptBytes(offer: Offer): number {
    const resume = this.#resumeOptions(offer);
    const usable = resume && this.#leftovers(resume)?.usable.filter(({ title }) => title === resume.title);
    return usable?.reduce((sum, { bytesDone }) => sum + bytesDone, 0) ?? 0;
  }

  async #space(): Promise<number> {
    return (await diskSpace(this.#options.queue, this.#options.destination)).available;
  }

  async #open(offer: Offer): Promise<void> {
    const { queue, poolBytes, io } = this.#options;
    const resume = this.#resumeOptions(offer);
    const left = resume && this.#leftovers(resume);
    const engine = await NativeReceive.open(queue, {
      destination: this.#destination,
      pool_bytes: poolBytes,
      remember_bytes: LARGE_BYTES,
      ...io !== undefined && { io },
      ...left && { kept: left.kept },
    });
    // The transfer may have ended while the folder was made.
    if (this.#over) return void await engine.close();
    this.#engine = engine;
    if (!left) return;
    this.#log = await ResumeLog.begin(resume, { engine, usable: left.usable });
    const { dedup = true } = this.#options;
    const { journal, peer, destination } = resume;
    if (dedup) this.#small = new SmallFiles({ journal, queue, peer, destination });
  }

  /** What cannot be looked up is left alone, and nothing of this transfer is kept. */
  #leftovers(resume: ResumeOptions): Leftovers | undefined {
    try {
      return findLeftovers(resume);
    } catch (error) {
      if (!isWormholeError(error)) throw error;
      this.#options.onWarning?.(`What arrives is not kept for another try: ${error.message}`);
      return undefined;
    }
  }

  /** A stream cannot be read again from its middle. */
  #resumeOptions({ kind, roots, totals, counting }: Offer): ResumeOptions | undefined {
    const { journal, queue, connection, label, clock } = this.#options;
    if (journal === undefined || kind !== "files") return undefined;
    return {
      journal,
      queue,
      peer: connection.peerKey,
      destination: this.#destination,
      title: roots.slice(0, MAX_TITLE_NAMES).map(({ name }) => name).join(", "),
      ...label !== undefined && { label },
      bytesTotal: counting ? undefined : totals.bytes,
      ...clock && { clock },
      onWarning: (sentence) => this.#options.onWarning?.(sentence),
    };
  }

  async #expect(action: GetterAction & { type: "expect" }, signal: AbortSignal): Promise<GetterEvent> {
    const { columns, versions, wanted } = action;
    const { plans, refused } = await this.#placement!.plan(action.roots);
    this.#names?.page(columns, { wanted, rootName: finalNames(plans) });
    const taken = await this.#log?.page(columns, versions);
    this.#noteNames(action.roots, plans);
    const finder = await this.#finderFor(action);
    if (taken) this.#learned.records(taken);
    const large = await finder?.plan(action, { replaced: this.#replaced, resumed: taken });
    const plan = await this.#small?.addTo(large, { ...action, replaced: this.#replaced }) ?? large;
    const result = await this.#opened().expect({
      columns,
      wanted,
      roots: plans,
      ...this.#log && versions && { versions },
      ...plan,
    });
    return {
      type: "expected",
      result,
      refused,
      ...finder?.heldOf(result, { signal }) ?? { held: [], kept: [] },
    };
  }

  #noteNames(roots: readonly ManifestRoot[], plans: readonly RootPlan[]): void {
    const finalName = finalNames(plans);
    this.#isRenamed ||= roots.some(({ entry, name }) => finalName(entry) !== name);
    for (const { policy, final_name } of plans) {
      if (policy === "overwrite") this.#replaced.add(decodeName(final_name));
    }
  }

  /** Takes note of a page's large files; gives who looks for them, if anybody shall. */
  async #finderFor(
    { columns, versions, large }: GetterAction & { type: "expect" },
  ): Promise<Finder | undefined> {
    const { content, dedup = true, queue, journal, connection, olderAt } = this.#options;
    if (content === undefined) return undefined;
    const peer = connection.peerKey;
    this.#learned.page(large, versions && { first: columns.first, versions, peer });
    if (!dedup) return undefined;
    if (large.length === 0 || this.#finder !== undefined) return this.#finder;
    // Neither this nor SQLite is needed for small files.
    const { Finder } = await import("./dedup/finder.ts");
    return this.#finder = new Finder({
      queue,
      engine: this.#opened(),
      known: content,
      learned: this.#learned,
      peer,
      destination: this.#destination,
      ...journal && { journal },
      ...olderAt && { olderAt: (path: readonly string[]) => olderAt.call(this.#options, path) },
    });
  }

  async #exists(names: readonly Uint8Array[]): Promise<ReadonlySet<number>> {
    const { existing } = await this.#options.queue.call<{ existing: number[] }>("files.exists", {
      directory: this.#destination,
      names,
    });
    return new Set(existing);
  }

  #opened(): NativeReceive {
    if (this.#engine === undefined) throw new WormholeError("CLOSED", "the receive session is closed");
    return this.#engine;
  }
}

/** Gives which names roots get in the destination. */
function finalNames(plans: readonly RootPlan[]): (root: number) => string | undefined {
  const names = new Map(plans.map(({ entry, final_name }) => [entry, decodeName(final_name)]));
  return (root) => names.get(root);
}

function mebibytes(bytes: number | bigint): string {
  return `${(Number(bytes) / 1024 ** 2).toFixed(1)} MiB`;
}

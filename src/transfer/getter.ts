/**
 * The receiver as a pure machine: answers the offer, checks pages, asks for content, and places it when all of it is
 * there. Specs: wire/spec/offer.md, manifest.md, chunks.md.
 */
import { type ErrorCode, WormholeError } from "../base/errors.ts";
import type { CommitResult, ReceiveReport } from "../native/receive.ts";
import {
  CHUNK_BYTES,
  columnsOf,
  type Message,
  type MessageOf,
  type Range,
  type Totals,
  unpackRanges,
  versionsOf,
  writeRequest,
} from "../wire/mod.ts";
import { BulkReceiver, type BulkReceiverEvent } from "./bulk_receiver.ts";
import { wholeChunks } from "./chunk_list.ts";
import { type PlacedEntry, Questions } from "./dedup/questions.ts";
import { entriesIn, requestParts } from "./request_parts.ts";
import type { Decision, GetterAction, GetterEvent } from "./getter_events.ts";
import { codecsOf, streamsOf } from "./handshake.ts";
import { TransferMachine, unexpected } from "./machine.ts";
import { ManifestReader } from "./manifest_reader.ts";
import { Failures, type Progress, type TransferOutcome } from "./outcome.ts";
import { type Awaited, Withheld } from "./withheld.ts";
import { type ReceiptLog, receiptOf } from "./receipt.ts";

export type { Decision, GetterAction, GetterEvent, RefusedRoot } from "./getter_events.ts";

/** What a getter is made from. */
export interface GetterOptions {
  readonly hello: MessageOf<"hello">;
  readonly maxStreams: number;
  /** Notes what is received, to be compared at the end; disposed of by the caller. */
  readonly receipt?: ReceiptLog;
}

/** Pages that the sender may be ahead of us: enough to fill a link of 100 ms with small files. */
export const PAGE_WINDOW = 8;

/** Requested entries at which no more pages are granted, so that memory does not grow with the tree. */
export const MAX_OUTSTANDING = 65_536;

/** Bytes for which a further link may be worth its making: less is over before it has been measured. */
const LINK_WORTH_BYTES = 64 * 1024 * 1024;

/** How long the sender's `done_ack` is waited for, in ms; the outcome is settled without it. */
const ACK_WAIT_MS = 5000;

type State = "greeting" | "waiting" | "deciding" | "receiving" | "committing" | "done";

/** The receiving end of one transfer. */
export class Getter extends TransferMachine<GetterEvent, GetterAction> {
  readonly #options: GetterOptions;
  readonly #failures = new Failures();
  #state: State = "greeting";
  #peer: MessageOf<"hello"> | undefined;
  #offer: MessageOf<"offer"> | undefined;
  #reader: ManifestReader | undefined;
  #onlyPart = false;
  #bulk: BulkReceiver | undefined;
  readonly #questions = new Questions({
    act: (action) => this.act(action),
    send: (message) => this.send(message),
  });
  #watching = false;
  #withheld: Withheld | undefined;
  /** Our disk is busy with what came, so that more need not come. */
  #isPlacing = false;
  #acceptedAt = 0;
  #pages = 0;
  #credit = -1;
  /** What the sender counted after its offer. */
  #lateTotals: Totals | undefined;
  /** Free bytes, to be compared with what the next report says to have come. */
  #available: number | undefined;
  /** Last entries of the pages that the engine is taking. */
  readonly #pageEnds: number[] = [];
  /** Pages given to the engine and not yet taken; results so far. */
  #expecting = 0;
  #generation = 0;
  #requested = 0;
  #complete = 0;
  #skipped = 0;
  #engineFailed = 0;
  /** Bytes that were here before. */
  #found = 0;
  #received: Pick<ReceiveReport, "bytes" | "bytes_wire" | "files_done" | "outstanding"> = {
    bytes: 0,
    bytes_wire: 0,
    files_done: 0,
    outstanding: 0,
  };
  #receivedGeneration = -1;
  #ackDeadline = Infinity;
  #peerGone = false;
  #ran = false;
  #outcome: TransferOutcome | undefined;
  /** 32 bytes: what this end noted, once that is complete. */
  #receipt: Uint8Array | undefined;

  constructor(options: GetterOptions) {
    super(options.hello);
    this.#options = options;
  }

  protected override on(event: GetterEvent): void {
    switch (event.type) {
      case "decided":
        return this.#decided(event.decision);
      case "expected":
        return this.#expected(event);
      case "placed":
        return this.#placed(event.result);
      case "space":
        this.#available = event.available;
        // What was asked for may be coming, so the next report decides; before that nothing can have come.
        return this.#requested === 0 ? this.#checkSpace() : undefined;
      case "received":
        return this.#news(event.report, event.generation);
      case "committed":
        return this.#committed(event.result);
      default:
        return this.#streams(event);
    }
  }

  protected override onHello(hello: MessageOf<"hello">): void {
    this.#peer = hello;
    this.#state = "waiting";
  }

  protected override onMessage(
    message: Exclude<Message, { type: "hello" | "ping" | "pong" | "cancel" }>,
  ): void {
    switch (message.type) {
      case "offer":
        this.#mustBe("waiting", message.type);
        this.#offer = message;
        this.#checkOffer(message);
        this.#state = "deciding";
        this.act({ type: "ask", offer: message });
        return this.#progress("waiting");
      case "totals":
        return this.#counted(message.totals);
      case "bulk_streams":
      case "bulk_gone":
      case "link_lost":
        // What crosses the end of the transfer means nothing any more.
        if (this.isSettled()) return;
        this.#mustBe("receiving", message.type);
        if (this.#bulk === undefined) throw unexpected(message.type);
        return this.#bulk.heard(message);
      case "manifest_page":
        return this.#page(message);
      case "manifest_response":
        this.#mustBe("receiving", message.type);
        this.#withheld?.moved();
        return this.#questions.heard(message);
      case "error":
        this.#mustBe("receiving", message.type);
        // What cannot be listed may be readable when it is asked for, or then says itself why not.
        if (this.#questions.refused(message.entry!)) return this.#withheld?.moved();
        return this.#failures.add({
          path: `entry ${message.entry}`,
          code: message.code,
          message: "the sender could not send it",
        }, message.entry);
      case "done_ack":
        this.#mustBe("done", message.type);
        if (this.#receipt) {
          this.#outcome = { ...this.#outcome!, receipt: receiptOf(this.#receipt, message.manifest_hash) };
        }
        return this.settle();
      default:
        throw unexpected(message.type);
    }
  }

  protected override onPing({ busy }: MessageOf<"ping">): void {
    this.#withheld?.heard(busy);
  }

  protected override isSettled(): boolean {
    return this.#state === "committing" || this.#state === "done";
  }

  protected override settle(): void {
    this.#peerGone = true;
    if (this.#outcome !== undefined) this.finish(this.#outcome);
  }

  protected override get ownDeadline(): number {
    return Math.min(
      this.#ackDeadline,
      ...this.#state === "receiving"
        ? [this.#bulk?.deadline ?? Infinity, this.#withheld?.deadline ?? Infinity]
        : [],
    );
  }

  protected override onTick(): void {
    if (this.#state === "receiving") {
      this.#bulk?.tick(this.now);
      this.#withheld?.tick(this.now, this.#awaited());
    }
    if (this.now >= this.#ackDeadline) this.settle();
  }

  protected override failureMessage(code: ErrorCode): Message {
    if (this.#state !== "deciding") return { type: "error", code };
    return { type: "answer", accept: false, reason: code, abilities: {}, streams: 1 };
  }

  #checkOffer({ kind, text, roots }: MessageOf<"offer">): void {
    if ((kind === "text") !== (text !== undefined)) throw unexpected("offer");
    if (kind === "text" ? roots.length > 0 : roots.length === 0) throw unexpected("offer");
  }

  #decided(decision: Decision): void {
    const offer = this.#offer!;
    if (!decision.accept) {
      return this.fail(new WormholeError("REFUSED", "Cannot receive: the offer was declined here"));
    }
    this.#acceptedAt = this.now;
    this.#onlyPart = (decision.only?.length ?? 0) > 0;
    this.#reader = new ManifestReader({ offer, ...decision });
    this.#state = "receiving";
    const streams = streamsOf(this.#peer!.abilities, this.#options.maxStreams);
    const codecs = codecsOf(this.#peer!.abilities);
    this.send({
      type: "answer",
      accept: true,
      abilities: { zstd: codecs.has("zstd"), lz4: codecs.has("lz4") },
      streams,
    });
    if (offer.kind === "text") return this.#end({ files: 0, directories: 0, symlinks: 0 });
    this.#bulk = new BulkReceiver({
      streams,
      wantsLink: offer.kind === "files" && (offer.counting || offer.totals.bytes >= LINK_WORTH_BYTES),
      act: (action) => this.act(action),
      send: (message) => this.send(message),
    });
    // Standard input may say nothing for as long as it likes.
    if (offer.kind === "files") this.#withheld = new Withheld(this.now);
    this.#grant();
    if (this.#lateTotals !== undefined) this.act({ type: "check_space" });
    this.#progress("transferring");
  }

  #counted(totals: Totals): void {
    if (this.#state !== "deciding") this.#mustBe("receiving", "totals");
    if (!this.#offer!.counting || this.#lateTotals !== undefined || this.#reader?.ended) {
      throw unexpected("totals");
    }
    this.#lateTotals = totals;
    if (this.#state === "deciding") return;
    this.act({ type: "check_space" });
    this.#progress("transferring");
  }

  /**
   * Ends a transfer that cannot be finished as soon as that is known. What came after the look at the disk counts
   * twice, so that nothing that fits is refused.
   */
  #checkSpace(): void {
    const available = this.#available;
    const needed = this.#lateTotals && roomFor(this.#lateTotals);
    this.#available = undefined;
    if (available === undefined || needed === undefined || available + this.#received.bytes >= needed) return;
    throw new WormholeError("NO_SPACE", "Cannot receive: not enough space for what is still to come");
  }

  #streams(event: BulkReceiverEvent): void {
    if (this.#state !== "receiving") return;
    if (event.type === "links") {
      this.#isPlacing = event.isPlacing ?? false;
      this.#withheld?.received(event.received.reduce((sum, bytes) => sum + bytes, 0));
    }
    this.#bulk!.on(event, this.now);
    if (event.type !== "opened" || this.#watching) return;
    this.#watching = true;
    this.act({ type: "watch", generation: this.#generation });
  }

  #page(message: MessageOf<"manifest_page">): void {
    this.#mustBe("receiving", message.type);
    if (message.page !== this.#pages || message.page > this.#credit) throw unexpected(message.type);
    this.#pages++;
    this.#options.receipt?.page(message);
    const columns = columnsOf(message);
    const { wanted, roots, large, refused, refusedLeaves } = this.#reader!.read(columns);
    for (const { entry, ...failed } of refused) this.#failures.add(failed, entry);
    this.#failures.addUnnamed(message.omitted ?? 0);
    // The engine counts as skipped whatever has no bit in `wanted`.
    this.#skipped -= refusedLeaves;
    this.#expecting++;
    this.#pageEnds.push(columns.first + columns.count - 1);
    const versions = versionsOf(message);
    this.act({ type: "expect", columns, wanted, roots, large, ...versions && { versions } });
  }

  #expected({ result, refused, held, kept }: GetterEvent & { type: "expected" }): void {
    this.#expecting--;
    const last = this.#pageEnds.shift()!;
    this.#generation++;
    for (const { entry, ...failed } of refused) this.#failures.add(failed, entry);
    this.#failures.addNative(result.failed);
    this.#complete += result.complete;
    this.#skipped += result.skipped;
    this.#found += result.resumed;
    this.#requested += held.length;
    const ranges = unpackRanges(result.ranges);
    this.#requested += entriesIn(result.requested) + new Set(ranges.map(({ entry }) => entry)).size;
    this.#questions.page(last, held);
    for (const { entry, size } of kept) this.#have(entry, size, []);
    this.#request(result.requested, ranges);
    this.#grant();
    this.#commitWhenComplete();
  }

  #placed({ entry, whole, complete, ranges, found, size }: PlacedEntry): void {
    if (this.#state !== "receiving") return;
    this.#found += found;
    this.#questions.placed(entry);
    const request = writeRequest({ runs: whole ? [[entry, entry]] : [], ranges: [] });
    const gaps = whole || complete ? [] : unpackRanges(ranges);
    if (found > 0) this.#have(entry, size, gaps);
    this.#request(request.runs, gaps);
    this.#progress("transferring");
    this.#commitWhenComplete();
  }

  /** Tells the sender what need not come of a bulk file, for its progress; before it may forget the entry. */
  #have(entry: number, size: number, gaps: readonly Range[]): void {
    if (size < CHUNK_BYTES) return;
    const chunks = wholeChunks(size, gaps);
    if (chunks) this.send({ type: "have", entry, chunks });
  }

  /** Asks for content, and lets the sender forget what is not asked for later; all ranges of one file go in one message. */
  #request(runs: Uint8Array, ranges: readonly Range[]): void {
    const released = this.#questions.takeReleased();
    // After the last page the sender's memory does not matter any more.
    if (runs.length + ranges.length === 0 && (released === undefined || this.#reader!.ended)) return;
    for (const part of requestParts(ranges)) {
      const last = part.end === ranges.length;
      const request = writeRequest({ runs: [], ranges: ranges.slice(part.start, part.end) });
      this.send({
        type: "request_chunks",
        ...request,
        ...part.start === 0 && { runs },
        ...last && released !== undefined && { released },
      });
    }
  }

  #news(report: ReceiveReport, generation: number): void {
    if (this.#state !== "receiving") return;
    if (report.bytes_wire > this.#received.bytes_wire) {
      this.heard();
      this.#withheld?.moved();
    }
    this.#received = report;
    this.#receivedGeneration = generation;
    this.#checkSpace();
    this.#engineFailed += report.failed.length;
    this.#failures.addNative(report.failed);
    if (!report.ended) this.#ran = true;
    const isDry = report.ended && this.#ran && report.outstanding > this.#questions.open;
    this.#bulk!.news(report.streams, { now: this.now, isDry });
    this.#progress("transferring");
    this.#grant();
    this.#commitWhenComplete();
    if (this.#isReceiving()) this.act({ type: "watch", generation: this.#generation });
  }

  #isReceiving(): boolean {
    return this.#state === "receiving";
  }

  /** Grants pages ahead, unless too much is outstanding already. */
  #grant(): void {
    if (this.#reader!.ended || this.#unfinished() > MAX_OUTSTANDING) return;
    const through = this.#pages - this.#expecting + PAGE_WINDOW - 1;
    if (through <= this.#credit) return;
    this.#credit = through;
    this.send({ type: "page_credit", through });
  }

  /** What only the peer keeps us from having. */
  #awaited(): Awaited {
    if (this.#isPlacing || this.#expecting > 0) return undefined;
    if (this.#unfinished() > this.#questions.open) return "content";
    if (this.#questions.asked > 0) return "lists";
    return this.#questions.open > 0 || this.#reader!.ended ? undefined : "pages";
  }

  /** Requested entries that are not known to be finished. */
  #unfinished(): number {
    // Files that needed no asking count as done at once, but a report may be older than the page that had them.
    const done = Math.max(0, this.#received.files_done - this.#complete);
    return Math.max(0, this.#requested - done - this.#engineFailed);
  }

  #commitWhenComplete(): void {
    if (!this.#reader!.ended || this.#expecting > 0 || this.#questions.open > 0) return;
    // A report may have been made before the last page was registered. Its counters then only say too little, but
    // its `outstanding` would lie; that counts only when the report was asked for afterwards.
    const reported = this.#receivedGeneration === this.#generation && this.#received.outstanding === 0;
    if (this.#unfinished() > 0 && !reported) return;
    this.#bulk!.end(this.now);
    this.#state = "committing";
    this.#progress("placing");
    this.act({ type: "commit" });
  }

  #committed(result: CommitResult): void {
    this.#failures.addNative(result.failed);
    this.#failures.addUnnamed(result.total_failed - result.failed.length);
    this.#end(result);
  }

  #end({ files, directories, symlinks }: { files: number; directories: number; symlinks: number }): void {
    const peerGone = this.#peerGone;
    this.#state = "done";
    this.#outcome = this.#result({ files, directories, symlinks });
    const { bytes, failedCount: failed_count, text } = this.#outcome;
    const done = {
      type: "done",
      files,
      directories,
      symlinks,
      bytes,
      failed: this.#failures.entries,
      failed_count,
    } as const;
    const { receipt } = this.#options;
    if (text !== undefined) receipt?.text(text);
    const manifest_hash = this.#receipt = receipt?.finish(done);
    if (manifest_hash) this.#outcome = { ...this.#outcome, receipt: receiptOf(manifest_hash, undefined) };
    this.send({ ...done, ...manifest_hash && { manifest_hash } });
    this.#ackDeadline = this.now + ACK_WAIT_MS;
    this.#progress("done");
    if (peerGone) this.finish(this.#outcome);
  }

  /** What was found needs no report of the engine: there may have been none, or an older one. */
  #result(counts: { files: number; directories: number; symlinks: number }): TransferOutcome {
    const { kind, text } = this.#offer!;
    return {
      kind,
      ...counts,
      bytes: Math.max(this.#received.bytes, this.#found),
      bytesFound: this.#found,
      bytesWire: this.#received.bytes_wire,
      skipped: Math.max(0, this.#skipped),
      failed: this.#failures.listed,
      failedCount: this.#failures.count,
      durationMs: this.now - this.#acceptedAt,
      ...text === undefined ? {} : { text },
    };
  }

  #mustBe(state: State, type: string): void {
    if (this.#state !== state) throw unexpected(type);
  }

  /** A report may be older than what was found since. */
  get #bytesFound(): number {
    return Math.min(this.#found, this.#received.bytes);
  }

  #progress(phase: Progress["phase"]): void {
    const { counting, kind } = this.#offer!;
    const totals = this.#lateTotals ?? (counting ? undefined : this.#offer!.totals);
    const exact = this.#reader?.ended ?? false;
    const known = exact ? this.#reader!.wanted : this.#onlyPart ? undefined : totals;
    this.act({
      type: "progress",
      progress: {
        phase,
        bytesDone: this.#received.bytes,
        bytesFound: this.#bytesFound,
        bytesTotal: kind === "stream" ? undefined : known?.bytes,
        filesDone: this.#received.files_done,
        filesTotal: known?.files,
        bytesWire: this.#received.bytes_wire,
        failedCount: this.#failures.count,
      },
    });
  }
}

/** Gives the bytes that a disk must have for what was counted: holes take none. */
export function roomFor({ bytes, allocated = bytes }: Totals): number {
  return Math.min(bytes, allocated);
}

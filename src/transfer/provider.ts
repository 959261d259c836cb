/**
 * The sender as a pure machine: offers, lists pages as far as credit goes, hands requests to the engine, and learns
 * the outcome. Specs: wire/spec/offer.md, manifest.md, chunks.md.
 */
import { type ErrorCode, WormholeError } from "../base/errors.ts";
import { type CodecChoice, CompressionController, type CompressionMode } from "../content/mod.ts";
import type { NativeProblem } from "../native/entries.ts";
import type { SendReport } from "../native/send.ts";
import {
  type Columns,
  type Message,
  type MessageOf,
  packRanges,
  readRequest,
  type Totals,
} from "../wire/mod.ts";
import { chunkList, type ListPart } from "./chunk_list.ts";
import type { Cut } from "./dedup/list_reader.ts";
import { factsOf, type ProcessorUse } from "./facts.ts";
import type { TransportKind } from "../transport/connection.ts";
import { streamCount } from "../transport/chooser.ts";
import { BulkSender, type BulkSenderAction, type BulkSenderEvent, type SentOverLink } from "./bulk_sender.ts";
import { codecsOf, streamsOf } from "./handshake.ts";
import { TransferMachine, unexpected } from "./machine.ts";
import { Failures, type Progress } from "./outcome.ts";
import { peerState, refused } from "./peer_error.ts";
import { type ReceiptLog, receiptOf } from "./receipt.ts";

/** What only the sender's surroundings tell it. */
export type ProviderEvent =
  /** Result of `read_page`. */
  | {
    readonly type: "page";
    readonly columns: Columns;
    /** u64 per entry; spec/manifest.md §4. */
    readonly versions?: Uint8Array | null;
    readonly problems: readonly NativeProblem[];
  }
  | BulkSenderEvent
  /** Result of `watch`; `links` are the report's by their numbers. */
  | {
    readonly type: "sent";
    readonly report: SendReport;
    readonly links: readonly SentOverLink[];
    readonly usage: ProcessorUse;
  }
  /** Result of `count`. */
  | { readonly type: "counted"; readonly totals: Totals }
  /** Result of `hash`. */
  | { readonly type: "hashed"; readonly result: ListPart | { readonly code: ErrorCode } }
  /** Result of `measure`: bytes that the receiver has already. */
  | { readonly type: "measured"; readonly bytes: number };

/** What only the sender wants done. */
export type ProviderAction =
  /** List the next entries. */
  | { readonly type: "read_page" }
  /** Set the engine up, and the first bulk streams. */
  | { readonly type: "start"; readonly streams: number; readonly choice: CodecChoice }
  | BulkSenderAction
  /** Wait until everything is counted. */
  | { readonly type: "count" }
  /** Send these; after `start`, in order. Then forget what was not asked for up to `released`. */
  | {
    readonly type: "push";
    readonly runs: Uint8Array;
    readonly ranges: Uint8Array;
    readonly released?: number;
  }
  /** Hash the next part of a file's chunk list. */
  | { readonly type: "hash"; readonly entry: number; readonly offset: number; readonly cut: Cut }
  /** Look how many bytes these chunks of a file are; in order with `push`. */
  | { readonly type: "measure"; readonly entry: number; readonly chunks: Uint8Array }
  | { readonly type: "tune"; readonly choice: CodecChoice; readonly probe: readonly CodecChoice[] }
  /** Wait for news of the engine. */
  | { readonly type: "watch" };

/** What a provider is made from. */
export interface ProviderOptions {
  readonly hello: MessageOf<"hello">;
  readonly offer: MessageOf<"offer">;
  readonly minStreams: number;
  readonly maxStreams: number;
  /** Logical processors of this machine. */
  readonly cpuCount: number;
  /** Of the connection. */
  readonly kind: TransportKind;
  readonly compression: CompressionMode;
  readonly compressionLevel: number;
  /** Round trip time of the connection, where it is known. */
  readonly rttMs?: number;
  /** An earlier link was lost: the receiver may have everything by now, and say `done` at once. */
  readonly isAgain?: boolean;
  /** Notes what is sent, to be compared at the end; disposed of by the caller. */
  readonly receipt?: ReceiptLog;
}

/** Bytes that make one more bulk stream worth its set-up at first, and at all: a chunk. */
const BYTES_PER_FIRST_STREAM = 16 * 1024 * 1024;
const BYTES_PER_STREAM = 4 * 1024 * 1024;
/** Files that make one more bulk stream worth its set-up. */
const FILES_PER_STREAM = 512;
/** How often an honest receiver asks for one entry, and what small trees may ask beyond. */
const MAX_REQUESTS_PER_ENTRY = 2;
const EXTRA_REQUESTS = 65_536;
/** Chunk lists that may wait: caps what a receiver that only asks makes us keep; spec/chunks.md §2. */
const MAX_WAITING_LISTS = 1024;

type State = "greeting" | "offered" | "sending" | "done";

/** The sending end of one transfer. */
export class Provider extends TransferMachine<ProviderEvent, ProviderAction> {
  readonly #options: ProviderOptions;
  readonly #failures = new Failures();
  #state: State = "greeting";
  #totals: Totals | undefined;
  #compression: CompressionController | undefined;
  #bulk: BulkSender | undefined;
  #peerStreams: number;
  #credit = -1;
  #nextPage = 0;
  #known = 0;
  #requested = 0;
  #ranges = 0;
  /** `have`s and chunk lists asked for. */
  #questions = 0;
  /** Chunk lists that are asked for; the first is being made. */
  readonly #lists: { readonly entry: number; readonly cut: Cut }[] = [];
  #hashedBytes = 0;
  /** Bytes that the receiver says it has. */
  #had = 0;
  #toldTotals = false;
  #phase: Progress["phase"] = "waiting";
  #omitted = 0;
  #reading = false;
  #listed = false;
  #acceptedAt = 0;
  /** Whether the engine's last report, and any since the last ping, found it reading or encoding. */
  #isBusy: boolean | undefined;
  #wasBusy = false;
  #sent: Pick<SendReport, "bytes_read" | "bytes_wire" | "files_done" | "blocked_us" | "idle"> = {
    bytes_read: 0,
    bytes_wire: 0,
    files_done: 0,
    blocked_us: 0,
    idle: false,
  };

  constructor(options: ProviderOptions) {
    super(options.hello);
    this.#options = options;
    this.#peerStreams = options.maxStreams;
    if (!options.offer.counting && options.offer.kind !== "stream") this.#totals = options.offer.totals;
  }

  protected override on(event: ProviderEvent): void {
    switch (event.type) {
      case "counted":
        return this.#counted(event.totals);
      case "hashed":
        return this.#hashed(event.result);
      case "measured":
        this.#had += event.bytes;
        return this.#progress(this.#phase);
      case "page":
        return this.#page(event);
      case "started":
        this.#bulk!.on(event);
        return this.act({ type: "watch" });
      case "sent":
        return this.#news(event);
      default:
        // A transfer that is over has no use for streams.
        if (this.#state === "sending") this.#bulk?.on(event);
    }
  }

  protected override onHello(hello: MessageOf<"hello">): void {
    this.#peerStreams = streamsOf(hello.abilities, this.#options.maxStreams);
    this.#state = "offered";
    this.send(this.#options.offer);
    if (this.#options.offer.counting) this.act({ type: "count" });
    this.#progress("waiting");
  }

  #counted(totals: Totals): void {
    this.#totals = totals;
    // The list is complete: the receiver knows better by now.
    if (this.#listed || this.#toldTotals || this.#state === "done") return;
    this.#toldTotals = true;
    this.send({ type: "totals", totals });
    this.#progress(this.#phase);
  }

  protected override onMessage(
    message: Exclude<Message, { type: "hello" | "ping" | "pong" | "cancel" }>,
  ): void {
    switch (message.type) {
      case "answer":
        return this.#answered(message);
      case "page_credit":
        return this.#credited(message.through);
      case "request_chunks":
        return this.#asked(message);
      case "request_manifest":
        return this.#listAsked(message);
      case "have":
        this.#questioned(message.type, message.entry);
        return this.act({ type: "measure", entry: message.entry, chunks: message.chunks });
      case "error":
        return this.#entryFailed(message.code, message.entry!);
      case "bulk_received":
      case "bulk_lost":
      case "bulk_refused":
      case "link_lost":
        this.#mustBe("sending", message.type);
        if (this.#bulk === undefined) throw unexpected(message.type);
        return this.#bulk.heard(message);
      case "done":
        return this.#done(message);
      default:
        throw unexpected(message.type);
    }
  }

  protected override isSettled(): boolean {
    return this.#state === "done";
  }

  protected override settle(): void {}

  protected override takeBusy(): Pick<MessageOf<"ping">, "busy"> {
    if (this.#isBusy === undefined || this.#state !== "sending") return {};
    const busy = this.#wasBusy;
    this.#wasBusy = this.#isBusy;
    return { busy };
  }

  #answered(answer: MessageOf<"answer">): void {
    this.#mustBe("offered", answer.type);
    if (!answer.accept) return this.fail(refused(answer.reason), { tell: null });
    this.#state = "sending";
    this.#acceptedAt = this.now;
    if (this.#options.offer.kind === "text") return;
    this.#compression = new CompressionController({
      mode: this.#options.compression,
      level: this.#options.compressionLevel,
      supported: codecsOf(answer.abilities),
      ...this.#options.rttMs !== undefined && { rttMs: this.#options.rttMs },
    });
    const { choice, firstProbe: probe } = this.#compression;
    const { minStreams, cpuCount, kind, rttMs = 0, offer } = this.#options;
    const most = Math.min(answer.streams, this.#peerStreams);
    const { least, start, worth } = chooseStreams({
      totals: this.#totals,
      kind: offer.kind,
      wanted: streamCount({ kind, rttMs, cpuCount, minStreams, maxStreams: most }),
      most,
    });
    this.#bulk = new BulkSender({
      kind,
      cpuCount,
      minStreams: Math.min(minStreams, least),
      maxStreams: worth,
      start,
      act: (action) => this.act(action),
      send: (message) => this.send(message),
    });
    this.act({ type: "start", streams: start, choice });
    if (probe.length > 0) this.act({ type: "tune", choice, probe });
    this.#progress("transferring");
  }

  #credited(through: number): void {
    this.#mustBe("sending", "page_credit");
    this.#credit = Math.max(this.#credit, through);
    this.#list();
  }

  /** Reads the next page when there is one, credit for it, and no other is being read. */
  #list(): void {
    if (this.#reading || this.#listed || this.#nextPage > this.#credit) return;
    if (this.#options.offer.kind === "text") throw unexpected("page_credit");
    this.#reading = true;
    this.act({ type: "read_page" });
  }

  #page({ columns, versions, problems }: ProviderEvent & { type: "page" }): void {
    this.#reading = false;
    this.#failures.addNative(problems);
    this.#omitted += problems.length;
    this.#known = columns.first + columns.count;
    this.#listed = columns.last;
    // The walk may stop at problems alone; only the last page may be empty on the wire.
    if (columns.count > 0 || columns.last) {
      const omitted = this.#omitted === 0 ? {} : { omitted: this.#omitted };
      this.#omitted = 0;
      const named = versions ? { versions } : {};
      const page = {
        type: "manifest_page",
        page: this.#nextPage++,
        ...columns,
        ...omitted,
        ...named,
      } as const;
      this.#options.receipt?.page(page);
      this.send(page);
    }
    this.#list();
  }

  #asked(message: MessageOf<"request_chunks">): void {
    this.#mustBe("sending", message.type);
    const { runs, ranges } = readRequest(message, this.#known);
    for (const [first, last] of runs) this.#requested += last - first + 1;
    this.#ranges += ranges.length;
    const limit = MAX_REQUESTS_PER_ENTRY * this.#known + EXTRA_REQUESTS;
    if (this.#requested > limit || this.#ranges > limit) throw tooMuch();
    const { released } = message;
    const push = { type: "push", runs: message.runs, ranges: packRanges(ranges) } as const;
    this.act(released === undefined ? push : { ...push, released });
  }

  #listAsked({ entry, cut }: MessageOf<"request_manifest">): void {
    this.#questioned("request_manifest", entry);
    if (this.#lists.length >= MAX_WAITING_LISTS) {
      throw new WormholeError("LIMIT_EXCEEDED", "Cannot go on: the other side asks for too much at once");
    }
    this.#lists.push({ entry, cut: cut ?? "fixed" });
    if (this.#lists.length === 1) this.#hash();
  }

  #hash(): void {
    const [list] = this.#lists;
    if (list !== undefined) this.act({ type: "hash", ...list, offset: this.#hashedBytes });
  }

  #hashed(result: ListPart | { readonly code: ErrorCode }): void {
    const { entry } = this.#lists[0]!;
    if ("code" in result) this.send({ type: "error", code: result.code, entry });
    else {
      const part = chunkList({ entry, offset: this.#hashedBytes, ...result });
      this.send(part.message);
      this.#hashedBytes = part.end;
      if (!part.message.last) return this.#hash();
    }
    this.#hashedBytes = 0;
    this.#lists.shift();
    this.#hash();
  }

  #questioned(type: "have" | "request_manifest", entry: number): void {
    this.#mustBe("sending", type);
    if (this.#options.offer.kind !== "files" || entry >= this.#known) throw unexpected(type);
    if (++this.#questions > MAX_REQUESTS_PER_ENTRY * this.#known + EXTRA_REQUESTS) throw tooMuch();
  }

  #entryFailed(code: ErrorCode, entry: number): void {
    this.#mustBe("sending", "error");
    if (entry >= this.#known) throw unexpected("error");
    this.#failures.add({ entry, path: `entry ${entry}`, code, message: peerState(code) });
  }

  #news({ report, links, usage }: ProviderEvent & { type: "sent" }): void {
    // Bytes that left are no sign of life: the system's buffers take megabytes for a peer that is gone.
    this.#failures.addNative(report.failed);
    this.#sent = report;
    this.#isBusy = report.busy;
    this.#wasBusy ||= report.busy;
    this.#progress(report.idle && this.#listed ? "placing" : "transferring");
    this.#bulk!.sent(links, report.lost, this.#remaining());
    this.#tune(report, usage);
    if (this.#state === "sending") this.act({ type: "watch" });
  }

  /** Bytes that are still to be read, as far as known. */
  #remaining(): number {
    if (this.#totals === undefined || this.#options.offer.kind === "stream") return Infinity;
    return Math.max(0, this.#totals.bytes - this.#sent.bytes_read - this.#had);
  }

  #tune(report: SendReport, usage: ProcessorUse): void {
    const streams = Math.max(1, this.#bulk!.streams);
    const decision = this.#compression?.next(factsOf(report, usage, { atMs: this.now, streams }));
    if (decision !== undefined) this.act({ type: "tune", ...decision });
  }

  #done(done: MessageOf<"done">): void {
    this.#mustBe("sending", done.type);
    const { kind } = this.#options.offer;
    const isWhole = kind === "text" || this.#listed;
    if (!isWhole && !this.#options.isAgain) throw unexpected("done");
    this.#state = "done";
    const { receipt, offer } = this.#options;
    if (offer.text !== undefined) receipt?.text(offer.text);
    // What the receiver placed was listed over another link.
    const manifest_hash = isWhole ? receipt?.finish(done) : undefined;
    this.send({ type: "done_ack", ...manifest_hash && { manifest_hash } });
    // The receiver counts our failures too; what it has beyond ours failed over there.
    const ours = this.#failures.count;
    const names = new Set(this.#failures.entries.map(({ entry }) => entry));
    for (const { entry, code } of done.failed) {
      if (names.has(entry) || this.#failures.count >= Math.max(ours, done.failed_count)) continue;
      this.#failures.add({ entry, path: `entry ${entry}`, code, message: peerState(code) });
    }
    this.#failures.addUnnamed(Math.max(0, done.failed_count - this.#failures.count));
    this.#progress("done", done);
    this.finish({
      kind,
      files: done.files,
      directories: done.directories,
      symlinks: done.symlinks,
      bytes: done.bytes,
      bytesFound: Math.min(this.#had, done.bytes),
      bytesWire: this.#sent.bytes_wire,
      skipped: 0,
      failed: this.#failures.listed,
      failedCount: this.#failures.count,
      ...manifest_hash && { receipt: receiptOf(manifest_hash, done.manifest_hash) },
      durationMs: this.now - this.#acceptedAt,
    });
  }

  #mustBe(state: State, type: string): void {
    if (this.#state !== state) throw unexpected(type);
  }

  #progress(phase: Progress["phase"], done?: { files: number; bytes: number }): void {
    this.#phase = phase;
    const { bytes_read } = this.#sent;
    // A receiver that claims too much does not bring us beyond the end.
    const bytesDone = bytes_read +
      Math.min(this.#had, Math.max(0, (this.#totals?.bytes ?? Infinity) - bytes_read));
    this.act({
      type: "progress",
      progress: {
        phase,
        bytesDone: done?.bytes ?? bytesDone,
        bytesFound: Math.min(this.#had, done?.bytes ?? bytesDone),
        bytesTotal: done?.bytes ?? this.#totals?.bytes,
        filesDone: done?.files ?? this.#sent.files_done,
        filesTotal: done?.files ?? this.#totals?.files,
        bytesWire: this.#sent.bytes_wire,
        failedCount: this.#failures.count,
      },
    });
  }
}

function tooMuch(): WormholeError {
  return new WormholeError(
    "LIMIT_EXCEEDED",
    "Cannot go on: the other side asks for everything again and again",
  );
}

/**
 * Gives the number of bulk streams that `totals` are worth at first, and the bounds for later; `wanted` is what the link
 * would take at first.
 */
export function chooseStreams(
  { totals, kind, wanted, most }: {
    totals: Totals | undefined;
    kind: MessageOf<"offer">["kind"];
    wanted: number;
    most: number;
  },
): { least: number; start: number; worth: number } {
  // One reader has one stream.
  if (kind === "stream") return { least: 1, start: 1, worth: 1 };
  const worthOf = (bytes: number) => {
    if (totals === undefined) return most;
    const worth = Math.ceil(totals.bytes / bytes) + Math.floor(totals.files / FILES_PER_STREAM);
    return Math.max(1, Math.min(most, worth));
  };
  const start = Math.min(wanted, worthOf(BYTES_PER_FIRST_STREAM));
  return { least: start, start, worth: worthOf(BYTES_PER_STREAM) };
}

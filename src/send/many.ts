/**
 * `wormhole send --receivers`: one-use codes for a number of receivers, or one code for whoever has it. Every receiver has
 * a connection, a transfer and a reading of its own, so that each can be slow, fail or go on by itself; the system's cache
 * keeps that from reading the disk again and again.
 */
import { anySignal } from "../base/any_signal.ts";
import { systemClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { formatCode, GuessGate, parseCode } from "../pairing/mod.ts";
import {
  APP_ID,
  type Machine,
  type Meeting,
  openMachine,
  openMultiRendezvous,
  type OpenRendezvous,
  openRendezvous,
  type ReconnectEvent,
  type SessionEvent,
} from "../session/mod.ts";
import type { Progress, SendSource, TransferOutcome } from "../transfer/mod.ts";
import { type CrowdResult, poolShare, type ReceiverEnd, serveComers, serveEach, TimeUp } from "./crowd.ts";
import { openSource, type SendOptions, serve } from "./serve.ts";

/** Most receivers of one command. */
export const MAX_RECEIVERS = 64;

/** Receivers among which the memory is divided when nobody knows how many come. */
const EXPECTED_AT_ONCE = 8;

/** A code that can be read out. */
export interface ShownCode {
  readonly code: string;
  /** How long it waits for somebody, in ms; undefined when it lasts as long as this program, or the hub did not say. */
  readonly expiresInMs: number | undefined;
  /** Of the sender's own mailbox; undefined at a hub. */
  readonly port: number | undefined;
}

/** What {@linkcode sendMany} tells about one receiver; counted from 1. */
export interface ReceiverHooks {
  onEvent?(event: SessionEvent, receiver: number): void;
  onReconnect?(event: ReconnectEvent, receiver: number): void;
  onProgress?(progress: Progress, receiver: number): void;
  onEnd?(end: ReceiverEnd): void;
  /** Asks whether a receiver shows the same verifier; who it is, where that is known already. */
  confirm?(verifier: string, receiver: number | undefined): Promise<boolean>;
}

/** Options of {@linkcode sendMany}. */
export interface SendManyOptions
  extends Omit<SendOptions, "confirm" | "onEvent" | "onReconnect" | "onProgress" | "guesses">, ReceiverHooks {
  /** How many, each with a code of its own; or whoever has the one code. */
  readonly receivers: number | "any";
  /** Wrong guesses at which a code for whoever has it ends. */
  readonly maxGuesses: number;
  /** Called once, with one code per receiver or the one for all. */
  onCodes(codes: readonly ShownCode[]): void;
  /** Told each time a wrong code was tried, with their number so far. */
  onWrongGuess?(wrong: number): void;
  /** Told of one who came and went without having tried a code to the end. */
  onGone?(error: unknown): void;
}

/**
 * Sends to several receivers until all have come, or, for whoever comes, until the time is up, the code was guessed at too
 * often, or the signal aborts.
 *
 * @throws {WormholeError} INVALID_ARGUMENT for standard input, for a code of one's own for several receivers, and for a fixed
 * port at a hub; what `openRendezvous` and the source throw; the signal's reason when aborted before there is a code. What
 * happens to receivers, and what ended it all, is in the result.
 */
export async function sendMany(options: SendManyOptions): Promise<CrowdResult> {
  assertPossible(options);
  await using machine = await openMachine(options.folders);
  await using sources = await Sources.open(options, machine);
  const { receivers, signal } = options;
  const tools = { machine, sources };
  const result =
    await (receivers === "any" ? sendToAny(options, tools) : sendToEach(receivers, options, tools));
  return signal.aborted ? { ...result, cause: signal.reason } : result;
}

interface Tools {
  readonly machine: Machine;
  readonly sources: Sources;
}

async function sendToEach(count: number, options: SendManyOptions, tools: Tools): Promise<CrowdResult> {
  await using places = new AsyncDisposableStack();
  const meetings: OpenRendezvous[] = [];
  // One after the other: all of them draw from the same numbers.
  for (let i = 0; i < count; i++) {
    const first = i === 0 && options.hub === "" ? { port: options.port } : {};
    meetings.push(places.use(await openRendezvous({ ...whereToMeet(options, tools.machine), ...first })));
  }
  options.onCodes(
    meetings.map(({ code, port, expiresInMs }) => ({ code: formatCode(code), port, expiresInMs })),
  );
  return await serveEach(count, {
    serve: (receiver) =>
      serveOne(options, {
        ...tools,
        receivers: count,
        meeting: meetings[receiver - 1]!,
        number: () => receiver,
        known: receiver,
      }),
    onEnd: (end) => options.onEnd?.(end),
  });
}

async function sendToAny(options: SendManyOptions, tools: Tools): Promise<CrowdResult> {
  const { clock = systemClock, code, timeoutMs, signal } = options;
  const guesses = new GuessGate({ limit: options.maxGuesses });
  await using place = await openMultiRendezvous({
    ...whereToMeet(options, tools.machine),
    ...options.hub === "" && { port: options.port },
    ...code !== undefined && { code: parseCode(code) },
  });
  options.onCodes([{ code: formatCode(place.code), port: place.port, expiresInMs: place.expiresInMs }]);
  const timeUp = new AbortController();
  using _timer = timeoutMs === undefined
    ? undefined
    : clock.timer(timeoutMs, () => timeUp.abort(new TimeUp(timeoutMs)));
  let wrong = 0;
  return await serveComers<Meeting>({
    next: (about) => place.next(about),
    close: () => place.end(),
    until: anySignal(signal, guesses.dead, timeUp.signal),
    atOnce: MAX_RECEIVERS,
    serve: (meeting, visit) =>
      serveOne({ ...options, signal: anySignal(signal, visit.signal), timeoutMs: undefined }, {
        ...tools,
        guesses,
        receivers: EXPECTED_AT_ONCE,
        meeting,
        number: () => visit.paired(),
      }),
    onEnd: (end) => options.onEnd?.(end),
    onGone: (error) => {
      if (guesses.wrong > wrong) options.onWrongGuess?.(wrong = guesses.wrong);
      else if (!signal.aborted) options.onGone?.(error);
    },
  });
}

/** Meets one receiver and sends it everything. */
async function serveOne(
  options: Omit<SendManyOptions, "timeoutMs"> & { timeoutMs?: number | undefined },
  { machine, sources, meeting, number, known, receivers, guesses }: Tools & {
    meeting: Meeting;
    /** Gives the receiver's number; called once it has shown to know the code. */
    number: () => number;
    known?: number;
    receivers: number;
    guesses?: GuessGate;
  },
): Promise<TransferOutcome> {
  const { confirm, timeoutMs, ...common } = options;
  return await serve({
    ...common,
    ...timeoutMs !== undefined && { timeoutMs },
    ...guesses && { guesses },
    poolBytes: poolShare(options.poolBytes, { receivers, chunkBytes: options.chunkBytes }),
    ...confirm && { confirm: (verifier: string) => confirm.call(options, verifier, known) },
    onEvent: (event) => {
      if (event.type === "connecting" || event.type === "connected") options.onEvent?.(event, number());
    },
    onReconnect: (event) => options.onReconnect?.(event, number()),
    onProgress: (progress) => options.onProgress?.(progress, number()),
  }, { machine, source: () => sources.take(), meet: () => Promise.resolve(meeting) });
}

function whereToMeet({ words, hub, onWarning, signal }: SendManyOptions, { registry, lan }: Machine) {
  return {
    appId: APP_ID,
    registry,
    lan,
    words,
    ...hub !== "" && { hub },
    ...onWarning && { onWarning },
    signal,
  };
}

function assertPossible({ content, code, receivers, hub, port }: SendManyOptions): void {
  const refuse = (what: string) => {
    throw new WormholeError("INVALID_ARGUMENT", `Cannot send to several receivers: ${what}`);
  };
  if ("files" in content && content.files.paths.includes("-")) {
    refuse("standard input can be read only once; write it to a file and send that");
  }
  if (code !== undefined && receivers !== "any") {
    refuse(
      "a code that was agreed on serves one; give --receivers any, or leave it out and each gets a new one",
    );
  }
  if (hub !== "" && port !== 0) {
    refuse("at a hub each has a connection of its own, which cannot all have one port; leave out --port");
  }
}

/** What is sent, opened anew for each receiver; the first time before there is a code, so that a wrong path is told at once. */
class Sources implements AsyncDisposable {
  readonly #options: SendManyOptions;
  readonly #machine: Machine;
  #first: SendSource | undefined;

  private constructor(options: SendManyOptions, machine: Machine, first: SendSource) {
    this.#options = options;
    this.#machine = machine;
    this.#first = first;
  }

  static async open(options: SendManyOptions, machine: Machine): Promise<Sources> {
    return new Sources(options, machine, await openSource(options, machine));
  }

  /** Gives one that the caller disposes of. */
  async take(): Promise<SendSource> {
    const first = this.#first;
    this.#first = undefined;
    return first ?? await openSource({ content: this.#options.content }, this.#machine);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#first?.[Symbol.asyncDispose]();
  }
}

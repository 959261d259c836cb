/** Ten thousand sessions with a peer that mangles an honest script: bounded work, known errors, nothing else. */
import { ERROR_NUMBERS, isWormholeError, WormholeError } from "../base/errors.ts";
import { assertTrue } from "../base/testing.ts";
import type { ExpectResult, ReceiveReport } from "../native/receive.ts";
import type { SendReport } from "../native/send.ts";
import {
  decodeMessage,
  encodeMessage,
  type Message,
  type UnknownMessage,
  writeAcknowledgement,
  writeRequest,
} from "../wire/mod.ts";
import { Getter, type GetterAction, type GetterEvent } from "./getter.ts";
import type { CommonAction, CommonEvent, TransferMachine } from "./machine.ts";
import { Provider, type ProviderAction, type ProviderEvent } from "./provider.ts";
import { columnsOf, helloOf, offerOf, pageOf } from "./testing.ts";

const SESSIONS = 5000;
/** Actions that one message may cause on the average: caps what a peer can make us do. */
const MAX_ACTIONS_PER_MESSAGE = 8;

const TREE = [{ name: "d", kind: "directory" }, { parent: 0 }, {
  parent: 0,
  name: "l",
  kind: "symlink",
  target: "a",
}] as const;
const NONE = new Uint8Array();
const STREAMS = { kind: "memory", cpuCount: 2, minStreams: 1, maxStreams: 8 } as const;
const TOTALS = { files: 3, directories: 1, symlinks: 0, bytes: 15 };

const SENDER: Message[] = [
  helloOf("s"),
  offerOf({ counting: true }),
  { type: "totals", totals: TOTALS },
  { type: "bulk_streams", count: 2 },
  pageOf(0, [...TREE], { last: false }),
  pageOf(1, [{ parent: 0, name: "b" }], { first: 3 }),
  { type: "ping", nonce: 1 },
  { type: "bulk_gone", stream: 1 },
  { type: "link_lost", link: 1 },
  { type: "error", code: "IO", entry: 1 },
  { type: "done_ack" },
];
const RECEIVER: Message[] = [
  helloOf("r"),
  { type: "answer", accept: true, abilities: { zstd: true, lz4: true }, streams: 4 },
  { type: "page_credit", through: 7 },
  { type: "request_manifest", entry: 1 },
  { type: "have", entry: 1, chunks: new Uint8Array([1]) },
  { type: "request_chunks", ...writeRequest({ runs: [[1, 2]], ranges: [] }), released: 2 },
  { type: "pong", nonce: 1 },
  writeAcknowledgement({ time: 100, streams: [[0, 1]], links: [50] }),
  { type: "bulk_lost", stream: 1, frames: 0 },
  { type: "error", code: "IO", entry: 1 },
  { type: "done", files: 1, directories: 1, symlinks: 1, bytes: 5, failed: [], failed_count: 0 },
];

/** Numbers from 0 to below `limit`, reproducible. */
type Random = (limit: number) => number;

function randomOf(seed: number): Random {
  let state = (seed * 2654435761 + 1) >>> 0;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

/** The script with messages lost, doubled, swapped, strange, or with flipped bits. */
function mangle(script: readonly Message[], random: Random): Uint8Array[] {
  const frames = script.map(encodeMessage);
  for (let edits = 1 + random(4); edits > 0; edits--) {
    const at = random(frames.length);
    const frame = frames[at] ?? NONE;
    switch (random(6)) {
      case 0:
        frames.splice(at, 1);
        break;
      case 1:
        frames.splice(at, 0, ...new Array<Uint8Array>(1 + random(50)).fill(frame));
        break;
      case 2:
        frames.push(...frames.splice(at, 1));
        break;
      case 3:
        frames.splice(
          at,
          0,
          encodeMessage([...SENDER, ...RECEIVER][random(SENDER.length + RECEIVER.length)]!),
        );
        break;
      default: {
        const flipped = frame.slice();
        if (flipped.length > 0) flipped[random(flipped.length)]! ^= 1 << random(8);
        frames[at] = flipped;
      }
    }
    if (frames.length === 0) break;
  }
  return frames;
}

interface Session<Event, Action> {
  readonly machine: TransferMachine<Event, Action>;
  /** What our side makes of an action, right or wrong. */
  perform(action: Action, random: Random): Event | CommonEvent | undefined;
}

/** Plays the frames, with our own results between them; gives the error that it ended with. */
function play<Event, Action extends { type: string }>(
  { machine, perform }: Session<Event, Action>,
  frames: readonly Uint8Array[],
  random: Random,
): unknown {
  let now = 0;
  let count = 0;
  let ended: unknown;
  const pending: Action[] = [];
  const post = (event: Event | CommonEvent) => {
    for (const action of machine.handle(event, now)) {
      count++;
      const common = action as CommonAction;
      if (common.type === "fail") ended = common.error;
      else if (common.type === "send") encodeMessage(common.message);
      else if (common.type !== "progress" && common.type !== "finish") pending.push(action as Action);
    }
  };
  post({ type: "start" });
  for (const frame of frames) {
    now += random(100);
    let message: Message | UnknownMessage;
    try {
      message = decodeMessage(frame);
    } catch (error) {
      post({ type: "link_failed", error: error as Error });
      break;
    }
    post({ type: "message", message });
    // Waiting for the engine's news never ends: one round of it for each message.
    for (let turns = pending.length; turns > 0; turns--) {
      const event = perform(pending.shift()!, random);
      if (event !== undefined) post(event);
    }
  }
  post({ type: "closed" });
  assertTrue(count <= 20 + MAX_ACTIONS_PER_MESSAGE * frames.length, `${count} actions`);
  assertTrue(machine.deadline === Infinity || ended === undefined, "a failed machine waits");
  for (let ticks = 0; machine.deadline !== Infinity && ticks < 100; ticks++) {
    now = Math.max(now, machine.deadline);
    post({ type: "tick" });
    while (pending.length > 0) {
      const event = perform(pending.shift()!, random);
      if (event !== undefined && (event as { type: string }).type !== "received") post(event);
    }
  }
  assertTrue(machine.deadline === Infinity, "a machine without a peer does not end");
  return ended;
}

Deno.test("Getter ends every mangled session with an error that is known", () => {
  hold<GetterEvent, GetterAction>(SENDER, (random) => ({
    machine: new Getter({ hello: helloOf("r"), maxStreams: 8 }),
    perform: (action) => received(action, random),
  }));
});

Deno.test("Provider ends every mangled session with an error that is known", () => {
  hold<ProviderEvent, ProviderAction>(RECEIVER, (random) => ({
    machine: new Provider({
      hello: helloOf("s"),
      offer: offerOf({ counting: true }),
      ...STREAMS,
      compression: "auto",
      compressionLevel: 3,
    }),
    perform: providing(random),
  }));
});

function hold<Event, Action extends { type: string }>(
  script: readonly Message[],
  session: (random: Random) => Session<Event, Action>,
): void {
  const endings = new Set<string | undefined>();
  for (let seed = 1; seed <= SESSIONS; seed++) {
    const random = randomOf(seed);
    const ended = play(session(random), mangle(script, random), random);
    assertTrue(
      ended === undefined || isWormholeError(ended) && ended.code in ERROR_NUMBERS,
      `${seed}: ${ended}`,
    );
    assertTrue(!isWormholeError(ended, "INTERNAL", "INVALID_ARGUMENT"), `${seed}: ${ended}`);
    endings.add((ended as WormholeError | undefined)?.code);
  }
  // The sessions are worth their time: some end well, the others in many ways.
  assertTrue(endings.has(undefined) && endings.size > 4, [...endings].join());
}

const EXPECTED: ExpectResult = {
  requested: NONE,
  ranges: NONE,
  held: NONE,
  kept: NONE,
  resumed: 0,
  skipped: 0,
  complete: 0,
  failed: [],
};
const RECEIVED: ReceiveReport = {
  bytes: 5,
  bytes_wire: 50,
  streams: [[0, 1, "live"]],
  links: [],
  files_done: 1,
  failed: [],
  verified: new Uint8Array(),
  outstanding: 0,
  ended: false,
};

function received(action: GetterAction, random: Random): GetterEvent | CommonEvent | undefined {
  switch (action.type) {
    case "ask":
      return { type: "decided", decision: random(20) === 0 ? { accept: false } : { accept: true } };
    case "start":
      return random(30) === 0
        ? {
          type: "not_opened",
          link: action.link,
          count: action.streams,
          error: new WormholeError("TIMEOUT", "x"),
        }
        : { type: "opened", link: action.link };
    case "give_up":
      return { type: "gave_up", stream: action.stream, frames: random(3) };
    case "look_at_links":
      return { type: "links", received: [50] };
    case "find_link":
      return { type: "linked", link: 1 };
    case "drop_link":
    case "watch_link":
      return undefined;
    case "expect": {
      const { first, count } = action.columns;
      const runs = count > 0 ? [[first, first + count - 1] as const] : [];
      const { runs: requested } = writeRequest({ runs, ranges: [] });
      return { type: "expected", result: { ...EXPECTED, requested }, refused: [], held: [], kept: [] };
    }
    case "watch":
      return { type: "received", report: RECEIVED, generation: action.generation };
    case "check_space":
      return { type: "space", available: random(30) };
    case "commit":
      return {
        type: "committed",
        result: { files: 1, directories: 0, symlinks: 0, failed: [], total_failed: 0 },
      };
  }
}

const SENT: SendReport = {
  bytes_read: 5,
  bytes_wire: 50,
  links: [],
  hashed: NONE,
  lost: [],
  blocked_us: 0,
  encode_us: 0,
  encode_plain: 50,
  probes: [],
  files_done: 1,
  failed: [],
  idle: true,
  busy: false,
};

function providing(random: Random): (action: ProviderAction) => ProviderEvent | CommonEvent | undefined {
  let first = 0;
  return (action) => {
    switch (action.type) {
      case "count":
        return { type: "counted", totals: TOTALS };
      case "read_page": {
        const last = first > 0;
        const columns = columnsOf(last ? [{ name: "b" }] : [...TREE], { first, last });
        first += columns.count;
        return { type: "page", columns, problems: [] };
      }
      case "start":
        return { type: "started" };
      case "streams":
        return { type: "streams_set", link: action.link, failed: random(20) === 0 };
      case "look_at_links":
        return {
          type: "links",
          links: [{ link: 0, rttMs: 1, bytesSent: 50, lostPackets: 0, isRelayed: false }],
        };
      case "stop_opening":
      case "drop_link":
      case "watch_link":
      case "take_link":
        return undefined;
      case "push":
      case "acknowledge":
      case "lost":
      case "tune":
        // The engine may know better what was offered.
        return random(50) === 0 ? { type: "failed", error: new WormholeError("PROTOCOL", "x") } : undefined;
      case "hash":
        return { type: "hashed", result: { hashes: new Uint8Array(32), size: 5 } };
      case "measure":
        return { type: "measured", bytes: 5 };
      case "watch":
        return { type: "sent", report: SENT, links: [], usage: { ownMs: 0, idleMs: 0 } };
    }
  };
}

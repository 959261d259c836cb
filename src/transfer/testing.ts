/** Scripted runs of a machine for tests: events with a clock that the test moves, actions collected. */
import type { ErrorCode } from "../base/errors.ts";
import { WormholeError } from "../base/errors.ts";
import { encodeName } from "../base/names.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import type { ExpectResult, ReceiveReport } from "../native/receive.ts";
import { type Columns, type Entry, type Message, type MessageOf, writeColumns } from "../wire/mod.ts";
import { makeHello } from "./handshake.ts";
import type { CommonAction, CommonEvent, TransferMachine } from "./machine.ts";

/** A machine with its time. */
export class Script<Event, Action extends { type: string }> {
  now = 0;
  readonly machine: TransferMachine<Event, Action>;
  /** What the machine wanted since the last look. */
  actions: (Action | CommonAction)[] = [];

  constructor(machine: TransferMachine<Event, Action>) {
    this.machine = machine;
    this.event({ type: "start" });
  }

  event(event: Event | CommonEvent): this {
    this.actions.push(...this.machine.handle(event, this.now));
    return this;
  }

  /** The peer says these. */
  hears(...messages: Message[]): this {
    for (const message of messages) this.event({ type: "message", message });
    return this;
  }

  /** Lets time pass with every tick that falls due. */
  wait(ms: number): this {
    const end = this.now + ms;
    while (this.machine.deadline <= end) {
      this.now = Math.max(this.now, this.machine.deadline);
      this.event({ type: "tick" });
    }
    this.now = end;
    return this;
  }

  /** Gives the actions since the last look, without progress. */
  take(): (Action | CommonAction)[] {
    const taken = this.actions.filter(({ type }) => type !== "progress");
    this.actions = [];
    return taken;
  }

  /** Gives the types of what was wanted: `send:offer`, `watch`. */
  taken(): string[] {
    return this.take().map((action) =>
      action.type === "send" ? `send:${(action as { message: Message }).message.type}` : action.type
    );
  }

  /** Fails unless the machine has failed with `code` and told the peer as expected. */
  failed(code: ErrorCode, told: string | null = "send:error"): void {
    const actions = this.take();
    const fail = actions.find((action) => action.type === "fail") as
      | (CommonAction & { type: "fail" })
      | undefined;
    assertTrue(fail !== undefined, `not failed: ${actions.map(({ type }) => type)}`);
    assertEquals(fail.error instanceof WormholeError ? fail.error.code : String(fail.error), code);
    const last = actions.filter(({ type }) => type === "send").at(-1) as { message: Message } | undefined;
    assertEquals(last === undefined ? null : `send:${last.message.type}`, told);
    assertEquals(this.machine.deadline, Infinity);
  }
}

/** A hello of `who`: another letter is another machine. */
export function helloOf(who: string): MessageOf<"hello"> {
  return makeHello({ agent: who, nonce: new Uint8Array(16).fill(who.charCodeAt(0)), streams: 8 });
}

/** An offer of some small files. */
export function offerOf(changes: Partial<MessageOf<"offer">> = {}): MessageOf<"offer"> {
  return {
    type: "offer",
    kind: "files",
    transfer: new Uint8Array(16),
    roots: [{ name: encodeName("a"), kind: "file", size: 5, files: 1 }],
    totals: { files: 3, directories: 1, symlinks: 0, bytes: 15 },
    counting: false,
    ...changes,
  };
}

/** What {@linkcode pageOf} makes an entry of. */
export type Sketch = Partial<Omit<Entry, "name" | "target" | "id">> & { name?: string; target?: string };

/** Makes columns of sketched entries: plain files of 5 bytes unless they say otherwise. */
export function columnsOf(
  sketches: Sketch[],
  { first = 0, last = true }: { first?: number; last?: boolean } = {},
): Columns {
  const entries = sketches.map(({ name = "a", target = "", ...rest }) => ({
    kind: "file" as const,
    parent: undefined,
    mode: 0o644,
    size: (rest.kind ?? "file") === "file" ? 5 : 0,
    mtime: 0n,
    ...rest,
    name: encodeName(name),
    target: encodeName(target),
  }));
  return writeColumns(entries, { first, last });
}

/** Makes a page message. */
export function pageOf(
  page: number,
  sketches: Sketch[],
  options: { first?: number; last?: boolean } = {},
): MessageOf<"manifest_page"> {
  return { type: "manifest_page", page, ...columnsOf(sketches, options) };
}

const NONE = new Uint8Array();

/** What an engine says that asks for nothing of a page. */
export const EXPECTED: ExpectResult = {
  requested: NONE,
  ranges: NONE,
  resumed: 0,
  held: NONE,
  kept: NONE,
  skipped: 0,
  complete: 0,
  failed: [],
};

/** A report in which nothing has happened. */
export const REPORT: ReceiveReport = {
  bytes: 0,
  bytes_wire: 0,
  streams: [],
  links: [],
  files_done: 0,
  failed: [],
  verified: NONE,
  outstanding: 0,
  ended: false,
};

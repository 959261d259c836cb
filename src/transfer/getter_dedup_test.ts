/** The receiver's machine where files may be here already. */
import { encodeName } from "../base/names.ts";
import { assertEquals } from "../base/testing.ts";
import type { ExpectResult, ReceiveReport } from "../native/receive.ts";
import { CHUNK_BYTES, type Message, type MessageOf, packRanges, readRequest } from "../wire/mod.ts";
import type { HeldEntry, PlacedEntry } from "./dedup/questions.ts";
import { Getter, type GetterAction, type GetterEvent, MAX_OUTSTANDING } from "./getter.ts";
import type { CommonAction } from "./machine.ts";
import { EXPECTED, helloOf, offerOf, pageOf, REPORT as QUIET, Script } from "./testing.ts";

type GetterScript = Script<GetterEvent, GetterAction>;

const NONE = new Uint8Array();
const SIZE = 200_000;
/** Something that was asked for is still to come. */
const REPORT: ReceiveReport = { ...QUIET, outstanding: 1 };

/** A getter that has read a page of so many files, all of them held. */
function holding(
  held: HeldEntry[],
  { last = true, result = {}, kept = [] }: {
    last?: boolean;
    result?: Partial<ExpectResult>;
    kept?: HeldEntry[];
  } = {},
): GetterScript {
  const files = held.length + kept.length;
  const offer = offerOf({
    totals: { files, directories: 0, symlinks: 0, bytes: files * SIZE },
    roots: [{ name: encodeName("a"), kind: "file", size: SIZE, files: 1 }],
  });
  const script = new Script<GetterEvent, GetterAction>(new Getter({ hello: helloOf("r"), maxStreams: 8 }))
    .hears(helloOf("s"), offer)
    .event({ type: "decided", decision: { accept: true } })
    .hears({ type: "bulk_streams", count: 2 })
    .event({ type: "opened", link: 0 })
    .hears(pageOf(0, [...held, ...kept].map(({ entry }) => ({ name: `${entry}`, size: SIZE })), { last }));
  script.take();
  return script.event({ type: "expected", result: { ...EXPECTED, ...result }, refused: [], held, kept });
}

function question(entry: number, changes: Partial<HeldEntry> = {}): HeldEntry {
  return { entry, size: SIZE, question: "fixed", ...changes };
}

function list(entry: number): MessageOf<"manifest_response"> {
  return {
    type: "manifest_response",
    entry,
    size: SIZE,
    offsets: new Uint8Array(8),
    sizes: new Uint8Array(new Uint32Array([SIZE]).buffer),
    hashes: new Uint8Array(32).fill(7),
    last: true,
  };
}

function placed(entry: number, changes: Partial<PlacedEntry> = {}): GetterEvent {
  return {
    type: "placed",
    result: { entry, whole: false, complete: true, ranges: NONE, found: SIZE, size: SIZE, ...changes },
  };
}

/** What was asked of the sender: `list 1`, `all 0-2 through 5`, `part 3`. */
function asked(script: GetterScript): string[] {
  return script.take().flatMap((action) => {
    if (action.type !== "send") return [action.type];
    const message = (action as { message: Message }).message;
    if (message.type === "request_manifest") return [`list ${message.entry}`];
    if (message.type !== "request_chunks") return [message.type];
    const { runs, ranges } = readRequest(message, 100);
    const through = message.released === undefined ? "" : ` through ${message.released}`;
    return [
      ...runs.map(([first, last]) => `all ${first}-${last}${through}`),
      ...ranges.map(({ entry }) => `part ${entry}${through}`),
      ...runs.length + ranges.length === 0 ? [`nothing${through}`] : [],
    ];
  });
}

Deno.test("Getter asks for lists, places what is here, and requests the rest", () => {
  const held = [
    question(0),
    question(1),
    question(2, { question: "content" }),
    question(3, { question: undefined }),
  ];
  const script = holding(held, { last: false });
  assertEquals(asked(script), ["place", "list 0", "list 1", "list 2", "page_credit"]);
  script.hears(list(2), list(0));
  assertEquals(asked(script), ["place", "place"]);
  script.event(placed(3));
  script.event(placed(0, { complete: false, ranges: packRanges([{ entry: 0, offset: 5, length: 9 }]) }));
  script.event(placed(2, { complete: false, whole: true, found: 0 }));
  assertEquals(asked(script), ["part 0", "all 2-2"]);
  // The sender cannot list it: then it is asked for whole.
  script.hears({ type: "error", code: "PERMISSION_DENIED", entry: 1 });
  assertEquals(asked(script), ["release"]);
  script.event(placed(1, { complete: false, whole: true, found: 0 }));
  assertEquals(asked(script), ["all 1-1 through 3"]);
});

Deno.test("Getter tells the sender to forget a page of which nothing is asked for", () => {
  const script = holding([question(0)], { last: false });
  script.hears(list(0));
  asked(script);
  script.event(placed(0));
  assertEquals(asked(script), ["nothing through 0"]);
});

Deno.test("Getter ends when all was here, with what the report says of it", () => {
  const script = holding([question(0), question(1)], { result: { complete: 1, resumed: SIZE } });
  assertEquals(asked(script), ["list 0", "list 1"]);
  script.event({ type: "received", report: { ...REPORT, bytes: SIZE, outstanding: 2 }, generation: 1 });
  script.hears(list(0), list(1)).event(placed(0)).event(placed(1));
  assertEquals(asked(script), ["watch", "place", "place"]);
  const report = { ...REPORT, bytes: 3 * SIZE, files_done: 3, outstanding: 0 };
  script.event({ type: "received", report, generation: 1 });
  assertEquals(asked(script), ["commit"]);
  script.event({
    type: "committed",
    result: { files: 3, directories: 0, symlinks: 0, failed: [], total_failed: 0 },
  });
  script.hears({ type: "done_ack" });
  const finish = script.take().at(-1) as CommonAction & { type: "finish" };
  assertEquals([finish.outcome.bytes, finish.outcome.bytesFound], [3 * SIZE, 3 * SIZE]);
});

Deno.test("Getter counts what was here also when the engine has not reported yet", () => {
  const script = holding([], { kept: [question(0)], result: { complete: 1, resumed: SIZE } });
  assertEquals(asked(script).at(-1), "commit");
  script.event({
    type: "committed",
    result: { files: 1, directories: 0, symlinks: 0, failed: [], total_failed: 0 },
  });
  script.hears({ type: "done_ack" });
  const finish = script.take().at(-1) as CommonAction & { type: "finish" };
  assertEquals([finish.outcome.bytes, finish.outcome.bytesFound], [SIZE, SIZE]);
});

Deno.test("Getter tells the sender what it keeps", () => {
  assertEquals(asked(holding([], { kept: [question(0, { size: CHUNK_BYTES }), question(1)], last: false })), [
    "have",
    "nothing through 1",
    "page_credit",
  ]);
});

Deno.test("Getter does not place before what is held has been looked at", () => {
  const script = holding([question(0)]);
  // As if the engine had nothing outstanding: the entry is still held here.
  script.event({ type: "received", report: { ...REPORT, outstanding: 0 }, generation: 1 });
  assertEquals(asked(script), ["list 0", "watch"]);
  script.hears(list(0)).event(placed(0));
  assertEquals(asked(script), ["place", "commit"]);
});

Deno.test("Getter does not take held files for what the sender left out", () => {
  const script = holding([question(0)]);
  const report = { ...REPORT, outstanding: 1 };
  script.event({ type: "received", report, generation: 1 });
  script.event({ type: "received", report: { ...report, ended: true }, generation: 1 });
  script.wait(6000);
  assertEquals(asked(script).includes("fail"), false);
});

Deno.test("Getter shows what it found as done, but not as moved", () => {
  const script = holding([question(0), question(1)]);
  const shown = () => {
    const { progress } = script.actions.filter(({ type }) => type === "progress").at(-1) as CommonAction & {
      type: "progress";
    };
    return [progress.bytesDone, progress.bytesFound];
  };
  script.hears(list(0)).event(placed(0));
  assertEquals(shown(), [0, 0], "the engine has not told of it yet");
  script.event({ type: "received", report: { ...REPORT, bytes: SIZE + 10 }, generation: 1 });
  assertEquals(shown(), [SIZE + 10, SIZE]);
});

Deno.test("Getter grants no more pages while too much is held", () => {
  const held = Array.from({ length: 4096 }, (_, entry) => question(entry, { size: 10 }));
  const script = holding(held, { last: false });
  const names = held.map(({ entry }) => ({ name: `${entry}` }));
  let page = 1;
  for (; page * 4096 <= MAX_OUTSTANDING; page++) {
    script.hears(pageOf(page, names, { first: page * 4096, last: false }));
    const entries = held.map(({ entry }) => question(page * 4096 + entry));
    script.event({ type: "expected", result: EXPECTED, refused: [], held: entries, kept: [] });
  }
  asked(script);
  script.hears(pageOf(page, names, { first: page * 4096, last: false }));
  script.event({ type: "expected", result: EXPECTED, refused: [], held: [], kept: [] });
  assertEquals(asked(script).includes("page_credit"), false);
});

Deno.test("Getter refuses what a lying sender says of lists", () => {
  const lies: [string, MessageOf<"manifest_response">][] = [
    ["never asked for", list(1)],
    ["another size", { ...list(0), size: SIZE + 1 }],
    ["longer than the file", { ...list(0), sizes: new Uint8Array(new Uint32Array([SIZE + 1]).buffer) }],
    ["without an end", { ...list(0), offsets: NONE, sizes: NONE, hashes: NONE, last: false }],
  ];
  for (const [, lie] of lies) holding([question(0)]).hears(lie).failed("PROTOCOL");
  holding([question(0)]).hears(list(0), list(0)).failed("PROTOCOL");
  holding([question(0, { question: undefined })]).hears(list(0)).failed("PROTOCOL");
});

Deno.test("Getter waits for a list for long, but not for ever, and never for its own disk", () => {
  const script = holding([question(0)]);
  const alive = (ms: number) => {
    for (let passed = 0; passed < ms; passed += 4000) script.wait(4000).hears({ type: "pong", nonce: 1 });
  };
  alive(500_000);
  assertEquals(asked(script).includes("fail"), false);
  script.hears(list(0));
  alive(3_600_000);
  assertEquals(asked(script).includes("fail"), false);
  const withheld = holding([question(0)]);
  for (let i = 0; i < 200; i++) withheld.wait(4000).hears({ type: "pong", nonce: 1 });
  withheld.failed("PEER_FROZEN");
});

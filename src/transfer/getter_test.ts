import { WormholeError } from "../base/errors.ts";
import { encodeName } from "../base/names.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import type { CommitResult, ExpectResult } from "../native/receive.ts";
import { type Message, type MessageOf, readAcknowledgement, writeRequest } from "../wire/mod.ts";
import type { HeldEntry } from "./dedup/questions.ts";
import { Getter, type GetterAction, type GetterEvent, MAX_OUTSTANDING, PAGE_WINDOW } from "./getter.ts";
import type { CommonAction } from "./machine.ts";
import { EXPECTED, helloOf, offerOf, pageOf, REPORT, Script } from "./testing.ts";

type GetterScript = Script<GetterEvent, GetterAction>;

const COMMITTED: CommitResult = { files: 1, directories: 0, symlinks: 0, failed: [], total_failed: 0 };

function deciding(offer = offerOf()): GetterScript {
  const getter = new Getter({ hello: helloOf("r"), maxStreams: 8 });
  return new Script<GetterEvent, GetterAction>(getter).hears(helloOf("s"), offer);
}

function receiving(offer = offerOf()): GetterScript {
  const script = deciding(offer).event({ type: "decided", decision: { accept: true } });
  script.hears({ type: "bulk_streams", count: 2 }).event({ type: "opened", link: 0 });
  script.take();
  return script;
}

function expected(
  script: GetterScript,
  changes: Partial<Omit<ExpectResult, "held">> & { runs?: [number, number][]; held?: HeldEntry[] } = {},
) {
  const { runs = [], held = [], ...rest } = changes;
  const requested = writeRequest({ runs, ranges: [] }).runs;
  return script.event({
    type: "expected",
    result: { ...EXPECTED, requested, ...rest },
    refused: [],
    held,
    kept: [],
  });
}

Deno.test("Getter receives everything in order and ends well", () => {
  const script = deciding();
  assertEquals(script.taken(), ["send:hello", "ask"]);
  script.event({ type: "decided", decision: { accept: true } });
  assertEquals(script.taken(), ["send:answer", "send:page_credit"]);
  script.hears({ type: "bulk_streams", count: 2 }).event({ type: "opened", link: 0 });
  assertEquals(script.taken(), ["start", "watch"]);
  script.hears(pageOf(0, [{ name: "d", kind: "directory" }, { parent: 0 }], { last: false }));
  assertEquals(script.taken(), ["expect"]);
  expected(script, { runs: [[1, 1]] });
  assertEquals(script.taken(), ["send:request_chunks", "send:page_credit"]);
  script.hears(pageOf(1, [{ parent: 0, name: "b" }], { first: 2 }));
  expected(script, { runs: [[2, 2]] });
  assertEquals(script.taken(), ["expect", "send:request_chunks"]);
  script.event({
    type: "received",
    report: { ...REPORT, bytes: 5, files_done: 1, outstanding: 1 },
    generation: 2,
  });
  assertEquals(script.taken(), ["watch"]);
  script.event({ type: "received", report: { ...REPORT, bytes: 10, files_done: 2 }, generation: 2 });
  assertEquals(script.taken(), ["commit"]);
  script.event({ type: "committed", result: { ...COMMITTED, files: 2, directories: 1 } });
  assertEquals(script.taken(), ["send:done"]);
  const [finish] = script.hears({ type: "done_ack" }).take() as [CommonAction & { type: "finish" }];
  const { files, directories, bytes, failedCount } = finish.outcome;
  assertEquals({ files, directories, bytes, failedCount }, {
    files: 2,
    directories: 1,
    bytes: 10,
    failedCount: 0,
  });
});

Deno.test("Getter does not take an early report for the end", () => {
  const script = receiving().hears(pageOf(0, [{}]));
  expected(script, { runs: [[0, 0]] });
  script.take();
  // Asked for before the page was registered: its "nothing outstanding" is about nothing.
  script.event({ type: "received", report: REPORT, generation: 0 });
  assertEquals(script.taken(), ["watch"]);
  script.event({ type: "received", report: { ...REPORT, files_done: 1 }, generation: 0 });
  assertEquals(script.taken(), ["commit"]);
});

Deno.test("Getter commits at once when nothing was requested", () => {
  const script = receiving().hears(pageOf(0, [{ size: 0 }]));
  expected(script, { complete: 1 });
  assertEquals(script.taken(), ["expect", "commit"]);
});

Deno.test("Getter takes a text without an engine", () => {
  const script = deciding(offerOf({ kind: "text", roots: [], text: "hi" }));
  script.event({ type: "decided", decision: { accept: true } }).hears({ type: "done_ack" });
  const actions = script.take();
  assertEquals((actions.at(-1) as CommonAction & { type: "finish" }).outcome.text, "hi");
});

Deno.test("Getter answers why it does not take an offer", () => {
  const declined = deciding().event({ type: "decided", decision: { accept: false } });
  declined.failed("REFUSED", "send:answer");
  const full = deciding().event({ type: "failed", error: new WormholeError("NO_SPACE", "full") });
  const answer = full.actions.find(({ type }) => type === "send" && true) as { message: Message };
  assertEquals(answer.message.type, "hello");
  full.failed("NO_SPACE", "send:answer");
});

Deno.test("Getter keeps failures apart from the whole", () => {
  const script = receiving().hears(pageOf(0, [
    { name: "d", kind: "directory" },
    { parent: 0, name: "out", kind: "symlink", target: "/etc" },
    { parent: 0, name: "b" },
    { parent: 0, name: "c" },
  ]));
  const failed = [{ entry: 2, path: encodeName("d/b"), kind: 22, text: "denied" }];
  expected(script, { runs: [[3, 3]], failed });
  const late = [{ entry: 3, path: encodeName("d/c"), kind: 30, text: "changed" }];
  script.event({ type: "received", report: { ...REPORT, failed: late }, generation: 1 });
  script.event({ type: "committed", result: COMMITTED }).take();
  const [finish] = script.hears({ type: "done_ack" }).take() as [CommonAction & { type: "finish" }];
  assertEquals(finish.outcome.failedCount, 3);
  assertEquals(finish.outcome.failed.map(({ path, code }) => [path, code]), [
    ["d/out", "PATH_ESCAPES"],
    ["d/b", "PERMISSION_DENIED"],
    ["d/c", "SOURCE_CHANGED"],
  ]);
});

Deno.test("Getter refuses what an honest sender does not send", () => {
  const many = offerOf();
  const cases: [string, GetterScript, Message[], "PROTOCOL" | "LIMIT_EXCEEDED" | "HOSTILE_NAME"][] = [
    ["second offer", receiving(), [offerOf()], "PROTOCOL"],
    ["page out of order", receiving(), [pageOf(1, [{}])], "PROTOCOL"],
    [
      "page twice",
      receiving(),
      [pageOf(0, [{}], { last: false }), pageOf(0, [{}], { first: 1 })],
      "PROTOCOL",
    ],
    ["page of other entries", receiving(), [pageOf(0, [{}], { first: 1 })], "PROTOCOL"],
    [
      "pages beyond the credit",
      receiving(),
      Array.from({ length: PAGE_WINDOW + 1 }, (_, i) => pageOf(i, [{}], { first: i, last: false })),
      "PROTOCOL",
    ],
    ["page after the last", receiving(), [pageOf(0, [{}]), pageOf(1, [{}], { first: 1 })], "PROTOCOL"],
    ["empty page", receiving(), [pageOf(0, [], { last: false })], "PROTOCOL"],
    ["parent after child", receiving(), [pageOf(0, [{ parent: 1 }, { kind: "directory" }])], "PROTOCOL"],
    ["parent is a file", receiving(), [pageOf(0, [{}, { parent: 0 }])], "PROTOCOL"],
    ["parent is a symlink", receiving(), [
      pageOf(0, [{ kind: "symlink", target: "x" }, { parent: 0 }]),
    ], "PROTOCOL"],
    ["..", receiving(), [pageOf(0, [{ name: ".." }])], "HOSTILE_NAME"],
    ["path", receiving(), [pageOf(0, [{ name: "a/b" }])], "HOSTILE_NAME"],
    ["stream among files", receiving(), [pageOf(0, [{ kind: "stream" }])], "PROTOCOL"],
    ["many more bytes than offered", receiving(many), [pageOf(0, [{ size: 2 ** 40 }])], "LIMIT_EXCEEDED"],
    [
      "streams on a link that never was",
      receiving(),
      [{ type: "bulk_streams", link: 1, count: 1 }],
      "PROTOCOL",
    ],
    [
      "more streams than were agreed on",
      receiving(),
      [{ type: "bulk_streams", count: 31 }],
      "LIMIT_EXCEEDED",
    ],
    ["a stream that was never opened is gone", receiving(), [{ type: "bulk_gone", stream: 2 }], "PROTOCOL"],
    ["early done_ack", receiving(), [{ type: "done_ack" }], "PROTOCOL"],
    ["a request", receiving(), [{ type: "request_manifest", entry: 0 }], "PROTOCOL"],
    ["chunk lists that nobody asked for", receiving(), [{
      type: "manifest_response",
      entry: 0,
      size: 0,
      offsets: new Uint8Array(),
      sizes: new Uint8Array(),
      hashes: new Uint8Array(),
      last: true,
    }], "PROTOCOL"],
  ];
  for (const [, script, messages, code] of cases) script.hears(...messages).failed(code);
  for (const early of [pageOf(0, [{}]), { type: "bulk_streams", count: 1 } as Message]) {
    deciding().hears(early).failed("PROTOCOL", "send:answer");
  }
});

Deno.test("Getter stops a manifest that never ends", () => {
  const script = receiving();
  let pages = 0;
  const sketches = Array.from({ length: 4096 }, () => ({ size: 0 }));
  for (; pages < 1000 && !script.actions.some(({ type }) => type === "fail"); pages++) {
    script.hears(pageOf(pages, sketches, { first: pages * 4096, last: false }));
    expected(script);
  }
  assertTrue(pages < 20, `${pages}`);
  script.failed("LIMIT_EXCEEDED");
});

Deno.test("Getter grants no pages while too much is outstanding", () => {
  const totals = { files: 1_000_000, directories: 0, symlinks: 0, bytes: 5_000_000 };
  const script = receiving(offerOf({ totals }));
  const sketches = Array.from({ length: 4096 }, () => ({}));
  let page = 0;
  const credits = () => script.taken().filter((type) => type === "send:page_credit").length;
  for (; page * 4096 <= MAX_OUTSTANDING; page++) {
    script.hears(pageOf(page, sketches, { first: page * 4096, last: false }));
    expected(script, { runs: [[page * 4096, page * 4096 + 4095]] });
  }
  credits();
  script.hears(pageOf(page, sketches, { first: page * 4096, last: false }));
  expected(script, { runs: [[page * 4096, page * 4096 + 4095]] });
  assertEquals(credits(), 0);
  script.event({
    type: "received",
    report: { ...REPORT, files_done: 60_000, outstanding: 9000 },
    generation: 99,
  });
  assertEquals(credits(), 1);
});

Deno.test("Getter reports a frozen peer, but not once everything is there", () => {
  receiving().wait(15_000).failed("PEER_FROZEN");
  const script = receiving().hears(pageOf(0, [{ size: 0 }]));
  expected(script, { complete: 1 });
  script.wait(60_000).event({ type: "committed", result: COMMITTED });
  assertTrue(script.taken().includes("finish"));
});

Deno.test("Getter ends when either side cancels or fails", () => {
  receiving().event({ type: "abort", reason: "enough" }).failed("enough" as "IO", "send:cancel");
  receiving().hears({ type: "cancel", code: "INTERRUPTED" }).failed("CANCELLED", null);
  receiving().hears({ type: "error", code: "IO" }).failed("IO", null);
  receiving().event({ type: "closed" }).failed("CONNECTION_LOST", null);
  receiving().event({ type: "failed", error: new WormholeError("CORRUPT", "bits") }).failed("CORRUPT");
});

Deno.test("Getter tells the sender what was placed when it is aborted too late", () => {
  const script = receiving().hears(pageOf(0, [{ size: 0 }]));
  expected(script, { complete: 1 });
  script.taken();
  script.event({ type: "abort", reason: "enough" });
  assertEquals(script.taken(), []);
  script.event({ type: "committed", result: COMMITTED });
  assertEquals(script.taken(), ["send:done", "finish"]);
});

Deno.test("Getter waits a moment for the reason why a link is gone", () => {
  const lost = new WormholeError("CONNECTION_LOST", "gone");
  receiving().event({ type: "failed", error: lost }).hears({ type: "cancel", code: "INTERRUPTED" })
    .failed("CANCELLED", null);
  receiving().event({ type: "failed", error: lost }).wait(1000).failed("CONNECTION_LOST", null);
});

Deno.test("Getter ends well when the link is lost after done", () => {
  for (const event of [{ type: "closed" }, { type: "link_failed", error: new Error("x") }] as const) {
    const script = receiving().hears(pageOf(0, [{ size: 0 }]));
    expected(script, { complete: 1 });
    script.event({ type: "committed", result: COMMITTED }).event(event);
    assertEquals(script.taken().at(-1), "finish");
  }
  const script = receiving().hears(pageOf(0, [{ size: 0 }]));
  expected(script, { complete: 1 });
  script.event({ type: "committed", result: COMMITTED }).wait(5000);
  assertEquals(script.taken().at(-1), "finish");
});

Deno.test("Getter refuses a sender that ends its data early", () => {
  const script = receiving().hears(pageOf(0, [{}]));
  expected(script, { runs: [[0, 0]] });
  script.event({ type: "received", report: { ...REPORT, outstanding: 1 }, generation: 1 });
  script.event({ type: "received", report: { ...REPORT, outstanding: 1, ended: true }, generation: 1 });
  // More of them may have been announced and not been heard of yet.
  script.wait(4000).take();
  script.wait(1500).failed("PROTOCOL");
});

Deno.test("Getter says page by page what it will not ask for any more", () => {
  const script = receiving();
  script.hears(pageOf(0, [{}, { name: "b" }], { last: false }));
  expected(script);
  const requests = () =>
    script.take().flatMap((action) =>
      action.type === "send" && action.message.type === "request_chunks" ? [action.message] : []
    );
  assertEquals(requests().map(({ runs, released }) => [runs.length, released]), [[0, 1]]);
  script.hears(pageOf(1, [{ name: "c" }], { first: 2 }));
  expected(script, { runs: [[2, 2]] });
  assertEquals(requests().map(({ runs, released }) => [runs.length, released]), [[8, 2]]);
});

const LATE: Message = { type: "totals", totals: { files: 9, directories: 1, symlinks: 0, bytes: 1000 } };

Deno.test("Getter takes totals that come after the offer", () => {
  const totals = { files: 0, directories: 0, symlinks: 0, bytes: 0 };
  const asked = (script: GetterScript) =>
    expected(script.hears(pageOf(0, [{}], { last: false })), { runs: [[0, 0]] });
  const script = asked(receiving(offerOf({ counting: true, totals })));
  script.actions = [];
  script.hears(LATE);
  const [progress] = script.actions.filter(({ type }) => type === "progress") as [
    CommonAction & { type: "progress" },
  ];
  assertEquals([progress.progress.bytesTotal, progress.progress.filesTotal], [1000, 9]);
  assertEquals(script.taken(), ["check_space"]);
  script.event({ type: "space", available: 600 });
  // What came meanwhile needs no more space.
  script.event({ type: "received", report: { ...REPORT, bytes: 400 }, generation: 0 });
  assertEquals(script.taken(), ["watch"]);
  receiving(offerOf({ counting: true })).hears(LATE).event({ type: "space", available: 600 })
    .failed("NO_SPACE");
  const full = asked(receiving(offerOf({ counting: true }))).hears(LATE);
  full.event({ type: "space", available: 600 });
  full.event({ type: "received", report: { ...REPORT, bytes: 399 }, generation: 0 }).failed("NO_SPACE");
  const sparse = receiving(offerOf({ counting: true }));
  sparse.hears({ ...LATE, totals: { ...LATE.totals, allocated: 600 } });
  sparse.event({ type: "space", available: 600 });
  sparse.taken();
  const early = deciding(offerOf({ counting: true })).hears(LATE);
  early.take();
  early.event({ type: "decided", decision: { accept: true } });
  assertEquals(early.taken(), ["send:answer", "send:page_credit", "check_space"]);
});

Deno.test("Getter refuses totals that nobody has to tell", () => {
  receiving().hears(LATE).failed("PROTOCOL");
  receiving(offerOf({ counting: true })).hears(LATE, LATE).failed("PROTOCOL");
  receiving(offerOf({ counting: true })).hears(pageOf(0, [{}]), LATE).failed("PROTOCOL");
});

Deno.test("Getter tells the sender what has arrived and what broke", () => {
  const script = receiving().hears({ type: "bulk_streams", count: 1 });
  script.take();
  const streams = [[0, 3, "live"], [1, 2, "lost"], [2, 7, "ended"]] as const;
  script.event({ type: "received", report: { ...REPORT, streams, outstanding: 1 }, generation: 0 });
  const [lost, look] = script.take();
  assertEquals(lost, { type: "send", message: { type: "bulk_lost", stream: 1, frames: 2 } });
  assertEquals(look, { type: "look_at_links" });
  const [told] = script.event({ type: "links", received: [9] }).take() as { message: Message }[];
  assertEquals(readAcknowledgement(told!.message as MessageOf<"bulk_received">).streams, [[0, 3], [2, 7]]);
});

Deno.test("Getter ends with PEER_FROZEN when the sender withholds what was asked for and goes on talking", () => {
  const script = receiving().hears(pageOf(0, [{}]));
  expected(script, { runs: [[0, 0]] });
  script.event({
    type: "received",
    report: { ...REPORT, bytes: 3, bytes_wire: 30, outstanding: 1 },
    generation: 1,
  });
  const talk = () =>
    script.wait(4000).hears({ type: "ping", nonce: 1 }).event({ type: "links", received: [100] });
  for (let at = 0; at < 56_000; at += 4000) talk();
  assertTrue(!script.taken().includes("fail"), "it ended too early");
  talk().wait(4000);
  script.failed("PEER_FROZEN");
});

Deno.test("Getter ends with PEER_FROZEN in time when the sender says that nothing but the link keeps it", () => {
  for (const [busy, periods] of [[false, 3], [true, 15]] as const) {
    const script = receiving().hears(pageOf(0, [{}]));
    expected(script, { runs: [[0, 0]] });
    const talk = () => script.wait(4000).hears({ type: "ping", nonce: 1, busy });
    for (let period = 1; period < periods; period++) talk();
    assertTrue(!script.taken().includes("fail"), "it ended too early");
    talk().wait(2000);
    script.failed("PEER_FROZEN");
  }
});

Deno.test("Getter waits while its own disk writes what came", () => {
  const script = receiving().hears(pageOf(0, [{}]));
  expected(script, { runs: [[0, 0]] });
  for (let at = 0; at < 300_000; at += 4000) {
    script.wait(4000).hears({ type: "ping", nonce: 1 }).event({
      type: "links",
      received: [9],
      isPlacing: true,
    });
  }
  assertTrue(!script.taken().includes("fail"));
});

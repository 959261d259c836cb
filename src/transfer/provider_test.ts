import { assertEquals, assertTrue } from "../base/testing.ts";
import type { SendReport } from "../native/send.ts";
import {
  type Message,
  type MessageOf,
  type Totals,
  writeAcknowledgement,
  writeRequest,
} from "../wire/mod.ts";
import type { CommonAction } from "./machine.ts";
import { chooseStreams, Provider, type ProviderAction, type ProviderEvent } from "./provider.ts";
import { columnsOf, helloOf, offerOf, Script } from "./testing.ts";

type ProviderScript = Script<ProviderEvent, ProviderAction>;

const YES: MessageOf<"answer"> = {
  type: "answer",
  accept: true,
  abilities: { zstd: true, lz4: true },
  streams: 4,
};
const DONE: MessageOf<"done"> = {
  type: "done",
  files: 3,
  directories: 1,
  symlinks: 0,
  bytes: 15,
  failed: [],
  failed_count: 0,
};
const REPORT: SendReport = {
  links: [],
  hashed: new Uint8Array(),
  lost: [],
  bytes_read: 0,
  bytes_wire: 0,
  blocked_us: 0,
  encode_us: 0,
  encode_plain: 0,
  probes: [],
  files_done: 0,
  failed: [],
  idle: false,
  busy: false,
};
const USAGE = { ownMs: 0, idleMs: 0 };

const STREAMS = { kind: "memory", cpuCount: 2, minStreams: 1, maxStreams: 8 } as const;

function greeted(offer = offerOf()): ProviderScript {
  const provider = new Provider({
    hello: helloOf("s"),
    offer,
    ...STREAMS,
    compression: "auto",
    compressionLevel: 3,
  });
  return new Script<ProviderEvent, ProviderAction>(provider).hears(helloOf("r"));
}

/** Accepted, with `pages` granted. */
function sending(pages = 1, offer = offerOf()): ProviderScript {
  const script = greeted(offer).hears(YES, { type: "page_credit", through: pages - 1 });
  script.take();
  return script;
}

function runs(...runs: [number, number][]): Message {
  return { type: "request_chunks", ...writeRequest({ runs, ranges: [] }) };
}

Deno.test("Provider sends everything in order and ends well", () => {
  const script = greeted();
  assertEquals(script.taken(), ["send:hello", "send:offer"]);
  script.hears(YES, { type: "page_credit", through: 7 });
  assertEquals(script.taken(), ["send:bulk_streams", "start", "read_page"]);
  script.event({
    type: "page",
    columns: columnsOf([{ kind: "directory" }, { parent: 0 }], { last: false }),
    problems: [],
  });
  script.event({ type: "started" });
  script.hears(runs([1, 1]));
  script.event({ type: "page", columns: columnsOf([{ parent: 0 }], { first: 2 }), problems: [] });
  assertEquals(script.taken(), [
    "send:manifest_page",
    "read_page",
    "take_link",
    "watch",
    "push",
    "send:manifest_page",
  ]);
  script.hears(runs([2, 2]));
  script.event({
    type: "sent",
    report: { ...REPORT, bytes_read: 10, bytes_wire: 200, files_done: 2, idle: true },
    links: [],
    usage: USAGE,
  });
  assertEquals(script.taken(), ["push", "watch"]);
  const [ack, finish] = script.hears(DONE).take() as [CommonAction, CommonAction & { type: "finish" }];
  assertEquals(ack, { type: "send", message: { type: "done_ack" } });
  assertEquals(finish.outcome.bytesWire, 200);
  assertEquals(finish.outcome.failedCount, 0);
});

Deno.test("Provider lists no page beyond its credit", () => {
  const script = sending(1);
  const page = (first: number) => columnsOf([{}], { first, last: false });
  script.event({ type: "page", columns: page(0), problems: [] });
  assertEquals(script.taken(), ["send:manifest_page"]);
  script.hears({ type: "page_credit", through: 2 });
  assertEquals(script.taken(), ["read_page"]);
  script.event({ type: "page", columns: page(1), problems: [] }).event({
    type: "page",
    columns: page(2),
    problems: [],
  });
  assertEquals(script.taken(), ["send:manifest_page", "read_page", "send:manifest_page"]);
});

Deno.test("Provider keeps pages of problems alone to itself and tells how much was left out", () => {
  const script = sending(2);
  const problem = { path: new Uint8Array([97]), kind: 22, text: 'Cannot open "a": permission denied' };
  script.event({ type: "page", columns: columnsOf([], { last: false }), problems: [problem] });
  assertEquals(script.taken(), ["read_page"]);
  const [sent] = script.event({ type: "page", columns: columnsOf([]), problems: [problem] }).take();
  const { message } = sent as { message: MessageOf<"manifest_page"> };
  assertEquals([message.page, message.omitted], [0, 2]);
  const finish = script.hears({ ...DONE, failed_count: 2 }).take().at(-1) as CommonAction & {
    type: "finish";
  };
  assertEquals(finish.outcome.failedCount, 2);
  assertEquals(finish.outcome.failed.map(({ code }) => code), ["PERMISSION_DENIED", "PERMISSION_DENIED"]);
});

Deno.test("Provider sends a text without an engine", () => {
  const script = greeted(offerOf({ kind: "text", roots: [], text: "hi" })).hears(YES, { ...DONE, files: 0 });
  assertEquals(script.taken(), ["send:hello", "send:offer", "send:done_ack", "finish"]);
});

Deno.test("Provider reports a refusal", () => {
  greeted().hears({ ...YES, accept: false, reason: "NO_SPACE" }).failed("REFUSED", "send:offer");
});

Deno.test("Provider refuses what an honest receiver does not send", () => {
  const page: ProviderEvent = { type: "page", columns: columnsOf([{}]), problems: [] };
  const cases: [string, ProviderScript, Message[], "PROTOCOL" | "LIMIT_EXCEEDED"][] = [
    ["second hello", greeted(), [helloOf("r")], "PROTOCOL"],
    ["credit before the answer", greeted(), [{ type: "page_credit", through: 1 }], "PROTOCOL"],
    ["done before the answer", greeted(), [DONE], "PROTOCOL"],
    ["second answer", sending(), [YES], "PROTOCOL"],
    ["done before the last page", sending(), [DONE], "PROTOCOL"],
    ["request of an unknown entry", sending().event(page), [runs([0, 1])], "PROTOCOL"],
    ["an offer", sending(), [offerOf()], "PROTOCOL"],
    ["a page", sending(), [{ type: "manifest_page", page: 0, ...columnsOf([{}]) }], "PROTOCOL"],
    ["failure of an unknown entry", sending(), [{ type: "error", code: "IO", entry: 0 }], "PROTOCOL"],
    ["pages of a text", greeted(offerOf({ kind: "text", text: "" })).hears(YES), [
      { type: "page_credit", through: 1 },
    ], "PROTOCOL"],
    [
      "everything again and again",
      sending().event(page),
      Array.from({ length: 70_000 }, () => runs([0, 0])),
      "LIMIT_EXCEEDED",
    ],
  ];
  for (const [, script, messages, code] of cases) script.hears(...messages).failed(code);
});

Deno.test("Provider takes nothing after the end", () => {
  const script = sending().event({ type: "page", columns: columnsOf([{}]), problems: [] }).hears(DONE);
  script.take();
  assertEquals(script.hears(DONE).event({ type: "abort", reason: 1 }).take(), []);
});

Deno.test("Provider refuses another version and its own echo", () => {
  const provider = () =>
    new Script<ProviderEvent, ProviderAction>(
      new Provider({
        hello: helloOf("s"),
        offer: offerOf(),
        ...STREAMS,
        compression: "auto",
        compressionLevel: 3,
      }),
    );
  provider().hears({ ...helloOf("r"), version: { major: 2, minor: 0 } }).failed("VERSION_UNSUPPORTED");
  provider().hears(helloOf("s")).failed("PROTOCOL");
  provider().hears({ type: "ping", nonce: 1 }).failed("PROTOCOL");
  assertEquals(
    provider().hears({ ...helloOf("r"), version: { major: 1, minor: 9 } }).taken().at(-1),
    "send:offer",
  );
});

Deno.test("Provider reports a frozen peer in time, however much its own side still takes", () => {
  const script = sending();
  script.event({ type: "started" });
  for (let i = 1; i <= 5; i++) {
    script.wait(2000).event({ type: "sent", report: { ...REPORT, bytes_wire: i }, links: [], usage: USAGE });
  }
  assertTrue(!script.taken().includes("fail"));
  script.wait(2000).failed("PEER_FROZEN");
});

Deno.test("Provider says with its pings whether it was busy since the last", () => {
  const script = sending();
  script.event({ type: "started" });
  const pinged = (...reports: boolean[]) => {
    for (const busy of reports) {
      script.event({ type: "sent", report: { ...REPORT, busy }, links: [], usage: USAGE });
    }
    const sent = script.wait(4000).hears({ type: "pong", nonce: 1 }).take();
    return sent.flatMap((action) =>
      action.type === "send" && action.message.type === "ping" ? [action.message.busy] : []
    );
  };
  assertEquals(pinged(), [undefined]);
  assertEquals(pinged(false), [false]);
  assertEquals(pinged(false, true, false), [true]);
  assertEquals(pinged(true), [true]);
  assertEquals(pinged(), [true]);
  assertEquals(pinged(false), [true]);
  assertEquals(pinged(), [false]);
});

Deno.test("Provider takes any message for a sign of life", () => {
  const script = sending();
  for (let i = 1; i <= 5; i++) script.wait(8000).hears({ type: "pong", nonce: i });
  assertTrue(!script.taken().includes("fail"));
});

Deno.test("Provider pings and answers pings", () => {
  const script = sending().wait(4000);
  assertEquals(script.taken(), ["send:ping"]);
  assertEquals(script.hears({ type: "ping", nonce: 9 }).take(), [
    { type: "send", message: { type: "pong", nonce: 9 } },
  ]);
});

Deno.test("Provider does not blame the peer for its own sleep", () => {
  const script = sending();
  script.now += 3_600_000;
  script.event({ type: "tick" });
  assertEquals(script.taken(), ["send:ping"]);
});

Deno.test("Provider ends when either side cancels or fails", () => {
  sending().event({ type: "abort", reason: "enough" }).failed("enough" as "IO", "send:cancel");
  sending().hears({ type: "cancel", code: "INTERRUPTED" }).failed("CANCELLED", null);
  sending().hears({ type: "error", code: "NO_SPACE" }).failed("NO_SPACE", null);
  sending().event({ type: "closed" }).failed("CONNECTION_LOST", null);
});

Deno.test("Provider tunes the codec to a link that holds it up", () => {
  const script = sending();
  script.event({ type: "started" }).event({ type: "sent", report: REPORT, links: [], usage: USAGE }).take();
  const probes = [{ codec: 1, level: 1, plain: 1000, wire: 300, cpu_us: 10 }];
  script.now += 1000;
  // One stream, kept waiting all the time by 1 MB/s.
  const report = { ...REPORT, encode_plain: 1e6, bytes_wire: 1e6, blocked_us: 990_000, probes };
  script.event({ type: "sent", report, links: [], usage: { ownMs: 100, idleMs: 1900 } });
  const [tune] = script.take() as ProviderAction[];
  assertTrue(tune?.type === "tune");
  assertEquals(tune.choice, { codec: "zstd", level: 1 });
  assertEquals(tune.probe.map(({ codec, level }) => `${codec} ${level}`), ["lz4 0", "zstd 1", "zstd 3"]);
});

Deno.test("chooseStreams() gives small transfers one stream and large ones all", () => {
  const totals = (bytes: number, files: number) => ({ bytes, files, directories: 0, symlinks: 0 });
  const choose = (totals: Totals | undefined, kind: "files" | "stream" = "files") => {
    const { least, start, worth } = chooseStreams({ totals, kind, wanted: 4, most: 64 });
    return [least, start, worth];
  };
  assertEquals(choose(totals(1, 1)), [1, 1, 1]);
  assertEquals(choose(totals(40 << 20, 1)), [3, 3, 10]);
  assertEquals(choose(totals(2 ** 31, 1)), [4, 4, 64]);
  assertEquals(choose(totals(1, 1100)), [3, 3, 3]);
  assertEquals(choose(undefined), [4, 4, 64]);
  assertEquals(choose(undefined, "stream"), [1, 1, 1]);
});

/** Sending, with `count` entries listed and more to come. */
function listed(count = 3): ProviderScript {
  const script = sending(1);
  const sketches = Array.from({ length: count }, () => ({}));
  script.event({ type: "page", columns: columnsOf(sketches, { last: false }), problems: [] });
  script.take();
  return script;
}

Deno.test("Provider tells totals that it counted after the offer", () => {
  const totals = { files: 9, directories: 1, symlinks: 0, bytes: 1000 };
  const script = greeted(offerOf({ counting: true }));
  assertEquals(script.taken(), ["send:hello", "send:offer", "count"]);
  script.event({ type: "counted", totals });
  assertEquals(script.taken(), ["send:totals"]);
  const late = sending(1, offerOf({ counting: true }));
  late.event({ type: "page", columns: columnsOf([{}]), problems: [] });
  late.take();
  late.event({ type: "counted", totals });
  assertEquals(late.taken(), []);
  late.event({ type: "sent", report: REPORT, links: [], usage: USAGE });
  const progress = late.actions.findLast(({ type }) => type === "progress") as CommonAction & {
    type: "progress";
  };
  assertEquals([progress.progress.bytesTotal, progress.progress.filesTotal], [1000, 9]);
});

Deno.test("Provider forgets what the receiver releases", () => {
  const script = listed();
  script.hears({ ...runs([0, 0]), released: 2 } as Message);
  const [push] = script.take() as [ProviderAction & { type: "push" }];
  assertEquals([push.type, push.released], ["push", 2]);
  listed().hears({ ...runs(), released: 3 } as Message).failed("PROTOCOL");
});

Deno.test("Provider makes one chunk list after the other, in parts", () => {
  const script = listed();
  script.hears({ type: "request_manifest", entry: 1 }, { type: "request_manifest", entry: 2 });
  assertEquals(script.take(), [{ type: "hash", entry: 1, offset: 0, cut: "fixed" }]);
  const size = 5 * 1024 * 1024;
  script.event({ type: "hashed", result: { hashes: new Uint8Array(32), size } });
  script.event({ type: "hashed", result: { hashes: new Uint8Array(32), size } });
  const [first, again, second, next] = script.take() as [Said, unknown, Said, unknown];
  assertEquals([first.message.last, again], [false, {
    type: "hash",
    entry: 1,
    offset: 4 * 1024 * 1024,
    cut: "fixed",
  }]);
  assertEquals([second.message.last, next], [true, { type: "hash", entry: 2, offset: 0, cut: "fixed" }]);
  script.event({ type: "hashed", result: { code: "UNSUPPORTED" } });
  assertEquals(script.take(), [
    { type: "send", message: { type: "error", code: "UNSUPPORTED", entry: 2 } },
  ]);
});

Deno.test("Provider lists a file as it is cut by its content", () => {
  const script = listed().hears({ type: "request_manifest", entry: 1, cut: "content" });
  assertEquals(script.take(), [{ type: "hash", entry: 1, offset: 0, cut: "content" }]);
  const size = 700_000;
  const sizes = new Uint32Array([300_000, 400_000]);
  script.event({ type: "hashed", result: { hashes: new Uint8Array(64), sizes, size } });
  const [{ message }] = script.take() as unknown as [Said];
  assertEquals([message.last, message.sizes], [true, new Uint8Array(sizes.buffer)]);
  assertEquals(new BigUint64Array(message.offsets.slice().buffer), new BigUint64Array([0n, 300_000n]));
});

type Said = { message: MessageOf<"manifest_response"> };

Deno.test("Provider counts what the receiver has", () => {
  const script = listed();
  script.hears({ type: "have", entry: 0, chunks: new Uint8Array([1]) });
  assertEquals(script.taken(), ["measure"]);
  const shown = (bytes: number) => {
    script.event({ type: "measured", bytes });
    return (script.actions.at(-1) as CommonAction & { type: "progress" }).progress.bytesDone;
  };
  assertEquals(shown(10), 10);
  // A receiver that claims more than there is.
  assertEquals(shown(1000), 15);
});

Deno.test("Provider refuses questions about what it did not list, and too many", () => {
  listed().hears({ type: "request_manifest", entry: 3 }).failed("PROTOCOL");
  listed().hears({ type: "have", entry: 3, chunks: new Uint8Array() }).failed("PROTOCOL");
  const lists = listed();
  for (let i = 0; i < 1025; i++) lists.hears({ type: "request_manifest", entry: 0 });
  lists.failed("LIMIT_EXCEEDED");
  const claims = listed();
  for (let i = 0; i < 70_000; i++) claims.hears({ type: "have", entry: 0, chunks: new Uint8Array() });
  claims.failed("LIMIT_EXCEEDED");
});

Deno.test("Provider hands on what the receiver says of its streams", () => {
  const totals = { files: 1, directories: 0, symlinks: 0, bytes: 2 ** 30 };
  const script = sending(1, offerOf({ totals })).event({ type: "started" });
  script.take();
  script.hears(writeAcknowledgement({ time: 5, streams: [[0, 3], [1, 7]], links: [] }));
  script.hears({ type: "bulk_lost", stream: 1, frames: 7 });
  assertEquals(script.take(), [
    { type: "acknowledge", streams: [[0, 3], [1, 7]] },
    { type: "look_at_links" },
    { type: "lost", stream: 1, frames: 7 },
  ]);
});

Deno.test("Provider refuses words about streams before there are any", () => {
  greeted().hears(writeAcknowledgement({ time: 5, streams: [], links: [] })).failed("PROTOCOL");
  greeted().hears({ type: "bulk_lost", stream: 0, frames: 0 }).failed("PROTOCOL");
});

import fc from "fast-check";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { SINGLE_CODE_LIMITS } from "./limits.ts";
import { MemoryMailboxStore } from "./memory_store.ts";
import type { ServerAction } from "./server_action.ts";
import { SqliteMailboxStore } from "./sqlite_store.ts";
import { Bench } from "./testing.ts";

Deno.test("MailboxServer carries messages between two sides, echoes included, early ones too", () => {
  const bench = new Bench();
  assertEquals(bench.connect(1), ['1< welcome {"wormhole":1}']);
  assertEquals(bench.say(1, { type: "bind", appid: "app", side: "a" }), []);
  const [allocated] = bench.say(1, { type: "allocate", id: "77" }).slice(1);
  const nameplate = /^1< allocated ([1-9]\d?)$/.exec(allocated!)![1]!;
  bench.join(1, nameplate);
  assertEquals(bench.say(1, { type: "add", phase: "pake", body: "00ff", id: "x" }), [
    "1< ack x",
    "1< message a pake 00ff x",
  ]);
  bench.bound(2, "b");
  const [claimed] = bench.say(2, { type: "claim", nameplate, must_exist: true });
  const mailbox = claimed!.split(" ")[2]!;
  assertEquals(bench.say(2, { type: "open", mailbox }), ["2< message a pake 00ff x"]);
  assertEquals(bench.say(2, { type: "add", phase: "pake", body: "01" }), [
    "1< message b pake 01",
    "2< message b pake 01",
  ]);
  assertEquals(bench.say(1, { type: "release" }), ["1< released"]);
  assertEquals(bench.say(2, { type: "release", nameplate }), ["2< released"]);
  assertEquals(bench.say(1, { type: "close", mood: "happy" }), ["1< closed"]);
  assertEquals(bench.server.counts.mailboxes, 1);
  assertEquals(bench.say(2, { type: "close", mailbox }), ["2< closed"]);
  assertEquals(bench.server.counts, { connections: 2, nameplates: 1, mailboxes: 0 });
});

Deno.test("MailboxServer answers mistakes with an error", () => {
  const rows: [string, object | string, string][] = [
    ["not JSON", "{", "not JSON"],
    ["not an object", "[1]", "not an object"],
    ["null", "null", "not an object"],
    ["no type", {}, "unknown type"],
    ["unknown type", { type: "toString" }, "unknown type"],
    ["bound again", { type: "bind", appid: "a", side: "b" }, "already bound"],
    ["nameplate a number", { type: "claim", nameplate: 7 }, "requires"],
    ["nameplate a word", { type: "claim", nameplate: "seven" }, "requires"],
    ["nameplate padded", { type: "claim", nameplate: "07" }, "requires"],
    ["release before claim", { type: "release" }, "must follow claim"],
    ["add before open", { type: "add", phase: "p", body: "00" }, "must open"],
    ["close before open", { type: "close" }, "must follow open"],
    ["unknown mailbox", { type: "open", mailbox: "zz" }, "no such mailbox"],
    ["odd hex", { type: "add", phase: "p", body: "0" }, "in hex"],
    ["no phase", { type: "add", body: "00" }, "requires"],
    ["endless phase", { type: "add", phase: "p".repeat(129), body: "00" }, "requires"],
    ["lone surrogate", { type: "add", phase: "\ud800", body: "00" }, "requires"],
    ["ping without number", { type: "ping" }, "ping requires"],
    ["nobody there", { type: "claim", nameplate: "7", must_exist: true }, "nobody offers"],
  ];
  const bench = new Bench({ mistakes: 1_000 });
  bench.bound(1);
  for (const [description, message, words] of rows) {
    const [reply = ""] = bench.say(1, message);
    assertTrue(reply.startsWith("1< error ") && reply.includes(words), `${description}: ${reply}`);
  }
  bench.connect(2);
  assertEquals(bench.say(2, { type: "list" }), ["2< error must bind first PROTOCOL"]);
});

Deno.test("MailboxServer refuses a third side, before and after the code was used", () => {
  const bench = new Bench();
  for (const connection of [1, 2, 3, 4]) bench.bound(connection);
  const mailbox = bench.join(1, "7");
  bench.join(2, "7");
  assertEquals(bench.say(3, { type: "claim", nameplate: "7" }), ["3< error crowded CODE_CROWDED"]);
  assertEquals(bench.say(3, { type: "open", mailbox }), ["3< error crowded CODE_CROWDED"]);
  bench.say(2, { type: "close", mood: "scary" });
  assertEquals(bench.say(3, { type: "claim", nameplate: "7" }), ["3< error crowded CODE_CROWDED"]);
  bench.say(1, { type: "close", mood: "scary" });
  assertEquals(bench.say(3, { type: "claim", nameplate: "7" }), ["3< error reclaimed CODE_USED"]);
  assertEquals(bench.say(4, { type: "open", mailbox }), ["4< error there is no such mailbox CODE_NOT_FOUND"]);
});

Deno.test("MailboxServer keeps a nameplate dead whose only side hung up after a second came and went", () => {
  const bench = new Bench();
  for (const connection of [1, 2, 3]) bench.bound(connection);
  bench.join(1, "7");
  bench.join(2, "7");
  bench.server.disconnect(2);
  assertEquals(bench.say(3, { type: "claim", nameplate: "7" }), ["3< error crowded CODE_CROWDED"]);
});

Deno.test("MailboxServer lets the same side come back", () => {
  const bench = new Bench();
  bench.bound(1, "a");
  const mailbox = bench.join(1, "7");
  bench.say(1, { type: "add", phase: "pake", body: "00" });
  bench.server.disconnect(1);
  bench.bound(2, "a");
  assertEquals(bench.say(2, { type: "claim", nameplate: "7" }), [`2< claimed ${mailbox}`]);
  assertEquals(bench.say(2, { type: "open", mailbox }), ["2< message a pake 00"]);
});

Deno.test("MailboxServer keeps applications apart", () => {
  const bench = new Bench();
  bench.bound(1);
  bench.connect(2);
  bench.say(2, { type: "bind", appid: "other", side: "b" });
  const mailbox = bench.join(1, "7");
  assertEquals(bench.say(2, { type: "claim", nameplate: "7", must_exist: true }), [
    "2< error nobody offers this code CODE_NOT_FOUND",
  ]);
  assertEquals(bench.say(2, { type: "open", mailbox }), ["2< error there is no such mailbox CODE_NOT_FOUND"]);
  assertEquals(bench.say(2, { type: "list" }), ["2< nameplates []"]);
  assertEquals(bench.say(1, { type: "list" }), ['1< nameplates [{"id":"7"}]']);
});

Deno.test("MailboxServer expires a code that nobody used, tells its owner, and frees it later", () => {
  const bench = new Bench({ codeTtlMs: 10_000 });
  bench.bound(1);
  bench.join(1, "7");
  assertEquals(bench.tick(9_999), []);
  assertEquals(bench.tick(1), ["1< error this code has expired CODE_EXPIRED"]);
  bench.bound(2);
  assertEquals(bench.say(2, { type: "claim", nameplate: "7", must_exist: true }), [
    "2< error this code has expired CODE_EXPIRED",
  ]);
  bench.tick(10_000);
  assertEquals(bench.server.counts, { connections: 2, nameplates: 0, mailboxes: 0 });
  bench.join(2, "7");
});

Deno.test("MailboxServer finds a code expired even when no tick came", () => {
  const bench = new Bench({ codeTtlMs: 10_000 });
  bench.bound(1);
  bench.join(1, "7");
  bench.bound(2);
  bench.nowMs += 10_000;
  assertEquals(bench.say(2, { type: "claim", nameplate: "7" }), [
    "1< error this code has expired CODE_EXPIRED",
    "2< error this code has expired CODE_EXPIRED",
  ]);
});

Deno.test("MailboxServer ends abandoned mailboxes and keeps those in use", () => {
  const bench = new Bench({ codeTtlMs: 1_000, mailboxTtlMs: 5_000 });
  for (const connection of [1, 2]) bench.bound(connection);
  bench.join(1, "7");
  bench.join(2, "7");
  bench.tick(5_000);
  assertEquals(bench.server.counts.mailboxes, 1);
  bench.server.disconnect(1);
  bench.server.disconnect(2);
  bench.tick(5_000);
  assertEquals(bench.server.counts.mailboxes, 0);
});

Deno.test("MailboxServer draws short free nameplates", () => {
  const bench = new Bench({ mailboxesPerAddress: 1_000, connectionsPerAddress: 1_000, claimBurst: 1_000 });
  const names: string[] = [];
  for (let connection = 1; connection <= 150; connection++) {
    bench.bound(connection);
    names.push(bench.say(connection, { type: "allocate" })[0]!.split(" ")[2]!);
  }
  assertEquals(new Set(names).size, names.length);
  assertTrue(names.slice(0, 30).every((name) => name.length <= 2), "the first are short");
  assertTrue(names.every((name) => name.length <= 3), "the later are no longer than needed");
});

Deno.test("MailboxServer draws no nameplate that another application has", () => {
  for (const store of [new MemoryMailboxStore(), new SqliteMailboxStore(":memory:")]) {
    const bench = new Bench({
      ...{ store, mailboxesPerAddress: 1_000, connectionsPerAddress: 1_000, claimBurst: 1_000 },
    });
    const names: string[] = [];
    for (let connection = 1; connection <= 150; connection++) {
      bench.connect(connection);
      bench.say(connection, { type: "bind", appid: `app${connection % 3}`, side: "a" });
      names.push(bench.say(connection, { type: "allocate" })[0]!.split(" ")[2]!);
    }
    assertEquals(new Set(names).size, names.length);
    // A number that people chose may be one of each application.
    const [name] = names;
    bench.connect(200);
    bench.say(200, { type: "bind", appid: "another", side: "a" });
    bench.join(200, name!);
    store[Symbol.dispose]();
  }
});

Deno.test("MailboxServer slows down and drops whoever tries out nameplates", () => {
  const bench = new Bench({ claimBurst: 3, claimsPerMinute: 6 });
  const attempt = (connection: number) => {
    bench.bound(connection, `s${connection}`, "192.0.2.1");
    return bench.say(connection, { type: "claim", nameplate: "7", must_exist: true });
  };
  for (const connection of [1, 2, 3]) assertTrue(attempt(connection)[0]!.includes("CODE_NOT_FOUND"));
  const [refusal, close] = attempt(4);
  assertTrue(refusal!.includes("HUB_REFUSED") && close!.startsWith("4x 1008"), `${refusal} ${close}`);
  bench.bound(9);
  assertTrue(
    bench.say(9, { type: "claim", nameplate: "8" })[0]!.includes("claimed"),
    "others are not slowed",
  );
  bench.nowMs += 10_000;
  assertTrue(attempt(5)[0]!.includes("CODE_NOT_FOUND"), "one more try after ten seconds");
  assertTrue(attempt(6)[0]!.includes("HUB_REFUSED"), "but not two");
});

Deno.test("MailboxServer limits connections, mailboxes, messages and bytes", () => {
  const bench = new Bench({
    connections: 4,
    connectionsPerAddress: 2,
    mailboxesPerAddress: 1,
    messagesPerMailbox: 2,
    messageBytes: 200,
    bindTimeoutMs: 1_000,
  });
  bench.bound(1, "a", "one");
  bench.bound(2, "b", "one");
  assertEquals(bench.connect(3, "one"), ["3x 1013 too many connections"]);
  bench.join(1, "7");
  assertTrue(
    bench.say(2, { type: "claim", nameplate: "8" })[0]!.includes("too many codes are open from your address"),
  );
  bench.bound(4, "c", "two");
  bench.join(4, "7");
  bench.say(4, { type: "add", phase: "1", body: "00" });
  bench.say(4, { type: "add", phase: "2", body: "00" });
  assertEquals(bench.say(4, { type: "add", phase: "3", body: "00" }), [
    "4< error the mailbox is full LIMIT_EXCEEDED",
  ]);
  assertEquals(bench.say(4, { type: "add", phase: "4", body: "é".repeat(90) }), ["4x 1009 message too long"]);
  bench.connect(5, "three");
  assertEquals(bench.tick(1_000), ["5x 1008 no bind"]);
});

Deno.test("MailboxServer drops a connection that floods or keeps making mistakes", () => {
  const bench = new Bench({ mistakes: 3, messageBurst: 10, messagesPerSecond: 1 });
  bench.bound(1);
  assertEquals([1, 2, 3].flatMap(() => bench.say(1, "?")).at(-1), "1x 1008 too many mistakes");
  assertEquals(bench.say(1, "?"), []);
  bench.bound(2);
  const replies = Array.from({ length: 12 }, () => bench.say(2, { type: "ping", ping: 1 })).flat();
  assertEquals(replies.filter((reply) => reply === "2< pong 1").length, 9);
  assertEquals(replies.at(-1), "2x 1008 too many messages");
});

Deno.test("MailboxServer with SQLite goes on after a restart", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/hub.sqlite`;
    {
      using store = new SqliteMailboxStore(path);
      const bench = new Bench({ store });
      for (const connection of [1, 2, 3]) bench.bound(connection);
      bench.join(1, "7");
      bench.say(1, { type: "add", phase: "pake", body: "ab" });
      bench.join(2, "8");
      bench.say(2, { type: "close" });
    }
    using store = new SqliteMailboxStore(path);
    const bench = new Bench({ store });
    assertEquals(bench.server.counts, { connections: 0, nameplates: 2, mailboxes: 1 });
    for (const connection of [1, 2, 3]) bench.bound(connection, `new${connection}`);
    const [claimed] = bench.say(1, { type: "claim", nameplate: "7", must_exist: true });
    assertEquals(bench.say(1, { type: "open", mailbox: claimed!.split(" ")[2] }), [
      "1< message side1 pake ab",
    ]);
    assertEquals(bench.say(2, { type: "claim", nameplate: "8" }), ["2< error reclaimed CODE_USED"]);
    assertEquals(bench.say(3, { type: "claim", nameplate: "7" }), ["3< error crowded CODE_CROWDED"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Frames that are nearly right, so that they reach every branch. */
const FRAME = fc.oneof(
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
  { weight: 1, arbitrary: fc.json({ maxDepth: 3 }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constantFrom(
        "bind",
        "list",
        "allocate",
        "claim",
        "release",
        "open",
        "add",
        "close",
        "ping",
        "?",
      ),
      appid: fc.constantFrom("app", "other"),
      side: fc.constantFrom("a", "b", "c"),
      nameplate: fc.oneof(fc.constantFrom("1", "2", "3"), fc.anything()),
      mailbox: fc.option(fc.nat(3), { nil: undefined }),
      phase: fc.constantFrom("pake", "version", "__proto__"),
      body: fc.oneof(fc.constantFrom("", "00"), fc.constant("ab".repeat(200))),
      must_exist: fc.boolean(),
      ping: fc.integer(),
      mood: fc.constantFrom("happy", "scary", 7),
      id: fc.option(fc.string({ maxLength: 8 }), { nil: undefined }),
    }, { requiredKeys: ["type"] }),
  },
);

const EVENT = fc.oneof(
  { weight: 3, arbitrary: fc.record({ event: fc.constant("connect" as const), connection: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ event: fc.constant("disconnect" as const), connection: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ event: fc.constant("tick" as const), ms: fc.nat(4_000) }) },
  {
    weight: 12,
    arbitrary: fc.record({ event: fc.constant("frame" as const), connection: fc.nat(7), frame: FRAME }),
  },
);

for (const kind of ["memory", "SQLite"] as const) {
  Deno.test(`MailboxServer survives arbitrary frames within its limits (${kind})`, () => {
    fc.assert(
      fc.property(fc.array(EVENT, { maxLength: 120 }), (events) => {
        using store = kind === "memory" ? new MemoryMailboxStore() : new SqliteMailboxStore(":memory:");
        const limits = {
          nameplates: 4,
          mailboxes: 3,
          messagesPerMailbox: 5,
          totalBytes: 3_000,
          codeTtlMs: 5_000,
        };
        const bench = new Bench({
          ...limits,
          connections: 5,
          mistakes: 50,
          mailboxTtlMs: 5_000,
          claimBurst: 100,
          store,
        });
        const live = new Set<number>();
        const opened = new Map<string, Set<string>>();
        const mailboxes: string[] = [];
        for (const event of events) {
          let actions: ServerAction[] = [];
          if (event.event === "tick") {
            bench.nowMs += event.ms;
            actions = bench.server.tick();
          } else if (event.event === "disconnect") {
            live.delete(event.connection);
            actions = bench.server.disconnect(event.connection);
          } else if (event.event === "connect") {
            if (live.has(event.connection)) continue;
            live.add(event.connection);
            actions = bench.server.connect(event.connection, "10.0.0.1");
          } else {
            const { frame } = event;
            const text = typeof frame === "string" ? frame : stringify(frame, mailboxes);
            if (text === undefined) continue;
            actions = bench.server.message(event.connection, text);
          }
          for (const action of actions) {
            if (action.type === "close") live.delete(action.connection);
            if (action.type !== "send") continue;
            const { message } = action;
            if (message.type === "claimed") mailboxes.push(message.mailbox);
            if (message.type === "error") assertTrue(message.code !== "INTERNAL");
            JSON.stringify(message);
          }
          const { connections, nameplates, mailboxes: count } = bench.server.counts;
          assertTrue(connections <= 5 && nameplates <= 4 && count <= 3, "counts stay within limits");
          const totals = store.totals();
          assertEquals(
            [totals.nameplates, totals.mailboxes],
            [nameplates, count],
            "counts are those of the store",
          );
          assertTrue(totals.byteLength <= 3_000, "bytes stay within limits");
          for (const id of mailboxes) {
            const sides = store.mailbox(id)?.sides ?? [];
            const seen = opened.get(id) ?? new Set();
            for (const side of sides) seen.add(side);
            opened.set(id, seen);
            assertTrue(seen.size <= 2, "a mailbox never has a third side");
            assertTrue(store.messages(id).length <= 5, "messages stay within limits");
          }
        }
      }),
      { numRuns: kind === "memory" ? 400 : 60 },
    );
  });
}

function stringify(frame: { mailbox?: number | undefined }, mailboxes: string[]): string | undefined {
  const mailbox = frame.mailbox === undefined ? undefined : mailboxes[frame.mailbox] ?? "none";
  try {
    return JSON.stringify({ ...frame, mailbox });
  } catch {
    return undefined; // fast-check's `anything` holds what JSON cannot.
  }
}

Deno.test("a sender's own mailbox keeps its code as long as the sender waits", () => {
  const bench = new Bench(SINGLE_CODE_LIMITS);
  bench.bound(1);
  bench.join(1, "123");
  for (let day = 0; day < 30; day++) assertEquals(bench.tick(24 * 60 * 60_000), []);
  bench.bound(2);
  bench.join(2, "123", { must_exist: true });
});

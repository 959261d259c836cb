import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { type Message, writeAcknowledgement } from "../wire/mod.ts";
import { BulkSender, type BulkSenderAction, type LinkStatus, type SentOverLink } from "./bulk_sender.ts";

const FAR: LinkStatus = { link: 0, rttMs: 50, bytesSent: 0, lostPackets: 0, isRelayed: false };

/** A sender with two streams, and all that it wanted since the last look. */
function sender(kind: "tcp" | "quic" = "tcp") {
  let wanted: (BulkSenderAction | Message)[] = [];
  const bulk = new BulkSender({
    kind,
    cpuCount: 2,
    minStreams: 2,
    maxStreams: 16,
    start: 2,
    act: (action) => wanted.push(action),
    send: (message) => wanted.push(message),
  });
  const take = () => {
    const taken = wanted;
    wanted = [];
    return taken;
  };
  return { bulk, take };
}

function started(kind?: "tcp" | "quic") {
  const script = sender(kind);
  script.bulk.on({ type: "started" });
  script.take();
  return script;
}

function sent(changes: Partial<SentOverLink>): SentOverLink {
  return { link: 0, streams: 2, bytes_wire: 0, bytes_delivered: 0, blocked_us: 0, ...changes };
}

/** Lets the link carry `rate` bytes/s for `ms`, with an acknowledgement every 100 ms. */
function carry({ bulk, take }: ReturnType<typeof sender>, ms: number, rate: number) {
  const seen: (BulkSenderAction | Message)[] = [];
  let received = 0;
  let blocked_us = 0;
  for (let now = 0; now <= ms; now += 100) {
    received += rate / 10;
    blocked_us += 100_000 * bulk.streams;
    bulk.sent([sent({ streams: bulk.streams, blocked_us })], [], 1e12);
    bulk.heard(writeAcknowledgement({ time: now, streams: [], links: [received] }));
    bulk.on({ type: "links", links: [FAR] });
    for (const action of take()) {
      seen.push(action);
      if (action.type === "streams") bulk.on({ type: "streams_set", link: action.link });
    }
  }
  return seen;
}

Deno.test("BulkSender announces its first streams, then takes the receiver's links", () => {
  const { bulk, take } = sender();
  assertEquals(take(), [{ type: "bulk_streams", count: 2 }]);
  bulk.on({ type: "started" });
  assertEquals(take(), [{ type: "take_link" }]);
  bulk.on({ type: "linked", link: 1, kind: "quic" });
  assertEquals(take(), [{ type: "watch_link", link: 1 }, { type: "take_link" }]);
});

Deno.test("BulkSender opens streams where full windows hold the link up, announced one for one", () => {
  const script = started();
  const seen = carry(script, 3000, 2 * 3 * 2 ** 20 / 0.05);
  const announced = seen.filter((each) => each.type === "bulk_streams").map(({ count }) => count);
  const opened = seen.filter((each) => each.type === "streams" && each.opens > 0);
  assertTrue(opened.length > 0);
  assertEquals(announced, opened.map((each) => each.type === "streams" && each.opens));
});

Deno.test("BulkSender hands acknowledgements and losses on, each loss once", () => {
  const { bulk, take } = started();
  bulk.heard(writeAcknowledgement({ time: 5, streams: [[0, 3], [1, 1]], links: [9] }));
  assertEquals(take(), [{ type: "acknowledge", streams: [[0, 3], [1, 1]] }, { type: "look_at_links" }]);
  bulk.heard({ type: "bulk_lost", stream: 1, frames: 2 });
  assertEquals(take(), [{ type: "lost", stream: 1, frames: 2 }]);
  assertThrows(() => bulk.heard({ type: "bulk_lost", stream: 1, frames: 2 }), "PROTOCOL");
});

Deno.test("BulkSender tells of streams that broke here, unless the receiver did", () => {
  const { bulk, take } = started();
  bulk.heard({ type: "bulk_lost", stream: 0, frames: 0 });
  take();
  bulk.sent([sent({ streams: 0 })], [0, 1], 100);
  assertEquals(take(), [{ type: "bulk_gone", stream: 1 }]);
});

Deno.test("BulkSender opens others for streams that broke", () => {
  const script = started();
  const { bulk, take } = script;
  carry(script, 1000, 5e6);
  bulk.sent([sent({ streams: 1 })], [], 1e9);
  bulk.heard(writeAcknowledgement({ time: 1100, streams: [], links: [6e6] }));
  bulk.on({ type: "links", links: [FAR] });
  const opened = take().filter((each) => each.type === "streams");
  assertEquals(opened.map((each) => each.type === "streams" && each.streams - each.opens), [1]);
});

Deno.test("BulkSender asks how links do once at a time, however fast the receiver talks", () => {
  const { bulk, take } = started();
  for (let i = 0; i < 1000; i++) bulk.heard(writeAcknowledgement({ time: i, streams: [], links: [] }));
  assertEquals(take(), [{ type: "look_at_links" }]);
});

Deno.test("BulkSender stays with fewer streams where the receiver cannot connect", () => {
  const { bulk, take } = started();
  let [received, refusals] = [0, 0];
  for (let now = 0; now < 6000; now += 100) {
    received += 2 * 3 * 2 ** 20 / 0.5;
    bulk.sent([sent({ streams: 2, blocked_us: 200 * now * 1000 })], [], 1e12);
    bulk.heard(writeAcknowledgement({ time: now, streams: [], links: [received] }));
    bulk.on({ type: "links", links: [FAR] });
    const announced = take().find((each) => each.type === "bulk_streams");
    if (announced === undefined) continue;
    bulk.heard({ type: "bulk_refused", link: 0, count: announced.count });
    assertEquals(take(), [{ type: "stop_opening", link: 0 }]);
    bulk.on({ type: "streams_set", link: 0, failed: true });
    refusals++;
  }
  assertEquals(refusals, 1);
  assertEquals(bulk.streams, 2);
});

Deno.test("BulkSender goes on without a further link, whoever gives it up", () => {
  for (const ours of [true, false]) {
    const { bulk, take } = started();
    bulk.on({ type: "linked", link: 1, kind: "quic" });
    take();
    if (ours) bulk.on({ type: "link_gone", link: 1 });
    else bulk.heard({ type: "link_lost", link: 1 });
    assertEquals(take().map(({ type }) => type), ours ? ["link_lost", "drop_link"] : ["drop_link"]);
    // What crosses on its way counts for nothing.
    bulk.heard({ type: "link_lost", link: 1 });
    assertEquals(take(), []);
  }
});

Deno.test("BulkSender refuses what a receiver cannot know", () => {
  const cases: Message[] = [
    writeAcknowledgement({ time: 0, streams: [[2, 1]], links: [] }),
    { type: "bulk_lost", stream: 2, frames: 0 },
    { type: "bulk_refused", link: 0, count: 2 },
    { type: "bulk_refused", link: 1, count: 2 },
  ];
  // deno-lint-ignore no-explicit-any
  for (const message of cases) assertThrows(() => started().bulk.heard(message as any), "PROTOCOL");
  const { bulk } = started();
  bulk.heard(writeAcknowledgement({ time: 10, streams: [], links: [] }));
  assertThrows(() => bulk.heard(writeAcknowledgement({ time: 9, streams: [], links: [] })), "PROTOCOL");
});

Deno.test("BulkSender opens streams on what a hub joins before anything has arrived over its relay", () => {
  const relayed = [{ ...FAR, isRelayed: true }, { ...FAR, link: 1, isRelayed: true }];
  const { bulk, take } = started("quic");
  bulk.on({ type: "linked", link: 1, kind: "tcp", isRelayed: true });
  assertTrue(take().some(({ type }) => type === "look_at_links"));
  bulk.on({ type: "links", links: relayed });
  assertEquals(take(), [
    { type: "bulk_streams", link: 1, count: 2 },
    { type: "streams", link: 1, streams: 2, opens: 2 },
  ]);
  bulk.on({ type: "streams_set", link: 1 });
  // From then on it is measured as ever, and the relay is left.
  bulk.heard(writeAcknowledgement({ time: 100, streams: [], links: [1e6, 1e6] }));
  take();
  bulk.on({ type: "links", links: relayed });
  assertEquals(take(), [{ type: "streams", link: 0, streams: 0, opens: 0 }]);

  const direct = started("quic");
  direct.bulk.on({ type: "linked", link: 1, kind: "tcp" });
  assertTrue(!direct.take().some(({ type }) => type === "look_at_links"));
  // A direct path was found meanwhile.
  const found = started("quic");
  found.bulk.on({ type: "linked", link: 1, kind: "tcp", isRelayed: true });
  found.take();
  found.bulk.on({ type: "links", links: [FAR, relayed[1]!] });
  assertEquals(found.take(), []);
});

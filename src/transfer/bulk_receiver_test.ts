import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertThrows } from "../base/testing.ts";
import { type Message, readAcknowledgement } from "../wire/mod.ts";
import { BulkReceiver, type BulkReceiverAction } from "./bulk_receiver.ts";

const QUIET = { now: 0, isDry: false };

/** A receiver that allowed 4 streams, and all that it wanted since the last look. */
function receiver(wantsLink = false) {
  let wanted: (BulkReceiverAction | Message)[] = [];
  const bulk = new BulkReceiver({
    streams: 4,
    wantsLink,
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

/** With two streams on link 0, and link 1. */
function opened() {
  const script = receiver();
  script.bulk.heard({ type: "bulk_streams", count: 2 });
  script.bulk.on({ type: "opened", link: 0 }, 0);
  script.bulk.on({ type: "linked", link: 1 }, 0);
  script.take();
  return script;
}

function acknowledged(actions: readonly (BulkReceiverAction | Message)[]) {
  return actions.flatMap((each) => each.type === "bulk_received" ? [readAcknowledgement(each)] : []);
}

Deno.test("BulkReceiver looks for a further link once streams run, if it is worth it", () => {
  for (const wantsLink of [true, false]) {
    const { bulk, take } = receiver(wantsLink);
    bulk.heard({ type: "bulk_streams", count: 2 });
    assertEquals(take(), [{ type: "start", link: 0, streams: 2 }]);
    bulk.on({ type: "opened", link: 0 }, 0);
    assertEquals(take().map(({ type }) => type), wantsLink ? ["find_link"] : []);
  }
});

Deno.test("BulkReceiver lets the sender use the link that is being made before it has it itself", () => {
  const { bulk, take } = receiver(true);
  bulk.heard({ type: "bulk_streams", count: 2 });
  bulk.on({ type: "opened", link: 0 }, 0);
  take();
  bulk.heard({ type: "bulk_streams", link: 1, count: 3 });
  assertEquals(take(), []);
  bulk.on({ type: "linked", link: 1 }, 0);
  assertEquals(take(), [{ type: "watch_link", link: 1 }, { type: "start", link: 1, streams: 3 }]);
  assertThrows(() => bulk.heard({ type: "bulk_streams", link: 2, count: 1 }), "PROTOCOL");
});

Deno.test("BulkReceiver starts nothing on a link that was lost while it was being made", () => {
  const { bulk, take } = receiver(true);
  bulk.heard({ type: "bulk_streams", count: 2 });
  bulk.on({ type: "opened", link: 0 }, 0);
  bulk.heard({ type: "bulk_streams", link: 1, count: 3 });
  bulk.heard({ type: "link_lost", link: 1 });
  take();
  bulk.on({ type: "linked", link: 1 }, 0);
  assertEquals(take(), [{ type: "watch_link", link: 1 }]);
});

Deno.test("BulkReceiver acknowledges what has arrived, with what came over every link", () => {
  const { bulk, take } = opened();
  bulk.news([[0, 3, "live"], [1, 1, "live"]], QUIET);
  assertEquals(take(), [{ type: "look_at_links" }]);
  bulk.news([[1, 2, "ended"]], QUIET);
  bulk.on({ type: "links", received: [500, 7] }, 120.5);
  assertEquals(acknowledged(take()), [{ time: 120, streams: [[0, 3], [1, 2]], links: [500, 7] }]);
});

Deno.test("BulkReceiver is heard of twice a second though nothing comes", () => {
  const { bulk, take } = opened();
  assertEquals(bulk.deadline, 500);
  bulk.tick(500);
  assertEquals(take(), [{ type: "look_at_links" }]);
  assertEquals(bulk.deadline, Infinity);
  bulk.on({ type: "links", received: [1] }, 501);
  assertEquals(acknowledged(take()).map(({ time }) => time), [501]);
  assertEquals(bulk.deadline, 1001);
});

Deno.test("BulkReceiver tells a lost stream once, whoever noticed", () => {
  const { bulk, take } = opened();
  bulk.news([[0, 3, "lost"]], QUIET);
  bulk.heard({ type: "bulk_gone", stream: 0 });
  bulk.heard({ type: "bulk_gone", stream: 1 });
  assertEquals(take(), [
    { type: "bulk_lost", stream: 0, frames: 3 },
    { type: "look_at_links" },
    { type: "give_up", stream: 1 },
  ]);
  bulk.on({ type: "gave_up", stream: 1, frames: 2 }, 0);
  bulk.news([[1, 2, "lost"]], QUIET);
  assertEquals(take(), [{ type: "bulk_lost", stream: 1, frames: 2 }]);
});

Deno.test("BulkReceiver refuses streams that it could not connect for, the first ones with the reason", () => {
  const error = new WormholeError("CONNECT_FAILED", "Cannot connect");
  const { bulk, take } = opened();
  bulk.heard({ type: "bulk_streams", link: 1, count: 3 });
  bulk.on({ type: "not_opened", link: 1, count: 3, error }, 0);
  assertEquals(take().at(-1), { type: "bulk_refused", link: 1, count: 3 });
  const first = receiver();
  first.bulk.heard({ type: "bulk_streams", count: 2 });
  assertThrows(
    () => first.bulk.on({ type: "not_opened", link: 0, count: 2, error }, 0),
    "CONNECT_FAILED",
  );
});

Deno.test("BulkReceiver goes on without a further link, and takes nothing on it any more", () => {
  const { bulk, take } = opened();
  bulk.on({ type: "link_gone", link: 1 }, 0);
  assertEquals(take(), [{ type: "link_lost", link: 1 }, { type: "drop_link", link: 1 }]);
  bulk.heard({ type: "bulk_streams", link: 1, count: 4 });
  bulk.heard({ type: "link_lost", link: 1 });
  assertEquals(take(), []);
});

Deno.test("BulkReceiver bounds the streams of a sender", () => {
  const { bulk, take } = opened();
  bulk.heard({ type: "bulk_streams", count: 14 });
  assertThrows(() => bulk.heard({ type: "bulk_streams", count: 1 }), "LIMIT_EXCEEDED");
  bulk.news([[0, 1, "ended"]], QUIET);
  bulk.heard({ type: "bulk_streams", count: 1 });
  take();
  for (
    const message of [
      { type: "bulk_streams", link: 2, count: 1 },
      { type: "bulk_gone", stream: 9 },
    ] as const
  ) assertThrows(() => opened().bulk.heard(message), "PROTOCOL");
  assertThrows(() => opened().bulk.news([[2, 1, "live"]], QUIET), "PROTOCOL");
  let total = 0;
  const many = receiver();
  assertThrows(() => {
    for (;; total++) {
      many.bulk.heard({ type: "bulk_streams", count: 1 });
      many.bulk.news([[total, 0, "ended"]], QUIET);
    }
  }, "LIMIT_EXCEEDED");
  assertEquals(total, 65_536);
});

Deno.test("BulkReceiver ends with a sender that ended its streams too early", () => {
  const { bulk } = opened();
  bulk.news([[0, 1, "ended"], [1, 1, "ended"]], { now: 100, isDry: true });
  bulk.tick(5000);
  assertThrows(() => bulk.tick(5100), "PROTOCOL");
  const other = opened();
  other.bulk.news([[0, 1, "ended"], [1, 1, "ended"]], { now: 100, isDry: true });
  other.bulk.heard({ type: "bulk_streams", link: 1, count: 1 });
  other.bulk.tick(9000);
});

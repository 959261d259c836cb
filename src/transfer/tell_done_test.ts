import { assertEquals, assertTrue } from "../base/testing.ts";
import type { Message } from "../wire/mod.ts";
import { makeHello } from "./handshake.ts";
import type { TransferOutcome } from "./outcome.ts";
import { Teller } from "./tell_done.ts";

const OUTCOME: TransferOutcome = {
  kind: "files",
  files: 3,
  directories: 1,
  symlinks: 0,
  bytes: 77,
  bytesFound: 0,
  bytesWire: 80,
  skipped: 0,
  failed: [],
  failedCount: 2,
  durationMs: 1,
};
const hello = (fill: number) =>
  makeHello({ agent: "test/1", nonce: new Uint8Array(16).fill(fill), streams: 1 });
const OFFER: Message = {
  type: "offer",
  kind: "files",
  transfer: new Uint8Array(16),
  roots: [],
  totals: { files: 3, directories: 1, symlinks: 0, bytes: 77 },
  counting: false,
};

/** A teller to which the sender has said `messages`; gives what it does about the last one. */
function after(...messages: Message[]) {
  const teller = new Teller(hello(1), OUTCOME);
  let actions = teller.handle({ type: "start" }, 0);
  for (const message of messages) actions = teller.handle({ type: "message", message }, 1);
  return { teller, actions };
}

Deno.test("Teller answers the offer with what is in place, and ends with the acknowledgement", () => {
  const { teller, actions } = after(hello(2), OFFER);
  const sent = actions.map((action) => action.type === "send" ? action.message.type : action.type);
  assertEquals(sent, ["answer", "done"]);
  const done = actions.find((action) => action.type === "send" && action.message.type === "done");
  assertTrue(done?.type === "send" && done.message.type === "done");
  assertEquals([done.message.files, done.message.bytes, done.message.failed_count], [3, 77, 2]);
  // What was on its way already.
  assertEquals(teller.handle({ type: "message", message: { type: "bulk_streams", count: 1 } }, 2), []);
  const ended = teller.handle({ type: "message", message: { type: "done_ack" } }, 3);
  assertEquals(ended, [{ type: "finish", outcome: OUTCOME }]);
});

Deno.test("Teller ends well when the sender is gone after it was told, and not before", () => {
  assertEquals(after(hello(2), OFFER).teller.handle({ type: "closed" }, 2).map(({ type }) => type), [
    "finish",
  ]);
  assertEquals(after(hello(2)).teller.handle({ type: "closed" }, 2).map(({ type }) => type), ["fail"]);
});

Deno.test("Teller refuses a sender that says something else first", () => {
  const { actions } = after(hello(2), { type: "done_ack" });
  const [failed] = actions.filter((action) => action.type === "fail");
  assertTrue(failed?.type === "fail" && failed.closeWith === "PROTOCOL");
});

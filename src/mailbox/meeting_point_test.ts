import { assertEquals, assertTrue } from "../base/testing.ts";
import { Bench } from "./testing.ts";

const POINT = `meet-${"0123456789abcdef".repeat(2)}`;

Deno.test("MailboxServer lets two sides meet in a mailbox that they name, in either order", () => {
  const bench = new Bench();
  bench.bound(1, "a");
  assertEquals(bench.say(1, { type: "open", mailbox: POINT }), []);
  bench.say(1, { type: "add", phase: "here", body: "00" });
  bench.bound(2, "b");
  assertEquals(bench.say(2, { type: "open", mailbox: POINT }), ["2< message a here 00"]);
  assertEquals(bench.say(2, { type: "add", phase: "here", body: "01" }), [
    "1< message b here 01",
    "2< message b here 01",
  ]);
  bench.bound(3, "c");
  assertEquals(bench.say(3, { type: "open", mailbox: POINT }), ["3< error crowded CODE_CROWDED"]);
});

Deno.test("MailboxServer forgets a meeting point when nobody is there", () => {
  const bench = new Bench();
  bench.bound(1, "a");
  bench.say(1, { type: "open", mailbox: POINT });
  bench.say(1, { type: "add", phase: "here", body: "00" });
  assertEquals(bench.server.counts.mailboxes, 1);
  bench.server.disconnect(1);
  assertEquals(bench.server.counts.mailboxes, 0);
  bench.bound(2, "b");
  assertEquals(bench.say(2, { type: "open", mailbox: POINT }), []);
  assertEquals(bench.say(2, { type: "close", mood: "lonely" }), ["2< closed"]);
  assertEquals(bench.server.counts.mailboxes, 0);
});

Deno.test("MailboxServer makes no mailbox of any other name", () => {
  const bench = new Bench();
  bench.bound(1);
  for (const mailbox of ["meet-7", "0123456789abcdef0123456789abcdef", POINT.toUpperCase(), `${POINT}-x`]) {
    assertEquals(bench.say(1, { type: "open", mailbox }), [
      "1< error there is no such mailbox CODE_NOT_FOUND",
    ]);
  }
});

Deno.test("MailboxServer limits meeting points as it limits codes", () => {
  const bench = new Bench({ claimBurst: 2, claimsPerMinute: 1, mailboxesPerAddress: 8 });
  const point = (i: number) => POINT.replace(/.$/, String(i));
  for (const i of [1, 2, 3]) bench.bound(i, `side${i}`, "10.0.0.9");
  assertEquals(bench.say(1, { type: "open", mailbox: point(1) }), []);
  assertEquals(bench.say(2, { type: "open", mailbox: point(2) }), []);
  assertTrue(bench.say(3, { type: "open", mailbox: point(3) })[0]!.includes("HUB_REFUSED"));
  const full = new Bench({ mailboxes: 1 });
  full.bound(1);
  full.bound(2);
  full.say(1, { type: "open", mailbox: point(1) });
  assertTrue(full.say(2, { type: "open", mailbox: point(2) })[0]!.includes("HUB_REFUSED"));
});

import { assertEquals, assertThrows } from "../base/testing.ts";
import { Guards } from "./guards.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { Refusal } from "./refusal.ts";

const reason = (run: () => void) => (assertThrows(run, "HUB_REFUSED") as Refusal).reason;

Deno.test("Guards slow down whoever tries one nameplate, from however many addresses", () => {
  const guards = new Guards({ ...DEFAULT_LIMITS, nameplateBurst: 3, nameplateClaimsPerMinute: 6 });
  for (let tries = 0; tries < 3; tries++) guards.nameplate("app", "7", 0);
  assertEquals(reason(() => guards.nameplate("app", "7", 0)), "claims per nameplate");
  guards.nameplate("app", "8", 0);
  guards.nameplate("other", "7", 0);
  guards.nameplate("app", "7", 10_000);
  assertEquals(reason(() => guards.nameplate("app", "7", 10_000)), "claims per nameplate");
});

Deno.test("Guards slow down an address that connects again and again", () => {
  const guards = new Guards({ ...DEFAULT_LIMITS, connectionBurst: 2, connectionsPerMinute: 60 });
  for (let times = 0; times < 2; times++) {
    guards.connect("a", 0);
    guards.disconnect("a");
  }
  assertEquals(reason(() => guards.connect("a", 0)), "connections per minute");
  guards.connect("b", 0);
  guards.connect("a", 1_000);
});

Deno.test("Guards bound what one address holds, and forget it when it is gone", () => {
  const guards = new Guards({ ...DEFAULT_LIMITS, connectionsPerAddress: 1, mailboxesPerAddress: 1 });
  guards.connect("a", 0);
  assertEquals(reason(() => guards.connect("a", 0)), "connections");
  guards.own("m", "a");
  assertEquals(reason(() => guards.checkMailboxes("a")), "mailboxes per address");
  guards.checkMailboxes("b");
  guards.disown("m");
  guards.disown("m");
  guards.checkMailboxes("a");
  guards.disconnect("a");
  guards.connect("a", 0);
});

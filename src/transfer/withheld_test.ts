import { assertEquals, assertThrows } from "../base/testing.ts";
import { type Awaited, UNLISTED_AFTER_MS, Withheld, WITHHELD_AFTER_MS } from "./withheld.ts";

/** Looks whenever it is due until `until`; `each` says what has happened by then. */
function look(withheld: Withheld, until: number, each: (now: number) => Awaited): void {
  while (withheld.deadline <= until) {
    const now = withheld.deadline;
    withheld.tick(now, each(now));
  }
}

Deno.test("Withheld notices content that does not come, however much the peer talks", () => {
  const withheld = new Withheld(0);
  const talks = (now: number): Awaited => {
    withheld.received(now / 10);
    return "content";
  };
  look(withheld, WITHHELD_AFTER_MS - 1, talks);
  assertThrows(() => look(withheld, WITHHELD_AFTER_MS, talks), "PEER_FROZEN");
});

Deno.test("Withheld waits for whatever still comes, is not awaited, or is only listed slowly", () => {
  const cases: Record<string, (withheld: Withheld) => (now: number) => Awaited> = {
    "a slow link": (withheld) => (now) => (withheld.received(now / 2), "content"),
    "small things": (withheld) => () => (withheld.moved(), "content"),
    "nothing asked for, or a disk of ours that is slow": () => () => undefined,
    "a pause now and then": () => (now) => now % 50_000 < 4000 ? undefined : "content",
  };
  for (const each of Object.values(cases)) {
    const withheld = new Withheld(0);
    look(withheld, 3 * UNLISTED_AFTER_MS, each(withheld));
  }
  look(new Withheld(0), UNLISTED_AFTER_MS - 1, () => "pages");
  assertThrows(() => look(new Withheld(0), UNLISTED_AFTER_MS, () => "pages"), "PEER_FROZEN");
});

Deno.test("Withheld does not count the time in which this machine was asleep", () => {
  const withheld = new Withheld(0);
  withheld.tick(10 * WITHHELD_AFTER_MS, "content");
  assertEquals(withheld.deadline > 10 * WITHHELD_AFTER_MS, true);
});

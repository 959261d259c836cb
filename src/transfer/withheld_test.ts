import { assertEquals, assertThrows } from "../base/testing.ts";
import {
  type Awaited,
  HELD_UP_AFTER_MS,
  UNLISTED_AFTER_MS,
  Withheld,
  WITHHELD_AFTER_MS,
} from "./withheld.ts";

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

Deno.test("Withheld notices early when the sender says that only the link keeps it", () => {
  const withheld = new Withheld(0);
  const talks = (now: number): Awaited => {
    withheld.received(now / 10);
    withheld.heard(false);
    return "content";
  };
  look(withheld, HELD_UP_AFTER_MS - 1, talks);
  assertThrows(() => look(withheld, HELD_UP_AFTER_MS, talks), "PEER_FROZEN", "gets through");
});

Deno.test("Withheld gives a minute to a sender whose last word is that it is busy, or that says nothing", () => {
  const words: Record<string, (now: number) => boolean | undefined> = {
    "busy": () => true,
    "busy now and then": (now) => now % 20_000 < 12_000,
    "nothing": () => undefined,
  };
  for (const word of Object.values(words)) {
    const withheld = new Withheld(0);
    const talks = (now: number): Awaited => {
      withheld.heard(word(now));
      return "content";
    };
    look(withheld, WITHHELD_AFTER_MS - 1, talks);
    assertThrows(() => look(withheld, WITHHELD_AFTER_MS, talks), "PEER_FROZEN", "asked for");
  }
});

Deno.test("Withheld gives a slow link its time, and lists and pages theirs, whatever the sender says", () => {
  const slow = new Withheld(0);
  look(slow, UNLISTED_AFTER_MS, (now) => {
    slow.received(now / 2);
    slow.heard(false);
    return "content";
  });
  for (const awaited of ["lists", "pages"] as const) {
    const withheld = new Withheld(0);
    look(withheld, UNLISTED_AFTER_MS - 1, () => {
      withheld.heard(false);
      return awaited;
    });
  }
});

Deno.test("Withheld does not count the time in which this machine was asleep", () => {
  const withheld = new Withheld(0);
  withheld.tick(10 * WITHHELD_AFTER_MS, "content");
  assertEquals(withheld.deadline > 10 * WITHHELD_AFTER_MS, true);
});

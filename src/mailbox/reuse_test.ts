/** Codes that were agreed on and are used again, and what a server says about the time that a code has. */
import { assertEquals, assertTrue } from "../base/testing.ts";
import { Bench } from "./testing.ts";

const AGAIN = { type: "claim", nameplate: "7", reuse: true };

/** Two meet in nameplate 7 and leave with these moods; "" for one that only hangs up. */
function meet(bench: Bench, moods: readonly [string, string]): void {
  for (const connection of [1, 2]) bench.bound(connection);
  bench.join(1, "7");
  bench.join(2, "7", { must_exist: true });
  for (const connection of [1, 2]) {
    const mood = moods[connection - 1]!;
    if (mood === "") {
      bench.server.disconnect(connection);
      continue;
    }
    bench.say(connection, { type: "release" });
    bench.say(connection, { type: "close", mood });
  }
}

Deno.test("a nameplate whose pair was happy can be claimed again at once with `reuse`, and only so", () => {
  const bench = new Bench();
  meet(bench, ["happy", "happy"]);
  bench.bound(3);
  assertEquals(bench.say(3, { type: "claim", nameplate: "7" }), ["3< error reclaimed CODE_USED"]);
  assertEquals(bench.say(3, { ...AGAIN, must_exist: true }), ["3< error reclaimed CODE_USED"]);
  assertTrue(bench.say(3, AGAIN)[0]!.startsWith("3< claimed "));
  assertEquals(bench.server.counts.nameplates, 1);
  bench.bound(4);
  bench.join(4, "7", { must_exist: true });
});

Deno.test("a nameplate stays blocked in spite of `reuse` when somebody may have guessed or may still come", () => {
  for (
    const moods of [["scary", "happy"], ["happy", "scary"], ["errory", "errory"], ["happy", ""]] as const
  ) {
    const bench = new Bench({ codeTtlMs: 10_000, mailboxTtlMs: 5_000 });
    meet(bench, moods);
    bench.bound(3);
    const blocked = () => /CODE_(USED|CROWDED|EXPIRED)/.test(bench.say(3, AGAIN).at(-1)!);
    assertTrue(blocked(), `${moods} at once`);
    bench.tick(9_000);
    assertTrue(blocked(), `${moods} after its mailbox went`);
    bench.tick(20_000);
    bench.tick(20_000);
    assertTrue(bench.say(3, AGAIN)[0]!.startsWith("3< claimed "), `${moods} in the end`);
  }
});

Deno.test("a nameplate to which nobody came can be claimed again with `reuse`", () => {
  for (const ends of ["released", "expired"] as const) {
    const bench = new Bench({ codeTtlMs: 10_000 });
    bench.bound(1);
    bench.join(1, "7");
    if (ends === "expired") bench.tick(10_000);
    else {
      bench.say(1, { type: "release" });
      bench.say(1, { type: "close", mood: "lonely" });
    }
    bench.bound(2);
    assertTrue(bench.say(2, AGAIN)[0]!.startsWith("2< claimed "), ends);
  }
});

Deno.test("`claimed` says how long the code waits, where it ends at all", () => {
  const claimed = (codeTtlMs: number) => {
    const bench = new Bench({ codeTtlMs });
    bench.bound(1);
    const [action] = bench.server.message(1, '{"type":"claim","nameplate":"7"}');
    return action?.type === "send" ? (action.message as { expires_in?: number }).expires_in : "nothing";
  };
  assertEquals(claimed(90_500), 90);
  assertEquals(claimed(Infinity), undefined);
});

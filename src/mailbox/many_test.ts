import { assertEquals, assertTrue } from "../base/testing.ts";
import { Bench, show } from "./testing.ts";

Deno.test("MailboxServer gives everybody who comes to a nameplate for many a mailbox of their own", () => {
  const bench = new Bench();
  for (const connection of [1, 2, 3, 4, 5]) bench.bound(connection);
  const [claimed] = bench.say(1, { type: "claim", nameplate: "7", many: true });
  assertTrue(/^1< claimed \w+ true$/.test(claimed!), claimed);
  const arrive = (connection: number) => {
    const [own, told] = bench.say(connection, { type: "claim", nameplate: "7", must_exist: true });
    const mailbox = /^\d< claimed (\w+)$/.exec(own!)![1]!;
    assertEquals(told, `1< arrived ${mailbox}`);
    bench.say(connection, { type: "open", mailbox });
    return mailbox;
  };
  const [a, b] = [arrive(2), arrive(3)];
  assertTrue(a !== b);
  assertEquals(bench.say(2, { type: "add", phase: "pake", body: "01" }), ["2< message side2 pake 01"]);
  assertEquals(bench.say(4, { type: "open", mailbox: a }), ["4< message side2 pake 01"]);
  // A third side is kept out as ever.
  assertEquals(bench.say(5, { type: "open", mailbox: a }), ["5< error crowded CODE_CROWDED"]);
  assertEquals(bench.say(3, { type: "close", mood: "happy" })[0], "3< closed");
  assertEquals(bench.say(4, { type: "close", mood: "scary" }), [
    "4< closed",
    "2< error this code is not served any more CODE_USED",
  ]);
  assertEquals(bench.server.counts.nameplates, 1);
});

Deno.test("MailboxServer ends a nameplate for many with its owner, or when the owner releases it", () => {
  for (const goes of ["disconnects", "releases"] as const) {
    const bench = new Bench();
    bench.bound(1);
    bench.say(1, { type: "claim", nameplate: "7", many: true });
    bench.bound(2);
    const met = bench.join(2, "7", { must_exist: true });
    bench.bound(4);
    bench.say(4, { type: "open", mailbox: met });
    bench.bound(5);
    bench.join(5, "7", { must_exist: true });
    const told = goes === "disconnects"
      ? show(bench.server.disconnect(1))
      : bench.say(1, { type: "release" }).slice(1);
    // Whom the owner has met goes on; whoever waits for it is told.
    assertEquals(told, ["5< error this code is not served any more CODE_USED"]);
    assertEquals(bench.say(4, { type: "add", phase: "0", body: "" }).length, 2);
    bench.bound(3);
    assertEquals(bench.say(3, { type: "claim", nameplate: "7", must_exist: true }), [
      "3< error reclaimed CODE_USED",
    ]);
  }
});

Deno.test("MailboxServer grants no nameplate for many that somebody has", () => {
  const bench = new Bench();
  bench.bound(1);
  bench.join(1, "7");
  bench.bound(2);
  assertEquals(bench.say(2, { type: "claim", nameplate: "7", many: true }), [
    "2< error crowded CODE_CROWDED",
  ]);
  assertTrue(/^2< claimed \w+ true$/.test(bench.say(2, { type: "claim", nameplate: "8", many: true })[0]!));
});

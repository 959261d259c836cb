import { assertEquals, assertTrue } from "../base/testing.ts";
import { MemoryMailboxStore } from "./memory_store.ts";
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
    if (goes === "disconnects") {
      assertEquals(bench.say(3, { type: "claim", nameplate: "7", must_exist: true }), [
        "3< error its sender is not here just now CODE_NOT_FOUND",
      ]);
      bench.tick(120_000);
    }
    assertEquals(bench.say(3, { type: "claim", nameplate: "7", must_exist: true }), [
      "3< error reclaimed CODE_USED",
    ]);
  }
});

Deno.test("MailboxServer lets the owner of a nameplate for many come back, and nobody else in its place", () => {
  const bench = new Bench();
  bench.bound(1, "owner");
  const [claimed] = bench.say(1, { type: "claim", nameplate: "7", many: true });
  bench.server.disconnect(1);
  bench.tick(60_000);
  bench.bound(2, "thief");
  assertTrue(bench.say(2, { type: "claim", nameplate: "7", many: true })[0]!.includes("CODE_NOT_FOUND"));
  bench.bound(3, "owner");
  assertEquals(
    bench.say(3, { type: "claim", nameplate: "7", many: true }),
    [claimed!.replace("1<", "3<")],
  );
  bench.tick(120_000);
  bench.bound(4);
  assertTrue(bench.say(4, { type: "claim", nameplate: "7", must_exist: true })[1]!.startsWith("3< arrived"));
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

Deno.test("MailboxServer turns away who came between its restart and the owner's return", () => {
  const store = new MemoryMailboxStore();
  const before = new Bench({ store });
  before.bound(1, "owner");
  before.say(1, { type: "claim", nameplate: "7", many: true });
  const bench = new Bench({ store });
  bench.bound(2);
  bench.join(2, "7", { must_exist: true });
  bench.bound(3, "owner");
  const [claimed, told] = bench.say(3, { type: "claim", nameplate: "7", many: true });
  assertTrue(claimed!.endsWith(" true"));
  assertEquals(told, "2< error this code is not served any more CODE_USED");
});

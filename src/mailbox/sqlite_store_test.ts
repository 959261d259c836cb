import { DatabaseSync } from "node:sqlite";
import { assertEquals, assertTrue } from "../base/testing.ts";
import type { ServerAction } from "./server_action.ts";
import { SqliteMailboxStore } from "./sqlite_store.ts";
import { Bench } from "./testing.ts";

Deno.test("SqliteMailboxStore takes a database of version 1, whose ended codes stay blocked", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/hub.sqlite`;
    {
      using _new = new SqliteMailboxStore(path);
    }
    const old = new DatabaseSync(path);
    old.exec(`
      ALTER TABLE nameplates DROP COLUMN spoiled;
      DROP TABLE secrets;
      DROP INDEX nameplates_by_name;
      INSERT INTO nameplates VALUES ('app', '7', 'm', 'used', '["a"]', '["a"]', 1, 999999);
      PRAGMA user_version = 1;
    `);
    old.close();
    using store = new SqliteMailboxStore(path);
    const bench = new Bench({ store });
    bench.bound(1);
    assertEquals(bench.say(1, { type: "claim", nameplate: "7", reuse: true }), [
      "1< error reclaimed CODE_USED",
    ]);
    bench.join(1, "8");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("SqliteMailboxStore keeps its secrets over a restart, and takes a database of version 2, which has none", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/hub.sqlite`;
    const read = (name: string) => {
      using store = new SqliteMailboxStore(path);
      return store.secret(name).toHex();
    };
    const [one, other] = [read("one"), read("other")];
    assertEquals([one.length, read("one"), read("other")], [64, one, other]);
    assertTrue(one !== other);
    const old = new DatabaseSync(path);
    old.exec("DROP TABLE secrets; DROP INDEX nameplates_by_name; PRAGMA user_version = 2;");
    old.close();
    assertTrue(read("one") !== one);
    assertEquals(read("one"), read("one"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("MailboxServer goes on when its disk is full, and again when there is room", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/hub.sqlite`;
    using store = new SqliteMailboxStore(path, { maxPages: 40 });
    const bench = new Bench({
      store,
      claimBurst: 1_000,
      connectionsPerAddress: 1_000,
      messagesPerMailbox: 1_000,
    });
    const answers = (connection: number, message: object): ServerAction[] =>
      bench.server.message(connection, JSON.stringify(message));
    bench.bound(1);
    const mailbox = bench.join(1, "7");
    let failed: ServerAction[] = [];
    for (let tries = 0; tries < 200 && failed.length === 0; tries++) {
      const actions = answers(1, { type: "add", phase: "p", body: "ab".repeat(2_000) });
      if (actions.some((action) => action.type === "report" && action.event === "failed")) failed = actions;
    }
    assertTrue(
      failed.some((action) =>
        action.type === "report" && action.event === "failed" && /full/.test(action.state)
      ),
      JSON.stringify(failed),
    );
    assertTrue(failed.some((action) => action.type === "close" && action.code === 1011));
    const { nameplates, mailboxes, byteLength } = store.totals();
    assertEquals({ ...bench.server.counts, connections: 0 }, { connections: 0, nameplates, mailboxes });
    assertEquals(bench.server.storedBytes, byteLength);
    // What was kept is there; when it goes, others find room.
    bench.bound(2, "side1");
    assertTrue(bench.say(2, { type: "open", mailbox }).length > 0);
    bench.say(2, { type: "close" });
    bench.bound(3);
    bench.join(3, "9");
    assertTrue(
      bench.say(3, { type: "add", phase: "p", body: "ab".repeat(2_000) })[0]!.startsWith("3< message"),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("SqliteMailboxStore takes a database of version 3 with its open codes", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/hub.sqlite`;
    {
      using store = new SqliteMailboxStore(path);
      const bench = new Bench({ store });
      bench.bound(1);
      bench.join(1, "7");
    }
    const old = new DatabaseSync(path);
    old.exec("DROP INDEX nameplates_by_name; PRAGMA user_version = 3;");
    old.close();
    using store = new SqliteMailboxStore(path);
    assertEquals([store.hasNameplate("7"), store.hasNameplate("8")], [true, false]);
    assertEquals(store.totals().nameplates, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

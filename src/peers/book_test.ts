import { SimulatedClock } from "../base/clock.ts";
import { assertEquals, assertRejects, assertThrows, assertTrue } from "../base/testing.ts";
import { type Paired, PeerBook } from "./book.ts";
import { freeName, parsePeerName, peerNameFrom } from "./names.ts";
import { NO_RIGHTS, type Rights, sharedFolders, withFolders } from "./rights.ts";

const HOSTS = ["192.0.2.7", "2001:db8::7"];

function paired(byte: number, more: Partial<Paired> = {}): Paired {
  return {
    calledItself: "laptop.local",
    key: new Uint8Array(32).fill(byte),
    secret: new Uint8Array(32).fill(byte + 100),
    hosts: HOSTS,
    ...more,
  };
}

async function withBook(run: (book: PeerBook, clock: SimulatedClock) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const clock = new SimulatedClock();
    await run(new PeerBook(`${folder}/config`, { clock }), clock);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("PeerBook keeps machines in a private file and gives them back", () =>
  withBook(async (book, clock) => {
    assertEquals(await book.list(), []);
    const kept = await book.keep(paired(1, { name: "Desk" }));
    assertEquals([kept.name, kept.rights, kept.hosts], ["Desk", NO_RIGHTS, HOSTS]);
    assertEquals((await Deno.stat(book.path)).mode! & 0o777, 0o600);
    await clock.advance(1_000);
    await book.saw(kept.key, ["198.51.100.1"]);
    const rights: Rights = {
      receive: true,
      inbox: "/in box",
      sync: ["/a b", "/c"],
      syncReadOnly: ["/photos"],
      syncWriteOnly: ["/backup", "/b"],
    };
    await book.allow("desk", () => rights);
    assertEquals(await book.find("DESK"), {
      ...kept,
      hosts: ["198.51.100.1"],
      rights,
      seenMs: kept.seenMs + 1_000,
    });
    assertTrue(await book.stillKnows(kept));
    assertEquals((await book.rename("desk", "Büro")).name, "Büro");
    assertTrue(await book.stillKnows(kept));
    await assertRejects(() => book.find("desk"), "NOT_FOUND", "known are Büro");
    await book.forget("büro");
    assertTrue(!await book.stillKnows(kept));
    await book.saw(kept.key, HOSTS);
    assertEquals(await book.list(), []);
    const names = (await Array.fromAsync(Deno.readDir(book.path.replace(/\/[^/]+$/, "")))).map((e) => e.name);
    assertEquals(names.toSorted(), ["peers.toml", "peers.toml.lock"]);
  }));

Deno.test("PeerBook gives no two machines one name", () =>
  withBook(async (book) => {
    assertEquals((await book.keep(paired(1))).name, "laptop");
    assertEquals((await book.keep(paired(2))).name, "laptop-2");
    await assertRejects(() => book.keep(paired(3, { name: "LAPTOP" })), "ALREADY_EXISTS", "LAPTOP");
    await assertRejects(() => book.rename("laptop-2", "Laptop"), "ALREADY_EXISTS");
    assertEquals((await book.rename("laptop", "LAPTOP")).name, "LAPTOP");
    assertEquals((await book.list()).map(({ name }) => name), ["LAPTOP", "laptop-2"]);
  }));

Deno.test("PeerBook keeps name and rights of a machine that is paired again, and its new secret", () =>
  withBook(async (book) => {
    const before = await book.keep(paired(1, { name: "desk" }));
    await book.allow("desk", (before) => ({ ...before, receive: true }));
    const again = await book.keep(paired(1, { secret: new Uint8Array(32).fill(9) }));
    assertEquals([again.name, again.rights.receive, again.secret[0]], ["desk", true, 9]);
    assertTrue(!await book.stillKnows(before), "the old secret is of no use any more");
    assertEquals((await book.keep(paired(1, { name: "table" }))).name, "table");
    assertEquals((await book.list()).length, 1);
  }));

Deno.test("PeerBook.allow() adds to the rights that there are when it writes, not to what was read before", () =>
  withBook(async (book) => {
    await book.keep(paired(1, { name: "desk" }));
    const other = new PeerBook(book.path.replace(/\/[^/]+$/, ""));
    await Promise.all(
      Array.from(
        { length: 12 },
        (_, i) =>
          [book, other][i % 2]!.allow(
            "desk",
            (before) => withFolders(before, [{ path: `/${i}`, way: "both" }]),
          ),
      ),
    );
    assertEquals((await book.find("desk")).rights.sync.length, 12);
  }));

Deno.test("PeerBook says what is wrong with a damaged file and leaves it as it is", () =>
  withBook(async (book) => {
    await book.keep(paired(1, { name: "one" }));
    await book.keep(paired(2, { name: "two" }));
    const good = await Deno.readTextFile(book.path);
    const [first] = good.split("[[peer]]").slice(1);
    const rows: [string, string, string][] = [
      ["cut", good.slice(0, good.length - 30), "line"],
      ["no TOML", "\0\0\0", "line 1"],
      ["a short key", good.replace("0101", ""), '"key" is not 32 bytes'],
      ["two of one name", good.replace('name = "two"', 'name = "ONE"'), 'two peers are called "ONE"'],
      ["one twice", `${good}\n[[peer]]${first!.replace('"one"', '"other"')}`, "has the key of another"],
      ["no such name", good.replace('"two"', '"../two"'), "peer 2"],
      ["another version's key", good.replace("receive", "later"), 'unknown key "later"'],
      ["another version's table", `later = 1\n${good}`, 'unknown key "later"'],
      ["a relative inbox", good.replace("receive =", 'inbox = "in"\nreceive ='), "no absolute path"],
      [
        "a folder to synchronize that is relative",
        good.replace("receive =", 'sync = ["a"]\nreceive ='),
        "absolute paths",
      ],
      [
        "two rights to one folder",
        good.replace("receive =", 'sync = ["/a"]\nsync_read_only = ["/a/b"]\nreceive ='),
        "two different rights",
      ],
      [
        "a folder to read that is relative",
        good.replace("receive =", 'sync_read_only = ["a"]\nreceive ='),
        '"sync_read_only" is no list of absolute paths',
      ],
      ["folders that are no list", good.replace("receive =", 'sync = "/a"\nreceive ='), "absolute paths"],
      ["a host that is a name", good.replace("192.0.2.7", "evil.example"), "no list of addresses"],
    ];
    for (const [description, text, words] of rows) {
      await Deno.writeTextFile(book.path, text);
      for (
        const use of [
          () => book.list(),
          () => book.find("one"),
          () => book.keep(paired(3)),
          () => book.forget("one"),
          () => book.saw(paired(1).key, HOSTS),
          () => book.assertCanName("three"),
        ]
      ) await assertRejects(use, "CONFIG_INVALID", words);
      assertEquals(await Deno.readTextFile(book.path), text, description);
    }
  }));

Deno.test("PeerBook uses nothing that is no file, or too large to be its own", () =>
  withBook(async (book) => {
    await book.keep(paired(1));
    await Deno.truncate(book.path, 1024 ** 3);
    await assertRejects(() => book.list(), "CONFIG_INVALID", "it has more than ");
    await Deno.remove(book.path);
    await Deno.mkdir(book.path);
    await assertRejects(() => book.keep(paired(2)), "CONFIG_INVALID", "it is no file");
  }));

Deno.test("PeerBook uses no file that others may read", () =>
  withBook(async (book) => {
    await book.keep(paired(1));
    await Deno.chmod(book.path, 0o644);
    await assertRejects(() => book.list(), "CONFIG_INVALID", "chmod 600");
  }));

Deno.test("PeerBook loses nothing when many change it at once", () =>
  withBook(async (book) => {
    const dir = book.path.replace(/\/[^/]+$/, "");
    await Promise.all(Array.from({ length: 12 }, (_, i) => new PeerBook(dir).keep(paired(i + 1))));
    assertEquals((await book.list()).length, 12);
  }));

Deno.test("parsePeerName() takes what a person would call a machine", () => {
  for (const name of ["desk", "Büro-2", "a.b_c", "9", "オフィス"]) {
    assertEquals(parsePeerName(` ${name} `), name);
  }
  const bad = ["", "-x", "a b", "a/b", "7-guitarist-zulu", "x".repeat(41), "a\x1b[2J", "a\u202e", "$(x)"];
  for (const name of bad) {
    const error = thrown(() => parsePeerName(name));
    assertTrue(!/[\p{Cc}\p{Cf}]/u.test(error.message), name);
  }
});

Deno.test("peerNameFrom() and freeName() make names of what another machine calls itself", () => {
  assertEquals(peerNameFrom("laptop.example.org"), "laptop");
  assertEquals(peerNameFrom("Anna's Mac"), "Anna-s-Mac");
  assertEquals(peerNameFrom("\x1b[31mevil"), "31mevil");
  assertEquals(peerNameFrom("../../etc"), "peer");
  assertEquals(freeName("a", ["b"]), "a");
  assertEquals(freeName("a", ["A", "a-2"]), "a-3");
  assertEquals(freeName("x".repeat(40), ["x".repeat(40)]).length, 40);
});

Deno.test("withFolders() gives each folder one right, and none to a folder in one with another", () => {
  const first = withFolders(NO_RIGHTS, [{ path: "/a", way: "both" }, { path: "/b", way: "pull" }]);
  assertEquals([first.sync, first.syncReadOnly, first.syncWriteOnly], [["/a"], ["/b"], []]);
  const second = withFolders(first, [{ path: "/a", way: "push" }, { path: "/b/c", way: "pull" }]);
  assertEquals([second.sync, second.syncReadOnly, second.syncWriteOnly], [[], ["/b", "/b/c"], ["/a"]]);
  assertEquals(sharedFolders(second).map(({ path, way }) => `${path} ${way}`), [
    "/b pull",
    "/b/c pull",
    "/a push",
  ]);
  const rows: [string, "both" | "pull" | "push"][] = [["/a/x", "pull"], ["/", "pull"], ["/b/c/d", "both"]];
  for (const [path, way] of rows) {
    assertThrows(() => withFolders(second, [{ path, way }]), "INVALID_ARGUMENT", "another right");
  }
  const both = () => withFolders(NO_RIGHTS, [{ path: "/a", way: "both" }, { path: "/a", way: "pull" }]);
  assertThrows(both, "INVALID_ARGUMENT", "two different rights");
  withFolders(second, [{ path: "/ab", way: "both" }]);
});

function thrown(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error("it was taken");
}

/** What the receiver has already does not come again, and nothing that it only seems to have is ever used. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { accept, assertTransfers, offer, Sandbox, SLOWLY, type TransferOptions } from "./harness.ts";
import { slowToPack } from "./trees.ts";

const MIB = 1024 * 1024;

/** Old enough that no clock's step is in doubt. */
const LONG_AGO = new Date("2020-01-01T00:00:00Z");

/** Receiving without a question, as a script does. */
const OVER = ["--yes", "--overwrite"];

/** Sends `from` into the folder `into`; gives what the receiver says of it. */
async function send(
  sandbox: Sandbox,
  from: string,
  into: string,
  { recv = OVER, ...options }: TransferOptions = {},
): Promise<{ wire: number; found: number; bytes: number; warnings: string[] }> {
  const { receiver } = await assertTransfers(sandbox, [sandbox.path(from)], await sandbox.folder(into), {
    recv,
    ...options,
  });
  const { bytes_on_wire: wire, bytes_found: found, bytes } = receiver.events.find(({ event }) =>
    event === "done"
  )!;
  const warnings = receiver.events.filter(({ event }) => event === "warning").map(({ message }) => message);
  return { wire, found, bytes, warnings };
}

/** Writes random bytes that were there for long. */
async function file(sandbox: Sandbox, name: string, content: Uint8Array): Promise<Uint8Array> {
  const path = await sandbox.file(name, content);
  await Deno.utime(path, LONG_AGO, LONG_AGO);
  return content;
}

function random(bytes: number): Uint8Array<ArrayBuffer> {
  const content = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(content.subarray(at, at + 65_536));
  return content;
}

async function assertContent(path: string, content: Uint8Array): Promise<void> {
  const found = await Deno.readFile(path);
  assertEquals(found.length, content.length, path);
  assertTrue(found.every((byte, i) => byte === content[i]), `${path} has other bytes`);
}

/** Has a command note in `file`, at its end, how many bytes all its reads took (rchar of proc_pid_io(5)). */
function countingReads(file: string): string[] {
  return ["sh", "-c", `"$@"; code=$?; grep rchar /proc/$$/io > '${file}'; exit $code`, "sh"];
}

async function readsOf(file: string): Promise<number> {
  return Number((await Deno.readTextFile(file)).split(" ")[1]);
}

Deno.test("the same file again, into the same folder: nothing is sent and nothing read", async () => {
  await using sandbox = await Sandbox.create();
  const size = 256 * MIB;
  await file(sandbox, "from/film", random(size));
  const [senderReads, receiverReads] = [sandbox.path("sender-reads"), sandbox.path("receiver-reads")];
  const counted = { senderPrefix: countingReads(senderReads), receiverPrefix: countingReads(receiverReads) };
  const first = await send(sandbox, "from/film", "into", counted);
  assertTrue(first.wire >= size && first.found === 0, `${first.wire} came first, ${first.found} found`);
  // What comes over a socket is no read.
  assertTrue(await readsOf(senderReads) > size, "reads are counted");
  const before = await Deno.stat(sandbox.path("into/film"));
  const again = await send(sandbox, "from/film", "into", counted);
  assertTrue(again.wire < MIB, `${again.wire} came again`);
  assertEquals([again.found, again.bytes, again.warnings], [size, size, []]);
  for (const reads of [await readsOf(senderReads), await readsOf(receiverReads)]) {
    assertTrue(reads < size / 8, `${reads} bytes were read`);
  }
  const after = await Deno.stat(sandbox.path("into/film"));
  assertEquals([after.ino, after.mtime], [before.ino, before.mtime], "the file itself stayed");
});

Deno.test("a file that is sent into another folder, or renamed at the sender, is copied from where it is", async () => {
  await using sandbox = await Sandbox.create();
  const content = await file(sandbox, "from/a", random(20 * MIB));
  await send(sandbox, "from/a", "into");
  const elsewhere = await send(sandbox, "from/a", "elsewhere");
  assertTrue(elsewhere.wire < MIB, `${elsewhere.wire} came`);
  await assertContent(sandbox.path("elsewhere/a"), content);
  // Its ctime changes, so it has another version: what it holds is asked for.
  await Deno.mkdir(sandbox.path("from/deep"));
  await Deno.rename(sandbox.path("from/a"), sandbox.path("from/deep/b"));
  const moved = await send(sandbox, "from/deep", "into");
  assertTrue(moved.wire < MIB && moved.found === 20 * MIB, `${moved.wire} came, ${moved.found} found`);
  await assertContent(sandbox.path("into/deep/b"), content);
  // Where it was received is gone; the other copies serve.
  await Deno.remove(sandbox.path("into/a"));
  const restored = await send(sandbox, "from/deep", "third");
  assertTrue(restored.wire < MIB, `${restored.wire} came`);
  await assertContent(sandbox.path("third/deep/b"), content);
});

Deno.test("of a file with one byte inserted in its middle at most three chunks are sent", async () => {
  await using sandbox = await Sandbox.create();
  const size = 64 * MIB;
  const content = await file(sandbox, "from/disk", random(size));
  await send(sandbox, "from/disk", "into");
  const changed = new Uint8Array(size + 1);
  changed.set(content.subarray(0, size / 2));
  changed.set(content.subarray(size / 2), size / 2 + 1);
  await file(sandbox, "from/disk", changed);
  const again = await send(sandbox, "from/disk", "into");
  // Chunks cut by content have at most 4 MiB, 1 MiB on average.
  assertTrue(again.wire < 12 * MIB, `${again.wire} came`);
  assertTrue(again.found > size - 12 * MIB, `${again.found} found`);
  await assertContent(sandbox.path("into/disk"), changed);
  const third = await send(sandbox, "from/disk", "into");
  assertTrue(third.wire < MIB, `${third.wire} came a third time`);
});

Deno.test("another sender's copy of what is here is not sent", async () => {
  await using sandbox = await Sandbox.create();
  const content = await file(sandbox, "from/a", random(20 * MIB));
  await send(sandbox, "from/a", "into");
  await file(sandbox, "theirs/copy", content);
  const again = await send(sandbox, "theirs/copy", "elsewhere", { sender: "other" });
  assertTrue(again.wire < MIB && again.found === 20 * MIB, `${again.wire} came, ${again.found} found`);
  await assertContent(sandbox.path("elsewhere/copy"), content);
});

Deno.test("what one sender brought by half another one completes", async () => {
  await using sandbox = await Sandbox.create();
  const content = slowToPack(24 * MIB);
  await file(sandbox, "from/big", content);
  let arrived: number;
  {
    await using offered = await offer(sandbox, [sandbox.path("from/big")], { send: SLOWLY });
    await using receiver = accept(offered, await sandbox.folder("into"));
    ({ bytes: arrived } = await receiver.event("progress", ({ bytes }) => bytes >= 8 * MIB));
    offered.sender.signal("SIGKILL");
    await Promise.all([offered.sender.ending(), receiver.ending()]);
  }
  await file(sandbox, "theirs/big", content);
  const rest = await send(sandbox, "theirs/big", "into", { sender: "other", send: ["--compress", "never"] });
  assertTrue(rest.wire < 24 * MIB - arrived + 8 * MIB, `${arrived} had arrived, yet ${rest.wire} came`);
  assertTrue(rest.found >= arrived - 4 * MIB, `${rest.found} found of ${arrived}`);
  await assertContent(sandbox.path("into/big"), content);
});

Deno.test("of a transfer that goes on neither side reads what had arrived", async () => {
  await using sandbox = await Sandbox.create();
  const size = 96 * MIB;
  const content = slowToPack(size);
  await file(sandbox, "from/film", content);
  {
    await using offered = await offer(sandbox, [sandbox.path("from/film")], { send: SLOWLY });
    await using receiver = accept(offered, await sandbox.folder("into"));
    await receiver.event("progress", ({ bytes }) => bytes >= size / 2);
    receiver.signal("SIGKILL");
    await receiver.ending();
    offered.sender.signal("SIGKILL");
    await offered.sender.ending();
  }
  const [senderReads, receiverReads] = [sandbox.path("sender-reads"), sandbox.path("receiver-reads")];
  await send(sandbox, "from/film", "into", {
    senderPrefix: countingReads(senderReads),
    receiverPrefix: countingReads(receiverReads),
  });
  // The other half, and what the program itself takes.
  for (const reads of [await readsOf(senderReads), await readsOf(receiverReads)]) {
    assertTrue(reads < size, `${reads} bytes were read`);
  }
  await assertContent(sandbox.path("into/film"), content);
});

Deno.test("what has changed since it was remembered is not taken for what it was", async () => {
  await using sandbox = await Sandbox.create();
  const content = await file(sandbox, "from/a", random(20 * MIB));
  await send(sandbox, "from/a", "into");
  // The same size and mtime: only the ctime tells.
  const here = await Deno.open(sandbox.path("into/a"), { write: true });
  await here.seek(9 * MIB, Deno.SeekMode.Start);
  await here.write(new TextEncoder().encode("something else"));
  here.close();
  await Deno.utime(sandbox.path("into/a"), LONG_AGO, LONG_AGO);
  const again = await send(sandbox, "from/a", "elsewhere");
  await assertContent(sandbox.path("elsewhere/a"), content);
  assertTrue(again.wire >= 4 * MIB && again.wire < 5 * MIB, `${again.wire} came`);
  // And in its place.
  const over = await send(sandbox, "from/a", "into");
  await assertContent(sandbox.path("into/a"), content);
  assertTrue(over.wire < MIB, `${over.wire} came`);
});

Deno.test("an index that is gone, damaged or of a newer version costs the saving and nothing else", async () => {
  await using sandbox = await Sandbox.create();
  const content = await file(sandbox, "from/a", random(5 * MIB));
  await send(sandbox, "from/a", "into");
  const person = await sandbox.person("receiver");
  const index = `${person.env.XDG_CACHE_HOME}/wormhole/index.db`;
  const damages: [string, () => Promise<void>, RegExp | undefined][] = [
    ["gone", () => Deno.remove(index), undefined],
    ["no database", () => Deno.writeFile(index, random(20_000)), /was damaged/],
    ["cut", () => Deno.truncate(index, 5000), /was damaged/],
    ["newer", () => setVersion(index, 99), /newer version/],
  ];
  for (const [name, damage, words] of damages) {
    await damage();
    const { wire, warnings } = await send(sandbox, "from/a", `into ${name}`);
    assertTrue(wire >= 5 * MIB, `${name}: ${wire} came`);
    assertEquals(
      warnings.some((warning) => words?.test(warning)),
      words !== undefined,
      `${name}: ${warnings}`,
    );
    await assertContent(sandbox.path(`into ${name}/a`), content);
    if (name === "newer") continue;
    const { wire: after } = await send(sandbox, "from/a", `after ${name}`);
    assertTrue(after < MIB, `${name}: ${after} came afterwards`);
  }
});

Deno.test("recv --no-dedup takes everything over the network", async () => {
  await using sandbox = await Sandbox.create();
  const content = await file(sandbox, "from/a", random(5 * MIB));
  await send(sandbox, "from/a", "into");
  const again = await send(sandbox, "from/a", "into", { recv: [...OVER, "--no-dedup"] });
  assertTrue(again.wire >= 5 * MIB && again.found === 0, `${again.wire} came, ${again.found} found`);
  await assertContent(sandbox.path("into/a"), content);
});

async function setVersion(path: string, version: number): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  // "user version", 4 bytes big endian at offset 60 of the header (sqlite.org/fileformat2.html §1.3).
  await file.seek(60, Deno.SeekMode.Start);
  await file.write(new Uint8Array([0, 0, 0, version]));
}

Deno.test("small files that lie there as they came do not come again, and those that changed do", async () => {
  await using sandbox = await Sandbox.create();
  const names = Array.from({ length: 60 }, (_, i) => `tree/${i % 3}/${i}`);
  for (const name of names) await file(sandbox, `from/${name}`, random(2000));
  await file(sandbox, "from/tree/large", random(MIB));
  const first = await send(sandbox, "from/tree", "into");
  assertTrue(first.wire > 60 * 2000 + MIB, `${first.wire} bytes came first`);
  const again = await send(sandbox, "from/tree", "into");
  assertEquals([again.found, again.bytes], [60 * 2000 + MIB, 60 * 2000 + MIB]);
  assertTrue(again.wire < 1000, `${again.wire} bytes came again`);

  // One is edited at the receiver and has its old time again, one is gone there, one is replaced there by another of the
  // same size and time, one is edited at the sender, and one is new there.
  const [edited, gone, replaced] = names.map((name) => sandbox.path(`into/${name}`));
  const { mtime, atime } = await Deno.stat(edited!);
  await Deno.writeFile(edited!, random(2000));
  await Deno.utime(edited!, atime!, mtime!);
  await Deno.remove(gone!);
  await Deno.writeFile(`${replaced}.new`, random(2000));
  await Deno.utime(`${replaced}.new`, atime!, mtime!);
  await Deno.rename(`${replaced}.new`, replaced!);
  await file(sandbox, `from/${names[3]}`, random(2000));
  await file(sandbox, "from/tree/0/new", random(2000));
  const third = await send(sandbox, "from/tree", "into");
  assertEquals(third.bytes - third.found, 5 * 2000);
  for (const name of [...names, "tree/0/new"]) {
    await assertContent(sandbox.path(`into/${name}`), await Deno.readFile(sandbox.path(`from/${name}`)));
  }

  // What came into another folder is nothing to go by.
  const moved = await send(sandbox, "from/tree/0", "into/tree");
  assertEquals(moved.found, 0);
  const all = await send(sandbox, "from/tree", "into", { recv: [...OVER, "--no-dedup"] });
  assertEquals(all.found, 0);
});

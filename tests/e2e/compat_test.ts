/** `--compat` with the real magic-wormhole client and its mailbox server: both directions, every kind, and how it fails. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { Link } from "../../src/compat/link.ts";
import { converse } from "../../src/compat/conversation.ts";
import { meet } from "../../src/compat/meeting.ts";
import { decodeMessage, transitMessage } from "../../src/compat/messages.ts";
import { hear, openSource, push } from "../../src/native/compat.ts";
import { NativeQueue } from "../../src/native/queue.ts";
import { formatCode, nativeCrypto } from "../../src/pairing/mod.ts";
import { assertFailed, run, Sandbox, start, startHub } from "./harness.ts";
import {
  HAVE_MAGIC_WORMHOLE,
  HAVE_TRANSIT_RELAY,
  Peer,
  startTheirRelay,
  startTheirServer,
  type TheirServer,
} from "./magic_wormhole.ts";

if (!HAVE_MAGIC_WORMHOLE) {
  console.log("compat_test: skipped, run scripts/bench-peers magic-wormhole to have a client to test with");
}

interface Place {
  readonly sandbox: Sandbox;
  readonly server: TheirServer;
}

function test(name: string, body: (place: Place) => Promise<void>, have = HAVE_MAGIC_WORMHOLE): void {
  Deno.test({
    name: `compat: ${name}`,
    ignore: !have,
    fn: async () => {
      await using sandbox = await Sandbox.create();
      await using server = await startTheirServer(await sandbox.folder("server"));
      await body({ sandbox, server });
    },
  });
}

const CODE = /code is: (\S+)/;

/** Receives what `theirs` sends into the folder `into`. */
async function receive({ sandbox, server }: Place, theirs: Peer, flags: readonly string[] = []) {
  const person = await sandbox.person("receiver", { runtime: "of-receiver" });
  const into = await sandbox.folder("into");
  const [, code] = await theirs.says(CODE);
  const ours = await run(
    ["recv", "--json", "--compat", "--yes", "--hub", server.url, ...flags, "-o", into, code!],
    { person },
  );
  return { ours, into };
}

/** Starts our `send`; gives it with its code. */
async function offer({ sandbox, server }: Place, args: readonly string[]) {
  const person = await sandbox.person("sender", { runtime: "of-sender" });
  const ours = start(["send", "--json", "--compat", "--hub", server.url, ...args], { person });
  const { code } = await ours.event("code");
  return { ours, code: code as string };
}

/** Bytes that do not compress, the same each time. */
function noise(length: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

async function entriesOf(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
}

test("a text of theirs arrives", async (place) => {
  await using theirs = place.server.wormhole(["send", "--text", "grüße\u001b[31m"]);
  const { ours } = await receive(place, theirs);
  assertEquals([ours.code, await theirs.ending()], [0, 0], ours.stderr + theirs.said);
  assertEquals(ours.events.find(({ event }) => event === "text")?.text, "grüße\u001b[31m");
});

test("files of theirs arrive and are acknowledged", async (place) => {
  for (const [name, size] of [["empty", 0], ["größe.bin", 5_000_017]] as const) {
    const path = await place.sandbox.file(`from/${name}`, noise(size));
    await using theirs = place.server.wormhole(["send", "--hide-progress", path]);
    const { ours, into } = await receive(place, theirs);
    assertEquals([ours.code, await theirs.ending()], [0, 0], ours.stderr + theirs.said);
    assertEquals(await Deno.readFile(`${into}/${name}`), noise(size));
    assertTrue(ours.events.some(({ event, files }) => event === "done" && files === 1));
  }
  assertEquals(await entriesOf(place.sandbox.path("into")), ["empty", "größe.bin"]);
});

test("a folder of theirs arrives", async (place) => {
  await place.sandbox.file("from/tree/a/b/deep.txt", "deep");
  await place.sandbox.file("from/tree/big", noise(700_000));
  await using theirs = place.server.wormhole(["send", "--hide-progress", place.sandbox.path("from/tree")]);
  const { ours, into } = await receive(place, theirs);
  assertEquals([ours.code, await theirs.ending()], [0, 0], ours.stderr + theirs.said);
  assertEquals(await Deno.readTextFile(`${into}/tree/a/b/deep.txt`), "deep");
  assertEquals(await Deno.readFile(`${into}/tree/big`), noise(700_000));
  assertEquals(await entriesOf(into), ["tree"]);
});

test("a file that exists stays unless told otherwise", async (place) => {
  const path = await place.sandbox.file("from/x", "new");
  await place.sandbox.file("into/x", "old");
  for (
    const [flags, code, expected] of [
      [[], 6, ["x"]],
      [["--skip"], 0, ["x"]],
      [["--rename"], 0, ["x", "x (2)"]],
      [["--overwrite"], 0, ["x", "x (2)"]],
    ] as const
  ) {
    await using theirs = place.server.wormhole(["send", "--hide-progress", path]);
    const { ours, into } = await receive(place, theirs, flags);
    assertEquals(ours.code, code, ours.stderr);
    await theirs.ending();
    assertEquals(await entriesOf(into), [...expected]);
    assertEquals(await Deno.readTextFile(`${into}/x`), flags[0] === "--overwrite" ? "new" : "old");
  }
});

test("a wrong code ends both sides", async (place) => {
  const person = await place.sandbox.person("receiver", { runtime: "of-receiver" });
  await using theirs = place.server.wormhole(["send", "--text", "secret"]);
  const [, code] = await theirs.says(CODE);
  const wrong = `${code!.split("-")[0]}-not-it`;
  const ours = await run(["recv", "--json", "--compat", "--yes", "--hub", place.server.url, wrong], {
    person,
  });
  assertFailed(ours, 3, /wrong/);
  assertEquals(await theirs.ending(), 1);
  assertTrue(!JSON.stringify(ours.events).includes("secret"));
});

test("nothing stays of a file whose sender is gone, and of one that is interrupted here", async (place) => {
  const path = await place.sandbox.file("from/big", noise(100_000_000));
  for (const who of ["sender", "receiver"] as const) {
    const person = await place.sandbox.person("receiver", { runtime: "of-receiver" });
    const into = await place.sandbox.folder("into");
    await using theirs = place.server.wormhole(["send", "--hide-progress", path]);
    const [, code] = await theirs.says(CODE);
    const args = ["recv", "--json", "--compat", "--yes", "--hub", place.server.url, "-o", into, code!];
    await using ours = start(args, { person });
    await ours.event("progress");
    if (who === "sender") theirs.signal("SIGKILL");
    else ours.signal("SIGINT");
    assertFailed(await ours.ending(), who === "sender" ? 4 : 130);
    assertEquals(await entriesOf(into), []);
    if (who === "receiver") assertEquals(await theirs.ending(), 1);
  }
});

test("a text of ours arrives", async (place) => {
  const { ours, code } = await offer(place, ["--text", "grüße"]);
  await using _ours = ours;
  await using theirs = place.server.wormhole(["receive", code]);
  assertEquals([await theirs.ending(), (await ours.ending()).code], [0, 0], theirs.said + ours.stderr);
  assertTrue(theirs.said.includes("grüße"), theirs.said);
});

test("files of ours arrive and are confirmed", async (place) => {
  const cwd = await place.sandbox.folder("theirs");
  for (const [name, size] of [["empty", 0], ["größe.bin", 5_000_017]] as const) {
    const path = await place.sandbox.file(`from/${name}`, noise(size));
    const { ours, code } = await offer(place, [path]);
    await using _ours = ours;
    await using theirs = place.server.wormhole(["receive", "--accept-file", "--hide-progress", code], {
      cwd,
    });
    assertEquals([await theirs.ending(), (await ours.ending()).code], [0, 0], theirs.said + ours.stderr);
    assertEquals(await Deno.readFile(`${cwd}/${name}`), noise(size));
  }
});

test("a folder of ours arrives, without its links", async (place) => {
  const cwd = await place.sandbox.folder("theirs");
  await place.sandbox.file("from/tree/a/b/deep.txt", "deep");
  await place.sandbox.file("from/tree/big", noise(700_000));
  await place.sandbox.folder("from/tree/empty");
  await Deno.symlink("big", place.sandbox.path("from/tree/link"));
  const { ours, code } = await offer(place, [`${place.sandbox.path("from/tree")}/`]);
  await using _ours = ours;
  await using theirs = place.server.wormhole(["receive", "--accept-file", "--hide-progress", code], { cwd });
  const ending = await ours.ending();
  assertEquals([await theirs.ending(), ending.code], [0, 0], theirs.said + ours.stderr);
  assertEquals(await Deno.readTextFile(`${cwd}/tree/a/b/deep.txt`), "deep");
  assertEquals(await Deno.readFile(`${cwd}/tree/big`), noise(700_000));
  assertEquals(await entriesOf(`${cwd}/tree`), ["a", "big", "empty"]);
  assertTrue(ending.events.some(({ event, message }) => event === "warning" && /"link"/.test(message)));
});

test("a receiver that declines, guesses wrong or dies is a failure here", async (place) => {
  const path = await place.sandbox.file("from/big", noise(100_000_000));
  const cwd = await place.sandbox.folder("theirs");
  {
    const { ours, code } = await offer(place, [path]);
    await using _ours = ours;
    await using _theirs = place.server.wormhole(["receive", "--hide-progress", code], { cwd, stdin: "n\n" });
    assertFailed(await ours.ending(), 5, /transfer rejected/);
  }
  {
    const { ours, code } = await offer(place, [path]);
    await using _ours = ours;
    await using theirs = place.server.wormhole(["receive", `${code.split("-")[0]}-not-it`], { cwd });
    assertFailed(await ours.ending(), 3, /wrong code/);
    assertEquals(await theirs.ending(), 1);
  }
  {
    const { ours, code } = await offer(place, [path]);
    await using _ours = ours;
    await using theirs = place.server.wormhole(["receive", "--accept-file", "--hide-progress", code], {
      cwd,
    });
    await ours.event("progress");
    theirs.signal("SIGKILL");
    assertFailed(await ours.ending(), 4);
  }
});

test("several things at once are refused before there is a code", async ({ sandbox, server }) => {
  const person = await sandbox.person("sender", { runtime: "of-sender" });
  const a = await sandbox.file("from/a", "a");
  const ended = await run(["send", "--json", "--compat", "--hub", server.url, a, a], { person });
  assertFailed(ended, 2, /one file, one folder/);
});

test("two of ours meet through their mailbox server", async (place) => {
  const path = await place.sandbox.file("from/x", noise(3_000_000));
  const { ours, code } = await offer(place, [path]);
  await using _ours = ours;
  const person = await place.sandbox.person("receiver", { runtime: "of-receiver" });
  const into = await place.sandbox.folder("into");
  const args = ["recv", "--json", "--compat", "--yes", "--hub", place.server.url, "-o", into, code];
  const received = await run(args, { person });
  assertEquals([received.code, (await ours.ending()).code], [0, 0], received.stderr + ours.stderr);
  assertEquals(await Deno.readFile(`${into}/x`), noise(3_000_000));
});

test("our hub introduces their clients to ours, and to each other", async ({ sandbox, server }) => {
  await using hub = await startHub(sandbox);
  const ours: Place = { sandbox, server: { ...server, url: hub.url } };
  const through = (args: readonly string[], cwd?: string) =>
    new Peer("wormhole", ["--relay-url", hub.url, "--transit-helper", "tcp:127.0.0.1:1", ...args], {
      cwd: cwd ?? sandbox.dir,
    });
  const path = await sandbox.file("from/x", "by our hub");
  {
    await using theirs = through(["send", "--hide-progress", path]);
    const { ours: received, into } = await receive(ours, theirs);
    assertEquals([received.code, await theirs.ending()], [0, 0], received.stderr + theirs.said);
    assertEquals(await Deno.readTextFile(`${into}/x`), "by our hub");
  }
  {
    const { ours: sending, code } = await offer(ours, [path]);
    await using _sending = sending;
    const cwd = await sandbox.folder("theirs");
    await using theirs = through(["receive", "--accept-file", "--hide-progress", code], cwd);
    assertEquals(
      [await theirs.ending(), (await sending.ending()).code],
      [0, 0],
      theirs.said + sending.stderr,
    );
  }
  const cwd = await sandbox.folder("others");
  await using sending = through(["send", "--hide-progress", path]);
  const [, code] = await sending.says(CODE);
  await using receiving = through(["receive", "--accept-file", "--hide-progress", code!], cwd);
  assertEquals([await receiving.ending(), await sending.ending()], [0, 0], receiving.said + sending.said);
  assertEquals(await Deno.readTextFile(`${cwd}/x`), "by our hub");
});

/** Receives as if the code were ours. */
async function receivePlainly(
  { sandbox, server }: Place,
  { code, flags = [], hub = server.url }: { code: string; flags?: readonly string[]; hub?: string },
) {
  const person = await sandbox.person("receiver", { runtime: "of-receiver" });
  const into = await sandbox.folder("into");
  const ours = await run(["recv", "--json", "--yes", "--hub", hub, ...flags, "-o", into, code], { person });
  return { ours, into };
}

test("recv without --compat notices their code, at our hub and at their server", async (place) => {
  await using hub = await startHub(place.sandbox);
  const path = await place.sandbox.file("from/x", "noticed");
  for (const url of [hub.url, place.server.url]) {
    await using theirs = new Peer(
      "wormhole",
      ["--relay-url", url, "--transit-helper", "tcp:127.0.0.1:1", "send", "--hide-progress", path],
      { cwd: place.sandbox.dir },
    );
    const [, code] = await theirs.says(CODE);
    // What cannot be done is said before the code is touched.
    const refused = await receivePlainly(place, { code: code!, hub: url, flags: ["--only", "x"] });
    assertFailed(refused.ours, 2, /Cannot use --only: the code is of a magic-wormhole client/);
    const { ours, into } = await receivePlainly(place, { code: code!, hub: url, flags: ["--overwrite"] });
    assertEquals([ours.code, await theirs.ending()], [0, 0], ours.stderr + theirs.said);
    assertTrue(
      ours.events.some(({ event, message }) => event === "warning" && /magic-wormhole/.test(message)),
    );
    assertEquals(await Deno.readTextFile(`${into}/x`), "noticed");
  }
});

test("a wrong guess at a code that is noticed is the only one, and both are told", async (place) => {
  await using hub = await startHub(place.sandbox);
  await using theirs = new Peer("wormhole", ["--relay-url", hub.url, "send", "--text", "secret"], {
    cwd: place.sandbox.dir,
  });
  const [, code] = await theirs.says(CODE);
  const wrong = `${code!.split("-")[0]}-guitarist-zulu`;
  const { ours } = await receivePlainly(place, { code: wrong, hub: hub.url });
  assertFailed(ours, 3, /it was wrong; one try is all it allows/);
  assertEquals(await theirs.ending(), 1);
  const again = await receivePlainly(place, { code: code!, hub: hub.url });
  assertFailed(again.ours, 3);
  assertTrue(!JSON.stringify(again.ours.events).includes("secret"));
});

test("a wrong guess at a code of ours is no reason to try theirs of the same number", async (place) => {
  await using hub = await startHub(place.sandbox);
  const person = await place.sandbox.person("sender", { runtime: "of-sender" });
  const sending = ["send", "--json", "--hub", hub.url, "--code", "77-guitarist-zulu", "--text", "ours"];
  await using own = start(sending, { person });
  await own.event("code");
  await using theirs = new Peer(
    "wormhole",
    ["--relay-url", hub.url, "send", "--code", "77-amulet-adult", "--text", "theirs"],
    { cwd: place.sandbox.dir },
  );
  await theirs.says(CODE);
  const { ours } = await receivePlainly(place, { code: "77-amulet-adult", hub: hub.url });
  assertFailed(ours, 3, /it was wrong/);
  assertFailed(await own.ending(), 3);
  assertTrue(!ours.events.some(({ event }) => event === "warning" || event === "text"));
  // Theirs is untouched.
  const { ours: right } = await receive({ ...place, server: { ...place.server, url: hub.url } }, theirs);
  assertEquals([right.code, await theirs.ending()], [0, 0], right.stderr + theirs.said);
});

test("nobody is asked about a code where no hub is named, or the sender's address", async (place) => {
  await using theirs = place.server.wormhole(["send", "--text", "secret"]);
  const [, code] = await theirs.says(CODE);
  const person = await place.sandbox.person("receiver", { runtime: "of-receiver" });
  const ours = await run(["recv", "--json", "--yes", "--timeout", "2s", code!], { person });
  assertFailed(ours, [3, 4]);
  const { ours: known } = await receive(place, theirs);
  assertEquals([known.code, await theirs.ending()], [0, 0], known.stderr + theirs.said);
});

test("their relay carries a file where no direct connection can be", async (place) => {
  const relay = await startTheirRelay(await place.sandbox.folder("relay"));
  await using _relay = relay.peer;
  const [host, port] = relay.place.split(":");
  const relays = [{ host: host!, port: Number(port) }];
  const path = await place.sandbox.file("from/x", noise(3_000_000));
  const cwd = await place.sandbox.folder("theirs");
  await using queue = NativeQueue.open({ threads: 2 });
  const signal = AbortSignal.timeout(60_000);
  const { mailbox, code } = await meet({ hub: place.server.url, signal });
  await using _mailbox = mailbox;
  const flags = ["--accept-file", "--hide-progress", "--no-listen"];
  await using theirs = place.server.wormhole(["receive", ...flags, formatCode(code)], { cwd });
  await converse({ mailbox, code, crypto: nativeCrypto(), role: "sender", signal }, async (conversation) => {
    await using link = await Link.open(queue, relays);
    // They do not listen, and are not told where we do.
    await conversation.send(transitMessage({ direct: [], relays }));
    await conversation.send({ offer: { file: { filename: "x", filesize: 3_000_000 } } });
    await conversation.next();
    const peer = { direct: [], relays: [] };
    const { pipe, relayed } = await link.connect({ conversation, sender: true, peer, signal });
    assertEquals(relayed, true);
    const { source } = await openSource(queue, path);
    while ((await push(queue, { pipe, source })).sum === undefined);
    const ack = decodeMessage(await hear(queue, { pipe, maxBytes: 1000, timeoutMs: 60_000 }));
    assertEquals(ack.ack, "ok");
  });
  assertEquals(await theirs.ending(), 0, theirs.said);
  assertEquals(await Deno.readFile(`${cwd}/x`), noise(3_000_000));
}, HAVE_TRANSIT_RELAY);

/** How the two find each other, and every way in which they do not. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import {
  accept,
  assertFailed,
  assertTransfers,
  freePort,
  offer,
  run,
  Sandbox,
  start,
  startHub,
} from "./harness.ts";

Deno.test("recv finds the sender by --peer", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "by address");
  const into = await sandbox.folder("into");
  await assertTransfers(sandbox, [file], into, { meeting: "peer" });
  assertEquals(await Deno.readTextFile(`${into}/x`), "by address");
});

Deno.test("send and recv meet through a hub", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox);
  const file = await sandbox.file("from/x", "by hub");
  const into = await sandbox.folder("into");
  await assertTransfers(sandbox, [file], into, { meeting: { hub: hub.url } });
  assertEquals(await Deno.readTextFile(`${into}/x`), "by hub");
});

Deno.test("send and recv meet through the hub that WORMHOLE_SIGNAL_SERVER names", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox);
  const file = await sandbox.file("from/x", "by variable");
  const env = { WORMHOLE_SIGNAL_SERVER: hub.url };
  const sender = await sandbox.person("sender", { runtime: "of-sender" });
  const receiver = await sandbox.person("receiver", { runtime: "of-receiver" });
  const into = await sandbox.folder("into");
  await using sending = start(["send", "--json", file], { person: sender, env });
  const { code } = await sending.event("code");
  const received = await run(["recv", "--json", "--yes", "-o", into, code], { person: receiver, env });
  assertEquals([received.code, (await sending.ending()).code], [0, 0], received.stderr);
});

Deno.test("WORMHOLE_CODE gives recv its code", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "x");
  const into = await sandbox.folder("into");
  await using offered = await offer(sandbox, [file]);
  const env = { WORMHOLE_CODE: offered.code };
  const received = await run(["recv", "--json", "--yes", "-o", into], { person: offered.receiver, env });
  assertEquals([received.code, (await offered.sender.ending()).code], [0, 0], received.stderr);
});

for (const meeting of ["local", "peer", "hub"] as const) {
  Deno.test(`a wrong code ends both sides and the code, meeting by ${meeting}`, async () => {
    await using sandbox = await Sandbox.create();
    await using hub = meeting === "hub" ? await startHub(sandbox) : undefined;
    const file = await sandbox.file("from/x", "secret");
    const into = await sandbox.folder("into");
    await using offered = await offer(sandbox, [file], {
      meeting: hub ? { hub: hub.url } : meeting as "local",
    });
    await using guessing = accept({ ...offered, code: otherWord(offered.code) }, into);
    const [sender, receiver] = await Promise.all([offered.sender.ending(), guessing.ending()]);
    assertFailed(receiver, 3, /wrong/i);
    assertFailed(sender, 3, /wrong/i);
    await using late = accept(offered, into, { recv: ["--yes", "--timeout", "3s"] });
    assertFailed(await late.ending(), [3, 4]);
    assertEquals(await namesIn(into), []);
  });
}

Deno.test("a code works once", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox);
  const file = await sandbox.file("from/x", "once");
  const into = await sandbox.folder("into");
  await using offered = await offer(sandbox, [file], { meeting: { hub: hub.url } });
  await using first = accept(offered, into);
  assertEquals([(await first.ending()).code, (await offered.sender.ending()).code], [0, 0]);
  await using second = accept(offered, await sandbox.folder("again"), { recv: ["--yes", "--timeout", "3s"] });
  assertFailed(await second.ending(), [3, 4]);
  assertEquals(await namesIn(sandbox.path("again")), []);
});

for (
  const code of [
    "",
    "guitar-zebra",
    "7-",
    "7-guitar-xyzzyq",
    "7-guitar-guitar",
    "../../x",
    "7-\u001b[31m-zebra",
  ]
) {
  Deno.test(`recv refuses the malformed code ${JSON.stringify(code)} in plain words`, async () => {
    await using sandbox = await Sandbox.create();
    const person = await sandbox.person("receiver");
    const ending = await run(["recv", "--yes", "--timeout", "3s", "--", code], { person });
    assertFailed(ending, [2, 3]);
    assertTrue(!ending.stderr.includes("\u001b"), "the code's escape reached the terminal");
    assertTrue(!/\bat .*\.ts:\d/.test(ending.stderr), `a stack is shown: ${ending.stderr}`);
  });
}

Deno.test("recv says that nobody is there", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("receiver", { runtime: "alone" });
  const code = "4093-guitarist-zulu";
  const ending = await run(["recv", "--json", "--yes", "--timeout", "2s", code], { person });
  assertFailed(ending, [3, 4]);
});

Deno.test("recv --peer says that nobody listens there", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("receiver");
  const address = `127.0.0.1:${freePort()}`;
  const ending = await run(["recv", "--yes", "--timeout", "5s", "--peer", address, "7-guitarist-zulu"], {
    person,
  });
  assertFailed(ending, [3, 4], new RegExp(address.replaceAll(".", "\\.")));
});

Deno.test("send and recv say that the hub is down", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "x");
  const person = await sandbox.person("someone");
  const url = `ws://127.0.0.1:${freePort()}`;
  assertFailed(await run(["send", "--hub", url, "--timeout", "10s", file], { person }), 4, /hub/i);
  const receive = ["recv", "--yes", "--hub", url, "--timeout", "10s", "7-guitarist-zulu"];
  assertFailed(await run(receive, { person }), 4, /hub/i);
});

Deno.test("the transfer goes on when the hub dies after the two have met", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox);
  const file = await sandbox.file("from/x", new Uint8Array(64 * 1024 * 1024));
  const into = await sandbox.folder("into");
  await using offered = await offer(sandbox, [file], { meeting: { hub: hub.url } });
  await using receiving = accept(offered, into);
  await receiving.event("offer");
  hub.hub.signal("SIGKILL");
  assertEquals([(await receiving.ending()).code, (await offered.sender.ending()).code], [0, 0]);
});

Deno.test("hub says that its port is in use", async () => {
  await using sandbox = await Sandbox.create();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const person = await sandbox.person("hub");
  assertFailed(
    await run(["hub", "--listen", `127.0.0.1:${port}`], { person }),
    [2, 4, 6],
    new RegExp(`${port}`),
  );
});

Deno.test("send says that its port is in use", async () => {
  await using sandbox = await Sandbox.create();
  using listener = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const file = await sandbox.file("from/x", "x");
  const person = await sandbox.person("sender");
  const ending = await run(["send", "--port", String(port), file], { person });
  assertFailed(ending, [2, 4, 6], new RegExp(`${port}`));
});

Deno.test("send --timeout gives up when nobody comes", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "x");
  const person = await sandbox.person("sender");
  assertFailed(await run(["send", "--json", "--timeout", "1s", file], { person }), [3, 4]);
});

Deno.test("send --code uses the code that the two agreed on", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "agreed");
  const into = await sandbox.folder("into");
  await using offered = await offer(sandbox, [file], { send: ["--code", "4-guitarist-zulu"] });
  assertEquals(offered.code, "4-guitarist-zulu");
  await using receiving = accept(offered, into);
  assertEquals([(await receiving.ending()).code, (await offered.sender.ending()).code], [0, 0]);
});

Deno.test("send --words makes longer codes", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "x");
  await using offered = await offer(sandbox, [file], { send: ["--words", "4"] });
  assertEquals(offered.code.split("-").length, 5);
});

/** Gives a two-word `code` with its last word replaced by another of the list. */
function otherWord(code: string): string {
  const [nameplate, first, second] = code.split("-");
  return `${nameplate}-${first}-${second === "zulu" ? "tiger" : "zulu"}`;
}

async function namesIn(dir: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(dir), ({ name }) => name)).sort();
}

/** Transfers of machines that have no other way to each other than the hub's relay. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { selfSigned } from "../../src/mailbox/testing.ts";
import { slowToPack } from "./trees.ts";
import {
  accept,
  assertDone,
  assertFailed,
  assertTransfers,
  freePort,
  offer,
  run,
  type RunningHub,
  Sandbox,
  SLOWLY,
  start,
  startHub,
  transfer,
} from "./harness.ts";

const SIZE = 3 * 1024 ** 2;
const BY_RELAY = { send: ["--transport", "relay"], recv: ["--yes", "--transport", "relay"] };

/** Noise: what cannot be made smaller on the way. */
function noise(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
}

/** Gives one of the hub's metrics. */
async function metric({ url }: Pick<RunningHub, "url">, name: string): Promise<number> {
  const response = await fetch(url.replace(/^ws/, "http").replace("/v1", "/metrics"));
  const line = (await response.text()).split("\n").find((line) => line.startsWith(`wormhole_hub_${name} `));
  return Number(line?.split(" ").at(-1));
}

Deno.test("send and recv go over the hub's relay where nothing else is allowed, and say so", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox, ["--metrics"]);
  const content = noise(SIZE);
  const file = await sandbox.file("from/noise", content);
  const into = await sandbox.folder("into");
  const both = await assertTransfers(sandbox, [file], into, { meeting: { hub: hub.url }, ...BY_RELAY });
  assertEquals(await Deno.readFile(`${into}/noise`), content);
  for (const { events } of [both.sender, both.receiver]) {
    const peers = events.filter(({ event }) => event === "peer");
    const place = `relay ${new URL(hub.url).host}`;
    assertEquals(peers, [{ event: "peer", transport: "quic", path: "relay", remote: place }]);
    assertTrue(events.some((event) => event.event === "progress" && event.path === "relay"));
  }
  const out = await metric(hub, 'relay_bytes_total{direction="out"}');
  assertTrue(out > SIZE && out < 2 * SIZE, `${out} bytes were relayed for ${SIZE}`);
  assertEquals(await metric(hub, "relay_refused_total"), 0);
});

/** Compares much faster than what tells of every difference. */
function sameContent(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

Deno.test("machines that reach each other leave the relay alone", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox, ["--metrics"]);
  const file = await sandbox.file("from/noise", noise(SIZE));
  const meeting = { hub: hub.url };
  const { receiver } = await assertTransfers(sandbox, [file], await sandbox.folder("into"), { meeting });
  assertTrue(receiver.events.some((event) => event.event === "peer" && event.path === "direct"));
  assertTrue(await metric(hub, 'relay_bytes_total{direction="out"}') < SIZE / 10);
});

Deno.test("a relay with a port of its own, and one behind TLS, serve as well", async (t) => {
  await using sandbox = await Sandbox.create();
  const tls = await selfSigned();
  if (tls === undefined) return console.log("skipped: no openssl here");
  const cert = await sandbox.file("cert.pem", tls.cert);
  const key = await sandbox.file("key.pem", tls.key);
  const file = await sandbox.file("from/x", "over another relay");
  const encrypted = ["--tls-cert", cert, "--tls-key", key];
  const cases = [
    { name: "own port", args: ["--relay-listen", "127.0.0.1:0"] },
    { name: "the hub's port with TLS", args: encrypted },
    { name: "own port with TLS", args: [...encrypted, "--relay-listen", "127.0.0.1:0"] },
  ];
  for (const { name, args } of cases) {
    await t.step(name, async () => {
      await using hub = await startHub(sandbox, args);
      const into = await sandbox.folder(`into ${name}`);
      await assertTransfers(sandbox, [file], into, {
        meeting: { hub: hub.url },
        ...BY_RELAY,
        env: { DENO_CERT: cert },
      });
      assertEquals(await Deno.readTextFile(`${into}/x`), "over another relay");
    });
  }
});

Deno.test("where there is no relay, --transport relay says so at once", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox, ["--no-relay"]);
  const file = await sandbox.file("from/x", "x");
  const person = await sandbox.person("sender");
  for (const where of [["--hub", hub.url], []]) {
    const sent = await run(["send", "--json", ...where, "--transport", "relay", file], { person });
    assertFailed(sent, 1, /relay/);
    assertTrue(!sent.events.some(({ event }) => event === "code"), "a code of no use was shown");
  }
});

Deno.test("a relayed transfer outlives a hub that is killed and started anew with its database", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("hub", { runtime: "of-hub" });
  const port = freePort();
  const args = ["hub", "--json", "--listen", `127.0.0.1:${port}`, "--database", sandbox.path("hub.sqlite")];
  await using first = start(args, { person });
  await first.event("listening");
  const content = slowToPack(24 * 1024 ** 2);
  const file = await sandbox.file("from/slow", content);
  await using offered = await offer(sandbox, [file], {
    meeting: { hub: `ws://127.0.0.1:${port}` },
    send: [...BY_RELAY.send, ...SLOWLY],
  });
  const into = await sandbox.folder("into");
  await using receiving = accept(offered, into, { recv: BY_RELAY.recv });
  await receiving.event("progress", ({ bytes }) => Number(bytes) > 4 * 1024 ** 2);
  first.signal("SIGKILL");
  await first.ending();
  await using second = start(args, { person });
  await second.event("listening");
  const [sender, receiver] = await Promise.all([offered.sender.ending(), receiving.ending()]);
  assertDone({ sender, receiver });
  assertEquals(await Deno.readFile(`${into}/slow`), content);
  // It is the same connection: with WORMHOLE_RECONNECT=0 there is no other.
  assertTrue(!sender.events.some(({ event }) => event === "reconnecting"));
});

Deno.test("a transfer over joined connections goes on when the hub is killed and started anew", async () => {
  if (Deno.build.os !== "linux") return; // No hub joins elsewhere.
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("hub", { runtime: "of-hub" });
  const port = freePort();
  const place = ["--listen", `127.0.0.1:${port}`, "--database", sandbox.path("hub.sqlite"), "--metrics"];
  const args = ["hub", "--json", ...place];
  await using first = start(args, { person });
  const { url } = await first.event("listening");
  // Slow enough to be met under way, and enough for a further link.
  const content = slowToPack(80 * 1024 ** 2);
  const file = await sandbox.file("from/slow", content);
  await using offered = await offer(sandbox, [file], {
    meeting: { hub: `ws://127.0.0.1:${port}` },
    send: [...BY_RELAY.send, "--compress", "always", "--compression-level", "10"],
  });
  const into = await sandbox.folder("into");
  await using receiving = accept(offered, into, { recv: BY_RELAY.recv });
  const isJoined = async () => await metric({ url }, "join_bytes_total") > 2 * 1024 ** 2;
  let isOver = false;
  receiving.ending().then(() => isOver = true);
  while (!await isJoined()) assertTrue(!isOver, "it was over before anything went over a joined connection");
  first.signal("SIGKILL");
  await first.ending();
  await using second = start(args, { person });
  await second.event("listening");
  const [sender, receiver] = await Promise.all([offered.sender.ending(), receiving.ending()]);
  assertDone({ sender, receiver });
  assertTrue(sameContent(await Deno.readFile(`${into}/slow`), content));
});

Deno.test("known machines and several receivers at once go over the relay too", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox);
  const content = noise(SIZE);
  const file = await sandbox.file("from/noise", content);
  await using offered = await offer(sandbox, [file], {
    meeting: { hub: hub.url },
    send: ["--receivers", "any", "--transport", "relay"],
  });
  const receiving = ["one", "two"].map(async (name) => {
    const person = await sandbox.person(name, { runtime: name });
    const into = await sandbox.folder(name);
    const args = ["--hub", hub.url, "--yes", "--transport", "relay", "-o", into, offered.code];
    const ending = await run(["recv", "--json", ...args], { person });
    assertEquals(ending.code, 0, ending.stderr);
    assertEquals(await Deno.readFile(`${into}/noise`), content);
  });
  await Promise.all(receiving);
});

Deno.test("relayed text goes both ways between machines that remember each other", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox);
  const meeting = { hub: hub.url };
  const first = await transfer(sandbox, ["--text", "first"], await sandbox.folder("into"), {
    meeting,
    send: ["--remember", "away", ...BY_RELAY.send],
    recv: ["--remember", "home", ...BY_RELAY.recv],
  });
  assertDone(first);
  const [home, away] = [
    await sandbox.person("sender", { runtime: "of-sender" }),
    await sandbox.person("receiver", { runtime: "of-receiver" }),
  ];
  const args = ["--json", "--hub", hub.url, "--transport", "relay"];
  await using sending = start(["send", ...args, "--to", "away", "--yes", "--text", "second"], {
    person: home,
  });
  const received = await run(["recv", ...args, "--from", "home", "--yes"], { person: away });
  assertEquals(received.code, 0, received.stderr);
  assertEquals((await sending.ending()).code, 0);
  assertTrue(received.events.some((event) => event.event === "peer" && event.path === "relay"));
});

/** The hub as a service: what it tells, how it ends, what it learns. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { selfSigned } from "../../src/mailbox/testing.ts";
import { makePassword } from "../../src/pairing/code.ts";
import { HubClient } from "./faults/hub_client.ts";
import {
  accept,
  assertDone,
  assertFailed,
  assertTransfers,
  freePort,
  offer,
  run,
  Sandbox,
  start,
  startHub,
  transfer,
} from "./harness.ts";
import { processHolds } from "./process_memory.ts";

/** Words in an order that no list has, and a number that nothing else counts to. */
const PASSWORD = makePassword(4, (byteLength) => crypto.getRandomValues(new Uint8Array(byteLength)));
const NAMEPLATE = "918273645";

Deno.test("a hub learns no name, word or content: nothing in its database, logs, metrics and memory", async () => {
  await using sandbox = await Sandbox.create();
  // What the hub is told in the clear must be found, or looking would prove nothing.
  const motd = `motd-${crypto.randomUUID()}`;
  const log = sandbox.path("hub.log");
  await using hub = await startHub(sandbox, [
    ...["--motd", motd, "--log-level", "trace", "--log-json", "--log-file", log, "--metrics"],
  ]);
  const secrets = {
    name: `name-${crypto.randomUUID()}`,
    text: `text-${crypto.randomUUID()}`,
    content: crypto.randomUUID(),
  };
  const file = await sandbox.file(`from/${secrets.name}`, secrets.content.repeat(1_000));
  const meeting = { hub: hub.url };
  const into = await sandbox.folder("into");
  const code = `${NAMEPLATE}-${PASSWORD}`;
  await assertTransfers(sandbox, [file], into, { meeting, send: ["--code", code] });
  assertEquals(await Deno.readTextFile(`${into}/${secrets.name}`), secrets.content.repeat(1_000));
  // The same code again at once: what was agreed on is not used up by working.
  const again = await transfer(sandbox, ["--text", secrets.text], into, {
    meeting,
    send: ["--code", code],
  });
  assertDone(again);

  const hidden = [
    ...Object.values(secrets),
    PASSWORD,
    PASSWORD.split("-").slice(0, 2).join("-"),
  ];
  const byRelay = ["--transport", "relay"];
  const relayed = await transfer(sandbox, [file], await sandbox.folder("into_relayed"), {
    meeting,
    send: byRelay,
    recv: ["--yes", ...byRelay],
  });
  assertDone(relayed);
  const memory = await processHolds(hub.hub.pid, [motd, ...hidden]);
  if (memory === undefined) console.log("skipped: the memory of another process cannot be read here");
  else assertEquals(memory, [motd], "what is in the hub's memory");

  const metrics = await (await fetch(hub.url.replace("ws:", "http:").replace("/v1", "/metrics"))).text();
  assertTrue(metrics.includes('wormhole_hub_closed_total{mood="happy"} 6\n'), metrics);
  const [, bytes] = /relay_bytes_total\{direction="out"\} (\d+)/.exec(metrics)!;
  assertTrue(Number(bytes) > secrets.content.length * 1_000 / 10, `nothing was relayed: ${metrics}`);
  hub.hub.signal("SIGTERM");
  const ending = await hub.hub.ending();
  const told = `${metrics}\n${ending.stderr}\n${await Deno.readTextFile(log)}`;
  for (const line of (await Deno.readTextFile(log)).trim().split("\n")) JSON.parse(line);
  assertTrue(told.includes("mailbox closed"), told);
  const addresses = /\b127\.0\.0\.1:(?!\d+\/v1)/;
  for (const secret of [...hidden, NAMEPLATE]) assertTrue(!told.includes(secret), `${secret} in: ${told}`);
  assertTrue(!addresses.test(told), told);

  const database = await filesText(sandbox.path(), "hub.sqlite");
  assertTrue(database.includes(NAMEPLATE), "the number of a code is what it is found by");
  for (const secret of hidden) assertTrue(!database.includes(secret), `${secret} in the database`);
});

Deno.test("hub --tls-cert speaks TLS, and reads the certificate anew on SIGHUP", async () => {
  await using sandbox = await Sandbox.create();
  const [first, second] = [await selfSigned(), await selfSigned()];
  if (first === undefined || second === undefined) return console.log("skipped: no openssl here");
  const cert = await sandbox.file("cert.pem", first.cert);
  const key = await sandbox.file("key.pem", first.key);
  const log = sandbox.path("hub.log");
  await using hub = await startHub(sandbox, [
    ...["--tls-cert", cert, "--tls-key", key, "--log-level", "info", "--log-file", log],
  ]);
  assertTrue(hub.url.startsWith("wss://"), hub.url);
  const health = async (trusted: string) => {
    using client = Deno.createHttpClient({ caCerts: [trusted] });
    const response = await fetch(hub.url.replace("wss:", "https:").replace("/v1", "/healthz"), { client });
    return (await response.json()).status;
  };
  assertEquals(await health(first.cert), "ok");
  const file = await sandbox.file("from/x", "over TLS");
  await assertTransfers(sandbox, [file], await sandbox.folder("into"), {
    meeting: { hub: hub.url },
    env: { DENO_CERT: cert },
  });
  await Deno.writeTextFile(cert, "no certificate");
  hub.hub.signal("SIGHUP");
  await logSays(log, "certificate not renewed");
  assertEquals(await health(first.cert), "ok");
  await Deno.writeTextFile(cert, second.cert);
  await Deno.writeTextFile(key, second.key);
  hub.hub.signal("SIGHUP");
  await logSays(log, "certificate renewed");
  assertEquals(await health(second.cert), "ok");
  const person = await sandbox.person("operator");
  assertFailed(await run(["hub", "--tls-cert", cert], { person }), 2, /--tls-key/);
});

Deno.test("a sender that waits at a hub comes back when the hub is killed and started again", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("operator", { runtime: "of-hub" });
  const listen = `127.0.0.1:${freePort()}`;
  for (const database of [sandbox.path("hub.sqlite"), undefined]) {
    const args = ["hub", "--json", "--listen", listen, ...database ? ["--database", database] : []];
    const first = start(args, { person });
    const { url } = await first.event("listening");
    const file = await sandbox.file("from/x", "after all");
    await using offered = await offer(sandbox, [file], { meeting: { hub: url } });
    first.signal("SIGKILL");
    await first.ending();
    await offered.sender.event(
      "warning",
      ({ message }) => /^The hub was lost .*; trying again\.$/.test(message),
    );
    await using second = start(args, { person });
    await second.event("listening");
    const into = await sandbox.folder(database ? "remembered" : "forgotten");
    // The receiver comes as soon as it likes; without a database the hub does not know the code before the sender is back.
    let receiver = await accept(offered, into).ending();
    for (let tries = 0; tries < 20 && receiver.code !== 0 && !database; tries++) {
      receiver = await accept(offered, into).ending();
    }
    assertDone({ sender: await offered.sender.ending(), receiver });
    assertEquals(await Deno.readTextFile(`${into}/x`), "after all");
  }
});

Deno.test("a hub that is told to end makes no new codes and lets those in use finish", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox, ["--drain", "60s"]);
  const url = new URL(hub.url);
  const person = await sandbox.person("operator");
  using sender = await HubClient.connect(url, "sender");
  const { nameplate } = await sender.ask({ type: "allocate" }, "allocated");
  const { mailbox } = await sender.ask({ type: "claim", nameplate }, "claimed");
  sender.say({ type: "open", mailbox });
  hub.hub.signal("SIGTERM");
  await hub.hub.event("warning", ({ message }) => message.includes("1 connection has a code"));

  using late = await HubClient.connect(url, "late");
  assertEquals((await late.ask({ type: "allocate" }, "allocated")).code, "HUB_REFUSED");
  const status = await run(["hub", "status", "--json", hub.url], { person });
  assertEquals([status.code, status.events[0]?.status], [0, "draining"]);

  using receiver = await HubClient.connect(url, "receiver");
  await receiver.ask({ type: "claim", nameplate, must_exist: true }, "claimed");
  receiver.say({ type: "open", mailbox });
  const heard = sender.wait("message");
  receiver.say({ type: "add", phase: "pake", body: "00" });
  assertEquals((await heard).body, "00");
  for (const client of [sender, receiver]) await client.ask({ type: "close" }, "closed");
  assertEquals((await hub.hub.ending(30_000)).code, 143);
});

Deno.test("a second signal ends a draining hub at once", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox, ["--drain", "1h"]);
  using sender = await HubClient.connect(new URL(hub.url), "sender");
  await sender.ask({ type: "claim", nameplate: "7" }, "claimed");
  hub.hub.signal("SIGTERM");
  await hub.hub.event("warning");
  hub.hub.signal("SIGTERM");
  assertEquals((await hub.hub.ending(30_000)).code, 143);
});

Deno.test("hub status asks a hub how it is, and says when there is none", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox, ["--metrics-listen", "127.0.0.1:0"]);
  const person = await sandbox.person("operator");
  const { events } = await run(["hub", "status", "--json", hub.url], { person });
  const { event, status, connections, nameplates, mailboxes, uptime_ms } = events[0]!;
  assertEquals([event, status, connections, nameplates, mailboxes], ["hub_status", "ok", 0, 0, 0]);
  assertTrue(uptime_ms >= 0 && uptime_ms < 60_000, String(uptime_ms));
  const told = await run(["hub", "status"], { person, env: { WORMHOLE_SIGNAL_SERVER: hub.url } });
  assertTrue(/works, up .*: 0 connections/.test(told.stderr), told.stderr);
  assertFailed(await run(["hub", "status"], { person }), 2, /name it/);

  const { metrics } = await hub.hub.event("listening");
  assertTrue((await (await fetch(metrics)).text()).includes("wormhole_hub_connections 0\n"));
  assertEquals((await fetch(hub.url.replace("ws:", "http:").replace("/v1", "/metrics"))).status, 404);
  await hub[Symbol.asyncDispose]();
  assertFailed(await run(["hub", "status", hub.url], { person }), 4, /nothing answers/);
});

Deno.test("a code at a hub says when it ends", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox, ["--code-ttl", "2h"]);
  const person = await sandbox.person("sender");
  await using sender = start(["send", "--json", "--hub", hub.url, "--text", "x"], { person });
  const { expires_at } = await sender.event("code");
  const leftMs = Date.parse(expires_at) - Date.now();
  assertTrue(leftMs > 7_100_000 && leftMs <= 7_200_000, expires_at);
});

/** Waits until a log has `words`. */
async function logSays(path: string, words: string): Promise<void> {
  using watcher = Deno.watchFs(path);
  if ((await Deno.readTextFile(path)).includes(words)) return;
  for await (const _ of watcher) if ((await Deno.readTextFile(path)).includes(words)) return;
}

async function filesText(folder: string, prefix: string): Promise<string> {
  let text = "";
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith(prefix)) {
      text += new TextDecoder("latin1").decode(await Deno.readFile(`${folder}/${name}`));
    }
  }
  return text;
}

/** The mailbox client against the real hub over loopback. */
import { assertEquals, assertRejects, assertTrue } from "../../src/base/testing.ts";
import { MailboxClient } from "../../src/pairing/mailbox_client.ts";
import { hubFor, text } from "./harness.ts";

Deno.test("two clients swap messages through a hub, early ones included", async () => {
  await using hub = await hubFor();
  await using one = await hub.client();
  const nameplate = await one.allocate();
  await one.claim(nameplate);
  one.add("pake", text("early"));
  await using two = await hub.client();
  assertEquals(await two.list(), [nameplate]);
  await two.claim(nameplate, { mustExist: true });
  const early = await two.next();
  assertEquals([early.side, early.phase, new TextDecoder().decode(early.body)], [one.side, "pake", "early"]);
  two.add("pake", text("late"));
  assertEquals(new TextDecoder().decode((await one.next()).body), "late");
  await one.release();
  await one.close("happy");
  await two.close("happy");
  assertEquals(hub.service.counts.mailboxes, 0);
});

Deno.test("a hub refuses wrong, used, crowded and expired codes in plain words", async () => {
  const clock = { nowMs: 1_000_000 };
  await using hub = await hubFor({ nowMs: () => clock.nowMs, limits: { codeTtlMs: 60_000 } });
  await using one = await hub.client();
  await one.claim("7");
  await using stray = await hub.client();
  await assertRejects(() => stray.claim("8", { mustExist: true }), "CODE_NOT_FOUND", "nobody offers it");
  await using two = await hub.client();
  await two.claim("7", { mustExist: true });
  await using three = await hub.client();
  await assertRejects(() => three.claim("7", { mustExist: true }), "CODE_CROWDED", "two others");
  await one.close("happy");
  await two.close("happy");
  await using four = await hub.client();
  await assertRejects(() => four.claim("7", { mustExist: true }), "CODE_USED", "already used");
  await using five = await hub.client();
  await five.claim("9");
  clock.nowMs += 60_000;
  await using six = await hub.client();
  await assertRejects(() => six.claim("9", { mustExist: true }), "CODE_EXPIRED", "expired");
  await assertRejects(() => five.next(), "CODE_EXPIRED", "expired");
});

Deno.test("a hub slows down whoever tries out nameplates", async () => {
  await using hub = await hubFor({ limits: { claimBurst: 3, claimsPerMinute: 1 }, nowMs: () => 0 });
  const attempt = async () => {
    await using client = await hub.client();
    await client.claim("7", { mustExist: true });
  };
  for (let tries = 0; tries < 3; tries++) await assertRejects(attempt, "CODE_NOT_FOUND");
  await assertRejects(attempt, "HUB_REFUSED", "too many codes");
});

Deno.test("a hub keeps open codes over a restart", async () => {
  const folder = await Deno.makeTempDir();
  try {
    let nameplate: string;
    {
      await using hub = await hubFor({ database: `${folder}/hub.sqlite` });
      await using one = await hub.client();
      nameplate = await one.allocate();
      await one.claim(nameplate);
      one.add("pake", text("kept"));
      await one.list(); // Answered after the message was stored.
    }
    await using hub = await hubFor({ database: `${folder}/hub.sqlite` });
    await using two = await hub.client();
    await two.claim(nameplate, { mustExist: true });
    assertEquals(new TextDecoder().decode((await two.next()).body), "kept");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a hub ends connections that send too much or rubbish, and goes on", async () => {
  await using hub = await hubFor({ limits: { mistakes: 3 } });
  await using big = await hub.client();
  await big.claim("7");
  big.add("pake", new Uint8Array(40_000));
  await assertRejects(() => big.next(), "CONNECTION_LOST");
  const raw = new WebSocket(hub.service.url);
  const closed = new Promise<CloseEvent>((resolve) => raw.addEventListener("close", resolve));
  raw.addEventListener("open", () => {
    for (const frame of ["{", new Uint8Array([0xff, 0xfe]), '"x"']) raw.send(frame);
  });
  assertEquals((await closed).code, 1008);
  await using other = await hub.client();
  await other.claim("8");
});

Deno.test("a hub answers health checks and explains other requests", async () => {
  await using hub = await hubFor();
  const base = hub.service.url.replace("ws:", "http:").replace("/v1", "");
  const health = await (await fetch(`${base}/healthz`)).json();
  assertEquals(health, { status: "ok", connections: 0, nameplates: 0, mailboxes: 0 });
  for (const [path, status] of [["/", 404], ["/v1", 426]] as const) {
    const response = await fetch(base + path);
    await response.body?.cancel();
    assertEquals(response.status, status, path);
  }
});

Deno.test("a hub that ends lets clients take what was sent to them", async () => {
  const hub = await hubFor();
  await using one = await hub.client();
  await one.claim("7");
  await using two = await hub.client();
  await two.claim("7", { mustExist: true });
  one.add("pake", text("last words"));
  await one.list();
  await hub[Symbol.asyncDispose]();
  assertEquals(new TextDecoder().decode((await two.next()).body), "last words");
  await assertRejects(() => two.next(), "CONNECTION_LOST");
});

Deno.test("MailboxClient.connect() says when nothing listens or nothing answers", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const url = new URL(`ws://127.0.0.1:${port}/v1`);
  await assertRejects(
    () => MailboxClient.connect(url, { appId: "test", timeoutMs: 50 }),
    "HUB_UNREACHABLE",
    "does not answer",
  );
  const controller = new AbortController();
  const connecting = MailboxClient.connect(url, { appId: "test", signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => connecting, undefined, "enough");
  listener.close();
  await assertRejects(
    () => MailboxClient.connect(url, { appId: "test" }),
    "HUB_UNREACHABLE",
    "nothing listens there",
  );
});

Deno.test("next() and claim() reject with the signal's reason", async () => {
  await using hub = await hubFor();
  await using one = await hub.client();
  await one.claim("7");
  const controller = new AbortController();
  const waiting = one.next({ signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => waiting, undefined, "enough");
  assertTrue(controller.signal.aborted);
  await one.close("lonely");
});

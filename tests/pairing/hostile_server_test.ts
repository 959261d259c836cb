/** The mailbox client against servers that lie. */
import { assertEquals, assertRejects } from "../../src/base/testing.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import { MailboxClient } from "../../src/pairing/mailbox_client.ts";
import { APP_ID } from "./harness.ts";

/** Answers each client with `frames` at once, and every request with `reply`. */
function lyingServer(
  frames: (string | Uint8Array<ArrayBuffer>)[],
  reply: object[] = [],
): { url: URL; end(): Promise<void> } {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    const send = (frame: string | Uint8Array<ArrayBuffer>) =>
      socket.readyState === WebSocket.OPEN && socket.send(frame);
    socket.addEventListener("open", () => frames.forEach(send));
    socket.addEventListener("message", () => reply.forEach((each) => send(JSON.stringify(each))));
    socket.addEventListener("error", () => {}); // The client hangs up at will.
    return response;
  });
  return { url: new URL(`ws://127.0.0.1:${server.addr.port}/v1`), end: () => server.shutdown() };
}

const WELCOME = '{"type":"welcome","welcome":{}}';

Deno.test("MailboxClient refuses servers that do not welcome it properly", async () => {
  const rows: [string, (string | Uint8Array<ArrayBuffer>)[], ErrorCode, string][] = [
    ["garbage", ["\u0000\u0001"], "PROTOCOL", "not JSON"],
    ["binary", [new Uint8Array(10)], "PROTOCOL", "not text"],
    ["wrong shape", ['{"type":"welcome","welcome":[]}'], "PROTOCOL", "welcome is empty"],
    ["too long", [`{"type":"x","pad":"${"x".repeat(300_000)}"}`], "LIMIT_EXCEEDED", "too long"],
    [
      "refusal",
      ['{"type":"welcome","welcome":{"error":"closed for \\u001b[31mtoday"}}'],
      "HUB_REFUSED",
      "closed for ?[31mtoday",
    ],
    ["error first", ['{"type":"error","error":"no"}'], "HUB_REFUSED", "no"],
  ];
  for (const [description, frames, code, words] of rows) {
    const server = lyingServer(frames);
    const error = await assertRejects(
      () => MailboxClient.connect(server.url, { appId: APP_ID, timeoutMs: 5_000 }),
      code,
      words,
    );
    assertEquals(error.name, "WormholeError", description);
    await server.end();
  }
});

Deno.test("MailboxClient bounds what a server can pile up", async () => {
  const message = (phase: number) =>
    JSON.stringify({ type: "message", side: "bb", phase: String(phase), body: "00" });
  const server = lyingServer([WELCOME, ...Array.from({ length: 300 }, (_, phase) => message(phase))]);
  {
    await using client = await MailboxClient.connect(server.url, { appId: APP_ID });
    const error = await assertRejects(async () => {
      await client.claim("7");
    });
    assertEquals((error as { code?: string }).code, "LIMIT_EXCEEDED");
  }
  await server.end();
});

Deno.test("MailboxClient passes over answers that nobody asked for", async () => {
  const stray = [{ type: "closed" }, { type: "released" }, { type: "ack", id: "x" }, {
    type: "future",
    x: [1],
  }];
  const server = lyingServer([WELCOME], [...stray, { type: "claimed", mailbox: "m" }]);
  {
    await using client = await MailboxClient.connect(server.url, { appId: APP_ID });
    await client.claim("7");
  }
  await server.end();
});

Deno.test("MailboxClient reports a server that hangs up or falls silent", async () => {
  const silent = lyingServer([WELCOME]);
  {
    await using client = await MailboxClient.connect(silent.url, { appId: APP_ID, timeoutMs: 30 });
    await assertRejects(() => client.claim("7"), "HUB_UNREACHABLE", "does not answer");
  }
  await silent.end();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.addEventListener("open", () => socket.send(WELCOME));
    socket.addEventListener("message", () => socket.close());
    return response;
  });
  {
    await using client = await MailboxClient.connect(new URL(`ws://127.0.0.1:${server.addr.port}/v1`), {
      appId: APP_ID,
    });
    await assertRejects(() => client.claim("7"), "CONNECTION_LOST", "was lost");
  }
  await server.shutdown();
});

Deno.test("MailboxClient gives up a code for many at a server that knows no such codes", async () => {
  const server = lyingServer([WELCOME], [{ type: "claimed", mailbox: "m" }]);
  {
    await using client = await MailboxClient.connect(server.url, { appId: APP_ID });
    await assertRejects(
      () => client.claim("7", { many: true }),
      "UNSUPPORTED",
      "one code for several receivers",
    );
  }
  await server.end();
});

Deno.test("MailboxClient keeps only so many who came, and goes on", async () => {
  const arrived = (i: number) => JSON.stringify({ type: "arrived", mailbox: `m${i}` });
  const server = lyingServer(
    [WELCOME, ...Array.from({ length: 2000 }, (_, i) => arrived(i))],
    [{ type: "claimed", mailbox: "m", many: true }],
  );
  {
    await using client = await MailboxClient.connect(server.url, { appId: APP_ID });
    await client.claim("7", { many: true });
    for (let i = 0; i < 256; i++) assertEquals(await client.nextArrival(), `m${i}`);
    const stop = new AbortController();
    const next = assertRejects(() => client.nextArrival({ signal: stop.signal }), undefined, "enough");
    stop.abort(new Error("enough"));
    await next;
  }
  await server.end();
});

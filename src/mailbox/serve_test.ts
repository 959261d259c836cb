/** What the server does on real sockets beside passing messages: other requests, origins, TLS, slow and idle clients. */
import { assertEquals, assertTrue } from "../base/testing.ts";
import { MemoryMailboxStore } from "./memory_store.ts";
import { type MailboxService, serveMailbox, type ServeMailboxOptions } from "./serve.ts";
import { maskedFrame, selfSigned } from "./testing.ts";
import { OPCODE } from "./websocket.ts";

const OPENING = "upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n" +
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

function serve(options: Partial<ServeMailboxOptions> = {}): MailboxService & { reasons: string[] } {
  const reasons: string[] = [];
  const service = serveMailbox({
    hostname: "127.0.0.1",
    port: 0,
    store: new MemoryMailboxStore(),
    report: (report) => report.event === "refused" && reasons.push(report.reason),
    ...options,
  });
  return Object.assign(service, { reasons });
}

/** Sends `text` and gives what comes back until `enough` of it is there or the server hangs up. */
async function ask(
  conn: Deno.Conn,
  text: string | Uint8Array,
  enough: (answer: string) => boolean = () => false,
): Promise<string> {
  await conn.write(typeof text === "string" ? new TextEncoder().encode(text) : text);
  let answer = "";
  const buffer = new Uint8Array(4096);
  while (!enough(answer)) {
    const length = await conn.read(buffer).catch(() => null);
    if (length === null) break;
    answer += new TextDecoder("latin1").decode(buffer.subarray(0, length));
  }
  return answer;
}

const connect = ({ port }: MailboxService) => Deno.connect({ hostname: "127.0.0.1", port });

Deno.test("serveMailbox() answers other requests in plain words", async () => {
  await using service = serve();
  const rows: [string, string, string][] = [
    ["something else", "GET /x HTTP/1.1\r\n\r\n", "404"],
    ["another method", "POST /healthz HTTP/1.1\r\n\r\n", "405"],
    ["no WebSocket", "GET /v1 HTTP/1.1\r\n\r\n", "426"],
    ["no HTTP", "hello\r\n\r\n", "400"],
    ["TLS", "\u0016\u0003\u0001\r\n\r\n", "400"],
    ["an endless head", `GET / HTTP/1.1\r\na: ${"x".repeat(9_000)}`, "400"],
    ["health", "GET /healthz HTTP/1.1\r\n\r\n", "200"],
  ];
  for (const [description, request, status] of rows) {
    using conn = await connect(service);
    const answer = await ask(conn, request);
    assertTrue(answer.startsWith(`HTTP/1.1 ${status} `), `${description}: ${answer}`);
  }
});

Deno.test("serveMailbox() refuses web pages but those that are allowed", async () => {
  await using service = serve({ allowOrigins: ["https://good.example"] });
  for (
    const [origin, status] of [
      ["", "101"],
      ["origin: https://good.example\r\n", "101"],
      ["origin: https://evil.example\r\n", "403"],
      ["origin: null\r\n", "403"],
    ] as const
  ) {
    using conn = await connect(service);
    const answer = await ask(
      conn,
      `GET /v1 HTTP/1.1\r\n${OPENING}${origin}\r\n`,
      (text) => text.includes("\r\n\r\n"),
    );
    assertTrue(answer.startsWith(`HTTP/1.1 ${status} `), `${origin}: ${answer}`);
  }
  assertEquals(service.reasons, ["origin", "origin"]);
});

Deno.test("this program's own client sends no Origin", async () => {
  await using service = serve();
  const socket = new WebSocket(service.url);
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.addEventListener("message", ({ data }) => resolve(JSON.parse(data).type));
  socket.addEventListener("error", () => resolve("refused"));
  assertEquals(await promise, "welcome");
  socket.close();
});

Deno.test("serveMailbox() refuses a message's length before its bytes come", async () => {
  await using service = serve({ limits: { messageBytes: 1_000 } });
  using conn = await connect(service);
  await ask(conn, `GET /v1 HTTP/1.1\r\n${OPENING}\r\n`, (text) => text.includes("welcome"));
  const head = maskedFrame(OPCODE.text, new Uint8Array(70_000)).subarray(0, 14);
  const answer = await ask(conn, head);
  assertTrue(answer.includes("too long"), answer);
  assertEquals([service.counts.connections, service.reasons], [0, ["too long"]]);
});

Deno.test("serveMailbox() reads frames that come with the opening, and answers pings", async () => {
  await using service = serve();
  using conn = await connect(service);
  const opening = new TextEncoder().encode(`GET /v1 HTTP/1.1\r\n${OPENING}\r\n`);
  const ping = maskedFrame(OPCODE.ping, new TextEncoder().encode("echo me"));
  const bytes = new Uint8Array([...opening, ...ping]);
  const answer = await ask(conn, bytes, (text) => text.includes("echo me"));
  assertTrue(answer.includes("welcome"), answer);
});

Deno.test("serveMailbox() drops a client that floods it with pings", async () => {
  await using service = serve({ limits: { messageBurst: 5, messagesPerSecond: 0.001 } });
  using conn = await connect(service);
  const opening = new TextEncoder().encode(`GET /v1 HTTP/1.1\r\n${OPENING}\r\n`);
  const pings = Array.from({ length: 20 }, () => [...maskedFrame(OPCODE.ping, new Uint8Array(0))]).flat();
  const answer = await ask(conn, new Uint8Array([...opening, ...pings]));
  assertTrue(answer.includes("too many messages"), answer);
  assertEquals(service.reasons, ["messages per connection"]);
});

Deno.test("serveMailbox() bounds connections of one address before they say a word", async () => {
  await using service = serve({ limits: { connectionsPerAddress: 2 } });
  const conns: Deno.Conn[] = [];
  try {
    // Two WebSockets, and some to spare for those that ask for health.
    for (let count = 0; count < 80; count++) conns.push(await connect(service));
    const last = conns.at(-1)!;
    assertEquals(await last.read(new Uint8Array(1)).catch(() => null), null);
    assertTrue(service.reasons.length > 0 && service.reasons.every((reason) => reason === "connections"));
  } finally {
    for (const conn of conns) conn.close();
  }
});

Deno.test("serveMailbox() speaks TLS, and changes its certificate while connections go on", async () => {
  const [first, second] = [await selfSigned(), await selfSigned()];
  if (first === undefined || second === undefined) return console.log("skipped: no openssl here");
  await using service = serve({ tls: first });
  assertTrue(service.url.startsWith("wss://127.0.0.1:"));
  const secure = (cert: string) =>
    Deno.connectTls({ hostname: "127.0.0.1", port: service.port, caCerts: [cert] });
  const welcomed = (text: string) => text.includes("welcome");
  using before = await secure(first.cert);
  await ask(before, `GET /v1 HTTP/1.1\r\n${OPENING}\r\n`, welcomed);
  let refused: unknown;
  await service.renew({ cert: "nonsense", key: second.key }).catch((error) => refused = error);
  assertTrue(String(refused).includes("Cannot use the TLS certificate"), String(refused));
  {
    using still = await secure(first.cert);
    await ask(still, `GET /v1 HTTP/1.1\r\n${OPENING}\r\n`, welcomed);
  }
  await service.renew(second);
  using after = await secure(second.cert);
  await ask(after, `GET /v1 HTTP/1.1\r\n${OPENING}\r\n`, welcomed);
  const old = await ask(
    before,
    maskedFrame(OPCODE.ping, new TextEncoder().encode("echo")),
    (text) => text.includes("echo"),
  );
  assertTrue(old.includes("echo"), "an old connection goes on");
  let failure: unknown;
  try {
    using conn = await secure(first.cert);
    await conn.handshake();
  } catch (error) {
    failure = error;
  }
  assertTrue(failure !== undefined, "the old certificate is not shown any more");
});

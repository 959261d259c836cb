import { systemClock } from "../base/clock.ts";
import { formatLogJson, Logger, type LogRecord } from "../base/log.ts";
import { assertEquals, assertRejects, assertThrows, assertTrue } from "../base/testing.ts";
import { runHub } from "./hub.ts";
import { parseListen } from "./listen.ts";

function recorder(): { log: Logger; records: LogRecord[] } {
  const records: LogRecord[] = [];
  return {
    records,
    log: new Logger({ level: "trace", clock: systemClock, sink: (record) => records.push(record) }),
  };
}

/** Opens a WebSocket, sends `frames` one by one after each answer, and gives the answers. */
async function talk(url: string, frames: object[]): Promise<string[]> {
  const socket = new WebSocket(url);
  const answers: string[] = [];
  const closed = new Promise<void>((resolve) => socket.addEventListener("close", () => resolve()));
  socket.addEventListener("message", ({ data }) => {
    const { server_tx: _, ...answer } = JSON.parse(data);
    answers.push(answer.type);
    if (answer.type === "closed") return socket.close();
    const next = frames.shift();
    if (next !== undefined) socket.send(JSON.stringify(next));
  });
  await closed;
  return answers;
}

Deno.test("runHub() serves until it is told to end, and its log holds no secrets", async () => {
  const { log, records } = recorder();
  const controller = new AbortController();
  const listening = Promise.withResolvers<string>();
  const running = runHub({
    listen: "127.0.0.1:0",
    log,
    signal: controller.signal,
    motd: "hello",
    onListening: ({ url }) => listening.resolve(url),
  });
  const url = await listening.promise;
  const answers = await talk(url, [
    { type: "ping", ping: 1 },
    { type: "bind", appid: "secret-app", side: "secret-side", id: "1" },
    { type: "claim", nameplate: "424242" },
    { type: "close", mood: "scary" },
  ]);
  assertEquals(answers, ["welcome", "pong", "ack", "claimed", "closed"]);
  controller.abort();
  await running;
  const text = records.map(formatLogJson).join("\n");
  assertTrue(text.includes("hub listens") && text.includes("hub ends") && text.includes("scary"), text);
  assertTrue(!text.includes("secret") && !text.includes("424242"), text);
});

Deno.test("runHub() says when its port is in use", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const { log } = recorder();
  const { signal } = new AbortController();
  await assertRejects(
    () => runHub({ listen: `127.0.0.1:${port}`, log, signal }),
    "ADDRESS_IN_USE",
    `Cannot listen on 127.0.0.1:${port}: another program uses it`,
  );
});

Deno.test("runHub() says when its database is unusable", async () => {
  const folder = await Deno.makeTempDir();
  const { log } = recorder();
  const { signal } = new AbortController();
  const run = (database: string) => runHub({ listen: "127.0.0.1:0", database, log, signal });
  try {
    await Deno.writeTextFile(`${folder}/text`, "this is no database, whatever its name says".repeat(50));
    await assertRejects(() => run(`${folder}/text`), "CORRUPT", `"${folder}/text"`);
    await assertRejects(() => run(`${folder}/none/hub.sqlite`), "IO", "none/hub.sqlite");
    const { DatabaseSync } = await import("node:sqlite");
    const newer = new DatabaseSync(`${folder}/newer`);
    newer.exec("PRAGMA user_version = 99");
    newer.close();
    await assertRejects(() => run(`${folder}/newer`), "VERSION_UNSUPPORTED", "newer version");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("parseListen() reads where to listen", () => {
  const rows = [
    ["4000", undefined, 4000],
    [":4000", undefined, 4000],
    ["*:4000", undefined, 4000],
    ["127.0.0.1:0", "127.0.0.1", 0],
    ["[::1]:4000", "::1", 4000],
    ["hub.example.org:4000", "hub.example.org", 4000],
  ] as const;
  for (const [text, hostname, port] of rows) assertEquals(parseListen(text), { hostname, port }, text);
  for (const text of ["", "host", "1.2.3.4:70000", "::1:4000", "a b:1", "http://x:1"]) {
    assertThrows(() => parseListen(text), "INVALID_ARGUMENT", "host:port");
  }
});

import { assertEquals, assertTrue } from "../base/testing.ts";
import { type Traffic, WebSocketLink, type WebSocketLinkOptions } from "./web_socket_link.ts";

/** A link over a real socket, with a clock that the test moves, and the client's end of it. */
async function linked(options: Partial<WebSocketLinkOptions> = {}) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const client = await Deno.connect({ hostname: "127.0.0.1", port });
  const conn = await listener.accept();
  const traffic: Traffic = { unsent: 0, bytesIn: 0, bytesOut: 0, messagesIn: 0, messagesOut: 0 };
  const told: string[] = [];
  const time = { nowMs: 0 };
  const link = new WebSocketLink({
    conn,
    traffic,
    maxBytes: 1_000,
    unsentBytes: 1e6,
    totalUnsentBytes: 1e7,
    nowMs: () => time.nowMs,
    onMessage: () => told.push("message"),
    onControl: () => told.push("control"),
    onRefused: (reason) => told.push(reason),
    onEnd: () => told.push("end"),
    ...options,
  });
  const running = link.run(new Uint8Array(0));
  return { link, client, traffic, told, time, running };
}

Deno.test("WebSocketLink pings a silent client, and drops one that stays silent", async () => {
  const alive = Promise.withResolvers<void>();
  const { link, client, told, time, running } = await linked({ onControl: alive.resolve });
  using _client = client;
  const buffer = new Uint8Array(100);
  time.nowMs = 29_999;
  link.tick();
  time.nowMs = 30_000;
  link.tick();
  link.tick();
  assertEquals(await client.read(buffer), 2);
  assertEquals([...buffer.subarray(0, 2)], [0x89, 0], "one ping, not two");
  // A pong is a sign of life.
  await client.write(Uint8Array.of(0x8a, 0x80, 0, 0, 0, 0));
  await alive.promise;
  time.nowMs = 60_000;
  link.tick();
  assertEquals(await client.read(buffer), 2);
  time.nowMs = 90_000;
  link.tick();
  assertEquals(told, ["silent"]);
  const length = await client.read(buffer);
  assertTrue(buffer[0] === 0x88 && length! > 2, "told by a close frame");
  client.close();
  await running;
  assertEquals(told.at(-1), "end");
});

Deno.test("WebSocketLink holds no more for a client that never reads than it may, and nothing afterwards", async () => {
  const { link, client, traffic, told, running } = await linked();
  const text = "x".repeat(50_000);
  let most = 0;
  for (let count = 0; count < 1_000 && !told.includes("too slow"); count++) {
    link.send(text);
    most = Math.max(most, traffic.unsent);
    await Promise.resolve();
  }
  assertEquals(told, ["too slow"]);
  assertTrue(most <= 1e6 + 2 * text.length, `${most} bytes waited`);
  await running;
  assertEquals([told, traffic.unsent], [["too slow", "end"], 0]);
  client.close();
});

Deno.test("WebSocketLink writes what is said at once as one piece", async () => {
  const { link, client, running } = await linked();
  for (const text of ["one", "two", "three"]) link.send(text);
  const buffer = new Uint8Array(100);
  assertEquals(await client.read(buffer), 3 * 2 + "onetwothree".length);
  client.close();
  await running;
});

Deno.test("WebSocketLink answers a head whose payload is held back", async () => {
  const came = Promise.withResolvers<string | undefined>();
  const { client, running } = await linked({ onMessage: came.resolve });
  await client.write(Uint8Array.of(0x81, 0x85, 0, 0, 0, 0));
  const buffer = new Uint8Array(100);
  assertEquals(await client.read(buffer), 2);
  assertEquals([...buffer.subarray(0, 2)], [0x8a, 0], "a pong");
  await client.write(new TextEncoder().encode("hello"));
  assertEquals(await came.promise, "hello");
  client.close();
  await running;
});

Deno.test("WebSocketLink drops who is behind when all together are too far behind, and nobody else", async () => {
  const { link, client, traffic, told, running } = await linked();
  traffic.unsent = 2e7;
  link.send("short");
  assertEquals(told, []);
  link.send("x".repeat(100_000));
  assertEquals(told, ["too slow"]);
  await running;
  assertEquals(traffic.unsent, 2e7);
  client.close();
});

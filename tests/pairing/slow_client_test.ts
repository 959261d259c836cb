/** A client that asks and never reads, written by hand, since a WebSocket always reads. */
import { assertEquals } from "../../src/base/testing.ts";
import { hubFor } from "./harness.ts";

const PINGS_PER_WRITE = 2_000;

Deno.test("a hub drops a client that does not take its answers", async () => {
  const dropped = Promise.withResolvers<string>();
  await using hub = await hubFor({
    limits: { messageBurst: 1e9 },
    report: (report) => report.event === "refused" && dropped.resolve(report.reason),
  });
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: hub.service.port });
  const upgrade = [
    "GET /v1 HTTP/1.1",
    "Host: hub",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
  ].join("\r\n") + "\r\n\r\n";
  await writeAll(connection, new TextEncoder().encode(upgrade));
  const ping = frame(JSON.stringify({ type: "ping", ping: 1, id: "x".repeat(100) }));
  const many = new Uint8Array(ping.length * PINGS_PER_WRITE);
  for (let at = 0; at < many.length; at += ping.length) many.set(ping, at);
  const flooding = (async () => {
    let open = true;
    dropped.promise.then(() => open = false);
    while (open) await Promise.race([writeAll(connection, many), dropped.promise]);
  })();
  assertEquals(await dropped.promise, "too slow");
  assertEquals(hub.service.counts.connections, 0);
  await flooding.catch(() => {}); // The hub hung up in the middle of a write.
});

/** Builds a masked text frame (RFC 6455 §5.2) with a mask of zeros. */
function frame(text: string): Uint8Array {
  const payload = new TextEncoder().encode(text);
  return Uint8Array.from([
    0x81,
    0x80 | 126,
    payload.length >> 8,
    payload.length & 255,
    0,
    0,
    0,
    0,
    ...payload,
  ]);
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

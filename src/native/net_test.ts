import { createSocket } from "node:dgram";
import { NativeQueue } from "./queue.ts";
import {
  accept,
  allowPeer,
  closeConnection,
  closeEndpoint,
  type ConnectionHandle,
  connectionStats,
  dial,
  memoryPair,
  openBulk,
  openEndpoint,
  ownAddresses,
  receiveFrame,
  sendFrame,
  type TransportKind,
} from "./net.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";

const LOOPBACK = ["127.0.0.1:0"];

function seed(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte);
}

async function pair(queue: NativeQueue, kind: TransportKind): Promise<[ConnectionHandle, ConnectionHandle]> {
  if (kind === "memory") {
    const { a, b } = await memoryPair(queue);
    return [a, b];
  }
  const a = await openEndpoint(queue, { secretKey: seed(1), bind: LOOPBACK });
  const b = await openEndpoint(queue, { secretKey: seed(2), bind: LOOPBACK });
  await allowPeer(queue, { endpoint: b.endpoint, peerKey: a.publicKey });
  const address = (kind === "tcp" ? b.tcp : b.quic)[0]!;
  const [dialled, accepted] = await Promise.all([
    dial(queue, a.endpoint, { kind, address, peerKey: b.publicKey, timeoutMs: 60_000 }),
    accept(queue, b.endpoint),
  ]);
  assertEquals([dialled.kind, accepted.kind], [kind, kind]);
  assertEquals(dialled.peerKey, b.publicKey);
  assertEquals(accepted.peerKey, a.publicKey);
  assertEquals(dialled.remote, address);
  return [dialled.connection, accepted.connection];
}

for (const kind of ["memory", "tcp", "quic"] as const) {
  Deno.test(`net ${kind}: frames go both ways and null ends them`, async () => {
    await using queue = NativeQueue.open();
    const [a, b] = await pair(queue, kind);
    const frame = crypto.getRandomValues(new Uint8Array(60_000));
    await sendFrame(queue, { connection: a, frame });
    assertEquals(await receiveFrame(queue, b), frame);
    await sendFrame(queue, { connection: b, frame: new Uint8Array() });
    assertEquals(await receiveFrame(queue, a), new Uint8Array());
    await Promise.all([
      openBulk(queue, { connection: a, streams: 3 }),
      openBulk(queue, { connection: b, streams: 3 }),
    ]);
    const stats = await connectionStats(queue, a);
    assertEquals(stats.bytesSent, 60_000);
    await sendFrame(queue, { connection: a, frame: frame.subarray(0, 9) });
    await closeConnection(queue, { connection: a, code: 0, reason: "" });
    assertEquals(await receiveFrame(queue, b), frame.subarray(0, 9));
    assertEquals(await receiveFrame(queue, b), null);
    await assertRejects(() => receiveFrame(queue, a), "CLOSED");
  });

  Deno.test(`net ${kind}: a frame over the limit is refused`, async () => {
    await using queue = NativeQueue.open();
    const [a] = await pair(queue, kind);
    const frame = new Uint8Array((1 << 20) + 1);
    await assertRejects(() => sendFrame(queue, { connection: a, frame }), "LIMIT_EXCEEDED");
  });
}

Deno.test("dial() says why it cannot connect", async () => {
  await using queue = NativeQueue.open();
  const a = await openEndpoint(queue, { secretKey: seed(1), bind: LOOPBACK });
  const b = await openEndpoint(queue, { secretKey: seed(2), bind: LOOPBACK });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const dead = `127.0.0.1:${(listener.addr as Deno.NetAddr).port}`;
  listener.close();
  const to = (kind: TransportKind, address: string) =>
    dial(queue, a.endpoint, { kind, address, peerKey: b.publicKey, timeoutMs: 60_000 });
  await assertRejects(() => to("tcp", dead), "CONNECT_FAILED", `${dead} over tcp: connection refused`);
  await assertRejects(() => to("tcp", b.tcp[0]!), "PEER_UNAUTHENTICATED");
  await assertRejects(() => to("quic", b.quic[0]!), "PEER_UNAUTHENTICATED");
  await assertRejects(() => to("tcp", "example.org:1"), "INVALID_ARGUMENT");
  await assertRejects(
    () => openEndpoint(queue, { secretKey: seed(1), bind: [b.tcp[0]!], quic: false }),
    "ADDRESS_IN_USE",
    "the port is in use",
  );
});

Deno.test("dial() and accept() end with their signal, and accept() with its endpoint", async () => {
  await using queue = NativeQueue.open();
  const a = await openEndpoint(queue, { secretKey: seed(1), bind: LOOPBACK });
  const silent = createSocket("udp4");
  await new Promise<void>((bound) => silent.bind(0, "127.0.0.1", bound));
  const address = `127.0.0.1:${silent.address().port}`;
  const b = await openEndpoint(queue, { secretKey: seed(2), tcp: false });
  assertEquals(b.tcp, []);
  const controller = new AbortController();
  const { signal } = controller;
  const dialling = dial(queue, a.endpoint, {
    kind: "quic",
    address,
    peerKey: b.publicKey,
    timeoutMs: 60_000,
    signal,
  });
  const accepting = accept(queue, b.endpoint, { signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => dialling, undefined, "enough");
  await assertRejects(() => accepting, undefined, "enough");
  const again = assertRejects(() => accept(queue, b.endpoint), "CLOSED");
  await closeEndpoint(queue, b.endpoint);
  await again;
  await new Promise<void>((closed) => silent.close(closed));
});

Deno.test("ownAddresses() ends with loopback", async () => {
  await using queue = NativeQueue.open();
  const addresses = await ownAddresses(queue);
  assertTrue(addresses.includes("127.0.0.1"));
  assertTrue(["127.0.0.1", "::1"].includes(addresses.at(-1)!));
});

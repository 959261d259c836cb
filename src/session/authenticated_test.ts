import { assertEquals, assertRejects, assertThrows } from "../base/testing.ts";
import { NativeQueue } from "../native/queue.ts";
import { memoryPair } from "../transport/memory.ts";
import { NativeLink } from "../transport/native_link.ts";
import { authenticated, sameKey } from "./authenticated.ts";

const KEY = new Uint8Array(32).fill(1);

Deno.test("authenticated() gives a connection whose disposal ends its endpoint, and whose close does not", async () => {
  await using queue = NativeQueue.open();
  const [near, far] = await memoryPair(queue);
  const { kind, remote, native } = near;
  const link = new NativeLink(queue, { connection: native, kind, remote, peerKey: KEY });
  let disposed = 0;
  const endpoint = { [Symbol.asyncDispose]: () => (disposed++, Promise.resolve()) };
  const connection = authenticated(link, KEY, { endpoint });
  assertEquals([connection.kind, connection.native, connection.peerKey], ["memory", native, KEY]);
  await connection.send(new Uint8Array([1]));
  assertEquals(await far.recv(), new Uint8Array([1]));
  await connection.close("REFUSED");
  await connection.close();
  assertEquals(disposed, 0);
  await connection[Symbol.asyncDispose]();
  await connection[Symbol.asyncDispose]();
  assertEquals(disposed, 1);
  await assertRejects(() => far.recv(), "REFUSED");
});

Deno.test("authenticated() refuses a link of another key", async () => {
  await using queue = NativeQueue.open();
  const [near, far] = await memoryPair(queue);
  assertThrows(() => authenticated(near, KEY), "PEER_UNAUTHENTICATED", "another machine");
  await Promise.all([near.close(), far.close()]);
});

Deno.test("sameKey() wants two whole keys", () => {
  assertEquals(sameKey(KEY, KEY.slice()), true);
  assertEquals(sameKey(KEY, new Uint8Array(32)), false);
  assertEquals(sameKey(new Uint8Array(0), new Uint8Array(0)), false);
  assertEquals(sameKey(KEY, new Uint8Array(33).fill(1)), false);
});

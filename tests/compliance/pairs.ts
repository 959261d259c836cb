/** Linked ends inside this process, over every transport, for the compliance suites. */
import { JOIN_LIMITS } from "../../src/hub/joins.ts";
import { NativeQueue } from "../../src/native/queue.ts";
import { closeRelay, openRelay, relayToken } from "../../src/native/relay.ts";
import { Endpoint } from "../../src/transport/endpoint.ts";
import type { DirectTransport } from "../../src/transport/hints.ts";
import { memoryPair } from "../../src/transport/memory.ts";
import type { LinkedPair } from "./transport.ts";

/** Gives a fresh machine key's seed. */
export function seed(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(32));
}

/** Links two ends in memory. */
export async function memoryLinks(): Promise<LinkedPair> {
  const queue = NativeQueue.open();
  const [a, b] = await memoryPair(queue);
  const nobody = new Uint8Array(32);
  return {
    queue,
    a,
    b,
    keyOfA: nobody,
    keyOfB: nobody,
    async [Symbol.asyncDispose]() {
      await Promise.all([a.close(), b.close()]);
      await queue.close();
    },
  };
}

/** Two endpoints of this process on loopback. */
export async function endpoints(transport: DirectTransport) {
  const queue = NativeQueue.open();
  const [dialler, listener] = await Promise.all(
    [1, 2].map(() => Endpoint.open(queue, { seed: seed(), transports: [transport] })),
  ) as [Endpoint, Endpoint];
  const hints = (await listener.hints()).filter(({ host }) => host === "127.0.0.1");
  return {
    queue,
    dialler,
    listener,
    hint: hints[0]!,
    async [Symbol.asyncDispose]() {
      await Promise.all([dialler.close(), listener.close()]);
      await queue.close();
    },
  };
}

/** Links two endpoints of this process that have nothing but a relay. */
export async function linksAtRelay(): Promise<LinkedPair> {
  const queue = NativeQueue.open();
  const { relay, addresses } = await openRelay(queue, {
    listen: ["127.0.0.1:0"],
    secret: seed(),
    maxClients: 2,
    joins: JOIN_LIMITS,
  });
  const place = {
    id: seed().subarray(16),
    url: `http://${addresses[0]}/`,
    token: await relayToken(queue, relay),
    pins: [],
  };
  const [dialler, listener] = await Promise.all(
    [1, 2].map(() => Endpoint.open(queue, { seed: seed(), transports: ["relay"] })),
  ) as [Endpoint, Endpoint];
  await listener.allow(dialler.publicKey, await dialler.useRelay(place));
  const [a, b] = await Promise.all([
    dialler.dial(await listener.useRelay(place), { peerKey: listener.publicKey }),
    listener.accept(),
  ]);
  return {
    queue,
    a,
    b,
    keyOfA: dialler.publicKey,
    keyOfB: listener.publicKey,
    async [Symbol.asyncDispose]() {
      await Promise.all([a.close(), b.close()]);
      await Promise.all([dialler.close(), listener.close()]);
      await closeRelay(queue, relay);
      await queue.close();
    },
  };
}

/** Links two endpoints of this process over loopback. */
export async function linksBy(transport: DirectTransport): Promise<LinkedPair> {
  const ends = await endpoints(transport);
  const { dialler, listener, hint } = ends;
  await listener.allow(dialler.publicKey);
  const [a, b] = await Promise.all([
    dialler.dial(hint, { peerKey: listener.publicKey }),
    listener.accept(),
  ]);
  return {
    queue: ends.queue,
    a,
    b,
    keyOfA: dialler.publicKey,
    keyOfB: listener.publicKey,
    async [Symbol.asyncDispose]() {
      await Promise.all([a.close(), b.close()]);
      await ends[Symbol.asyncDispose]();
    },
  };
}

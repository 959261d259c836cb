/**
 * Connections of two machines that the hub joins, so that they have one connection whose bytes the kernel passes on. What they say is sealed
 * between them. Spec: wire/spec/relay_join.md; the native library does it (`ffi/src/transit_relay/joins.rs`).
 */
import type { HttpAnswer, HttpRequest } from "../mailbox/http_request.ts";
import type { JoinRequest, RelayServerOptions } from "../native/relay.ts";

/** Where clients ask for it. */
export const JOIN_PATH = "/relay/join";

/** Limits of a hub for the public; why each: docs/hub.md. */
export const JOIN_LIMITS: RelayServerOptions["joins"] = Object.freeze({
  // A pair costs four descriptors for two sockets, and two pipes: within the 32,768 of packaging/.
  connections: 2_000,
  connectionsPerAddress: 64,
  // A transfer makes up to 16 at once, and again whenever it wants more streams.
  connectionBurst: 256,
  connectionsPerMinute: 240,
  waiting: 1_000,
  // Both come as soon as they have a connection over the relay.
  waitMs: 30_000,
  // The first of a link's connections says nothing while the others carry; machines that are gone are found by probes.
  idleMs: 24 * 60 * 60_000,
});

/** Longest token that is looked at. */
const MAX_TOKEN = 256;

/** Gives what a request to {@linkcode JOIN_PATH} asks for; undefined when it is malformed. */
export function parseJoin({ headers }: Pick<HttpRequest, "headers">): JoinRequest | undefined {
  const upgrades = (headers.get("upgrade") ?? "").toLowerCase().split(",").map((each) => each.trim());
  const [, token] = /^Bearer ([\x21-\x7e]+)$/i.exec(headers.get("authorization") ?? "") ?? [];
  const [, key, side] = /^([0-9a-f]{64}) ([01])$/.exec(headers.get("wormhole-join") ?? "") ?? [];
  if (!upgrades.includes("wormhole-join") || key === undefined) return undefined;
  if (token === undefined || token.length > MAX_TOKEN) return undefined;
  return { token, key, side: side === "0" ? 0 : 1 };
}

/** Gives the answer to a request that leads to no joined connection: why as the native library says it, or undefined when it was malformed. */
export function joinAnswer(why: string | undefined): HttpAnswer {
  if (why === undefined) return { status: 400, body: "this asks for nothing that can be joined\n" };
  if (why === "token") return { status: 403, body: "this hub serves machines that it has paired\n" };
  return { status: 503, body: `not joined: ${why}\n` };
}

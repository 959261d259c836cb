/**
 * Sessions of two machines that know each other: no code and nothing to compare. Their secret lets them find each other and
 * tell each other where they are; the keys that both kept make the connection. wire/spec/known_peers.md.
 */
import { anySignal } from "../base/any_signal.ts";
import { sameBytes } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { type Direction, KNOWN_APP_ID, knownCode, knownEntry, knownPort } from "../pairing/known_place.ts";
import type { Mailbox } from "../pairing/mailbox_client.ts";
import { pair } from "../pairing/pake.ts";
import type { Peer } from "../peers/mod.ts";
import type { PeerConnection } from "../transport/connection.ts";
import { abortable } from "../transport/abortable.ts";
import type { Acquainted, Introduced, OwnSide } from "./acquaintance.ts";
import { hostAcquainted } from "./host_session.ts";
import { decodeIntroduction, encodeIntroduction, NONCE_BYTES, PROTOCOL_VERSION } from "./introduction.ts";
import { joinAcquainted } from "./join_session.ts";
import { KnownSearch, type KnownWays } from "./known_search.ts";
import type { SessionOptions } from "./options.ts";
import { SECRET_BYTES } from "./reconnect_frame.ts";

/** Mailboxes of a sender's own server: its epochs', and what strangers may open without being in the way. */
const OWN_LIMITS = { mailboxes: 64, nameplates: 1, claimBurst: 60, claimsPerMinute: 60 } as const;

/** Options of {@linkcode hostKnown} and {@linkcode joinKnown}. */
export interface KnownSessionOptions extends Omit<SessionOptions, "confirm" | "guesses"> {
  readonly known: Pick<Peer, "name" | "key" | "secret" | "hosts">;
  /** Tells whether the person still wants to know the machine: it may have been forgotten since the search began. */
  readonly stillKnown: () => Promise<boolean>;
  readonly ways: KnownWays;
}

/**
 * Waits for a machine that is known and gives the connection that it makes; the sender's part.
 *
 * @throws {WormholeError} REFUSED when it was forgotten meanwhile, PEER_UNAUTHENTICATED when its key is another one,
 * VERSION_UNSUPPORTED, CONNECT_FAILED; the signal's reason.
 */
export function hostKnown(options: KnownSessionOptions): Promise<PeerConnection> {
  return hostAcquainted(options, (own) => acquaint(options, own, "sender"));
}

/** Goes to a machine that is known, whenever it comes; the receiver's part. @throws {WormholeError} as {@linkcode hostKnown}. */
export function joinKnown(options: KnownSessionOptions): Promise<PeerConnection> {
  options.onEvent?.({ type: "looking" });
  return joinAcquainted(options, (own) => acquaint(options, own, "receiver"));
}

async function acquaint(
  options: KnownSessionOptions,
  { reachable }: OwnSide,
  role: "sender" | "receiver",
): Promise<Acquainted> {
  const { known, identity, ways, crypto: tools, clock = systemClock, onEvent } = options;
  const direction = { secret: known.secret, sender: role === "sender" ? identity.publicKey : known.key };
  const over = new AbortController();
  const signal = anySignal(options.signal, over.signal);
  const met = Promise.withResolvers<Introduced>();
  met.promise.catch(() => {}); // Met below, after what is open is there to be disposed of.
  await using stack = new AsyncDisposableStack();
  const own = role === "sender" ? await openOwn(direction, options, stack) : undefined;
  const introduced = exchange(options, { direction, role, reachable });
  const exchanges = new Set<Promise<void>>();
  const greet = (mailbox: Mailbox) => {
    onEvent?.({ type: "found" });
    const one = introduced(mailbox, signal).then(met.resolve, (error) => {
      // Whoever is at a meeting point without the secret is no reason to leave it.
      if (!signal.aborted && (!isWormholeError(error) || FINAL.has(error.code))) met.reject(error);
    }).finally(() => exchanges.delete(one));
    exchanges.add(one);
  };
  const search = new KnownSearch({
    direction,
    role,
    ways: { ...ways, hosts: known.hosts },
    greet,
    onFailure: met.reject,
    crypto: tools,
    clock,
    signal,
  });
  search.start(own);
  try {
    const result = await abortable(met.promise, options.signal);
    if (!await options.stillKnown()) throw forgotten(known.name);
    onEvent?.({ type: "connecting", agent: result.peer.agent });
    // The own server stays until there is a connection: the other side may still be reading.
    const kept = stack.move();
    return { ...result, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  } finally {
    over.abort(new WormholeError("CLOSED", "Cannot search any more: the search is over"));
    await search[Symbol.asyncDispose]();
    await Promise.all(exchanges);
  }
}

/** Failures that only the machine that is known can bring about. */
const FINAL: ReadonlySet<string> = new Set(["PEER_UNAUTHENTICATED", "VERSION_UNSUPPORTED", "REFUSED"]);

/** Opens the sender's own mailbox server, which other machines on its networks can reach. */
async function openOwn(
  direction: Direction,
  { ways, crypto, signal }: KnownSessionOptions,
  stack: AsyncDisposableStack,
): Promise<{ url: URL; port: number }> {
  // Loaded here, since receivers need no server.
  const { MemoryMailboxStore, serveMailbox, SINGLE_CODE_LIMITS } = await import("../mailbox/mod.ts");
  signal?.throwIfAborted();
  const store = stack.use(new MemoryMailboxStore());
  const serve = (port: number) =>
    stack.use(serveMailbox({
      ...ways.hostname !== undefined && { hostname: ways.hostname },
      port,
      store,
      limits: { ...SINGLE_CODE_LIMITS, ...OWN_LIMITS },
    }));
  const service = ways.mailboxPort
    ? serve(ways.mailboxPort)
    : serveFirst([knownPort(crypto, direction), 0], serve);
  if (ways.registry !== undefined) {
    stack.use(await ways.registry.registerKnown(knownEntry(crypto, direction), service.url));
  }
  return { url: new URL(service.url), port: service.port };
}

/** Serves at the first port that is free. */
function serveFirst<T>(ports: readonly number[], serve: (port: number) => T): T {
  for (const port of ports) {
    try {
      return serve(port);
    } catch (error) {
      if (port === ports.at(-1) || !isWormholeError(error, "ADDRESS_IN_USE", "PERMISSION_DENIED")) {
        throw error;
      }
    }
  }
  throw new RangeError("there is no port to try");
}

/** Gives how introductions are swapped in a mailbox: as with a code, whose place the secret takes. */
function exchange(
  { known, identity, agent, abilities = {}, crypto: tools }: KnownSessionOptions,
  { direction, role, reachable }: {
    direction: Direction;
    role: "sender" | "receiver";
    reachable: OwnSide["reachable"];
  },
): (mailbox: Mailbox, signal: AbortSignal) => Promise<Introduced> {
  // One for all exchanges of this run: whichever of them the two end with, they have the same secret.
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  return async (mailbox, signal) => {
    const code = knownCode(tools, direction);
    const introduction = encodeIntroduction({
      version: PROTOCOL_VERSION,
      key: identity.publicKey,
      nonce,
      ...await reachable(mailbox.relay),
      abilities,
      agent,
    });
    const pairing = await pair(mailbox, {
      code,
      appId: KNOWN_APP_ID,
      introduction,
      crypto: tools,
      role,
      signal,
    });
    const peer = decodeIntroduction(pairing.introduction);
    if (!sameBytes(peer.key, known.key)) throw changed(known.name);
    if (peer.nonce === undefined) {
      throw new WormholeError("PROTOCOL", "Cannot read the peer's introduction: it has no nonce");
    }
    const nonces = role === "sender" ? [nonce, peer.nonce] : [peer.nonce, nonce];
    return { peer, secret: sessionSecret(tools, direction, nonces) };
  };
}

/** The secret by which the two find this session again; spec/known_peers.md §5. */
export function sessionSecret(
  tools: KnownSessionOptions["crypto"],
  { secret }: Direction,
  nonces: readonly Uint8Array[],
): Uint8Array {
  const label = new TextEncoder().encode("wormhole:known:session:");
  const info = new Uint8Array(label.length + NONCE_BYTES * 2);
  info.set(label);
  nonces.forEach((nonce, at) => info.set(nonce, label.length + at * NONCE_BYTES));
  return tools.hkdf(secret, info, SECRET_BYTES);
}

function changed(name: string): WormholeError {
  return new WormholeError(
    "PEER_UNAUTHENTICATED",
    `Cannot trust "${name}": it has another machine key than when it was paired; if it was installed anew, ` +
      `forget it (wormhole peers forget ${name}) and pair again`,
  );
}

function forgotten(name: string): WormholeError {
  return new WormholeError("REFUSED", `Cannot connect to "${name}": it was forgotten on this machine`);
}

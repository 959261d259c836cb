/**
 * How two machines whose addresses have both changed find each other again on their network: each says there that it is
 * this session's, by a hash that nobody else can tell from noise, and listens for the other. wire/spec/handshake.md §3.
 */
import { anySignal } from "../base/any_signal.ts";
import type { Clock } from "../base/clock.ts";
import { isWormholeError } from "../base/errors.ts";
import type { PairingCrypto } from "../pairing/crypto.ts";
import type { LanDiscovery } from "../pairing/lan.ts";
import { isLoopback } from "../transport/hints.ts";
import { addressSets } from "./network_watch.ts";

/** Bytes of what a side is known by. */
const TAG_BYTES = 16;

/** Who a side is in its session. */
export type Role = "sender" | "receiver";

/** Options of {@linkcode seekOnLan}. */
export interface SeekOnLanOptions {
  readonly lan: LanDiscovery;
  readonly crypto: Pick<PairingCrypto, "hkdf">;
  /** 16 bytes that only the two ends of this session know. */
  readonly secret: Uint8Array;
  readonly role: Role;
  /** A port of this machine's endpoint; the other knows them all. */
  readonly port: number;
  /** Gives this machine's addresses. */
  readonly addresses: () => Promise<readonly string[]>;
  /** Told where the other machine is; whether it is true a handshake must prove. */
  readonly onFound: (hosts: readonly string[]) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Seeks until the signal aborts; begins anew in each network that this machine comes to. */
export async function seekOnLan(options: SeekOnLanOptions): Promise<void> {
  const { signal } = options;
  let stop = new AbortController();
  let seeking: Promise<unknown> = Promise.resolve();
  try {
    for await (const addresses of addressSets(options)) {
      stop.abort();
      await seeking;
      if ([...addresses].every(isLoopback)) continue;
      stop = new AbortController();
      const here = { ...options, signal: anySignal(signal, stop.signal) };
      seeking = Promise.all([announced(here), heard(here)].map((each) => each.catch(onlyHere(here.signal))));
    }
  } finally {
    stop.abort();
    await seeking;
  }
}

/** Gives what the side `role` of a session is known by on its network, 32 hex digits; vectors in tests/vectors/seek_tags.json. */
export function seekTag(crypto: Pick<PairingCrypto, "hkdf">, secret: Uint8Array, role: Role): string {
  return crypto.hkdf(secret, new TextEncoder().encode(`wormhole:again:${role}`), TAG_BYTES).toHex();
}

async function announced({ lan, crypto, secret, role, port, signal }: SeekOnLanOptions): Promise<void> {
  await using _ = await lan.announce({ tag: seekTag(crypto, secret, role), port });
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

async function heard({ lan, crypto, secret, role, onFound, signal }: SeekOnLanOptions): Promise<void> {
  const theirs = seekTag(crypto, secret, role === "sender" ? "receiver" : "sender");
  for await (const { sign, addresses } of lan.browse({ signal })) {
    if (!("tag" in sign) || sign.tag !== theirs) continue;
    // This machine's own are always tried, and never change.
    const elsewhere = addresses.filter((address) => !isLoopback(address));
    if (elsewhere.length > 0) onFound(elsewhere);
  }
}

/** A network where nobody can be told or heard is one where nobody is found: there are other ways. */
function onlyHere(signal: AbortSignal): (error: unknown) => void {
  return (error) => {
    if (!signal.aborted && !isWormholeError(error)) throw error;
  };
}

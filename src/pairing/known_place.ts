/**
 * Where two machines that share a secret meet without a code: everything that others can see of it is a keyed hash that
 * changes every hour. Spec: `src/wire/spec/known_peers.md` §3; vectors in tests/vectors/known_places.json.
 */
import type { Code } from "./code.ts";
import type { PairingCrypto } from "./crypto.ts";

/** Whose meeting points ours are, at a mailbox server. */
export const KNOWN_APP_ID = "wormhole/known/1";

/** How long what others see stays the same. */
export const EPOCH_MS = 3_600_000;

/** How far this machine's clock may be from the right time: two such machines still meet. */
const SKEW_MS = 600_000;

/** Ports for a sender's own mailbox: above those of services, below those that systems draw from. */
const PORTS = { low: 20_000, count: 12_000 } as const;

/** Who sends and who receives: each direction has places of its own. */
export interface Direction {
  /** 32 bytes that only the two machines know. */
  readonly secret: Uint8Array;
  /** 32 bytes: the sender's public key. */
  readonly sender: Uint8Array;
}

/** Where the two meet during one epoch. */
export interface KnownPlace {
  /** Id of a mailbox at a server, which both open. */
  readonly mailbox: string;
  /** Names of the two at the server: the same after a restart, so that it takes them for no third side. */
  readonly sides: { readonly sender: string; readonly receiver: string };
  /** What the sender tells its network, 32 hex digits. */
  readonly tag: string;
}

/** Gives the epochs that a machine stands in at the time `nowMs`: two around a change, else one. */
export function epochsAt(nowMs: number): number[] {
  const [from, to] = [nowMs - SKEW_MS, nowMs + SKEW_MS].map((ms) => Math.max(0, Math.floor(ms / EPOCH_MS)));
  return from === to ? [from!] : [from!, to!];
}

/** Gives the place of epoch `epoch`. */
export function knownPlace(crypto: PairingCrypto, direction: Direction, epoch: number): KnownPlace {
  const hex = (what: string, length: number) => derived(crypto, direction, { what, length, epoch }).toHex();
  return {
    mailbox: `meet-${hex("mailbox", 16)}`,
    sides: { sender: hex("sender", 8), receiver: hex("receiver", 8) },
    tag: hex("tag", 16),
  };
}

/** Gives the name under which a sender is found by its own person on this machine; never seen by others. */
export function knownEntry(crypto: PairingCrypto, direction: Direction): string {
  return derived(crypto, direction, { what: "entry", length: 16 }).toHex();
}

/** Gives the port that a sender's own mailbox takes where it can, so that a receiver who knows the address can go there. */
export function knownPort(crypto: PairingCrypto, direction: Direction): number {
  const [high, low] = derived(crypto, direction, { what: "port", length: 2 });
  return PORTS.low + (high! * 256 + low!) % PORTS.count;
}

/** Gives what stands in the place of a code: 256 bits that nobody can guess. */
export function knownCode(crypto: PairingCrypto, direction: Direction): Code {
  return {
    nameplate: "known",
    password: derived(crypto, direction, { what: "password", length: 32 }).toHex(),
  };
}

/** Gives the secret by which two machines meet to synchronize: other places than those where they transfer. */
export function syncSecret(crypto: PairingCrypto, secret: Uint8Array): Uint8Array {
  return crypto.hkdf(secret, new TextEncoder().encode("wormhole:known:sync"), 32);
}

function derived(
  crypto: PairingCrypto,
  { secret, sender }: Direction,
  { what, length, epoch = 0 }: { what: string; length: number; epoch?: number },
): Uint8Array {
  const label = new TextEncoder().encode(`wormhole:known:${what}:`);
  const info = new Uint8Array(label.length + sender.length + 8);
  info.set(label);
  info.set(sender, label.length);
  new DataView(info.buffer).setBigUint64(label.length + sender.length, BigInt(epoch));
  return crypto.hkdf(secret, info, length);
}

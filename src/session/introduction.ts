import { sameBytes } from "../base/bytes.ts";
import { WormholeError } from "../base/errors.ts";
import { type Hint, hintList, parseHints, type RelayHint } from "../transport/hints.ts";
import { decodeCbor, encodeCbor } from "../wire/cbor.ts";
import { abilities, type AbilityValue, bytes, isMap, optional, record, text, uint } from "../wire/fields.ts";

/** Version of the protocol that we speak; another major version cannot be understood. */
export const PROTOCOL_VERSION = { major: 1, minor: 0 } as const;

/** Caps what a peer makes us decode; a full introduction of ours has less than 4 KiB. */
export const MAX_INTRODUCTION_BYTES = 16 * 1024;

/** Caps on the abilities: how many, and the bytes of one name or value. */
const MAX_ABILITIES = 64;
export const MAX_ABILITY_BYTES = 64;

/** Caps the bytes of the program's name and version. */
const MAX_AGENT_BYTES = 64;

/** Bytes of {@linkcode Introduction.nonce}. */
export const NONCE_BYTES = 16;

/** What each side tells the other under the code's key: who it is and where to find it. */
export interface Introduction {
  readonly version: { readonly major: number; readonly minor: number };
  /** 32 bytes, Ed25519 public key that the link must prove. */
  readonly key: Uint8Array;
  /**
   * 32 bytes, a key of this session only, from a side that only dials: it proves this one when both sides have the
   * same machine key, since QUIC refuses to connect a key to itself.
   */
  readonly twin?: Uint8Array;
  /** 16 random bytes, between machines that know each other: what their session's secret is made of. */
  readonly nonce?: Uint8Array;
  /** Addresses to dial, best first; empty from a side that cannot be dialled. */
  readonly hints: readonly Hint[];
  /** The hub's relay, where the side is as well; on the wire one of the hints. */
  readonly relay?: RelayHint;
  /** Options by name; a side uses only what both have. */
  readonly abilities: Readonly<Record<string, AbilityValue>>;
  /** Program and version in printable ASCII, for people: `wormhole/0.1.0`. */
  readonly agent: string;
}

const FIELDS = record({
  key: bytes(32, { min: 32 }),
  twin: optional(bytes(32, { min: 32 })),
  nonce: optional(bytes(NONCE_BYTES, { min: NONCE_BYTES })),
  abilities: abilities(MAX_ABILITIES, MAX_ABILITY_BYTES),
  agent: text(MAX_AGENT_BYTES),
});

const VERSION = record({ major: uint(0xffff), minor: uint(0xffff) });

/** Encodes an introduction; wire/spec/pairing.md, vectors in tests/vectors/introductions.json. */
export function encodeIntroduction(introduction: Introduction): Uint8Array {
  const { version, hints, relay, ...rest } = introduction;
  return encodeCbor({
    ...FIELDS.write(rest) as object,
    v: VERSION.write(version),
    hints: hintList(hints, relay),
  });
}

/**
 * Decodes a peer's introduction; unknown fields are ignored.
 *
 * @throws {WormholeError} VERSION_UNSUPPORTED for another major version; LIMIT_EXCEEDED or PROTOCOL.
 */
export function decodeIntroduction(encoded: Uint8Array): Introduction {
  if (encoded.length > MAX_INTRODUCTION_BYTES) {
    throw new WormholeError(
      "LIMIT_EXCEEDED",
      `Cannot read the peer's introduction: it has ${encoded.length} bytes, the limit is ${MAX_INTRODUCTION_BYTES}`,
    );
  }
  const value = decodeCbor(encoded);
  if (!isMap(value)) throw malformed("it is no map");
  // The version comes first: of another major version, nothing else may be read.
  const version = VERSION.read(value.v, "v");
  if (version.major !== PROTOCOL_VERSION.major) {
    const [ours, theirs] = [PROTOCOL_VERSION.major, version.major];
    throw new WormholeError(
      "VERSION_UNSUPPORTED",
      `Cannot talk to the other machine: it speaks version ${theirs} of the protocol, this machine version ${ours} ` +
        `(update Wormhole on ${theirs > ours ? "this" : "the other"} machine)`,
    );
  }
  const { key, twin, nonce, abilities, agent } = FIELDS.read(value, "");
  if (!/^[\x20-\x7e]*$/.test(agent)) throw malformed("its agent is not printable");
  return {
    version,
    key,
    ...twin && { twin },
    ...nonce && { nonce },
    ...parseHints(value.hints),
    abilities,
    agent,
  };
}

/** Gives the key that a dialling `peer` proves to a machine with the key `own`. */
export function dialledKey(peer: Introduction, own: Uint8Array): Uint8Array {
  return sameBytes(peer.key, own) && peer.twin !== undefined ? peer.twin : peer.key;
}

function malformed(state: string): WormholeError {
  return new WormholeError("PROTOCOL", `Cannot read the peer's introduction: ${state}`);
}

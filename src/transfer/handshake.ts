/** The first message of each side; wire/spec/handshake.md. */
import { WormholeError } from "../base/errors.ts";
import type { Codec } from "../content/mod.ts";
import type { AbilityValue, MessageOf } from "../wire/mod.ts";

/** The protocol that this program speaks. */
export const PROTOCOL_VERSION = { major: 1, minor: 0 } as const;

/** Makes our hello; `nonce` is 16 random bytes. */
export function makeHello(
  { agent, nonce, streams }: { agent: string; nonce: Uint8Array; streams: number },
): MessageOf<"hello"> {
  return {
    type: "hello",
    version: PROTOCOL_VERSION,
    agent,
    abilities: { zstd: true, lz4: true, streams },
    nonce,
  };
}

/**
 * Checks the peer's hello against ours.
 *
 * @throws {WormholeError} VERSION_UNSUPPORTED when the majors differ; PROTOCOL when it is our own, reflected.
 */
export function checkHello(theirs: MessageOf<"hello">, ours: MessageOf<"hello">): void {
  if (theirs.nonce.every((byte, i) => byte === ours.nonce[i])) {
    throw new WormholeError("PROTOCOL", "Cannot greet the other side: it repeats what this side says");
  }
  const { major, minor } = theirs.version;
  if (major !== ours.version.major) {
    throw new WormholeError(
      "VERSION_UNSUPPORTED",
      `Cannot talk to the other side: it speaks version ${major}.${minor} of the protocol, this program ` +
        `${ours.version.major}.${ours.version.minor}`,
    );
  }
}

/** Gives the codecs that these abilities allow. */
export function codecsOf(abilities: Readonly<Record<string, AbilityValue>>): ReadonlySet<Codec> {
  return new Set<Codec>(
    (["zstd", "lz4"] as const).filter((codec) => abilities[codec] === true),
  ).add("raw");
}

/** Gives the most bulk streams that these abilities allow, and no more than `ours`. */
export function streamsOf(abilities: Readonly<Record<string, AbilityValue>>, ours: number): number {
  const theirs = abilities.streams;
  return typeof theirs === "number" && theirs >= 1 ? Math.min(theirs, ours) : ours;
}

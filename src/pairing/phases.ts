/** The bodies of the phases `pake`, `version` and `0`; `src/wire/spec/pairing.md` §3. */
import { WormholeError } from "../base/errors.ts";

/** Most bytes of an introduction: keys, hints and abilities take under 2 KiB. */
export const MAX_INTRODUCTION_BYTES = 16 * 1024;

/** Longest body that is parsed, in bytes; the mailbox carries at most 32 KiB (as hex). */
const MAX_BODY_BYTES = 64 * 1024;

/** A SPAKE2 message: one byte that says symmetric, then a group element. */
const PAKE_BYTES = 33;

/** Our key in `app_versions`; other programs have their own. */
const APPLICATION = "wormhole/1";

/** What the phase `version` says. */
export interface Version {
  introduction: Uint8Array;
  /** The side sends the phase `0` once its person has compared verifiers. */
  confirms: boolean;
}

/** Encodes the phase `pake`. */
export function encodePake(message: Uint8Array): Uint8Array {
  return encodeJson({ pake_v1: message.toHex() });
}

/** Decodes the phase `pake`. @throws {WormholeError} PROTOCOL. */
export function decodePake(body: Uint8Array): Uint8Array {
  const { pake_v1: message } = decodeJson(body);
  if (
    typeof message !== "string" || !/^(?:[0-9a-fA-F]{2})+$/.test(message) || message.length !== PAKE_BYTES * 2
  ) {
    throw malformed("the PAKE message");
  }
  return Uint8Array.fromHex(message);
}

/** Encodes the phase `version`. @throws {WormholeError} INVALID_ARGUMENT when the introduction is too long. */
export function encodeVersion({ introduction, confirms }: Version): Uint8Array {
  if (introduction.length > MAX_INTRODUCTION_BYTES) {
    throw new WormholeError(
      "INVALID_ARGUMENT",
      `Cannot pair: the introduction has over ${MAX_INTRODUCTION_BYTES} bytes`,
    );
  }
  return encodeJson({
    abilities: [],
    app_versions: { [APPLICATION]: { introduction: introduction.toBase64(), confirms } },
  });
}

/**
 * Decodes the phase `version`; unknown fields are ignored.
 *
 * @throws {WormholeError} PROTOCOL when malformed, VERSION_UNSUPPORTED when the peer is another program.
 */
export function decodeVersion(body: Uint8Array): Version {
  const { app_versions: versions } = decodeJson(body);
  const own = isRecord(versions) && Object.hasOwn(versions, APPLICATION) ? versions[APPLICATION] : undefined;
  if (!isRecord(own)) {
    throw new WormholeError(
      "VERSION_UNSUPPORTED",
      "Cannot pair: the other side is another program, or a version this one does not know",
    );
  }
  const { introduction, confirms } = own;
  if (typeof introduction !== "string" || introduction.length > Math.ceil(MAX_INTRODUCTION_BYTES / 3) * 4) {
    throw malformed("the introduction");
  }
  try {
    return { introduction: Uint8Array.fromBase64(introduction), confirms: confirms === true };
  } catch {
    throw malformed("the introduction");
  }
}

/** Decodes the phase `0`: whether the peer's person confirmed. @throws {WormholeError} PROTOCOL. */
export function decodeConfirmation(body: Uint8Array): boolean {
  const { confirmed } = decodeJson(body);
  if (typeof confirmed !== "boolean") throw malformed("the confirmation");
  return confirmed;
}

/** Encodes an object as JSON in UTF-8. */
export function encodeJson(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function decodeJson(body: Uint8Array): Record<string, unknown> {
  if (body.length > MAX_BODY_BYTES) throw malformed("a message");
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw malformed("a message");
  }
  if (!isRecord(value)) throw malformed("a message");
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(what: string): WormholeError {
  return new WormholeError("PROTOCOL", `Cannot pair: ${what} of the other side is malformed`);
}

/** The messages of magic-wormhole's file transfer: decoded, then validated, then used. `src/wire/spec/compat.md` §3. */
import { isIP } from "node:net";
import { WormholeError } from "../base/errors.ts";
import type { Place } from "../native/compat.ts";
import { type EntryName, parseName, printable } from "../tree/mod.ts";

/** A decoded message; which of its fields mean something is found out by the functions here. */
export type Message = Readonly<Record<string, unknown>>;

/** Longest message that is parsed, in bytes: a text may fill it. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

/** Most entries of a folder that is taken; caps what unpacking holds in memory. */
const MAX_FOLDER_ENTRIES = 500_000;

/** Most addresses and relays of the peer that are tried. */
const MAX_DIRECT = 32;
const MAX_RELAYS = 8;

/** What the sender offers. */
export type CompatOffer =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "file"; readonly name: EntryName; readonly size: number }
  | {
    readonly kind: "directory";
    readonly name: EntryName;
    /** Of the archive. */
    readonly size: number;
    /** Of what it unpacks to, as the sender says. */
    readonly bytes: number;
    readonly files: number;
  };

/** Where the peer can be reached. */
export interface PeerPlaces {
  readonly direct: readonly Place[];
  readonly relays: readonly Place[];
}

/** Encodes a message. */
export function encodeMessage(message: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

/** Decodes a message. @throws {WormholeError} PROTOCOL; LIMIT_EXCEEDED when it is too long. */
export function decodeMessage(bytes: Uint8Array): Message {
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new WormholeError(
      "LIMIT_EXCEEDED",
      `Cannot read a message: it has over ${MAX_MESSAGE_BYTES} bytes`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw malformed("a message");
  }
  if (!isRecord(value)) throw malformed("a message");
  return value;
}

/** Fails with what the peer says went wrong, if it does. @throws {WormholeError} REFUSED. */
export function assertNoError({ error }: Message): void {
  if (error === undefined) return;
  const said = typeof error === "string" ? printable(error.slice(0, 200)) : "it does not say why";
  throw new WormholeError("REFUSED", `Cannot go on: the other side stopped: "${said}"`);
}

/**
 * Gives the offer in a message; undefined when there is none.
 *
 * @throws {WormholeError} PROTOCOL; HOSTILE_NAME or NAME_TOO_LONG for its name; LIMIT_EXCEEDED for a folder of too many
 * entries; UNSUPPORTED for something else than text, a file or a zipped folder.
 */
export function parseOffer({ offer }: Message): CompatOffer | undefined {
  if (offer === undefined) return undefined;
  if (!isRecord(offer)) throw malformed("the offer");
  const { message, file, directory } = offer;
  if (message !== undefined) {
    if (typeof message !== "string") throw malformed("the offered text");
    return { kind: "text", text: message };
  }
  if (file !== undefined) {
    if (!isRecord(file)) throw malformed("the offered file");
    return { kind: "file", name: nameOf(file.filename), size: sizeOf(file.filesize) };
  }
  if (directory !== undefined) return folderOf(directory);
  throw new WormholeError("UNSUPPORTED", "Cannot receive: what is offered is no text, file or folder");
}

function folderOf(directory: unknown): CompatOffer {
  if (!isRecord(directory)) throw malformed("the offered folder");
  const { mode, dirname, zipsize, numbytes, numfiles } = directory;
  if (mode !== "zipfile/deflated") {
    throw new WormholeError("UNSUPPORTED", "Cannot receive: the folder is packed in a way that is not known");
  }
  const files = sizeOf(numfiles);
  if (files > MAX_FOLDER_ENTRIES) {
    throw new WormholeError(
      "LIMIT_EXCEEDED",
      `Cannot receive the folder: it has ${files} entries, the limit is ${MAX_FOLDER_ENTRIES}`,
    );
  }
  return { kind: "directory", name: nameOf(dirname), size: sizeOf(zipsize), bytes: sizeOf(numbytes), files };
}

/** Gives the message that tells a peer where we can be reached. */
export function transitMessage({ direct, relays }: PeerPlaces): object {
  const hint = ({ host, port }: Place) => ({ type: "direct-tcp-v1", priority: 0, hostname: host, port });
  return {
    transit: {
      "abilities-v1": [{ type: "direct-tcp-v1" }, { type: "relay-v1" }],
      "hints-v1": [
        ...direct.map(hint),
        ...relays.map((relay) => ({ type: "relay-v1", hints: [hint(relay)] })),
      ],
    },
  };
}

/**
 * Gives where the peer can be reached, if the message says so; undefined when it does not. Kinds of places that are not
 * known are left out; a name is only taken for a relay, since an address that is direct needs none.
 *
 * @throws {WormholeError} PROTOCOL.
 */
export function parseTransit({ transit }: Message): PeerPlaces | undefined {
  if (transit === undefined) return undefined;
  if (!isRecord(transit)) throw malformed("its list of addresses");
  const hints = transit["hints-v1"] ?? [];
  if (!Array.isArray(hints)) throw malformed("its list of addresses");
  const direct: Place[] = [];
  const relays: Place[] = [];
  for (const hint of hints) {
    if (!isRecord(hint)) throw malformed("its list of addresses");
    if (hint.type === "direct-tcp-v1") {
      const place = placeOf(hint);
      if (place !== undefined && isIP(place.host) !== 0) direct.push(place);
    } else if (hint.type === "relay-v1" && Array.isArray(hint.hints)) {
      for (const inner of hint.hints) {
        const place = isRecord(inner) && inner.type === "direct-tcp-v1" ? placeOf(inner) : undefined;
        if (place !== undefined) relays.push(place);
      }
    }
  }
  return { direct: direct.slice(0, MAX_DIRECT), relays: relays.slice(0, MAX_RELAYS) };
}

function placeOf({ hostname, port }: Record<string, unknown>): Place | undefined {
  if (typeof hostname !== "string" || !/^[0-9A-Za-z.:_-]{1,253}$/.test(hostname)) return undefined;
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65535) return undefined;
  return { host: hostname, port };
}

/** Tells whether the peer takes what was offered; undefined when the message says nothing. @throws {WormholeError} PROTOCOL. */
export function parseAnswer({ answer }: Message, kind: CompatOffer["kind"]): true | undefined {
  if (answer === undefined) return undefined;
  const ack = isRecord(answer) ? answer[kind === "text" ? "message_ack" : "file_ack"] : undefined;
  if (ack !== "ok") throw malformed("the answer");
  return true;
}

/**
 * Compares the receiver's last word with what was sent.
 *
 * @throws {WormholeError} REFUSED when it is not content, CORRUPT when it got something else, PROTOCOL.
 */
export function assertAcknowledged({ ack, sha256 }: Message, sum: Uint8Array): void {
  if (ack !== "ok") {
    throw new WormholeError("REFUSED", "Cannot go on: the other side did not take what it got");
  }
  if (typeof sha256 !== "string" || !/^[0-9a-fA-F]{64}$/.test(sha256)) throw malformed("the receipt");
  if (sha256.toLowerCase() === sum.toHex()) return;
  throw new WormholeError("CORRUPT", "Cannot confirm the transfer: the other side got something else");
}

function nameOf(given: unknown): EntryName {
  if (typeof given !== "string") throw malformed("the offered name");
  return parseName(given);
}

function sizeOf(given: unknown): number {
  if (typeof given === "number" && Number.isSafeInteger(given) && given >= 0) return given;
  throw malformed("an offered size");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(what: string): WormholeError {
  return new WormholeError("PROTOCOL", `Cannot go on: ${what} of the other side is malformed`);
}

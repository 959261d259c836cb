import { type ErrorCode, WormholeError } from "../base/errors.ts";
import { MAX_NAME_LENGTH } from "./limits.ts";

/** A client's message after its check; `src/wire/spec/mailbox.md` §3. */
export type ClientMessage =
  | { type: "bind"; appid: string; side: string }
  | { type: "list" }
  | { type: "allocate" }
  | { type: "claim"; nameplate: string; mustExist: boolean; many: boolean; reuse: boolean }
  | { type: "release"; nameplate: string | undefined }
  | { type: "open"; mailbox: string }
  | { type: "add"; phase: string; body: string; id: string | undefined }
  | { type: "close"; mailbox: string | undefined; mood: Mood }
  | { type: "ping"; ping: number }
  | { type: "submit-permissions" };

/** How a side says that its use of a mailbox ended. */
export type Mood = "happy" | "lonely" | "scary" | "errory";

/** What the server sends; `src/wire/spec/mailbox.md` §4. */
export type ServerMessage =
  /** `wormhole`: says that the server knows what the specification marks as ours. */
  | { type: "welcome"; welcome: { motd?: string; wormhole: 1 } }
  | { type: "ack"; id: string }
  | { type: "nameplates"; nameplates: { id: string }[] }
  | { type: "allocated"; nameplate: string }
  | { type: "claimed"; mailbox: string; many?: true; expires_in?: number }
  | { type: "arrived"; mailbox: string }
  | { type: "released" }
  | { type: "message"; side: string; phase: string; body: string; server_rx: number; id?: string }
  | { type: "closed" }
  | { type: "pong"; pong: number }
  | { type: "error"; error: string; code?: ErrorCode };

/** A parsed frame: the message and the id that its `ack` repeats. */
export interface ClientFrame {
  message: ClientMessage;
  id: string | undefined;
}

/** Decimal, no leading zero: what people can read out. */
const NAMEPLATE = /^[1-9]\d{0,8}$/;

const HEX = /^(?:[0-9a-fA-F]{2})*$/;

/**
 * Reads and checks one frame of a client; unknown fields are ignored.
 *
 * @throws {WormholeError} PROTOCOL when it is not a message that the server knows.
 */
export function parseClientFrame(text: string): ClientFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw mistake("not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw mistake("not an object");
  const fields = value as Record<string, unknown>;
  const id = typeof fields.id === "string" && fields.id.length <= MAX_NAME_LENGTH ? fields.id : undefined;
  return { message: parseMessage(fields, id), id };
}

function parseMessage(fields: Record<string, unknown>, id: string | undefined): ClientMessage {
  switch (fields.type) {
    case "bind":
      return { type: "bind", appid: name(fields, "appid"), side: name(fields, "side") };
    case "list":
      return { type: "list" };
    case "allocate":
      return { type: "allocate" };
    case "claim":
      return {
        type: "claim",
        nameplate: nameplate(fields),
        mustExist: fields.must_exist === true,
        many: fields.many === true,
        reuse: fields.reuse === true,
      };
    case "release":
      return { type: "release", nameplate: fields.nameplate == null ? undefined : nameplate(fields) };
    case "open":
      return { type: "open", mailbox: name(fields, "mailbox") };
    case "add":
      return { type: "add", phase: name(fields, "phase"), body: body(fields), id };
    case "close":
      return {
        type: "close",
        mailbox: fields.mailbox == null ? undefined : name(fields, "mailbox"),
        mood: mood(fields.mood),
      };
    case "ping":
      if (typeof fields.ping !== "number") throw mistake("ping requires a number");
      return { type: "ping", ping: fields.ping };
    case "submit-permissions":
      return { type: "submit-permissions" };
    default:
      throw mistake("unknown type");
  }
}

function name(fields: Record<string, unknown>, key: string): string {
  const value = fields[key];
  if (typeof value !== "string" || value === "" || value.length > MAX_NAME_LENGTH || !value.isWellFormed()) {
    throw mistake(`${fields.type} requires "${key}", a text of 1 to ${MAX_NAME_LENGTH} characters`);
  }
  return value;
}

function nameplate(fields: Record<string, unknown>): string {
  const value = fields.nameplate;
  if (typeof value !== "string" || !NAMEPLATE.test(value)) {
    throw mistake(`${fields.type} requires "nameplate", a decimal number as text`);
  }
  return value;
}

function body(fields: Record<string, unknown>): string {
  if (typeof fields.body !== "string" || !HEX.test(fields.body)) throw mistake('add requires "body" in hex');
  return fields.body;
}

function mood(value: unknown): Mood {
  return value === "lonely" || value === "scary" || value === "errory" ? value : "happy";
}

function mistake(state: string): WormholeError {
  return new WormholeError("PROTOCOL", state);
}

/** Tells whether `text` has more than `limit` bytes in UTF-8. */
export function utf8Longer(text: string, limit: number): boolean {
  if (text.length > limit) return true;
  if (text.length * 3 <= limit) return false;
  return new TextEncoder().encode(text).length > limit;
}

import { type ErrorCode, WormholeError } from "../base/errors.ts";

/** Longest frame taken from a server, in UTF-16 units: twice what our server lets anybody send. */
const MAX_FRAME_LENGTH = 256 * 1024;

/** Longest text of a server shown to the person. */
const MAX_SHOWN = 200;

/** Most nameplates taken from one list. */
const MAX_NAMEPLATES = 10_000;

/** A server's message after its check; `src/wire/spec/mailbox.md` §4. */
export type ServerMessage =
  | {
    type: "welcome";
    motd: string | undefined;
    refusal: string | undefined;
    /** The server is of this program and knows what spec/mailbox.md marks as ours. */
    ours: boolean;
    /** The server's transit relay; without a host it is where the server is. */
    transit: { host: string | undefined; port: number } | undefined;
    /** As it came; `parseRelayOffer` reads it. */
    relay?: unknown;
  }
  | { type: "nameplates"; names: string[] }
  | { type: "allocated"; nameplate: string }
  /** `expiresInMs`: how long the nameplate waits for somebody; our server only. */
  | { type: "claimed"; mailbox: string; many?: true; expiresInMs?: number }
  /** Somebody came to a nameplate that serves many. */
  | { type: "arrived"; mailbox: string }
  | { type: "released" }
  | { type: "message"; side: string; phase: string; body: Uint8Array<ArrayBuffer> }
  | { type: "closed" }
  | { type: "error"; code: ErrorCode | undefined; text: string }
  /** Anything that a client may pass over: acks, pongs, types of newer servers. */
  | { type: "other" };

/** Longest life of a code that is believed: a year, in seconds. */
const MAX_EXPIRY_S = 366 * 86_400;

const NAMEPLATE = /^[0-9A-Za-z]{1,32}$/;
const HEX = /^(?:[0-9a-fA-F]{2})*$/;

/** Codes that a server may claim; any other would let it pretend to be this machine. */
const SERVER_CODES: readonly string[] = [
  "CODE_NOT_FOUND",
  "CODE_EXPIRED",
  "CODE_USED",
  "CODE_CROWDED",
  "HUB_REFUSED",
  "LIMIT_EXCEEDED",
  "PROTOCOL",
] satisfies ErrorCode[];

/**
 * Reads and checks one frame of a mailbox server; unknown types and fields are passed over.
 *
 * @throws {WormholeError} PROTOCOL when it is malformed, LIMIT_EXCEEDED when it is too long.
 */
export function parseServerFrame(data: unknown): ServerMessage {
  if (typeof data !== "string") throw malformed("a frame is not text");
  if (data.length > MAX_FRAME_LENGTH) {
    throw new WormholeError("LIMIT_EXCEEDED", `${PREFIX}: a frame is too long`);
  }
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(data);
  } catch {
    throw malformed("a frame is not JSON");
  }
  if (!isRecord(fields)) throw malformed("a frame is not an object");
  switch (fields.type) {
    case "welcome":
      return welcome(fields);
    case "nameplates":
      return { type: "nameplates", names: nameplates(fields.nameplates) };
    case "allocated":
      return { type: "allocated", nameplate: text(fields, "nameplate", NAMEPLATE) };
    case "claimed":
      return {
        type: "claimed",
        mailbox: text(fields, "mailbox"),
        ...fields.many === true && { many: true },
        ...expiry(fields.expires_in),
      };
    case "arrived":
      return { type: "arrived", mailbox: text(fields, "mailbox") };
    case "message":
      return {
        type: "message",
        side: text(fields, "side"),
        phase: text(fields, "phase"),
        body: hex(fields.body),
      };
    case "released":
    case "closed":
      return { type: fields.type };
    case "error":
      return { type: "error", code: code(fields), text: shown(fields.error) ?? "no reason given" };
    default:
      if (typeof fields.type !== "string") throw malformed("a frame has no type");
      return { type: "other" };
  }
}

function welcome(fields: Record<string, unknown>): ServerMessage {
  if (!isRecord(fields.welcome)) throw malformed("its welcome is empty");
  const { motd, error, "permission-required": permission, wormhole, relay, transit } = fields.welcome;
  const locked = isRecord(permission) && !Object.hasOwn(permission, "none");
  return {
    type: "welcome",
    motd: shown(motd),
    refusal: shown(error) ?? (locked ? "it asks for a permission that this program cannot get" : undefined),
    ...relay !== undefined && { relay },
    ours: typeof wormhole === "number",
    transit: transitPlace(transit),
  };
}

/** Gives where a server's relay is; one that is malformed is of no use, and no reason to do without the server. */
function transitPlace(value: unknown): { host: string | undefined; port: number } | undefined {
  if (!isRecord(value)) return undefined;
  const { hostname, port } = value;
  if (!Number.isInteger(port) || port as number < 1 || port as number > 65535) return undefined;
  if (hostname === undefined) return { host: undefined, port: port as number };
  const plain = typeof hostname === "string" && /^[0-9A-Za-z.:_-]{1,253}$/.test(hostname);
  return plain ? { host: hostname, port: port as number } : undefined;
}

function code({ code, error }: Record<string, unknown>): ErrorCode | undefined {
  if (typeof code === "string" && SERVER_CODES.includes(code)) return code as ErrorCode;
  // magic-wormhole's server knows only these words.
  return error === "crowded" ? "CODE_CROWDED" : error === "reclaimed" ? "CODE_USED" : undefined;
}

function nameplates(value: unknown): string[] {
  if (!Array.isArray(value) || value.length > MAX_NAMEPLATES) {
    throw malformed("its list of codes is malformed");
  }
  return value.map((each) => text(isRecord(each) ? each : {}, "id", NAMEPLATE));
}

function expiry(seconds: unknown): { expiresInMs?: number } {
  const sane = typeof seconds === "number" && seconds >= 0 && seconds <= MAX_EXPIRY_S;
  return sane ? { expiresInMs: Math.round(seconds * 1_000) } : {};
}

function text(fields: Record<string, unknown>, key: string, shape = /^[\x21-\x7e]{1,128}$/): string {
  const value = fields[key];
  if (typeof value !== "string" || !shape.test(value)) throw malformed(`"${key}" is malformed`);
  return value;
}

function hex(value: unknown): Uint8Array<ArrayBuffer> {
  if (typeof value !== "string" || !HEX.test(value)) throw malformed('"body" is not hex');
  return Uint8Array.fromHex(value);
}

/** Gives a server's text fit for a terminal; undefined when there is none. */
function shown(value: unknown): string | undefined {
  if (typeof value !== "string" || value.trim() === "") return undefined;
  return value.slice(0, MAX_SHOWN).replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, "?").trim();
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const PREFIX = "Cannot understand the mailbox server";

function malformed(state: string): WormholeError {
  return new WormholeError("PROTOCOL", `${PREFIX}: ${state}`);
}

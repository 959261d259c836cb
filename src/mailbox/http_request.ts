/** The head of an HTTP/1.1 request (RFC 9112), as much of it as a WebSocket's opening and a health check need. */
import { WormholeError } from "../base/errors.ts";

/** Longest head that is read; browsers and proxies stay well below. */
export const MAX_HEAD_BYTES = 8 * 1024;

/** A request without its body, which is never read. */
export interface HttpRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Values by lower-case name; of a name that comes more than once all, with ", " between. */
  readonly headers: ReadonlyMap<string, string>;
}

/** An answer after which the connection ends. */
export interface HttpAnswer {
  readonly status: 200 | 400 | 403 | 404 | 405 | 426 | 503;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const REASONS: Record<HttpAnswer["status"], string> = {
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  426: "Upgrade Required",
  503: "Service Unavailable",
};

const REQUEST_LINE = /^([A-Z]{1,16}) (\/[\x21-\x7e]*) HTTP\/1\.1$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;

/** Gives where the head in `bytes` ends (after its empty line), or -1 when that is still to come. */
export function headEnd(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(13); at >= 0; at = bytes.indexOf(13, at + 1)) {
    if (bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) return at + 4;
  }
  return -1;
}

/**
 * Reads a request's head, its empty line included.
 *
 * @throws {WormholeError} PROTOCOL when it is none.
 */
export function parseRequest(head: Uint8Array): HttpRequest {
  const [first = "", ...fields] = new TextDecoder("latin1").decode(head).split("\r\n").slice(0, -2);
  const line = REQUEST_LINE.exec(first);
  if (line === null) throw new WormholeError("PROTOCOL", "not a request line");
  const headers = new Map<string, string>();
  for (const field of fields) {
    const match = FIELD.exec(field);
    if (match === null) throw new WormholeError("PROTOCOL", "not a header field");
    const name = match[1]!.toLowerCase();
    const before = headers.get(name);
    headers.set(name, before === undefined ? match[2]! : `${before}, ${match[2]}`);
  }
  return { method: line[1]!, path: line[2]!.split("?")[0]!, headers };
}

/** Encodes an answer. */
export function encodeAnswer({ status, body, headers = {} }: HttpAnswer): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(body);
  const fields = {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
    ...headers,
    "content-length": String(bytes.length),
    connection: "close",
  };
  const head = new TextEncoder().encode(
    `HTTP/1.1 ${status} ${REASONS[status]}\r\n` +
      Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`).join("") + "\r\n",
  );
  const answer = new Uint8Array(head.length + bytes.length);
  answer.set(head);
  answer.set(bytes, head.length);
  return answer;
}

/** Encodes the answer that turns a connection into a WebSocket (RFC 6455 §4.2.2). */
export function encodeUpgrade(accept: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n" +
      `sec-websocket-accept: ${accept}\r\n\r\n`,
  );
}

/** Tells whether a request asks for a WebSocket of version 13, and gives its key. */
export function webSocketKey({ method, headers }: HttpRequest): string | undefined {
  const has = (name: string, token: string) =>
    headers.get(name)?.toLowerCase().split(",").some((each) => each.trim() === token) ?? false;
  if (method !== "GET" || !has("upgrade", "websocket") || !has("connection", "upgrade")) return undefined;
  if (headers.get("sec-websocket-version") !== "13") return undefined;
  const key = headers.get("sec-websocket-key");
  return key !== undefined && /^[A-Za-z0-9+/]{22}==$/.test(key) ? key : undefined;
}

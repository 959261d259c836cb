import { concat } from "../base/bytes.ts";
import { addressKey } from "./address.ts";
import { type Door, openDoor, type TlsIdentity } from "./door.ts";
import {
  encodeAnswer,
  encodeUpgrade,
  headEnd,
  type HttpAnswer,
  type HttpRequest,
  MAX_HEAD_BYTES,
  parseRequest,
  webSocketKey,
} from "./http_request.ts";
import { DEFAULT_LIMITS, type MailboxLimits } from "./limits.ts";
import { MailboxServer } from "./server.ts";
import type { ServerAction, ServerCounts, ServerReport } from "./server_action.ts";
import type { MailboxStore } from "./store.ts";
import { hangUp, type Traffic, WebSocketLink } from "./web_socket_link.ts";
import { acceptKey } from "./websocket.ts";

/** Where clients connect; the same path as magic-wormhole's server. */
export const MAILBOX_PATH = "/v1";

/** How often time passes for the machine. */
const TICK_MS = 5_000;

/** How long a connection may take to say what it wants, its TLS handshake included. */
const HEAD_MS = 10_000;

/** Connections beyond the limit of WebSockets, for those that ask for health or are being refused. */
const SPARE_CONNECTIONS = 64;

/** Bytes read at a time while it is not known what a connection is for. */
const READ_BYTES = 2 * 1024;

/** How long a closing server waits for clients to take their last messages. */
const CLOSE_GRACE_MS = 1_000;

/**
 * Carries a connection to its end, or gives what is to be answered in its place; `first` was read of it already. Closing it stays
 * the caller's.
 */
export type Carrier = (conn: Deno.Conn, first: Uint8Array) => Promise<HttpAnswer | void>;

/** Options of {@linkcode serveMailbox}. */
export interface ServeMailboxOptions {
  /** Interface to listen on; both IPv6 and IPv4 on all interfaces when it is left out. */
  hostname?: string;
  /** 0 takes any free port. */
  port: number;
  store: MailboxStore;
  limits?: Partial<MailboxLimits>;
  motd?: string;
  /** Speaks TLS with this certificate. */
  tls?: TlsIdentity;
  /** Believes the last address in `X-Forwarded-For`: only behind a proxy of one's own. */
  trustForwarded?: boolean;
  /** Origins of web pages that may connect; every other page is refused, since it acts for somebody who does not know. */
  allowOrigins?: readonly string[];
  /** Answers requests to other paths; undefined where there is nothing. */
  answer?: (request: HttpRequest) => HttpAnswer | undefined | Promise<HttpAnswer | undefined>;
  /**
   * Gives what carries the connection on from here, where it is for another server of this machine; `from`: what the client counts
   * as for limits.
   */
  forward?: (request: HttpRequest, from: string) => Carrier | undefined;
  /** What else each client is told in its `welcome`. */
  welcome?: () => object;
  /** Gets what the operator's log should say. */
  report?: (report: ServerReport) => void;
  nowMs?: () => number;
  random?: (byteLength: number) => Uint8Array;
}

/** A running mailbox server. */
export interface MailboxService extends AsyncDisposable {
  /** For clients on this machine, such as `ws://127.0.0.1:4000/v1`. */
  readonly url: string;
  readonly port: number;
  readonly counts: ServerCounts;
  /** Bytes of message bodies that are kept. */
  readonly storedBytes: number;
  /** Connections that have a code and are not done with it. */
  readonly engaged: number;
  readonly draining: boolean;
  readonly traffic: Readonly<Traffic>;
  /** Resolves when the server has ended. */
  readonly finished: Promise<void>;
  /** Takes new connections with another certificate. @throws {WormholeError} CONFIG_INVALID; the old one stays then. */
  renew(tls: TlsIdentity): Promise<void>;
  /** Makes no new codes any more; what is under way goes on. */
  drain(): void;
}

/**
 * Runs a mailbox server over HTTP: the WebSocket at `/v1`, a health check at `/healthz`.
 * The store stays the caller's: dispose it after the service.
 *
 * @throws {WormholeError} ADDRESS_IN_USE, PERMISSION_DENIED or IO when it cannot listen, CONFIG_INVALID for `tls`.
 */
export function serveMailbox(options: ServeMailboxOptions): MailboxService {
  const driver = new Driver(options);
  const { hostname, port, tls } = options;
  const door: Door = openDoor({ hostname, port, tls, onConnection: (conn) => driver.accept(conn) });
  const timer = setInterval(() => driver.tick(), TICK_MS);
  let closing: Promise<void> | undefined;
  const close = async () => {
    clearInterval(timer);
    door.close();
    await driver.close();
    await door.finished;
  };
  return {
    url: `${tls ? "wss" : "ws"}://${urlHost(door.hostname)}:${door.port}${MAILBOX_PATH}`,
    port: door.port,
    get counts() {
      return driver.machine.counts;
    },
    get storedBytes() {
      return driver.machine.storedBytes;
    },
    get engaged() {
      return driver.machine.engaged;
    },
    get draining() {
      return driver.machine.draining;
    },
    traffic: driver.traffic,
    finished: door.finished,
    renew: (tls) => door.renew(tls),
    drain: () => driver.machine.drain(),
    [Symbol.asyncDispose]: () => closing ??= close(),
  };
}

/** Carries events from connections to the machine and actions back. */
class Driver {
  readonly machine: MailboxServer;
  readonly traffic: Traffic = { unsent: 0, bytesIn: 0, bytesOut: 0, messagesIn: 0, messagesOut: 0 };
  readonly #options: ServeMailboxOptions;
  readonly #limits: MailboxLimits;
  readonly #links = new Map<number, WebSocketLink>();
  /** Every connection that is not closed yet, with the address that it comes from. */
  readonly #open = new Map<Deno.Conn, string>();
  readonly #openPerAddress = new Map<string, number>();
  #next = 1;
  #closing = false;
  #allGone: (() => void) | undefined;

  constructor(options: ServeMailboxOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.machine = new MailboxServer({
      store: options.store,
      limits: this.#limits,
      nowMs: options.nowMs ?? Date.now,
      random: options.random ?? ((byteLength) => crypto.getRandomValues(new Uint8Array(byteLength))),
      motd: options.motd,
      welcome: options.welcome,
    });
  }

  /** Takes a connection, or refuses it without a word: an answer would cost more than it is worth. */
  accept(conn: Deno.Conn): void {
    const address = addressKey((conn.remoteAddr as Deno.NetAddr).hostname);
    const { connections, connectionsPerAddress } = this.#limits;
    const used = this.#openPerAddress.get(address) ?? 0;
    // A proxy has one address for everybody.
    const most = this.#options.trustForwarded ? connections : connectionsPerAddress;
    if (
      this.#closing || this.#open.size >= connections + SPARE_CONNECTIONS || used >= most + SPARE_CONNECTIONS
    ) {
      if (!this.#closing) this.#report({ event: "refused", reason: "connections" });
      return hangUp(conn);
    }
    this.#open.set(conn, address);
    this.#openPerAddress.set(address, used + 1);
    this.#serve(conn, address);
  }

  tick(): void {
    this.#run(this.machine.tick());
    for (const link of [...this.#links.values()]) link.tick();
  }

  /** Ends every connection; clients have a moment to take what was sent to them. */
  async close(): Promise<void> {
    this.#closing = true;
    const links = [...this.#links.values()];
    this.#links.clear();
    for (const link of links) link.close(1001, "the server is closing");
    if (this.#open.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#allGone = resolve;
    const timer = setTimeout(resolve, CLOSE_GRACE_MS);
    await promise;
    clearTimeout(timer);
    for (const conn of this.#open.keys()) hangUp(conn);
    this.#open.clear();
  }

  async #serve(conn: Deno.Conn, peer: string): Promise<void> {
    let asked = false;
    const deadline = setTimeout(() => {
      if (!asked) this.#report({ event: "refused", reason: "no request" });
      this.#gone(conn);
    }, HEAD_MS);
    try {
      const read = await readHead(conn);
      if (read === undefined) return;
      asked = true;
      const request = read.head === undefined ? undefined : parseOrNothing(read.head);
      const carry = request && this.#options.forward?.(request, this.#addressOf(request, peer));
      if (carry !== undefined && !this.#closing) {
        clearTimeout(deadline);
        const refusal = await carry(conn, concat(read.head!, read.rest));
        if (refusal) await write(conn, encodeAnswer(refusal));
        return;
      }
      const answer = await this.#route(request);
      if (answer !== undefined || request === undefined) {
        await write(conn, encodeAnswer(answer ?? BAD_REQUEST));
        await conn.closeWrite();
        // Hanging up on what still comes would take the answer away from the client again.
        const buffer = new Uint8Array(READ_BYTES);
        while (await conn.read(buffer) !== null);
        return;
      }
      await write(conn, encodeUpgrade(await acceptKey(webSocketKey(request)!)));
      clearTimeout(deadline);
      await this.#attach(conn, { address: this.#addressOf(request, peer), first: read.rest });
    } catch {
      // Clients that hang up, or speak something else, are no failure of a server.
    } finally {
      clearTimeout(deadline);
      this.#gone(conn);
    }
  }

  /** Gives the answer to a request, or undefined for a WebSocket that may be opened. */
  async #route(request: HttpRequest | undefined): Promise<HttpAnswer | undefined> {
    if (request === undefined) {
      this.#report({ event: "refused", reason: "bad request" });
      return BAD_REQUEST;
    }
    const { method, path, headers } = request;
    if (path !== MAILBOX_PATH) {
      if (method !== "GET") return { status: 405, body: "only GET\n", headers: { allow: "GET" } };
      const own = await this.#options.answer?.(request);
      if (own !== undefined) return own;
      if (path === "/healthz") return jsonAnswer(200, { status: "ok", ...this.machine.counts });
      return { status: 404, body: "not found\n" };
    }
    if (webSocketKey(request) === undefined) {
      const upgrade = { upgrade: "websocket", "sec-websocket-version": "13" };
      return { status: 426, body: "this is a WebSocket\n", headers: upgrade };
    }
    const origin = headers.get("origin");
    if (origin !== undefined && !this.#options.allowOrigins?.includes(origin)) {
      this.#report({ event: "refused", reason: "origin" });
      return { status: 403, body: "web pages may not use this server\n" };
    }
    if (this.#closing) return { status: 503, body: "closing\n" };
    return undefined;
  }

  async #attach(conn: Deno.Conn, { address, first }: { address: string; first: Uint8Array }): Promise<void> {
    const connection = this.#next++;
    const { messageBytes, bytesPerMailbox, totalUnsentBytes } = this.#limits;
    const link = new WebSocketLink({
      conn,
      traffic: this.traffic,
      maxBytes: messageBytes,
      // Whoever opens a full mailbox is sent all of it at once, and every message has a little around it.
      unsentBytes: 2 * bytesPerMailbox,
      totalUnsentBytes,
      nowMs: this.#options.nowMs ?? Date.now,
      onMessage: (text) => this.#event(connection, () => this.machine.message(connection, text)),
      onControl: () => this.#event(connection, () => this.machine.control(connection)),
      onRefused: (reason) => {
        this.#report({ event: "refused", reason });
        this.#event(connection, () => this.machine.disconnect(connection));
        this.#links.delete(connection);
      },
      onEnd: () => {
        this.#event(connection, () => this.machine.disconnect(connection));
        this.#links.delete(connection);
        this.#gone(conn);
      },
    });
    this.#links.set(connection, link);
    if (this.#closing) {
      this.#links.delete(connection);
      link.close(1001, "the server is closing");
    } else this.#event(connection, () => this.machine.connect(connection, address));
    await link.run(first);
  }

  #event(connection: number, actions: () => ServerAction[]): void {
    if (this.#links.has(connection)) this.#run(actions());
  }

  #run(actions: ServerAction[]): void {
    for (const action of actions) {
      if (action.type === "report") {
        this.#options.report?.(action);
        continue;
      }
      const link = this.#links.get(action.connection);
      if (link === undefined) continue;
      if (action.type === "send") {
        link.send(JSON.stringify({ ...action.message, server_tx: Date.now() / 1_000 }));
      } else {
        this.#links.delete(action.connection);
        link.close(action.code, action.reason);
      }
    }
  }

  #report(report: Omit<Extract<ServerReport, { event: "refused" }>, "type">): void {
    this.#options.report?.({ type: "report", ...report });
  }

  #gone(conn: Deno.Conn): void {
    hangUp(conn);
    const address = this.#open.get(conn);
    if (address === undefined) return;
    this.#open.delete(conn);
    const left = this.#openPerAddress.get(address)! - 1;
    if (left === 0) this.#openPerAddress.delete(address);
    else this.#openPerAddress.set(address, left);
    if (this.#open.size === 0) this.#allGone?.();
  }

  #addressOf({ headers }: HttpRequest, peer: string): string {
    const forwarded = this.#options.trustForwarded
      ? headers.get("x-forwarded-for")?.split(",").at(-1)?.trim()
      : undefined;
    return forwarded ? addressKey(forwarded.slice(0, 64)) : peer;
  }
}

/** Gives an answer with one JSON object. */
export function jsonAnswer(status: HttpAnswer["status"], body: object): HttpAnswer {
  return { status, body: JSON.stringify(body) + "\n", headers: { "content-type": "application/json" } };
}

const BAD_REQUEST: HttpAnswer = { status: 400, body: "this is no request, or its head is too long\n" };

/** Reads until the head is whole; without `head` when it is too long, undefined when the client hangs up before. */
async function readHead(
  conn: Deno.Conn,
): Promise<{ head: Uint8Array | undefined; rest: Uint8Array } | undefined> {
  let bytes = new Uint8Array(0);
  const buffer = new Uint8Array(READ_BYTES);
  while (bytes.length < MAX_HEAD_BYTES) {
    const length = await conn.read(buffer);
    if (length === null) return undefined;
    const longer = new Uint8Array(bytes.length + length);
    longer.set(bytes);
    longer.set(buffer.subarray(0, length), bytes.length);
    bytes = longer;
    const end = headEnd(bytes);
    if (end >= 0) return { head: bytes.subarray(0, end), rest: bytes.slice(end) };
  }
  return { head: undefined, rest: new Uint8Array(0) };
}

function parseOrNothing(head: Uint8Array): HttpRequest | undefined {
  try {
    return parseRequest(head);
  } catch {
    return undefined;
  }
}

async function write(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** Gives the host part of a URL by which this machine reaches a listener on `hostname`. */
function urlHost(hostname: string): string {
  if (hostname === "::" || hostname === "0.0.0.0") return "127.0.0.1";
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}

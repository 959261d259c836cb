import { WormholeError } from "../base/errors.ts";
import { addressKey } from "./address.ts";
import { DEFAULT_LIMITS, type MailboxLimits } from "./limits.ts";
import { MailboxServer, type ServerAction, type ServerCounts } from "./server.ts";
import type { MailboxStore } from "./store.ts";

/** Where clients connect; the same path as magic-wormhole's server. */
export const MAILBOX_PATH = "/v1";

/** Unsent bytes at which a client counts as too slow and is dropped; caps memory per connection. */
const MAX_UNSENT_BYTES = 512 * 1024;

/** How often time passes for the machine. */
const TICK_MS = 5_000;

/** Silence after which a client is pinged, and dropped when no answer comes. */
const IDLE_SECONDS = 60;

/** How long a closing server waits for clients to take their last messages. */
const CLOSE_GRACE_MS = 1_000;

/** Options of {@linkcode serveMailbox}. */
export interface ServeMailboxOptions {
  /** Interface to listen on; both IPv6 and IPv4 on all interfaces when it is left out. */
  hostname?: string;
  /** 0 takes any free port. */
  port: number;
  store: MailboxStore;
  limits?: Partial<MailboxLimits>;
  motd?: string;
  /** Believes the last address in `X-Forwarded-For`: only behind a proxy of one's own. */
  trustForwarded?: boolean;
  /** Gets what the operator's log should say. */
  report?: (report: Extract<ServerAction, { type: "report" }>) => void;
  nowMs?: () => number;
  random?: (byteLength: number) => Uint8Array;
}

/** A running mailbox server. */
export interface MailboxService extends AsyncDisposable {
  /** For clients on this machine, such as `ws://127.0.0.1:4000/v1`. */
  readonly url: string;
  readonly port: number;
  readonly counts: ServerCounts;
  /** Resolves when the server has ended. */
  readonly finished: Promise<void>;
}

/**
 * Runs a mailbox server over HTTP: the WebSocket at `/v1`, a health check at `/healthz`.
 * The store stays the caller's: dispose it after the service.
 *
 * @throws {WormholeError} ADDRESS_IN_USE, PERMISSION_DENIED or IO when it cannot listen.
 */
export function serveMailbox(options: ServeMailboxOptions): MailboxService {
  const machine = new MailboxServer({
    store: options.store,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    nowMs: options.nowMs ?? Date.now,
    random: options.random ?? ((byteLength) => crypto.getRandomValues(new Uint8Array(byteLength))),
    motd: options.motd,
  });
  const driver = new Driver(machine, options.report);
  const { server, hostname } = listen(
    options,
    (request, info) => driver.request(request, addressOf(request, info, options)),
  );
  const { port } = server.addr as Deno.NetAddr;
  const timer = setInterval(() => driver.tick(), TICK_MS);
  let closing: Promise<void> | undefined;
  const close = async () => {
    clearInterval(timer);
    await driver.close();
    await server.shutdown();
  };
  return {
    url: `ws://${urlHost(hostname)}:${port}${MAILBOX_PATH}`,
    port,
    get counts() {
      return machine.counts;
    },
    finished: server.finished,
    [Symbol.asyncDispose]: () => closing ??= close(),
  };
}

/** Carries events from sockets to the machine and actions back. */
class Driver {
  readonly #machine: MailboxServer;
  readonly #report: ServeMailboxOptions["report"];
  readonly #sockets = new Map<number, WebSocket>();
  /** Every socket that is not fully closed yet, dropped ones included. */
  readonly #open = new Set<WebSocket>();
  #next = 1;
  #closing = false;

  constructor(machine: MailboxServer, report: ServeMailboxOptions["report"]) {
    this.#machine = machine;
    this.#report = report;
  }

  request(request: Request, address: string): Response {
    const { pathname } = new URL(request.url);
    if (pathname === "/healthz") {
      return Response.json({ status: "ok", ...this.#machine.counts }, {
        headers: { "cache-control": "no-store" },
      });
    }
    if (pathname !== MAILBOX_PATH) return new Response("not found\n", { status: 404 });
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      return new Response("this is a WebSocket\n", { status: 426, headers: { upgrade: "websocket" } });
    }
    if (this.#closing) return new Response("closing\n", { status: 503 });
    const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: IDLE_SECONDS });
    this.#attach(socket, address);
    return response;
  }

  tick(): void {
    this.#run(this.#machine.tick());
  }

  /** Ends every connection; clients have a moment to take what was sent to them. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#open.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = () => this.#open.size === 0 && resolve();
    for (const socket of this.#open) {
      socket.addEventListener("close", check);
      closeSocket(socket, 1001, "the server is closing");
    }
    const timer = setTimeout(resolve, CLOSE_GRACE_MS);
    await promise;
    clearTimeout(timer);
  }

  #attach(socket: WebSocket, address: string): void {
    const connection = this.#next++;
    socket.binaryType = "arraybuffer";
    this.#open.add(socket);
    const gone = () => {
      this.#open.delete(socket);
      if (this.#sockets.delete(connection)) this.#run(this.#machine.disconnect(connection));
    };
    socket.addEventListener("open", () => {
      if (this.#closing) return closeSocket(socket, 1001, "the server is closing");
      this.#sockets.set(connection, socket);
      this.#run(this.#machine.connect(connection, address));
    });
    socket.addEventListener("message", ({ data }) => {
      // Binary frames are what magic-wormhole's documentation names; its programs send text.
      const text = typeof data === "string" ? data : decodeText(data as ArrayBuffer);
      if (this.#sockets.has(connection)) this.#run(this.#machine.message(connection, text));
    });
    socket.addEventListener("close", gone);
    socket.addEventListener("error", gone);
  }

  #run(actions: ServerAction[]): void {
    for (const action of actions) {
      if (action.type === "report") {
        this.#report?.(action);
        continue;
      }
      const socket = this.#sockets.get(action.connection);
      if (socket === undefined) continue;
      if (action.type === "close") this.#drop(action.connection, action.code, action.reason);
      else if (socket.readyState === WebSocket.OPEN) {
        socket.send(JSON.stringify({ ...action.message, server_tx: Date.now() / 1_000 }));
        if (socket.bufferedAmount > MAX_UNSENT_BYTES) {
          this.#drop(action.connection, 1008, "too slow");
          this.#report?.({ type: "report", event: "refused", reason: "too slow" });
          this.#run(this.#machine.disconnect(action.connection));
        }
      }
    }
  }

  #drop(connection: number, code: number, reason: string): void {
    const socket = this.#sockets.get(connection)!;
    this.#sockets.delete(connection);
    closeSocket(socket, code, reason);
  }
}

type Handler = (request: Request, info: Deno.ServeHandlerInfo<Deno.NetAddr>) => Response;

/** Listens on the given interface, else on all of both families, else on all of IPv4. */
function listen({ hostname, port }: ServeMailboxOptions, handler: Handler) {
  const on = (hostname: string) => ({
    server: Deno.serve({ hostname, port, onListen: () => {} }, handler as Deno.ServeHandler<Deno.NetAddr>),
    hostname,
  });
  try {
    if (hostname !== undefined) return on(hostname);
    try {
      return on("::");
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) throw error;
      return on("0.0.0.0");
    }
  } catch (cause) {
    const place = hostname === undefined ? `port ${port}` : `${urlHost(hostname)}:${port}`;
    if (cause instanceof Deno.errors.AddrInUse) {
      throw new WormholeError("ADDRESS_IN_USE", `Cannot listen on ${place}: another program uses it`, {
        cause,
      });
    }
    if (cause instanceof Deno.errors.PermissionDenied) {
      throw new WormholeError("PERMISSION_DENIED", `Cannot listen on ${place}: not permitted`, { cause });
    }
    throw new WormholeError(
      "IO",
      `Cannot listen on ${place}: ${cause instanceof Error ? cause.message : cause}`,
      {
        cause,
      },
    );
  }
}

function addressOf(
  request: Request,
  info: Deno.ServeHandlerInfo<Deno.NetAddr>,
  { trustForwarded = false }: ServeMailboxOptions,
): string {
  const forwarded = trustForwarded
    ? request.headers.get("x-forwarded-for")?.split(",").at(-1)?.trim()
    : undefined;
  return addressKey((forwarded || info.remoteAddr.hostname).slice(0, 64));
}

/** Gives the host part of a URL by which this machine reaches a listener on `hostname`. */
function urlHost(hostname: string): string {
  if (hostname === "::" || hostname === "0.0.0.0") return "127.0.0.1";
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}

function decodeText(data: ArrayBuffer): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch {
    return undefined;
  }
}

function closeSocket(socket: WebSocket, code: number, reason: string): void {
  // Before it is open a socket takes no code; closing twice is no failure.
  if (socket.readyState === WebSocket.OPEN) socket.close(code, reason);
  else if (socket.readyState === WebSocket.CONNECTING) {
    socket.addEventListener("open", () => socket.close(code, reason), { once: true });
  }
}

import { type ErrorCode, isWormholeError, WormholeError } from "../base/errors.ts";
import { bareHost } from "../base/host_port.ts";
import { processProxies, type Proxies } from "../config/proxies.ts";
import { openProxied, type ProxiedClient, proxyState } from "../native/proxy.ts";
import { parseRelayOffer, type RelayOffer } from "./relay_offer.ts";
import { parseServerFrame, type ServerMessage } from "./server_message.ts";

/** How a side says that its use of a mailbox ended. */
export type Mood = "happy" | "lonely" | "scary" | "errory";

/** A message of the other side. */
export interface MailboxMessage {
  side: string;
  phase: string;
  body: Uint8Array<ArrayBuffer>;
}

/** An opened mailbox, as the pairing protocol uses it. */
export interface Mailbox {
  /** This client's own side. */
  readonly side: string;
  /** The relay of the hub that the mailbox is at. */
  readonly relay: RelayOffer | undefined;
  /** Sends `body` under `phase` to the other side, now or when it comes. @throws {WormholeError} when the link is lost. */
  add(phase: string, body: Uint8Array): void;
  /** Gives the next message that is not an echo of this side's own. @throws {WormholeError} when there can be none. */
  next(options?: { signal?: AbortSignal }): Promise<MailboxMessage>;
  /** Ends this side's use of the mailbox; a lost link is no failure. */
  close(mood: Mood): Promise<void>;
}

/** Options of {@linkcode MailboxClient.connect}. */
export interface ConnectOptions {
  /** Application that nameplates and mailboxes belong to. */
  appId: string;
  /** Random name of this client; drawn when it is left out. */
  side?: string;
  signal?: AbortSignal;
  /** How long the server may take to answer; 15 s when left out. */
  timeoutMs?: number;
  /** The proxies to go through; those of this process when left out. */
  proxies?: Proxies;
}

/** How long a server may take to answer. */
const TIMEOUT_MS = 15_000;

/** Most messages and bytes of the other side that wait to be read. */
const MAX_WAITING_MESSAGES = 200;
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

/** Most who came and were not looked at yet. */
const MAX_WAITING_ARRIVALS = 256;

/** How long a closing link may take to say goodbye. */
const CLOSE_MS = 1_000;

interface Waiter {
  types: readonly ServerMessage["type"][];
  resolve(message: ServerMessage): void;
  reject(reason: unknown): void;
}

interface Reader<T> {
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/**
 * One connection to a mailbox server, for one code.
 *
 * Spec: `src/wire/spec/mailbox.md` (magic-wormhole's server-protocol.md).
 */
export class MailboxClient implements Mailbox, AsyncDisposable {
  readonly side: string;
  readonly #url: URL;
  readonly #socket: WebSocket;
  readonly #proxied: ProxiedClient | undefined;
  readonly #timeoutMs: number;
  readonly #inbox: MailboxMessage[] = [];
  readonly #ended = Promise.withResolvers<void>();
  readonly #arrivals: string[] = [];
  #inboxBytes = 0;
  #reply: Waiter | undefined;
  #reader: Reader<MailboxMessage> | undefined;
  #host: Reader<string> | undefined;
  #failure: WormholeError | undefined;
  #nameplate: string | undefined;
  #mailbox: string | undefined;
  #motd: string | undefined;
  #relay: RelayOffer | undefined;
  #ours = false;
  #transit: { host: string; port: number } | undefined;
  #expiresInMs: number | undefined;
  #released = false;
  #heard = () => {};
  /** The server has ended the mailbox as it was told, so that it has got everything before that. */
  hasSaidAll = false;
  #closed = false;

  private constructor(
    url: URL,
    { side, timeoutMs = TIMEOUT_MS }: ConnectOptions,
    proxied: ProxiedClient | undefined,
  ) {
    const socket = new WebSocket(url, proxied && { client: proxied.client });
    this.#url = url;
    this.#socket = socket;
    this.#proxied = proxied;
    this.#timeoutMs = timeoutMs;
    this.side = side ?? crypto.getRandomValues(new Uint8Array(8)).toHex();
    socket.addEventListener("message", ({ data }) => this.#receive(data));
    socket.addEventListener("error", (event) => {
      const reason = event instanceof ErrorEvent ? event.message : "";
      this.#fail(this.#unreachable(plainReason(reason)));
      this.#ended.resolve();
    });
    socket.addEventListener("close", () => {
      this.#fail(
        this.#motd === undefined ? this.#unreachable("it hung up") : this.#lost("the connection was lost"),
      );
      this.#ended.resolve();
    });
  }

  /**
   * Connects to the mailbox server at `url`, through the proxy that the environment names for it, and says who this is.
   *
   * @throws {WormholeError} HUB_UNREACHABLE when nothing answers, HUB_REFUSED when it refuses, PROTOCOL when
   * it is no mailbox server, INVALID_ARGUMENT when the environment names no proper proxy.
   */
  static async connect(url: URL, options: ConnectOptions): Promise<MailboxClient> {
    options.signal?.throwIfAborted();
    // Always asked for: it also keeps Deno from using a proxy where none is to be used.
    const proxies = options.proxies ?? processProxies();
    const client = new MailboxClient(url, options, await proxiedTo(url, options, proxies));
    try {
      const welcome = await client.#wait(["welcome"], { signal: options.signal });
      if (welcome.type !== "welcome") throw new Error("unreachable");
      if (welcome.refusal !== undefined) {
        throw new WormholeError(
          "HUB_REFUSED",
          `Cannot use the mailbox at ${client.#place()}: ${welcome.refusal}`,
        );
      }
      client.#motd = welcome.motd ?? "";
      client.#relay = parseRelayOffer(welcome.relay, url);
      client.#ours = welcome.ours;
      const host = bareHost(url.hostname);
      client.#transit = welcome.transit && { host: welcome.transit.host ?? host, port: welcome.transit.port };
      client.#send({ type: "bind", appid: options.appId, side: client.side });
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where the server is. */
  get url(): URL {
    return this.#url;
  }

  /** What the server wants its users to read; "" when nothing. */
  get motd(): string {
    return this.#motd ?? "";
  }

  get relay(): RelayOffer | undefined {
    return this.#relay;
  }

  /** Whether the server is of this program: it knows `mustExist`, `many` and `reuse`. */
  get ours(): boolean {
    return this.#ours;
  }

  /** The transit relay of the server, for magic-wormhole clients. */
  get transit(): { host: string; port: number } | undefined {
    return this.#transit;
  }

  /** How long the claimed nameplate waits for somebody, from the claim on, in ms; undefined when the server did not say. */
  get expiresInMs(): number | undefined {
    return this.#expiresInMs;
  }

  /** Asks for a free nameplate; it is then to be claimed. @throws {WormholeError} HUB_REFUSED. */
  async allocate({ signal }: { signal?: AbortSignal } = {}): Promise<string> {
    const reply = await this.#request({ type: "allocate" }, "allocated", signal);
    return reply.nameplate;
  }

  /**
   * Joins a nameplate and opens its mailbox.
   *
   * `mustExist`: fails when nobody offers it (our server; others make it and wait). `many`: everybody who comes gets a
   * mailbox of their own, which {@linkcode MailboxClient.nextArrival} names. `reuse`: takes a nameplate that ended well
   * again before its time (our server).
   *
   * @throws {WormholeError} CODE_NOT_FOUND, CODE_EXPIRED, CODE_USED, CODE_CROWDED or HUB_REFUSED; UNSUPPORTED when the
   * server cannot serve many under one code.
   */
  async claim(
    nameplate: string,
    { mustExist = false, many = false, reuse = false, signal }: {
      mustExist?: boolean;
      many?: boolean;
      reuse?: boolean;
      signal?: AbortSignal;
    } = {},
  ): Promise<void> {
    this.#nameplate = nameplate;
    const fields = {
      ...mustExist && { must_exist: true },
      ...many && { many: true },
      ...reuse && { reuse: true },
    };
    const reply = await this.#request({ type: "claim", nameplate, ...fields }, "claimed", signal);
    this.#expiresInMs = reply.expiresInMs;
    this.#mailbox = reply.mailbox;
    this.open(reply.mailbox);
    if (!many || reply.many) return;
    throw new WormholeError(
      "UNSUPPORTED",
      `Cannot use one code for several receivers: the hub at ${this.#place()} cannot do that; ` +
        "give the number of receivers, so that each gets a code",
    );
  }

  /**
   * Takes the place of `lost`, a connection of the same side, in its mailbox. With `make` a server that has forgotten the
   * nameplate gets it anew, unless it is somebody else's by now.
   *
   * @throws {WormholeError} as {@linkcode MailboxClient.claim}.
   */
  async replace(
    lost: MailboxClient,
    { make, signal }: { make?: { reuse: boolean }; signal?: AbortSignal } = {},
  ): Promise<void> {
    const { nameplate, mailbox } = { nameplate: lost.#nameplate, mailbox: lost.#mailbox };
    if (nameplate === undefined || mailbox === undefined) throw new TypeError("replace() before a claim");
    const about = { ...signal && { signal } };
    if (make && !(await this.list(about)).includes(nameplate)) {
      return await this.claim(nameplate, { ...make, ...about });
    }
    // Not claimed: where the number is somebody else's by now, that would make us the second side.
    [this.#nameplate, this.#mailbox] = [nameplate, mailbox];
    this.open(mailbox);
  }

  /** Opens the mailbox of somebody who came to a nameplate that serves many. */
  open(mailbox: string): void {
    this.#send({ type: "open", mailbox });
  }

  /** Gives the mailbox of the next who comes. @throws {WormholeError} when there can be none; the signal's reason. */
  async nextArrival({ signal }: { signal?: AbortSignal } = {}): Promise<string> {
    const waiting = this.#arrivals.shift();
    if (waiting !== undefined) return waiting;
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return await read<string>((reader) => this.#host = reader, signal);
    } finally {
      this.#host = undefined;
    }
  }

  /** Gives the nameplates in use. @throws {WormholeError} HUB_REFUSED. */
  async list({ signal }: { signal?: AbortSignal } = {}): Promise<string[]> {
    const reply = await this.#request({ type: "list" }, "nameplates", signal);
    return reply.names;
  }

  /** Gives up the claimed nameplate: to be called when the other side is known to be there. */
  async release({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    this.#released = true;
    await this.#request({ type: "release" }, "released", signal);
  }

  add(phase: string, body: Uint8Array): void {
    this.#send({ type: "add", phase, body: body.toHex() });
  }

  async next({ signal }: { signal?: AbortSignal } = {}): Promise<MailboxMessage> {
    signal?.throwIfAborted();
    const waiting = this.#inbox.shift();
    if (waiting !== undefined) {
      this.#inboxBytes -= waiting.body.length;
      return waiting;
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#reader !== undefined) throw new TypeError("next() is already waiting");
    try {
      return await read<MailboxMessage>((reader) => this.#reader = reader, signal);
    } finally {
      this.#reader = undefined;
    }
  }

  /** Asks whether the server is still there; when it says nothing, the connection counts as lost. */
  async ask(): Promise<void> {
    if (this.#failure !== undefined) return;
    const { promise: heard, resolve } = Promise.withResolvers<void>();
    this.#heard = resolve;
    const timer = setTimeout(() => {
      this.#fail(this.#lost("it does not answer"));
      this.#socket.close();
      resolve();
    }, this.#timeoutMs);
    this.#send({ type: "ping", ping: 0 });
    await heard;
    clearTimeout(timer);
  }

  async close(mood: Mood): Promise<void> {
    if (this.#closed || this.#failure !== undefined) return;
    this.#closed = true;
    try {
      // magic-wormhole's server cannot delete a mailbox that a nameplate still leads to.
      if (this.#nameplate !== undefined && !this.#released) this.#send({ type: "release" });
      await this.#request({ type: "close", mood }, "closed", AbortSignal.timeout(this.#timeoutMs));
      this.hasSaidAll = true;
    } catch {
      // The server ends the mailbox by itself when it hears no more.
    }
  }

  /** Hangs up; a mailbox that is still open lives on at the server. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#fail(new WormholeError("CLOSED", "the mailbox connection is closed"));
    this.#heard();
    if (this.#socket.readyState <= WebSocket.OPEN) this.#socket.close();
    const timer = setTimeout(() => this.#ended.resolve(), CLOSE_MS);
    await this.#ended.promise;
    clearTimeout(timer);
    await this.#proxied?.[Symbol.asyncDispose]();
  }

  async #request<T extends ServerMessage["type"]>(
    message: object,
    type: T,
    signal: AbortSignal | undefined,
  ): Promise<Extract<ServerMessage, { type: T }>> {
    const reply = this.#wait([type], { signal });
    try {
      this.#send(message);
    } catch (error) {
      this.#reply?.reject(error);
    }
    return await reply as Extract<ServerMessage, { type: T }>;
  }

  #wait(
    types: readonly ServerMessage["type"][],
    { signal }: { signal?: AbortSignal },
  ): Promise<ServerMessage> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#reply !== undefined) return Promise.reject(new TypeError("a request is already waiting"));
    const { promise, resolve, reject } = Promise.withResolvers<ServerMessage>();
    const abort = () => reject(signal!.reason);
    const timer = setTimeout(() => reject(this.#unreachable("it does not answer")), this.#timeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
    this.#reply = { types, resolve, reject };
    return promise.finally(() => {
      this.#reply = undefined;
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    });
  }

  #send(message: object): void {
    if (this.#failure !== undefined) throw this.#failure;
    const id = crypto.getRandomValues(new Uint8Array(2)).toHex();
    this.#socket.send(JSON.stringify({ id, ...message }));
  }

  #receive(data: unknown): void {
    this.#heard();
    if (this.#failure !== undefined) return;
    try {
      this.#handle(parseServerFrame(data));
    } catch (error) {
      this.#fail(error as WormholeError);
      this.#socket.close();
    }
  }

  #handle(message: ServerMessage): void {
    switch (message.type) {
      case "other":
        return;
      case "error": {
        const error = this.#refusal(message.code, message.text);
        if (this.#reply !== undefined) this.#reply.reject(error);
        else this.#fail(error);
        return;
      }
      case "message":
        if (message.side !== this.side) this.#deliver(message);
        return;
      case "arrived":
        if (this.#host !== undefined) {
          this.#host.resolve(message.mailbox);
          this.#host = undefined;
        } else if (this.#arrivals.length < MAX_WAITING_ARRIVALS) this.#arrivals.push(message.mailbox);
        // More than that at once is no crowd but an attack, which must not end the code for all others.
        return;
      default:
        // A reply that nobody waits for belongs to a request that was given up.
        if (this.#reply?.types.includes(message.type)) this.#reply.resolve(message);
    }
  }

  #deliver({ side, phase, body }: MailboxMessage): void {
    if (this.#reader !== undefined) {
      this.#reader.resolve({ side, phase, body });
      this.#reader = undefined;
      return;
    }
    this.#inboxBytes += body.length;
    if (this.#inbox.length >= MAX_WAITING_MESSAGES || this.#inboxBytes > MAX_WAITING_BYTES) {
      throw this.#tooMuch();
    }
    this.#inbox.push({ side, phase, body });
  }

  #fail(error: WormholeError): void {
    this.#failure ??= error;
    this.#heard();
    this.#reply?.reject(this.#failure);
    this.#reader?.reject(this.#failure);
    this.#host?.reject(this.#failure);
  }

  #tooMuch(): WormholeError {
    return new WormholeError(
      "LIMIT_EXCEEDED",
      `Cannot use the mailbox at ${this.#place()}: it sends too much`,
    );
  }

  #refusal(code: ErrorCode = "HUB_REFUSED", text: string): WormholeError {
    const states: Partial<Record<ErrorCode, string>> = {
      CODE_NOT_FOUND: "nobody offers it; is the number right and the sender still running?",
      CODE_EXPIRED: "it has expired; the sender has to make a new one",
      CODE_USED: "it was already used; the sender has to make a new one",
      CODE_CROWDED: "two others use it already; the sender has to make a new one",
    };
    const state = states[code];
    const subject = this.#nameplate === undefined ? "the code" : `the code ${this.#nameplate}`;
    if (state !== undefined) return new WormholeError(code, `Cannot use ${subject}: ${state}`);
    return new WormholeError(code, `Cannot use the mailbox at ${this.#place()}: ${text}`);
  }

  #lost(state: string): WormholeError {
    return new WormholeError("CONNECTION_LOST", `Cannot use the mailbox at ${this.#place()}: ${state}`);
  }

  #unreachable(state: string): WormholeError {
    return unreachable(this.#url, state);
  }

  #place(): string {
    return this.#url.host;
  }
}

/** Gives the client that leads to `url` through the proxy for it; undefined when there is none to be used. */
async function proxiedTo(
  url: URL,
  { timeoutMs = TIMEOUT_MS, signal }: ConnectOptions,
  proxies: Proxies,
): Promise<ProxiedClient | undefined> {
  const proxy = proxies.forUrl(url);
  if (proxy === undefined) return undefined;
  try {
    return await openProxied(url, { proxy, timeoutMs, ...signal && { signal } });
  } catch (error) {
    if (!isWormholeError(error, "CONNECT_FAILED", "TIMEOUT")) throw error;
    throw unreachable(url, proxyState(error), error);
  }
}

function unreachable(url: URL, state: string, cause?: Error): WormholeError {
  return new WormholeError(
    "HUB_UNREACHABLE",
    `Cannot reach the mailbox at ${url.host}: ${state}`,
    ...cause ? [{ cause }] : [],
  );
}

/** Waits for what `listen`'s reader gets, or for the signal. */
async function read<T>(listen: (reader: Reader<T>) => void, signal: AbortSignal | undefined): Promise<T> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const abort = () => reject(signal!.reason);
  signal?.addEventListener("abort", abort, { once: true });
  listen({ resolve, reject });
  try {
    return await promise;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** Puts the runtime's reason for a failed connection into plain words. */
export function plainReason(reason: string): string {
  const known: [RegExp, string][] = [
    [/refused|tcp connect/i, "nothing listens there"],
    [/dns|lookup|name or service|resolve/i, "there is no such host"],
    [/timed? ?out/i, "it does not answer"],
    [/unreachable|no route/i, "there is no way to that network"],
    [/certificate|tls|unknownissuer/i, "its certificate is not trusted"],
    [/status code|upgrade|101|invalid http/i, "it is no mailbox server"],
  ];
  return known.find(([pattern]) => pattern.test(reason))?.[1] ?? "the connection failed";
}

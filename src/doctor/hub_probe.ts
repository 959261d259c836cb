import { anySignal } from "../base/any_signal.ts";
import { isWormholeError } from "../base/errors.ts";
import { bareHost } from "../base/host_port.ts";
import { processProxies, proxyPlace } from "../config/proxies.ts";
import { openProxied, proxyState } from "../native/proxy.ts";
import { plainReason } from "../pairing/mailbox_client.ts";
import { parseRelayOffer, type RelayOffer } from "../pairing/relay_offer.ts";
import type { DiscoveryFacts, HubFacts, Unknown } from "./facts.ts";

/** Longest message of a hub that is looked at, in characters; a welcome has some hundred. */
const MAX_MESSAGE = 64 * 1024;

/** Options of {@linkcode probeHub}. */
export interface ProbeHubOptions {
  readonly timeoutMs: number;
  /** What people call it; its host when left out. */
  readonly name?: string;
  readonly signal: AbortSignal;
  /** Gives the time, in ms, as the hub does. */
  readonly now?: () => number;
}

/**
 * Talks to the mailbox server at `url` as far as it goes without being anybody: its welcome, and a ping. Never throws for what
 * the network does.
 */
export async function probeHub(
  url: URL,
  { timeoutMs, name = url.host, signal, now = Date.now }: ProbeHubOptions,
): Promise<HubFacts | Unknown> {
  const limit = anySignal(signal, AbortSignal.timeout(timeoutMs));
  const begun = performance.now();
  try {
    const proxy = processProxies().forUrl(url);
    await using proxied = proxy && await openProxied(url, { proxy, timeoutMs, signal: limit });
    await using socket = new Talk(new WebSocket(url, proxied && { client: proxied.client }), limit);
    const welcome = await socket.next("welcome");
    const connectMs = performance.now() - begun;
    if (welcome === undefined) return { unknown: `${name} is no mailbox server` };
    const sent = { at: now(), tick: performance.now() };
    socket.send({ type: "ping", ping: 1 });
    const pong = await socket.next("pong");
    const rttMs = performance.now() - sent.tick;
    const hubTime = typeof pong?.server_tx === "number" ? pong.server_tx * 1000 : undefined;
    const { relay } = typeof welcome.welcome === "object" ? { ...welcome.welcome as Message } : {};
    const offer = parseRelayOffer(relay, url);
    return {
      connectMs,
      relay: offer !== undefined,
      ...offer?.discoveryPort !== undefined && { discovery: discovery(offer, offer.discoveryPort) },
      ...pong && { rttMs },
      // The hub's time is that of about the middle of the way there and back.
      ...hubTime !== undefined && { skewMs: hubTime - (sent.at + rttMs / 2) },
      ...proxy && { proxy: proxyPlace(proxy) },
    };
  } catch (error) {
    signal.throwIfAborted();
    const late = limit.aborted || isWormholeError(error, "TIMEOUT");
    const state = late
      ? `does not answer within ${timeoutMs / 1000} s`
      : isWormholeError(error, "CONNECT_FAILED")
      ? `cannot be reached ${proxyState(error)}`
      : error instanceof Error
      ? `cannot be reached: ${error.message}`
      : "cannot be reached";
    return { unknown: `${name} ${state}` };
  }
}

/** Addresses are told at the relay's host. */
function discovery({ url, otherDiscoveryPort, pins }: RelayOffer, port: number): DiscoveryFacts {
  const host = bareHost(new URL(url).hostname);
  return { host, port, pins, ...otherDiscoveryPort !== undefined && { otherPort: otherDiscoveryPort } };
}

type Message = Record<string, unknown>;

/** A WebSocket whose messages are asked for by type. */
class Talk implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #limit: AbortSignal;
  readonly #ended = Promise.withResolvers<never>();
  readonly #waiting: Message[] = [];
  #wake = () => {};

  constructor(socket: WebSocket, limit: AbortSignal) {
    this.#socket = socket;
    this.#limit = limit;
    this.#ended.promise.catch(() => {}); // Whoever waits hears of it.
    const fail = (error: unknown) => this.#ended.reject(error);
    limit.addEventListener("abort", () => fail(limit.reason), { once: true });
    if (limit.aborted) fail(limit.reason);
    socket.onmessage = ({ data }) => {
      const message = parse(data);
      if (message !== undefined) this.#waiting.push(message);
      this.#wake();
    };
    socket.onerror = (event) =>
      fail(new Error(plainReason(event instanceof ErrorEvent ? event.message : "")));
    socket.onclose = () => fail(new Error("it hung up"));
  }

  send(message: object): void {
    this.#socket.send(JSON.stringify(message));
  }

  /** Gives the next message of `type`; undefined when an error comes instead, or something that is no message. */
  async next(type: string): Promise<Message | undefined> {
    for (;;) {
      for (let message = this.#waiting.shift(); message; message = this.#waiting.shift()) {
        if (message.type === type) return message;
        if (message.type === "error" || message.type === undefined) return undefined;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await Promise.race([promise, this.#ended.promise]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.onclose = () => resolve();
    this.#socket.onerror = () => resolve();
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    try {
      this.#socket.close();
    } catch { /* it never opened */ }
    // A server that does not close its end keeps nobody.
    await Promise.race([
      promise,
      new Promise((resolve) => setTimeout(resolve, this.#limit.aborted ? 0 : 200)),
    ]);
  }
}

function parse(data: unknown): Message | undefined {
  if (typeof data !== "string" || data.length > MAX_MESSAGE) return {};
  try {
    const value = JSON.parse(data);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

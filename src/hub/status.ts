import { anySignal } from "../base/any_signal.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { processProxies } from "../config/proxies.ts";
import { openProxied, proxyState } from "../native/proxy.ts";

/** How a hub says that it is. */
export interface HubStatus {
  /** `draining`: it makes no new codes, since it is about to end. */
  readonly status: "ok" | "draining";
  /** null: it does not say. */
  readonly uptimeMs: number | null;
  readonly connections: number;
  /** Numbers of codes in use or still blocked. */
  readonly nameplates: number;
  readonly mailboxes: number;
}

/** Longest answer that is read, in bytes. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** How long a hub may take to answer. */
const TIMEOUT_MS = 10_000;

/**
 * Asks the hub at `url` (`ws:` or `wss:`) how it is, through the proxy that the environment names for it.
 *
 * @throws {WormholeError} HUB_UNREACHABLE when nothing answers, PROTOCOL when it is no hub.
 */
export async function hubStatus(url: URL, { signal }: { signal?: AbortSignal } = {}): Promise<HubStatus> {
  const health = new URL("/healthz", url);
  health.protocol = url.protocol === "wss:" ? "https:" : "http:";
  const late = AbortSignal.timeout(TIMEOUT_MS);
  const proxy = processProxies().forUrl(url);
  let text: string;
  try {
    await using proxied = proxy &&
      await openProxied(url, { proxy, timeoutMs: TIMEOUT_MS, ...signal && { signal } });
    const response = await fetch(health, {
      ...proxied && { client: proxied.client },
      redirect: "error",
      signal: anySignal(signal, late),
    });
    text = await bounded(response);
  } catch (cause) {
    signal?.throwIfAborted();
    const state = isWormholeError(cause, "CONNECT_FAILED", "TIMEOUT")
      ? proxyState(cause)
      : late.aborted
      ? "it does not answer"
      : "nothing answers there, or its certificate is not trusted";
    throw new WormholeError("HUB_UNREACHABLE", `Cannot reach the hub at ${url.host}: ${state}`, { cause });
  }
  return parseStatus(text) ?? Promise.reject(noHub(url));
}

async function bounded(response: Response): Promise<string> {
  let text = "";
  let byteLength = 0;
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    byteLength += chunk.length;
    if (byteLength > MAX_ANSWER_BYTES) return "";
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

function parseStatus(text: string): HubStatus | undefined {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { status, uptime, connections, nameplates, mailboxes } = value ?? {};
  if ((status !== "ok" && status !== "draining") || ![connections, nameplates, mailboxes].every(isCount)) {
    return undefined;
  }
  return {
    status,
    uptimeMs: isCount(uptime) ? uptime * 1_000 : null,
    connections: connections as number,
    nameplates: nameplates as number,
    mailboxes: mailboxes as number,
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

function noHub(url: URL): WormholeError {
  return new WormholeError("PROTOCOL", `Cannot ask ${url.host} how it is: it is no hub`);
}

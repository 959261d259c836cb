import { type Clock, systemClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { assertUsable, type TlsIdentity } from "../mailbox/door.ts";
import type { HttpAnswer, HttpRequest } from "../mailbox/http_request.ts";
import type { MailboxLimits } from "../mailbox/limits.ts";
import { MemoryMailboxStore } from "../mailbox/memory_store.ts";
import { jsonAnswer, type MailboxService, serveMailbox } from "../mailbox/serve.ts";
import type { ServerReport } from "../mailbox/server_action.ts";
import type { MailboxStore } from "../mailbox/store.ts";
import { parseListen } from "./listen.ts";
import { HubMetrics, METRICS_TYPE } from "./metrics.ts";
import { HubRelay, type HubRelayOptions } from "./relay.ts";
import { serveMetrics } from "./metrics_service.ts";
import { type TransitOptions, TransitRelay } from "./transit.ts";

/** How often the log says how much is going on. */
const SUMMARY_MS = 10 * 60_000;

/** How often a draining hub looks whether it is done. */
const DRAIN_LOOK_MS = 100;

/** What a relayed transfer may pause before it counts as over. */
const RELAY_PAUSE_MS = 1000;

/** What keeps connections alive stays below this. */
const IDLE_BYTES_PER_SECOND = 16 * 1024;

/** Pause between two lines of the log about a store that fails: a full disk fails at every request. */
const FAILURE_PAUSE_MS = 60_000;

/** Options of {@linkcode runHub}. */
export interface HubOptions {
  /** `host:port`, `[v6]:port`, `:port` or `port`; port 0 takes a free one. */
  readonly listen: string;
  /** Paths of a certificate chain and its key, as PEM; left out, the hub speaks plain WebSocket. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Path of the SQLite database; left out, open codes are lost at a restart. */
  readonly database?: string;
  /** How long a code waits for its second side, in ms. */
  readonly codeTtlMs?: number;
  /** Other limits than those of a public hub. */
  readonly limits?: Partial<MailboxLimits>;
  /** Text that clients show to their user. */
  readonly motd?: string;
  /** Behind a reverse proxy of one's own: rate limits count the address in `X-Forwarded-For`. */
  readonly trustForwarded?: boolean;
  /** Origins of web pages that may connect. */
  readonly allowOrigins?: readonly string[];
  /** Gives `/metrics` on the hub's own address. */
  readonly metrics?: boolean;
  /** Gives `/metrics` and `/healthz` on this address, as in `listen`. */
  readonly metricsListen?: string;
  /** A relay for machines that cannot reach each other; none when left out. */
  readonly relay?: Omit<HubRelayOptions, "hub" | "tls" | "secret" | "behindProxy" | "log">;
  /** A relay for magic-wormhole clients that cannot reach each other. */
  readonly transit?: TransitOptions;
  /** How long an ending hub waits for those who have a code, in ms; not at all when left out. */
  readonly drainMs?: number;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Gets what reads certificate and key anew, and gives what stops that; for SIGHUP. */
  readonly onRenewal?: (renew: () => void) => Disposable;
  /** Called once the hub listens; `metricsUrl` where it has an address of its own, `transit`: `ip:port` of that relay. */
  readonly onListening?: (
    hub: { url: string; port: number; metricsUrl?: string; transit?: readonly string[] },
  ) => void;
  /** Called when the hub has been told to end and waits for `connections` that have a code, and those that `transit` joined. */
  readonly onDraining?: (drain: { connections: number; transit: number; drainMs: number }) => void;
  /** Ends the hub; clients get a moment to take their last messages. */
  readonly signal: AbortSignal;
}

/**
 * Runs a hub until `signal` aborts. Its log and metrics say that something happened, never a code, a side or an address.
 *
 * @throws {WormholeError} INVALID_ARGUMENT for `listen`, ADDRESS_IN_USE, PERMISSION_DENIED or IO when it cannot
 * listen; NOT_FOUND, PERMISSION_DENIED or CONFIG_INVALID for the certificate; IO, CORRUPT or VERSION_UNSUPPORTED for the
 * database.
 */
export async function runHub(options: HubOptions): Promise<void> {
  const { log, signal, database, codeTtlMs, clock = systemClock } = options;
  const { hostname, port } = parseListen(options.listen);
  if (signal.aborted) return;
  const tls = options.tls && await readIdentity(options.tls);
  using store = await openStore(database);
  await using relay = options.relay && await HubRelay.open({
    ...options.relay,
    hub: { hostname, port },
    secret: store.secret("relay"),
    behindProxy: options.trustForwarded === true,
    ...tls && { tls },
    log,
  });
  await using transit = options.transit && await TransitRelay.open(options.transit);
  const metrics = new HubMetrics(() => clock.monotonic());
  const logReport = reportLogger(log, clock);
  await using service: MailboxService = serveMailbox({
    hostname,
    port,
    store,
    ...tls && { tls },
    limits: { ...options.limits, ...(codeTtlMs !== undefined && { codeTtlMs }) },
    motd: options.motd,
    trustForwarded: options.trustForwarded,
    allowOrigins: options.allowOrigins,
    ...relay && { forward: (request, from) => relay.forward(request, from) },
    welcome: () => ({ ...relay?.welcome(), ...transit && { transit: transit.place } }),
    answer: (request) =>
      answer(request, { service, metrics, relay, transit, withMetrics: options.metrics === true }),
    report: (report) => {
      metrics.count(report);
      logReport(report);
    },
    ...(options.clock && { nowMs: () => clock.now() }),
  });
  await using own = options.metricsListen === undefined
    ? undefined
    : serveMetrics(options.metricsListen, (request) =>
      answer(request, { service, metrics, relay, transit, withMetrics: true }));
  using _renewal = options.tls && options.onRenewal?.(() => renew(service, relay, options));
  const about = {
    database: database === undefined ? "memory" : "file",
    tls: tls !== undefined,
    relay: relay === undefined ? "none" : options.relay?.listen === undefined ? "here" : relay.address,
    discovery: relay?.discoveryPort ?? "none",
    transit: transit?.addresses.join(" ") ?? "none",
  };
  log.info("hub listens", { url: service.url, ...about, ...service.counts });
  options.onListening?.({
    url: service.url,
    port: service.port,
    ...own && { metricsUrl: own.url },
    ...transit && { transit: transit.addresses },
  });
  const summary = setInterval(() => summarize({ service, transit, log }), SUMMARY_MS);
  try {
    await untilEnd(service, signal);
    await drained({ service, relay, transit }, options);
  } finally {
    clearInterval(summary);
  }
  log.info("hub ends", { ...service.counts });
}

/** What a hub consists of. */
interface Parts {
  readonly service: MailboxService;
  readonly relay: HubRelay | undefined;
  readonly transit: TransitRelay | undefined;
}

async function summarize({ service, transit, log }: Omit<Parts, "relay"> & { log: Logger }): Promise<void> {
  const relayed = await transit?.counts().catch(() => undefined);
  log.info("hub in use", {
    ...service.counts,
    ...relayed && { transit_pairs: relayed.pairs, transit_bytes: relayed.bytes },
  });
}

/** Answers what is neither a WebSocket nor unknown. */
async function answer(
  { path }: Pick<HttpRequest, "path">,
  { service, metrics, relay, transit, withMetrics }: Parts & { metrics: HubMetrics; withMetrics: boolean },
): Promise<HttpAnswer | undefined> {
  if (relay?.isProbe(path)) return { status: 200, body: "" };
  if (path === "/healthz") {
    const { draining } = service;
    return jsonAnswer(draining ? 503 : 200, {
      status: draining ? "draining" : "ok",
      uptime: Math.floor(metrics.uptimeMs / 1_000),
      ...service.counts,
    });
  }
  if (path !== "/metrics" || !withMetrics) return undefined;
  return {
    status: 200,
    body: metrics.text(service, { relay: await relay?.seen(), transit: await transit?.counts() }),
    headers: { "content-type": METRICS_TYPE },
  };
}

async function openStore(database: string | undefined): Promise<MailboxStore> {
  if (database === undefined) return new MemoryMailboxStore();
  // node:sqlite is loaded only where there is a database.
  const { SqliteMailboxStore } = await import("../mailbox/sqlite_store.ts");
  return new SqliteMailboxStore(database);
}

async function readIdentity({ cert, key }: { cert: string; key: string }): Promise<TlsIdentity> {
  const read = async (path: string) => {
    try {
      return await Deno.readTextFile(path);
    } catch (cause) {
      const [code, state] = cause instanceof Deno.errors.NotFound
        ? ["NOT_FOUND", "no such file"] as const
        : cause instanceof Deno.errors.PermissionDenied
        ? ["PERMISSION_DENIED", "permission denied"] as const
        : ["IO", cause instanceof Error ? cause.message : String(cause)] as const;
      throw new WormholeError(code, `Cannot read "${path}": ${state}`, { cause });
    }
  };
  const identity = { cert: await read(cert), key: await read(key) };
  assertUsable(identity, { cert, key });
  return identity;
}

/** Takes the certificate anew; a bad one is said in the log, and the old one stays. */
async function renew(
  service: MailboxService,
  relay: HubRelay | undefined,
  { tls, log }: HubOptions,
): Promise<void> {
  try {
    const identity = await readIdentity(tls!);
    await service.renew(identity);
    await relay?.renew(identity);
    log.info("certificate renewed");
  } catch (error) {
    log.error("certificate not renewed", { error });
  }
}

async function untilEnd(service: MailboxService, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const abort = () => resolve();
  if (signal.aborted) return;
  signal.addEventListener("abort", abort, { once: true });
  try {
    await Promise.race([promise, service.finished]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Makes no new codes, and waits until nobody has one and nothing is relayed, or the time is up. */
async function drained(
  { service, relay, transit }: Parts,
  { drainMs = 0, clock = systemClock, log, onDraining }: HubOptions,
): Promise<void> {
  service.drain();
  await transit?.drain();
  const until = clock.monotonic() + drainMs;
  const relayed = new Relayed(relay);
  if (drainMs === 0) return;
  const joined = async () => transit ? 2 * (await transit.counts()).pairs : 0;
  const isIdle = async () =>
    service.engaged === 0 && await joined() === 0 && !await relayed.carries(clock.monotonic());
  if (await isIdle()) return;
  log.info("hub drains", { engaged: service.engaged, ms: drainMs });
  onDraining?.({ connections: service.engaged, transit: await joined(), drainMs });
  while (!await isIdle() && clock.monotonic() < until) await clock.sleep(DRAIN_LOOK_MS);
}

/** Whether a relay carries more than what keeps connections alive. */
class Relayed {
  readonly #relay: HubRelay | undefined;
  #before: { bytes: number; ms: number } | undefined;
  #busyUntilMs = -Infinity;

  constructor(relay: HubRelay | undefined) {
    this.#relay = relay;
  }

  /** To be asked again and again: it compares with the time before. */
  async carries(nowMs: number): Promise<boolean> {
    const seen = await this.#relay?.seen();
    if (seen === undefined || seen.clients === 0) return false;
    const before = this.#before;
    const bytes = seen.bytesIn + seen.joined.bytes;
    this.#before = { bytes, ms: nowMs };
    if (before === undefined) this.#busyUntilMs = nowMs + RELAY_PAUSE_MS;
    else if ((bytes - before.bytes) * 1000 > IDLE_BYTES_PER_SECOND * (nowMs - before.ms)) {
      this.#busyUntilMs = nowMs + RELAY_PAUSE_MS;
    }
    return nowMs < this.#busyUntilMs;
  }
}

function reportLogger(log: Logger, clock: Clock): (report: ServerReport) => void {
  let failedMs = -Infinity;
  return ({ type: _, event, ...fields }) => {
    if (event !== "failed") return log.debug(event.replaceAll("_", " "), fields);
    if (clock.monotonic() - failedMs < FAILURE_PAUSE_MS) return;
    failedMs = clock.monotonic();
    log.error("the database fails", fields);
  };
}

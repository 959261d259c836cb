import type { Clock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { MailboxLimits } from "../mailbox/limits.ts";
import { MemoryMailboxStore } from "../mailbox/memory_store.ts";
import { type MailboxService, serveMailbox } from "../mailbox/serve.ts";
import type { ServerReport } from "../mailbox/server_action.ts";
import type { MailboxStore } from "../mailbox/store.ts";

/** How often the log says how much is going on. */
const SUMMARY_MS = 10 * 60_000;

/** Options of {@linkcode runHub}. */
export interface HubOptions {
  /** `host:port`, `[v6]:port`, `:port` or `port`; port 0 takes a free one. */
  readonly listen: string;
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
  readonly log: Logger;
  readonly clock?: Clock;
  /** Called once the hub listens. */
  readonly onListening?: (hub: { url: string; port: number }) => void;
  /** Ends the hub; clients get a moment to take their last messages. */
  readonly signal: AbortSignal;
}

/**
 * Runs a hub until `signal` aborts. Its log says that something happened, never a code, a side or an address.
 *
 * @throws {WormholeError} INVALID_ARGUMENT for `listen`, ADDRESS_IN_USE, PERMISSION_DENIED or IO when it cannot
 * listen; IO, CORRUPT or VERSION_UNSUPPORTED for the database.
 */
export async function runHub(options: HubOptions): Promise<void> {
  const { log, signal, database, codeTtlMs, clock } = options;
  const { hostname, port } = parseListen(options.listen);
  if (signal.aborted) return;
  using store = await openStore(database);
  const limits = { ...options.limits, ...(codeTtlMs !== undefined && { codeTtlMs }) };
  await using service = serveMailbox({
    hostname,
    port,
    store,
    limits,
    motd: options.motd,
    trustForwarded: options.trustForwarded,
    report: (report) => logReport(log, report),
    ...(clock && { nowMs: () => clock.now() }),
  });
  log.info("hub listens", { url: service.url, database: database ?? "memory", ...service.counts });
  options.onListening?.({ url: service.url, port: service.port });
  const summary = setInterval(() => log.info("hub in use", { ...service.counts }), SUMMARY_MS);
  try {
    await untilEnd(service, signal);
  } finally {
    clearInterval(summary);
  }
  log.info("hub ends", { ...service.counts });
}

async function openStore(database: string | undefined): Promise<MailboxStore> {
  if (database === undefined) return new MemoryMailboxStore();
  // node:sqlite is loaded only where there is a database.
  const { SqliteMailboxStore } = await import("../mailbox/sqlite_store.ts");
  return new SqliteMailboxStore(database);
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

function logReport(log: Logger, report: ServerReport): void {
  const { type: _, event, ...fields } = report;
  if (event === "refused") log.debug("connection refused", fields);
  else log.debug(event.replaceAll("_", " "), fields);
}

/**
 * Reads where to listen; no host means all interfaces.
 *
 * @throws {WormholeError} INVALID_ARGUMENT when it is malformed.
 */
export function parseListen(text: string): { hostname: string | undefined; port: number } {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]*)):)?(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw new WormholeError(
      "INVALID_ARGUMENT",
      `Cannot listen on "${text}": it must be a port or host:port, such as 4000 or 127.0.0.1:4000`,
    );
  }
  const hostname = match[1] ?? match[2];
  return {
    hostname: hostname === undefined || hostname === "" || hostname === "*" ? undefined : hostname,
    port,
  };
}

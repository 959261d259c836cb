import { RATE_LIMITS, type RefusalReason } from "../mailbox/refusal.ts";
import type { MailboxService } from "../mailbox/serve.ts";
import type { RelaySeen } from "../native/relay.ts";
import type { ServerReport } from "../mailbox/server_action.ts";
import type { RelayCounts } from "../native/transit_relay.ts";

/** What of a service the metrics read when they are asked for. */
export type Observed = Pick<MailboxService, "counts" | "traffic" | "storedBytes" | "engaged" | "draining">;

/** Type of the text format (Prometheus, version 0.0.4). */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const PREFIX = "wormhole_hub_";

/**
 * Counts what happens at a hub. Every name and label is one of a few that are written in this program: nothing that a
 * client says, and no address, can get into them.
 */
export class HubMetrics {
  readonly #startedMs: number;
  readonly #nowMs: () => number;
  readonly #moods = new Map([["happy", 0], ["lonely", 0], ["scary", 0], ["errory", 0]]);
  readonly #refused = new Map<RefusalReason, number>();
  #codes = 0;
  #expired = 0;
  #failed = 0;

  /** `nowMs`: monotonic. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#startedMs = nowMs();
  }

  get uptimeMs(): number {
    return this.#nowMs() - this.#startedMs;
  }

  /** Takes what the service reports. */
  count(report: ServerReport): void {
    switch (report.event) {
      case "nameplate_made":
        this.#codes++;
        return;
      case "mailbox_closed":
        this.#moods.set(report.mood, this.#moods.get(report.mood)! + 1);
        return;
      case "mailboxes_expired":
        this.#expired += report.count;
        return;
      case "refused":
        this.#refused.set(report.reason, (this.#refused.get(report.reason) ?? 0) + 1);
        return;
      case "failed":
        this.#failed++;
    }
  }

  /** Gives everything in Prometheus' text format. */
  text(
    { counts, traffic, storedBytes, engaged, draining }: Observed,
    { relay, transit }: { relay?: RelaySeen | undefined; transit?: RelayCounts | undefined } = {},
  ): string {
    const of = (rate: boolean) =>
      [...this.#refused].filter(([reason]) => RATE_LIMITS.includes(reason) === rate)
        .map(([reason, count]) => ({ labels: `{reason="${reason.replaceAll(" ", "_")}"}`, value: count }));
    const directions = (incoming: number, outgoing: number) => [
      { labels: '{direction="in"}', value: incoming },
      { labels: '{direction="out"}', value: outgoing },
    ];
    return [
      metric("gauge", "uptime_seconds", "Time since the hub began.", Math.floor(this.uptimeMs / 1_000)),
      metric(
        "gauge",
        "draining",
        "1 while the hub makes no new codes, since it is about to end.",
        Number(draining),
      ),
      metric("gauge", "connections", "Open connections.", counts.connections),
      metric("gauge", "engaged_connections", "Connections that have a code or a meeting point.", engaged),
      metric("gauge", "nameplates", "Numbers of codes in use or still blocked.", counts.nameplates),
      metric("gauge", "mailboxes", "Mailboxes.", counts.mailboxes),
      metric("gauge", "stored_bytes", "Bytes of sealed messages that are kept.", storedBytes),
      metric("gauge", "unsent_bytes", "Bytes that wait to be sent to clients.", traffic.unsent),
      metric("counter", "codes_total", "Codes made.", this.#codes),
      metric(
        "counter",
        "closed_total",
        "Sides that left a mailbox, by mood.",
        [...this.#moods].map(
          ([mood, value]) => ({ labels: `{mood="${mood}"}`, value }),
        ),
      ),
      metric("counter", "expired_total", "Mailboxes that ended by themselves.", this.#expired),
      metric("counter", "rate_limited_total", "What came too often.", of(true)),
      metric("counter", "refused_total", "What was refused for another reason.", of(false)),
      metric("counter", "store_failures_total", "Failures of the database.", this.#failed),
      metric("counter", "messages_total", "Messages.", directions(traffic.messagesIn, traffic.messagesOut)),
      metric("counter", "bytes_total", "Bytes on WebSockets.", directions(traffic.bytesIn, traffic.bytesOut)),
      ...relay === undefined ? [] : relayMetrics(relay, directions),
      ...transit === undefined ? [] : transitMetrics(transit),
    ].join("");
  }
}

function relayMetrics(
  seen: RelaySeen,
  directions: (incoming: number, outgoing: number) => { labels: string; value: number }[],
): string[] {
  return [
    metric("gauge", "relay_clients", "Connections at the relay.", seen.clients),
    metric("counter", "relay_clients_total", "Connections that were let in to the relay.", seen.clientsTotal),
    metric("counter", "relay_refused_total", "Connections that the relay refused.", seen.refusedTotal),
    metric(
      "counter",
      "relay_bytes_total",
      "Bytes of sealed packets relayed.",
      directions(seen.bytesIn, seen.bytesOut),
    ),
    metric(
      "counter",
      "relay_dropped_packets_total",
      "Packets for machines that were not there.",
      seen.packetsDropped,
    ),
    metric("counter", "relay_limited_total", "Connections that sent more than they may.", seen.limitedTotal),
    ...joinMetrics(seen.joined),
    metric("gauge", "discovery_connections", "Machines that are told their address.", seen.discoveries),
    metric(
      "counter",
      "discovery_refused_total",
      "Machines that were not, for want of room.",
      seen.discoveriesRefused,
    ),
  ];
}

function joinMetrics({ connections, waiting, pairs, joined, bytes, refused }: RelayCounts): string[] {
  return [
    metric("gauge", "join_connections", "Open connections that came to be joined.", connections),
    metric("gauge", "join_waiting", "Those of them whose other side has not come.", waiting),
    metric("gauge", "join_pairs", "Pairs of connections that are joined.", pairs),
    metric("counter", "join_pairs_total", "Pairs that were ever joined.", joined),
    metric("counter", "join_bytes_total", "Bytes that joined connections said to each other.", bytes),
    metric("counter", "join_refused_total", "Connections that were not joined.", byReason(refused)),
  ];
}

function byReason(refused: RelayCounts["refused"]): { labels: string; value: number }[] {
  return refused.map(([reason, value]) => ({ labels: `{reason="${reason.replaceAll(" ", "_")}"}`, value }));
}

function transitMetrics({ connections, waiting, pairs, joined, bytes, refused }: RelayCounts): string[] {
  return [
    metric("gauge", "transit_connections", "Open connections to the transit relay.", connections),
    metric("gauge", "transit_waiting", "Sides at the relay whose other side has not come.", waiting),
    metric("gauge", "transit_pairs", "Pairs that the relay has joined.", pairs),
    metric("counter", "transit_pairs_total", "Pairs that the relay ever joined.", joined),
    metric("counter", "transit_bytes_total", "Bytes that the relay carried.", bytes),
    metric(
      "counter",
      "transit_refused_total",
      "Connections that the relay ended unjoined.",
      byReason(refused),
    ),
  ];
}

function metric(
  type: "gauge" | "counter",
  name: string,
  help: string,
  samples: number | readonly { labels: string; value: number }[],
): string {
  const rows = typeof samples === "number" ? [{ labels: "", value: samples }] : samples;
  return `# HELP ${PREFIX}${name} ${help}\n# TYPE ${PREFIX}${name} ${type}\n` +
    rows.map(({ labels, value }) => `${PREFIX}${name}${labels} ${value}\n`).join("");
}

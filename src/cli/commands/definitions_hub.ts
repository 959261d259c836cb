import {
  duration,
  hostAndPort,
  hubUrl,
  listenAddress,
  path,
  size,
  text,
  wholeNumber,
} from "../../config/values.ts";
import { command, list, maybe, option, toggle } from "../definition.ts";

/** `wormhole hub`. */
export const HUB = command({
  name: "hub",
  summary: "run a hub through which machines find each other",
  description:
    "A hub passes sealed messages between two machines that were given the same code; it learns neither the code's " +
    "words nor what is sent. Point machines at it with --hub, WORMHOLE_SIGNAL_SERVER or " +
    "wormhole config set signal_server URL. docs/hub.md is the guide for who runs one.",
  positionals: {},
  flags: {
    listen: option(listenAddress, {
      group: "Service",
      help: "Address to listen on.",
      fallback: "0.0.0.0:4000",
    }),
    tlsCert: option(path("FILE"), {
      group: "Service",
      help: "Speak TLS with the certificate chain in FILE (PEM); SIGHUP reads it anew.",
    }),
    tlsKey: option(path("FILE"), { group: "Service", help: "Its private key (PEM)." }),
    database: option(path("FILE"), {
      group: "Service",
      help: "Keep mailboxes in FILE so that they outlive a restart; in memory otherwise.",
    }),
    drain: option(duration(0, 3_600_000), {
      group: "Service",
      help:
        "When told to end, make no new codes and wait up to TIME for those in use; a second signal ends at once.",
      fallback: 10_000,
    }),
    motd: option(text("TEXT"), {
      group: "Service",
      help: "A line for whoever connects; Magic Wormhole's clients show it.",
    }),
    noRelay: toggle({
      group: "Relay",
      help: "Relay nothing: machines that cannot reach each other then cannot transfer.",
      conflicts: ["relay-listen", "relay-url", "discovery-listen", "relay-rate"],
    }),
    relayListen: option(listenAddress, {
      group: "Relay",
      help:
        "Take connections to the relay on this address instead of the hub's: faster, for a hub with much to relay.",
    }),
    relayUrl: option(hubUrl, {
      group: "Relay",
      help: "The relay's address for clients, where a proxy gives it another than the hub's.",
    }),
    discoveryListen: option(listenAddress, {
      group: "Relay",
      help: "Tell machines their own address (UDP) on this address instead of the relay's.",
    }),
    relayClients: option(wholeNumber(1, 100_000), {
      group: "Relay",
      help: "Machines that may be at the relay at a time.",
      fallback: 1000,
    }),
    relayRate: option(size(1024, 2 ** 32 - 1), {
      group: "Relay",
      help: "What one machine may send over the relay each second; as much as it likes when left out.",
    }),
    transitListen: option(listenAddress, {
      group: "Other people's clients",
      help:
        "Also carry the sealed bytes of magic-wormhole clients that cannot reach each other: a transit relay on this " +
        "address, which clients are told (magic-wormhole's own need --transit-helper tcp:HOST:PORT).",
    }),
    transitAnnounce: option(hostAndPort, {
      group: "Other people's clients",
      help: "Where clients find it, when that is not the hub's own name and that port.",
    }),
    codeTtl: option(duration(60_000, 7 * 86_400_000), {
      group: "Limits",
      help: "Time after which an unused code expires.",
      fallback: 3_600_000,
    }),
    rateLimit: option(wholeNumber(1, 1_000_000), {
      group: "Limits",
      help: "Codes that one address (an IPv6 /64) may try at once, and per minute after that.",
      fallback: 12,
    }),
    allowOrigin: list(text("ORIGIN"), {
      group: "Limits",
      help: "Let web pages of ORIGIN, such as https://example.org, connect; may be given many times.",
    }),
    trustForwarded: toggle({
      group: "Limits",
      help: "Believe X-Forwarded-For; only behind a reverse proxy of your own.",
    }),
    metrics: toggle({
      group: "Watching",
      help: "Also answer /metrics, for Prometheus, on the same address.",
    }),
    metricsListen: option(listenAddress, {
      group: "Watching",
      help: "Answer /metrics and /healthz on this address; without a host, for this machine only.",
      conflicts: ["metrics"],
    }),
  },
  examples: [
    { line: "wormhole hub", help: "Run a hub on port 4000" },
    {
      line: "wormhole hub --listen '[::]:443' --tls-cert fullchain.pem --tls-key privkey.pem",
      help: "With a certificate",
    },
    {
      line: "wormhole hub --transit-listen 4001",
      help: "Also with a relay for magic-wormhole clients",
    },
    {
      line: "wormhole hub --listen 127.0.0.1:4000 --trust-forwarded --database /var/lib/wormhole/hub.db",
      help: "For long, behind a proxy",
    },
  ],
});

/** `wormhole hub status`. */
export const HUB_STATUS = command({
  name: "hub status",
  summary: "ask a hub how it is",
  description:
    "Says whether the hub answers, for how long it has run and how much is going on. The exit code is 4 when it does not answer.",
  positionals: {
    url: maybe(hubUrl, { help: "The hub's address; the one in the settings when left out." }),
  },
  flags: {},
  examples: [
    { line: "wormhole hub status", help: "Ask the hub of the settings" },
    { line: "wormhole hub status --json wss://hub.example", help: "From a script" },
  ],
});

import { LOG_LEVELS } from "../base/log.ts";
import { duration, hostAndPort, oneOf, path, text } from "../config/values.ts";
import { hubUrl } from "../config/values.ts";
import { count, option, toggle } from "./definition.ts";

const GROUP = "Output and logs";

/** Flags that every command has. */
export const COMMON_FLAGS = {
  json: toggle({
    group: GROUP,
    help: "Write one JSON object per line and event to standard output (docs/json.md).",
    conflicts: ["quiet"],
  }),
  quiet: toggle({ short: "q", group: GROUP, help: "Show only what was asked for and errors." }),
  verbose: count({ short: "v", group: GROUP, help: "Log more; -vv and -vvv still more." }),
  logLevel: option(oneOf(LOG_LEVELS, "LEVEL"), {
    group: GROUP,
    help: "How much is logged: error, warn, info, debug or trace.",
    config: "logLevel",
  }),
  logJson: toggle({ group: GROUP, help: "Log as JSON lines." }),
  logFile: option(path("FILE"), { group: GROUP, help: "Append the log to FILE instead of standard error." }),
  help: toggle({ short: "h", group: GROUP, help: "Show this help." }),
};

/** The flag that names the hub, the same in every command that meets a peer. */
export const HUB_FLAG = option(hubUrl, {
  group: "Connection",
  help: "Meet through this hub instead of on the local network.",
  config: "signalServer",
});

/** The flag that names where a known machine is. */
export const PEER_FLAG = option(hostAndPort, {
  group: "Connection",
  help: "Go straight to the other machine at this address.",
  conflicts: ["hub"],
});

/** The flag that picks how bytes travel. */
export const TRANSPORT_FLAG = option(oneOf(["auto", "tcp", "quic", "relay"], "KIND"), {
  group: "Connection",
  help: "How bytes travel: tcp, quic, only over the hub's relay, or auto for whatever is best.",
  fallback: "auto",
});

/** The flag that shows a value for both people to compare. */
export const VERIFY_FLAG = toggle({
  group: "Security",
  help: "Show a verifier that both people compare before anything is sent.",
});

/** The flag that makes the other machine known. */
export const REMEMBER_FLAG = option(text("NAME"), {
  group: "Known machines",
  help: "Keep the other machine and call it NAME, if it is told to remember this one too; see wormhole pair.",
});

/** The flag that says how long a lost connection may be away. */
export const RECONNECT_FLAG = option(duration(0, 7 * 86_400_000), {
  group: "Connection",
  help: "When the connection is lost, try for TIME to go on by itself; 0 ends at once.",
  config: "reconnect",
});

/** The relay for bulk bytes to and from magic-wormhole clients, the same in `send` and `recv`. */
export const TRANSIT_RELAY_FLAG = option(hostAndPort, {
  group: "Other people's clients",
  help: "With --compat, also offer this transit relay (TCP) for when no direct connection comes about.",
});

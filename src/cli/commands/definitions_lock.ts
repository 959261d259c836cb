import { duration, path, text } from "../../config/values.ts";
import { HUB_FLAG, PEER_FLAG, TRANSPORT_FLAG } from "../common_flags.ts";
import { command, maybe, one, option, toggle } from "../definition.ts";

const HOW = "How";

const TTL = option(duration(1000, 86_400_000), {
  group: HOW,
  help: "How long it lasts unless it is renewed, so that who crashes holds nobody up.",
  fallback: 600_000,
});

/** How the machine of NAME:PATH is reached. */
const FAR_FLAGS = {
  hub: HUB_FLAG,
  peer: PEER_FLAG,
  transport: TRANSPORT_FLAG,
  timeout: option(duration(1000, 7 * 86_400_000), {
    group: "Connection",
    help: "Give up when the other machine was not reached after TIME.",
    fallback: 20_000,
  }),
};

/** `wormhole lock`. */
export const LOCK = command({
  name: "lock",
  summary: "tell others that you work on a file or folder, so that sync leaves it alone",
  description:
    "Locks PATH for --ttl and prints a token, by which wormhole lock renew and wormhole lock release know whose lock it is (-q prints only the " +
    "token). A folder stands for everything in it. While somebody else is in the way it ends with exit code 10, or waits its turn for --wait: " +
    "who comes later does not pass. Locks are advisory: wormhole sync, also from or to another machine, leaves what is locked for a later run and says " +
    "so; nothing keeps other programs from it.\n\n" +
    "NAME:PATH is a path of a known machine where wormhole sync serve runs, in a folder that this machine may change there (wormhole peers " +
    "rights); its token is NAME:TOKEN. A path of this machine with a colon in its name is written with ./ before it.",
  positionals: { path: one(path("PATH"), { help: "What you work on, or NAME:PATH; it need not exist." }) },
  flags: {
    ttl: TTL,
    wait: option(duration(0, 7 * 86_400_000), {
      group: HOW,
      help: "Wait for TIME where somebody is in the way.",
      fallback: 0,
    }),
    shared: toggle({ group: HOW, help: "Let others share it who ask for that too." }),
    owner: option(text("NAME"), {
      group: HOW,
      help: "What others see of you; otherwise who you are and where.",
    }),
    hold: toggle({ group: HOW, help: "Stay and renew it until Ctrl-C, then release it." }),
    ...FAR_FLAGS,
  },
  examples: [
    { line: "wormhole lock ~/notes/report.odt --ttl 1h", help: "Keep sync from a file for an hour" },
    { line: "wormhole lock --hold desk:notes/report.odt", help: "At another machine, until Ctrl-C" },
    {
      line: "token=$(wormhole lock -q --wait 1m ~/build)",
      help: "In a script; then wormhole lock release $token",
    },
  ],
});

/** `wormhole lock list`. */
export const LOCK_LIST = command({
  name: "lock list",
  summary: "list what is locked on this machine, or on a known one",
  description:
    "NAME: stands for everything that this machine may synchronize there. Tokens are shown to nobody.",
  positionals: {
    path: maybe(path("PATH"), { help: "Only what has to do with it: above, below, itself; or NAME:PATH." }),
  },
  flags: FAR_FLAGS,
  examples: [{ line: "wormhole lock list ~/notes", help: "See who works there" }],
});

/** `wormhole lock renew`. */
export const LOCK_RENEW = command({
  name: "lock renew",
  summary: "make a lock last longer",
  description:
    "It lasts --ttl from now on. A lock that has ended cannot be renewed: somebody else may have it.",
  positionals: { token: one(text("TOKEN"), { help: "What wormhole lock printed.", env: "WORMHOLE_LOCK" }) },
  flags: { ttl: TTL, ...FAR_FLAGS },
  examples: [{ line: "wormhole lock renew $token --ttl 1h", help: "One hour more" }],
});

/** `wormhole lock release`. */
export const LOCK_RELEASE = command({
  name: "lock release",
  summary: "give up a lock",
  description:
    "With --force the locks on PATH itself are taken from whoever has them, also from other machines; only at the machine that has PATH.",
  positionals: {
    token: one(text("TOKEN"), {
      help: "What wormhole lock printed, or with --force a path.",
      env: "WORMHOLE_LOCK",
    }),
  },
  flags: {
    force: toggle({ group: HOW, help: "Take the locks on a path from whoever has them." }),
    ...FAR_FLAGS,
  },
  examples: [
    { line: "wormhole lock release $token", help: "Let others go on" },
    { line: "wormhole lock release --force ~/notes/report.odt", help: "Somebody forgot theirs" },
  ],
});

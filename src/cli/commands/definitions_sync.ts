import { duration, oneOf, path, text, type ValueType, wholeNumber } from "../../config/values.ts";
import type { MaxDelete } from "../../sync/brakes.ts";
import { MODES, PERMISSIONS, PREFERENCES } from "../../sync/policy.ts";
import { HUB_FLAG, PEER_FLAG, RECONNECT_FLAG, TRANSPORT_FLAG } from "../common_flags.ts";
import { any, command, list, one, option, toggle } from "../definition.ts";

const WHAT = "What is synchronized";
const HOW = "How";
const SAFETY = "Safety";

/** A number of files, or a share of them. */
const maxDelete: ValueType<MaxDelete> = {
  placeholder: "N|N%",
  wanted: "give a number of files, or a share such as 50%",
  parse(given) {
    const share = /^(\d{1,3})%$/.exec(given.trim());
    if (share !== null) return Number(share[1]) <= 100 ? { share: Number(share[1]) / 100 } : undefined;
    const files = wholeNumber(0, 1e12).parse(given);
    return files === undefined ? undefined : { files };
  },
  format: (value) => "files" in value ? String(value.files) : `${Math.round(value.share * 100)}%`,
};

/** `wormhole sync`. */
export const SYNC = command({
  name: "sync",
  summary: "make two folders the same, both ways, here or on a known machine",
  description:
    "Changes of each folder since the last run are made in the other one: what is new, changed, moved or deleted. Where " +
    "both have changed the same file, ALPHA's keeps the name and BETA's stays beside it as " +
    "name.conflict-MACHINE-TIME; nothing that somebody wrote is ever lost. What is deleted or replaced goes to the trash of " +
    "its folder (.wormhole-sync/trash); wormhole sync restore brings it back.\n\n" +
    "NAME:PATH is a folder of a machine that is known (wormhole pair), where wormhole sync serve runs: PATH is absolute or below the " +
    "home folder there, and may be left out where there is a right to one folder only. A folder of this machine with a colon in its " +
    "name is written with ./ before it.\n\n" +
    "The first run joins both folders and deletes nothing (but with --mode one-way-replica). A run in which nothing happened prints nothing when nobody is at " +
    "a terminal: made for cron. Two runs never work on one folder at the same time.\n\n" +
    "Exit codes: 0 the folders are the same, 4 the other machine was not reached, 5 it gives no right to that folder, 7 something could not be done, 9 there were conflicts that somebody has to decide, 10 stopped " +
    "since too much would be deleted, a folder is not the one that it was, or another run is at work on it.\n\n" +
    "What .wormholeignore files name (in gitignore syntax, in either folder) is left alone in both.",
  positionals: {
    alpha: one(path("ALPHA", "directory"), { help: "One folder, or NAME:PATH." }),
    beta: one(path("BETA", "directory"), {
      help: "The other one, or NAME:PATH; a folder of this machine is made if its parent is there.",
    }),
  },
  flags: {
    mode: option(oneOf(MODES, "MODE"), {
      group: HOW,
      help:
        "two-way-safe, two-way-resolved (--prefer decides conflicts), one-way-safe (from ALPHA to BETA, what only BETA has " +
        "stays) or one-way-replica (BETA becomes what ALPHA is).",
      fallback: "two-way-safe",
    }),
    prefer: option(oneOf(PREFERENCES, "WHO"), {
      group: HOW,
      help:
        "Who wins a conflict in two-way-resolved: alpha, beta, newer or larger; the other version goes to the trash.",
      fallback: "alpha",
    }),
    merge: option(text("CMD"), {
      group: HOW,
      help:
        "Have CMD merge text files that both have edited: %A, %O and %B are ALPHA's, the common and BETA's version; what it writes " +
        "to standard output (or to the file %M) is taken when it ends with 0, else it stays a conflict. Example: " +
        "'git merge-file -p %A %O %B'.",
    }),
    onChange: option(text("CMD"), {
      group: HOW,
      help:
        "After a run that changed something, run CMD (without a shell) with what changed on its standard input, a line of JSON each " +
        "(docs/live.md).",
    }),
    onChangeTimeout: option(duration(1000, 86_400_000), {
      group: HOW,
      help: "End CMD of --on-change after TIME.",
      fallback: 600_000,
    }),
    eventsSocket: option(path("PATH"), {
      group: HOW,
      help:
        "Tell other programs what happens, live, on a Unix socket (docs/live.md); --watch has one anyway, in the runtime folder.",
    }),
    dryRun: toggle({ short: "n", group: HOW, help: "Say what would be done, and change nothing." }),
    watch: toggle({
      group: HOW,
      help: "Stay, and make them the same again whenever something changes, until Ctrl-C.",
      conflicts: ["dry-run"],
    }),
    interval: option(duration(1000, 86_400_000), {
      group: HOW,
      help: "With --watch, look at everything again after TIME even if no change was seen.",
      fallback: 60_000,
    }),
    exclude: list(text("GLOB"), {
      group: WHAT,
      help: "Leave alone what matches GLOB in both; may be given many times.",
    }),
    oneFileSystem: toggle({ short: "x", group: WHAT, help: "Leave alone folders on other file systems." }),
    skipSymlinks: toggle({
      group: WHAT,
      help: "Leave symbolic links alone; otherwise they are copied as links.",
    }),
    permissions: option(oneOf(PERMISSIONS, "WHICH"), {
      group: WHAT,
      help: "Permissions that are kept the same: all, executable, or none.",
      fallback: "all",
    }),
    maxDelete: option(maxDelete, {
      group: SAFETY,
      help:
        "Stop before more files than this would be deleted in one folder, from 10 on where it is a share; 100% never stops.",
      fallback: { share: 0.5 },
    }),
    trashDays: option(wholeNumber(0, 36_500, "DAYS"), {
      group: SAFETY,
      help: "Days for which deleted and replaced files stay in the trash.",
      fallback: 30,
    }),
    forget: toggle({
      group: SAFETY,
      help: "Begin as if the folders had never been synchronized: both are joined, nothing is deleted.",
    }),
    yes: toggle({
      short: "y",
      group: SAFETY,
      help: "Go on where it would stop because much would be deleted.",
    }),
    hub: HUB_FLAG,
    peer: PEER_FLAG,
    transport: TRANSPORT_FLAG,
    timeout: option(duration(1000, 7 * 86_400_000), {
      group: "Connection",
      help: "Give up when the other machine was not reached after TIME; with --watch, try again.",
      fallback: 20_000,
    }),
    reconnect: RECONNECT_FLAG,
  },
  examples: [
    { line: "wormhole sync ~/notes /media/stick/notes", help: "Make both the same" },
    { line: "wormhole sync ~/notes desk:notes", help: "The same with a folder of a known machine" },
    { line: "wormhole sync --dry-run ~/notes /media/stick/notes", help: "See first what would happen" },
    { line: "wormhole sync --watch ~/notes /media/stick/notes", help: "Stay and keep them the same" },
    { line: "wormhole sync --mode one-way-replica ~/photos /backup/photos", help: "Keep an exact copy" },
  ],
});

/** `wormhole sync serve`. */
export const SYNC_SERVE = command({
  name: "sync serve",
  summary: "let known machines synchronize folders of this one",
  description:
    "Waits until Ctrl-C for every known machine that has the right to synchronize a folder here (wormhole peers rights NAME --sync " +
    "DIR), on the local network, at a hub or where they were last, and serves each that comes. It does what the other machine asks within " +
    "those folders and nowhere else; what is replaced or deleted goes to the trash of the folder. Rights that are given or taken while it " +
    "runs count from the next run on.",
  positionals: {},
  flags: {
    trashDays: option(wholeNumber(0, 36_500, "DAYS"), {
      group: SAFETY,
      help: "Days for which deleted and replaced files stay in the trash.",
      fallback: 30,
    }),
    hub: HUB_FLAG,
    transport: TRANSPORT_FLAG,
    port: option(wholeNumber(0, 65535, "PORT"), {
      group: "Connection",
      help: "Local port where --peer finds this machine, for one machine that has a right; 0 takes any.",
      config: "port",
    }),
  },
  examples: [
    {
      line: "wormhole sync serve",
      help:
        "After wormhole peers rights laptop --sync ~/notes, laptop can run wormhole sync ~/notes desk:notes",
    },
  ],
});

/** `wormhole sync status`. */
export const SYNC_STATUS = command({
  name: "sync status",
  summary: "show where every sync --watch of yours stands",
  description: "Asks each on its socket, in the runtime folder; docs/live.md says how programs follow one.",
  positionals: {},
  flags: {},
  examples: [{ line: "wormhole sync status", help: "See what goes on" }],
});

/** `wormhole sync conflicts`. */
export const SYNC_CONFLICTS = command({
  name: "sync conflicts",
  summary: "list and settle conflicts in a synchronized folder",
  description:
    "Lists the other versions (name.conflict-MACHINE-TIME) in FOLDER. With --keep they are settled: current puts them into the " +
    "trash, copy puts each in place and the current version into the trash, both gives them a name of their own. The next " +
    "run of wormhole sync does the same in the other folder.",
  positionals: {
    folder: one(path("FOLDER", "directory"), { help: "A folder that is synchronized." }),
    path: any(path("PATH"), { help: "Only these, relative to FOLDER: the name or the copy's." }),
  },
  flags: {
    keep: option(oneOf(["current", "copy", "both"], "WHICH"), {
      group: "What is done",
      help: "Settle them: keep the current version, the copy, or both.",
    }),
  },
  examples: [
    { line: "wormhole sync conflicts ~/notes", help: "See what there is" },
    {
      line: "wormhole sync conflicts ~/notes todo.txt --keep copy",
      help: "Take the other version of one file",
    },
  ],
});

/** `wormhole sync restore`. */
export const SYNC_RESTORE = command({
  name: "sync restore",
  summary: "bring back what sync deleted or replaced",
  description:
    "Takes the last version of PATH from the trash of its folder, or with @TIME (ISO 8601, such as 2026-11-21T14:00) the one " +
    "that was in place then. What is in place now goes to the trash. A folder comes back with everything that went with it.",
  positionals: {
    path: one(path("PATH[@TIME]"), { help: "What to bring back." }),
  },
  flags: {
    list: toggle({
      group: "What is done",
      help: "List the versions in the trash instead; of a synchronized folder itself, all that is there.",
    }),
  },
  examples: [
    { line: "wormhole sync restore --list ~/notes/todo.txt", help: "See which versions there are" },
    { line: "wormhole sync restore ~/notes/todo.txt", help: "Bring back the last one" },
    { line: "wormhole sync restore ~/notes/todo.txt@2026-11-20", help: "Bring back how it was then" },
  ],
});

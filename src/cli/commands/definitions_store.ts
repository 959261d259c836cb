import { command, toggle } from "../definition.ts";

const WHAT =
  "The store is what this machine knows of content: an index of chunks and where they are in your files, and packs of " +
  "chunks that recv --keep-chunks keeps although your files need not have them any more.";

/** `wormhole store stats`. */
export const STORE_STATS = command({
  name: "store stats",
  summary: "show what the store holds and what it has saved",
  description: WHAT,
  positionals: {},
  flags: {},
  examples: [{ line: "wormhole store stats", help: "See how large it is" }],
});

/** `wormhole store verify`. */
export const STORE_VERIFY = command({
  name: "store verify",
  summary: "read the store and check all of it",
  description:
    "Hashes every chunk of every pack and checks the index. A damaged pack is set aside, and what was in it comes over " +
    "the network the next time. The exit code is 7 when something was damaged.",
  positionals: {},
  flags: {
    files: toggle({
      group: "What is read",
      help: "Also read the files that the index knows, those that have not changed since.",
    }),
  },
  examples: [
    { line: "wormhole store verify", help: "Check the packs" },
    { line: "wormhole store verify --files", help: "Check the index against your files too" },
  ],
});

/** `wormhole store gc`. */
export const STORE_GC = command({
  name: "store gc",
  summary: "forget what is gone and make the store small",
  description:
    "Forgets files that were removed or changed, drops the packs longest out of use beyond store_quota or where the disk " +
    "is nearly full, and what crashed programs left. Nothing of yours is touched, at any time.",
  positionals: {},
  flags: {},
  examples: [
    { line: "wormhole store gc", help: "Clean up" },
    { line: "WORMHOLE_STORE_QUOTA=1GiB wormhole store gc", help: "Keep only 1 GiB of packs" },
  ],
});

/** `wormhole store clear`. */
export const STORE_CLEAR = command({
  name: "store clear",
  summary: "drop the index and all packs",
  description: "What you send and receive afterwards is read, and comes over the network, in full once more.",
  positionals: {},
  flags: {
    yes: toggle({ short: "y", group: "What is done", help: "Drop it without asking." }),
  },
  examples: [
    { line: "wormhole store clear", help: "Begin anew" },
    { line: "wormhole store clear --yes", help: "In a script" },
  ],
});

import { command, toggle } from "../definition.ts";

/** `wormhole transfers`. */
export const TRANSFERS = command({
  name: "transfers",
  summary: "list transfers that ended early, or drop them",
  description:
    "What arrived of a transfer that ended early is kept, hidden in the folder that it goes to. Let the same machine " +
    "send the same things again, under any code, and receive them into the same folder: it goes on where it ended. Of a wormhole sync that was cut off, the next run goes on with it.\n\n" +
    "After 30 days the next transfer into that folder drops it by itself.",
  positionals: {},
  flags: {
    clean: toggle({
      group: "What is done",
      help: "Drop them and free the space that they take; also forget what came last into which folder.",
    }),
  },
  examples: [
    { line: "wormhole transfers", help: "See what can go on" },
    { line: "wormhole transfers --clean", help: "Drop all of it" },
  ],
});

import { path } from "../../config/values.ts";
import { command, maybe, one, toggle } from "../definition.ts";

/** `wormhole verify`. */
export const VERIFY = command({
  name: "verify",
  summary: "compare files with a list of checksums, or make one",
  description:
    "MANIFEST is a list of BLAKE3 checksums as b3sum and --checksum write it; its names are looked up below PATH. " +
    "Files that differ, or are not there, are named, and the exit code is 7. Files that the list does not name are " +
    "passed over.\n\nWith --checksum there is no MANIFEST: the checksums of PATH are written to standard output.",
  positionals: {
    path: one(path("PATH"), { help: "Folder or file to read." }),
    manifest: maybe(path("MANIFEST"), { help: "List of checksums; - for standard input." }),
  },
  flags: {
    checksum: toggle({ group: "What is done", help: "Write the checksums of PATH instead of comparing." }),
  },
  examples: [
    { line: "wormhole verify --checksum photos > photos.b3", help: "Make a list" },
    { line: "wormhole verify photos photos.b3", help: "Compare with it later, or on another machine" },
  ],
});

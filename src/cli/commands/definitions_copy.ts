import { oneOf, path, size, text, type ValueType, wholeNumber } from "../../config/values.ts";
import type { DeleteLimit } from "../../copy/brake.ts";
import { type Attribute, METHODS, parsePreserve, PRESERVE_WORDS } from "../../copy/policy.ts";
import { any, command, type Flag, type FlagOptions, list, option, toggle } from "../definition.ts";

const SAVED = "What is kept";
const EXISTING = "Existing files";
const SYNC = "Keeping in sync";
const HOW = "How bytes move";

const GIB = 2 ** 30;

/** A switch whose `--no-` says something else than leaving it out. */
function either(options: FlagOptions): Flag<boolean | undefined> {
  return { ...toggle(options), fallback: undefined };
}

const attributes: ValueType<readonly Attribute[]> = {
  placeholder: "LIST",
  wanted: `give some of ${PRESERVE_WORDS.join(", ")}, with commas between them`,
  parse: parsePreserve,
  format: (value) => value.join(","),
};

const deleteLimit: ValueType<DeleteLimit> = {
  placeholder: "N|P%",
  wanted: "give a number of entries, or a part such as 10%",
  parse(given) {
    const match = /^(\d{1,12})(%?)$/.exec(given.trim());
    if (!match || match[2] && Number(match[1]) > 100) return undefined;
    return { unit: match[2] ? "percent" : "entries", most: Number(match[1]) };
  },
  format: ({ unit, most }) => `${most}${unit === "percent" ? "%" : ""}`,
};

/** `wormhole copy`. */
export const COPY = command({
  name: "copy",
  summary: "copy files and folders on this machine, with everything kept",
  description:
    "Copies each SRC to DST as cp -a does: into DST when that is a folder, else as DST; several SRC need a folder. A SRC " +
    "that ends in a slash stands for what is in it, as with rsync. Symlinks are copied as symlinks. A file that exists " +
    "is replaced, but only by a complete one; folders are merged.\n\n" +
    "Modes, times, extended attributes, ACLs, hard links, holes, FIFOs and devices are kept, and, for root, owners. " +
    "What cannot be copied is named, the rest goes on, and the exit code is 7.\n\n" +
    "With --sync only what differs is copied, and one folder SRC is made DST, whether DST exists or not: the same " +
    "command twice does the same. --delete also removes from DST what SRC does not have, after all is copied. When that is more " +
    "than half of what DST holds, or SRC is empty, cannot be read or had failures, it stops and asks; without a " +
    "terminal nothing is deleted and the exit code is 10.",
  positionals: {
    path: any(path("PATH"), { help: "SRC... DST, or SRC... with -t." }),
  },
  flags: {
    targetDirectory: option(path("DIR", "directory"), {
      short: "t",
      group: "Where to",
      help: "Copy every SRC into the folder DIR.",
    }),
    noTargetDirectory: toggle({
      short: "T",
      group: "Where to",
      help: "Take DST for the copy's own name, even when it is a folder.",
      conflicts: ["target-directory"],
    }),
    exclude: list(text("GLOB"), {
      group: "What is copied",
      help: "Leave out what matches GLOB; may be given many times.",
    }),
    oneFileSystem: toggle({
      short: "x",
      group: "What is copied",
      help: "Do not go into other file systems that are mounted below SRC.",
    }),
    update: toggle({
      short: "u",
      group: EXISTING,
      help: "Replace only files that are older than their source, or as old and of another size.",
      conflicts: ["skip", "sync"],
    }),
    skip: toggle({ group: EXISTING, help: "Keep them and leave the new ones out.", conflicts: ["sync"] }),
    sync: toggle({ group: SYNC, help: "Copy only files whose size or time of change differs." }),
    checksum: toggle({
      group: SYNC,
      help:
        "With --sync, compare contents instead of sizes and times; for disks that round times (FAT, exFAT).",
    }),
    delete: toggle({ group: SYNC, help: "With --sync, delete what SRC does not have." }),
    maxDelete: option(deleteLimit, {
      group: SYNC,
      help:
        "With --delete, delete up to N entries, or P% of what DST holds, without asking; nothing when it is more.",
    }),
    yes: toggle({ short: "y", group: SYNC, help: "With --delete, delete however much it is." }),
    dryRun: toggle({
      short: "n",
      group: "What is shown",
      help: "Change nothing; list what would be done, one line for each entry.",
    }),
    progress: either({
      group: "What is shown",
      help: "Show progress also where standard error is no terminal; --no-progress nowhere.",
    }),
    preserve: option(attributes, {
      group: SAVED,
      help: "Keep only these: mode, owner, times, xattrs, acl, hardlinks, specials, flags; or all, none.",
    }),
    preserveHardlinks: either({
      group: SAVED,
      help: "Keep hard links between what is copied, also with --preserve.",
    }),
    preserveXattrs: either({ group: SAVED, help: "Keep extended attributes, also with --preserve." }),
    noMode: toggle({ group: SAVED, help: "Give new files the mode that new files get." }),
    noOwner: toggle({ group: SAVED, help: "Do not keep owner and group, also as root." }),
    noTimes: toggle({ group: SAVED, help: "Do not keep times." }),
    noXattrs: toggle({ group: SAVED, help: "Do not keep extended attributes." }),
    noAcl: toggle({ group: SAVED, help: "Do not keep access control lists." }),
    noHardlinks: toggle({ group: SAVED, help: "Make each name of a file a file of its own." }),
    noSpecials: toggle({ group: SAVED, help: "Leave out FIFOs, sockets and devices." }),
    noFlags: toggle({ group: SAVED, help: "Do not keep inode flags (chattr)." }),
    method: option(oneOf(METHODS, "METHOD"), {
      group: HOW,
      help: `How file contents are copied: ${METHODS.join(", ")}; -v says what was used.`,
      fallback: "auto",
      conflicts: ["direct-io"],
    }),
    directIo: toggle({ group: HOW, help: "Pass by the page cache (O_DIRECT) where the file system allows." }),
    sparse: either({
      group: HOW,
      help: "Make holes of zeros; --no-sparse fills holes. Else they stay as they are.",
    }),
    preallocate: toggle({ group: HOW, help: "Reserve each file's room before it is written." }),
    bufferSize: option(size(4096, GIB), {
      group: HOW,
      help: "Bytes for each read and write; chosen by itself otherwise.",
    }),
    cpuCount: option(wholeNumber(1, 256), {
      group: HOW,
      help:
        "Threads, each kept on a core of its own where there are as many; one for each core, not kept on it, otherwise.",
    }),
    queueDepth: option(wholeNumber(1, 4096), {
      group: HOW,
      help: "Operations that a thread gives the kernel at a time.",
    }),
    maxFilesInFlight: option(wholeNumber(1, 65536), { group: HOW, help: "Files that are open at a time." }),
    verify: toggle({ group: "Safety", help: "Read both files again and compare their BLAKE3 hashes." }),
    fsync: option(oneOf(["none", "end", "each"], "WHEN"), {
      group: "Safety",
      help:
        "Bring what is copied to the disk: none leaves it to the system, end waits for it once, each for every file before it gets its name.",
      fallback: "end",
    }),
    resume: toggle({
      group: "Safety",
      help: "Go on with a copy that was stopped: what is complete is not copied again.",
    }),
    retries: option(wholeNumber(0, 100), {
      group: "Safety",
      help: "Tries more for what fails for the moment, or changes while it is read.",
      fallback: 3,
    }),
  },
  examples: [
    { line: "wormhole copy photos /mnt/backup", help: "A folder into another" },
    { line: "wormhole copy photos/ /mnt/backup/photos", help: "What is in a folder into another" },
    {
      line: "wormhole copy --sync --delete --dry-run photos /mnt/photos",
      help: "See what a mirror would change",
    },
    {
      line: "wormhole copy --sync --delete --max-delete 10% photos /mnt/photos",
      help: "Keep a mirror from a script",
    },
    {
      line: "wormhole copy --verify --fsync each disk.img /mnt/usb",
      help: "Be sure before the stick is pulled out",
    },
  ],
});

import {
  duration,
  hostAndPort,
  oneOf,
  path,
  peerName,
  text,
  type ValueType,
  wholeNumber,
} from "../../config/values.ts";
import {
  HUB_FLAG,
  RECONNECT_FLAG,
  REMEMBER_FLAG,
  TRANSIT_RELAY_FLAG,
  TRANSPORT_FLAG,
  VERIFY_FLAG,
} from "../common_flags.ts";
import { any, command, list, maybe, option, override, toggle } from "../definition.ts";

const CODE_FROM_ENVIRONMENT =
  "A code on the command line can be seen by other people on this machine (ps); the variable WORMHOLE_CODE and " +
  "the prompt cannot.";

/** A number of receivers, or whoever comes. */
const receiverCount: ValueType<number | "any"> = {
  placeholder: "N|any",
  wanted: "give a whole number from 2 to 64, or any",
  parse: (given) => given.trim().toLowerCase() === "any" ? "any" : wholeNumber(2, 64).parse(given),
  format: String,
};

/** `wormhole send`. */
export const SEND = command({
  name: "send",
  summary: "send files, folders or text",
  description:
    "Shows a short code. Whoever types it at the other machine, with wormhole recv CODE, gets what you send, " +
    "encrypted on the way and checked on arrival. A code works once.\n\n" +
    "Folders are sent whole. - stands for standard input.\n\n" +
    "A machine that is known (wormhole pair) needs no code: --to NAME.\n\n" + CODE_FROM_ENVIRONMENT,
  positionals: {
    path: any(path("PATH"), { help: "File or folder to send; - for standard input." }),
  },
  flags: {
    text: option(text("TEXT"), { group: "What is sent", help: "Send this text instead of files." }),
    name: option(text("NAME"), {
      group: "What is sent",
      help: "Name that standard input gets at the other side.",
    }),
    exclude: list(text("GLOB"), {
      group: "What is sent",
      help: "Leave out what matches GLOB; may be given many times.",
    }),
    ignoreFiles: toggle({
      group: "What is sent",
      help: "Leave out what .gitignore, .ignore and .wormholeignore files say.",
    }),
    words: option(wholeNumber(1, 8), {
      group: "Code",
      help: "Words in the code; every word makes it 256 times harder to guess.",
      fallback: 2,
    }),
    to: option(peerName, {
      group: "Known machines",
      help: "Send to the machine that you call NAME, without a code; it runs wormhole recv --from.",
      conflicts: ["code", "receivers", "verify", "qr", "copy", "remember"],
    }),
    yes: toggle({
      short: "y",
      group: "Known machines",
      help: "With --to, send where there is no terminal although the machine has no right to receive.",
    }),
    remember: REMEMBER_FLAG,
    code: option(text("CODE"), {
      group: "Code",
      help: "Use this code instead of a new one; agree on it privately.",
      env: "WORMHOLE_CODE",
    }),
    checksum: toggle({
      group: "What is shown",
      help: "Then write the checksum of every file that was sent, named as at the receiver, as b3sum does.",
    }),
    receivers: option(receiverCount, {
      group: "Several receivers",
      help:
        "Send to N receivers (2 to 64), each with a code of its own that works once; or to any: one code for " +
        "whoever has it, until Ctrl-C, --timeout or too many wrong guesses.",
      conflicts: ["remember"],
    }),
    guesses: option(wholeNumber(1, 100), {
      group: "Several receivers",
      help:
        "Wrong guesses in all at which the code of --receivers any ends. With 3 and two words a stranger's " +
        "chance is 3 in 65,536; every word makes it 256 times smaller.",
      fallback: 3,
    }),
    qr: toggle({ group: "Code", help: "Also show the code as a QR code." }),
    copy: toggle({ group: "Code", help: "Also copy the code to the clipboard." }),
    verify: VERIFY_FLAG,
    hub: HUB_FLAG,
    transport: TRANSPORT_FLAG,
    port: option(wholeNumber(0, 65535, "PORT"), {
      group: "Connection",
      help: "Local port for direct connections; 0 takes any free one.",
      config: "port",
    }),
    timeout: option(duration(1000, 7 * 86_400_000), {
      group: "Connection",
      help: "Give up when nobody has come after TIME.",
    }),
    reconnect: RECONNECT_FLAG,
    streams: option(wholeNumber(1, 256), {
      group: "Speed",
      help: "Most parallel streams.",
      config: "maxStreams",
    }),
    compress: option(oneOf(["auto", "always", "never"], "WHEN"), {
      group: "Speed",
      help: "Compress always, never, or auto: where it pays off.",
      fallback: "auto",
    }),
    compressionLevel: option(wholeNumber(1, 19), {
      group: "Speed",
      help: "zstd level from 1 (fast) to 19 (small).",
      config: "compressionLevel",
    }),
    compat: toggle({
      group: "Other people's clients",
      help:
        "Send one file, folder or text to a magic-wormhole client (wormhole receive), through their public mailbox " +
        "server or --hub. One connection at their speed; nothing is kept of what ends early; symbolic links are left out.",
      conflicts: [
        ...["exclude", "ignore-files", "checksum", "receivers", "guesses", "name", "to", "remember"],
        ...["transport", "port", "reconnect", "streams", "compress", "compression-level"],
      ],
    }),
    transitRelay: TRANSIT_RELAY_FLAG,
  },
  examples: [
    { line: "wormhole send holiday.mp4", help: "Send a file" },
    {
      line: "wormhole send --exclude '*.tmp' photos notes.txt",
      help: "Send a folder and a file, without *.tmp",
    },
    { line: "tar c . | wormhole send --name site.tar -", help: "Send standard input" },
    { line: "wormhole send --text 'see you at eight'", help: "Send a few words" },
    {
      line: "wormhole send --to laptop holiday.mp4",
      help: "Send to a machine that is known, without a code",
    },
    { line: "wormhole send --receivers 3 slides.pdf", help: "Send to three people, each with a code" },
    { line: "wormhole send --receivers any --words 3 slides.pdf", help: "Send to whoever has the code" },
    { line: "wormhole send --compat notes.txt", help: "Send to a magic-wormhole client" },
    { line: "wormhole send --words 4 --verify secrets.kdbx", help: "Send something precious" },
  ],
});

/** `wormhole recv`. */
export const RECV = command({
  name: "recv",
  summary: "receive what somebody sends",
  description:
    "Asks for the code when none is given; Tab completes its words. Shows what is offered before anything is " +
    "written.\n\n" +
    "Existing files are never replaced without asking: without a terminal, give --overwrite, --rename or " +
    "--skip.\n\n" + CODE_FROM_ENVIRONMENT,
  positionals: {
    code: maybe(text("CODE"), {
      help: "The code that send shows, such as 7-guitarist-zulu.",
      env: "WORMHOLE_CODE",
    }),
  },
  flags: {
    from: option(peerName, {
      group: "Known machines",
      help: "Receive from the machine that you call NAME, without a code; it runs wormhole send --to.",
      conflicts: ["verify", "remember"],
    }),
    remember: REMEMBER_FLAG,
    output: option(path("DIR", "directory"), {
      short: "o",
      group: "What is written",
      help: "Write into DIR instead of the current folder.",
    }),
    yes: toggle({ short: "y", group: "What is written", help: "Accept the offer without asking." }),
    only: list(text("GLOB"), {
      group: "What is written",
      help: "Take only what matches GLOB; may be given many times.",
    }),
    stdout: toggle({
      group: "What is written",
      help: "Write a single file or text to standard output.",
      conflicts: ["output"],
    }),
    checksum: toggle({
      group: "What is shown",
      help: "Then write the checksum of every file that was offered and is there, as b3sum does.",
      conflicts: ["stdout"],
    }),
    overwrite: toggle({
      group: "Existing files",
      help: "Replace them.",
      conflicts: ["rename", "skip"],
    }),
    rename: toggle({
      group: "Existing files",
      help: "Keep them and give the new ones another name.",
      conflicts: ["skip"],
    }),
    skip: toggle({ group: "Existing files", help: "Keep them and leave the new ones out." }),
    keepChunks: override({
      config: "keepChunks",
      group: "What is written",
      help:
        "Also keep what is received in the store, so that it costs nothing later even when the files here are changed " +
        "or deleted (wormhole store), or not, whatever the setting keep_chunks says.",
    }),
    dedup: override({
      config: "dedup",
      group: "What is written",
      help:
        "Take from this machine what it has already; --no-dedup takes everything over the network, whatever the setting " +
        "dedup says.",
    }),
    verify: VERIFY_FLAG,
    peer: option(hostAndPort, {
      group: "Connection",
      help: "Go straight to the sender at this address.",
      conflicts: ["hub"],
    }),
    hub: HUB_FLAG,
    transport: TRANSPORT_FLAG,
    timeout: option(duration(1000, 7 * 86_400_000), {
      group: "Connection",
      help: "Give up when the sender is not found after TIME.",
    }),
    reconnect: RECONNECT_FLAG,
    compat: toggle({
      group: "Other people's clients",
      help:
        "The code is of a magic-wormhole client (wormhole send): receive its file, folder or text, through their " +
        "public mailbox server or --hub (where it is noticed without --compat too). One connection at their speed; " +
        "nothing is kept of what ends early.",
      conflicts: [
        ...["only", "checksum", "peer", "keep-chunks", "dedup", "from", "remember", "transport", "reconnect"],
      ],
    }),
    transitRelay: TRANSIT_RELAY_FLAG,
  },
  examples: [
    { line: "wormhole recv", help: "Type the code at a prompt" },
    { line: "wormhole recv 7-guitarist-zulu", help: "Receive into the current folder" },
    { line: "wormhole recv --from desk", help: "Receive from a machine that is known, without a code" },
    { line: "wormhole recv --yes --rename -o inbox 7-guitarist-zulu", help: "Receive from a script" },
    { line: "wormhole recv --only '*.jpg' 7-guitarist-zulu", help: "Take a part of what is offered" },
    { line: "wormhole recv --compat 7-guitarist-zulu", help: "Receive from a magic-wormhole client" },
    { line: "wormhole recv --stdout 7-guitarist-zulu | tar x", help: "Receive into a pipe" },
  ],
});

import { duration, hostAndPort, path, peerName, text, wholeNumber } from "../../config/values.ts";
import { HUB_FLAG } from "../common_flags.ts";
import { command, list, maybe, one, option, toggle } from "../definition.ts";

/** `wormhole pair`. */
export const PAIR = command({
  name: "pair",
  summary: "let two machines know each other, so that they need no code from then on",
  description:
    "One machine runs wormhole pair and shows a code, the other runs wormhole pair CODE. Both show the same verifier and ask " +
    "whether it is. Then wormhole send --to NAME and wormhole recv --from NAME find each other without a code, in either " +
    "order.\n\n" +
    "NAME is what you call the other machine; without it, it is called what it calls itself. A machine that is known may do " +
    "nothing without your command: see wormhole peers rights.",
  positionals: {
    what: maybe(text("NAME|CODE"), {
      help: "What to call the other machine; or the code that it shows, such as 7-guitarist-zulu.",
    }),
    name: maybe(text("NAME"), { help: "What to call the other machine, after a code." }),
  },
  flags: {
    code: option(text("CODE"), {
      group: "Code",
      help: "The code that the other machine shows.",
      env: "WORMHOLE_CODE",
    }),
    words: option(wholeNumber(1, 8), {
      group: "Code",
      help: "Words in the code; every word makes it 256 times harder to guess.",
      fallback: 2,
    }),
    yes: toggle({ short: "y", group: "Security", help: "Do not ask whether the verifiers are the same." }),
    as: option(text("NAME"), {
      group: "Names",
      help: "What this machine calls itself; its host name otherwise.",
    }),
    hub: HUB_FLAG,
    peer: option(hostAndPort, {
      group: "Connection",
      help: "Go straight to the machine that shows the code, at this address.",
      conflicts: ["hub"],
    }),
    port: option(wholeNumber(0, 65535, "PORT"), {
      group: "Connection",
      help: "Local port for direct connections; 0 takes any free one.",
      config: "port",
    }),
    timeout: option(duration(1000, 7 * 86_400_000), {
      group: "Connection",
      help: "Give up when nobody has come after TIME.",
    }),
  },
  examples: [
    { line: "wormhole pair laptop", help: "Show a code, and call the other machine laptop" },
    {
      line: "wormhole pair 7-guitarist-zulu desk",
      help: "Type the code at the other one, and call this one desk",
    },
  ],
});

/** `wormhole peers list`. */
export const PEERS_LIST = command({
  name: "peers list",
  summary: "list the machines that this one knows",
  description: "With what they may do without asking, and when and where they were last.",
  positionals: {},
  flags: {},
  examples: [{ line: "wormhole peers list", help: "See who is known" }],
});

/** `wormhole peers rename`. */
export const PEERS_RENAME = command({
  name: "peers rename",
  summary: "call a known machine by another name",
  description: "The name is yours alone: the other machine does not learn it.",
  positionals: {
    name: one(peerName, { help: "What it is called." }),
    to: one(text("NEW"), { help: "What to call it from now on." }),
  },
  flags: {},
  examples: [{ line: "wormhole peers rename laptop old-laptop", help: "Make room for a new one" }],
});

/** `wormhole peers forget`. */
export const PEERS_FORGET = command({
  name: "peers forget",
  summary: "forget a known machine",
  description:
    "It is refused from then on, also where a transfer is being waited for. It may go on knowing this machine; that is of no " +
    "use to it.",
  positionals: { name: one(peerName, { help: "What it is called." }) },
  flags: {},
  examples: [{ line: "wormhole peers forget old-laptop", help: "It was sold" }],
});

/** `wormhole peers rights`. */
export const PEERS_RIGHTS = command({
  name: "peers rights",
  summary: "show or change what a known machine may do without asking",
  description:
    "A machine that was just paired may do nothing: every offer is asked about, and nothing is sent where nobody is at a " +
    "terminal. Rights only matter while you run recv --from, send --to or sync serve; there is no way in otherwise.",
  positionals: { name: one(peerName, { help: "What it is called." }) },
  flags: {
    inbox: option(path("DIR", "directory"), {
      group: "Rights",
      help:
        "It may send into DIR: recv --from takes what it offers there without asking. Existing files are kept.",
    }),
    receive: toggle({
      group: "Rights",
      help: "It may receive: send --to sends also where there is no terminal, as in a script.",
    }),
    sync: list(path("DIR", "directory"), {
      group: "Rights",
      help:
        "It may synchronize DIR and what is in it, while you run wormhole sync serve: read, change and delete (into DIR's trash). " +
        "May be given many times.",
    }),
    readOnly: list(path("DIR", "directory"), {
      group: "Rights",
      help:
        "It may synchronize DIR, but only read it (other tools: send only): wormhole sync --mode one-way-replica NAME:DIR FOLDER there.",
    }),
    writeOnly: list(path("DIR", "directory"), {
      group: "Rights",
      help:
        "It may synchronize DIR, but only change it (other tools: receive only): it learns names and sizes, and gets no content.",
    }),
    none: toggle({
      group: "Rights",
      help: "Take all rights back; others that are given with it are then granted.",
    }),
  },
  examples: [
    { line: "wormhole peers rights laptop", help: "See them" },
    {
      line: "wormhole peers rights laptop --inbox ~/inbox --receive",
      help: "Let it send into a folder, and receive",
    },
    { line: "wormhole peers rights laptop --sync ~/notes", help: "Let it synchronize a folder" },
    {
      line: "wormhole peers rights laptop --read-only ~/photos --write-only /backup/laptop",
      help: "Let it fetch photos, and put its backup here",
    },
    { line: "wormhole peers rights laptop --none", help: "Take them back" },
  ],
});

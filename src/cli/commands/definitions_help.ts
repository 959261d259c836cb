import { oneOf, text } from "../../config/values.ts";
import { HUB_FLAG } from "../common_flags.ts";
import { any, command, one, toggle } from "../definition.ts";

/** `wormhole config show`. */
export const CONFIG_SHOW = command({
  name: "config show",
  summary: "list every setting, its value and where it comes from",
  description: "Flags win over WORMHOLE_* variables, these over config.toml, that over the defaults.",
  positionals: {},
  flags: {},
  examples: [{ line: "wormhole config show", help: "See what is in force" }],
});

/** `wormhole config set`. */
export const CONFIG_SET = command({
  name: "config set",
  summary: "change a setting in config.toml",
  description: "Comments and other settings in the file stay. docs/config.md lists the settings.",
  positionals: {
    key: one(text("KEY"), { help: "Name of the setting, such as max_streams." }),
    value: one(text("VALUE"), { help: "Its new value." }),
  },
  flags: {},
  examples: [
    { line: "wormhole config set signal_server wss://hub.example", help: "Always meet through this hub" },
    { line: "wormhole config set bulk_chunk_size 8MB", help: "Use larger chunks" },
  ],
});

/** `wormhole config path`. */
export const CONFIG_PATH = command({
  name: "config path",
  summary: "print where config.toml is",
  description: "The file need not exist.",
  positionals: {},
  flags: {},
  examples: [{ line: 'cat "$(wormhole config path)"', help: "Read the file" }],
});

/** `wormhole doctor`. */
export const DOCTOR = command({
  name: "doctor",
  summary: "say what works on this machine and what does not",
  description:
    "Checks the program, its library, the kernel, the network, the keys, the disk and the hub. With --network it finds out how " +
    "other machines can reach this one, asking nobody but the hub and this network, as a rule for 3 seconds; it fails when nothing can " +
    "be transferred.",
  positionals: {},
  flags: {
    network: toggle({
      group: "What is looked at",
      help: "Only the network: addresses, NAT, hub, proxies, firewall.",
    }),
    hub: HUB_FLAG,
  },
  examples: [
    { line: "wormhole doctor", help: "Look for trouble" },
    { line: "wormhole doctor --network --hub hub.example", help: "See who can reach this machine, and how" },
  ],
});

/** Shells that `wormhole completions` knows. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** `wormhole completions`. */
export const COMPLETIONS = command({
  name: "completions",
  summary: "print completions for a shell",
  description: "Load them from the shell's start-up file.",
  positionals: { shell: one(oneOf(SHELLS, "SHELL"), { help: "bash, zsh or fish." }) },
  flags: {},
  examples: [
    { line: 'eval "$(wormhole completions bash)"', help: "bash, in ~/.bashrc" },
    { line: 'eval "$(wormhole completions zsh)"', help: "zsh, in ~/.zshrc after compinit" },
    { line: "wormhole completions fish | source", help: "fish, in ~/.config/fish/config.fish" },
  ],
});

/** `wormhole man`. */
export const MAN = command({
  name: "man",
  summary: "print the manual page",
  description: "As roff, for man.",
  positionals: {},
  flags: {},
  examples: [
    { line: "wormhole man | man -l -", help: "Read it" },
    { line: "wormhole man > ~/.local/share/man/man1/wormhole.1", help: "Install it" },
  ],
});

/** `wormhole version`. */
export const VERSION = command({
  name: "version",
  summary: "print the version",
  description: "Also wormhole --version.",
  positionals: {},
  flags: {},
  examples: [{ line: "wormhole version", help: "Print the version" }],
});

/** `wormhole help`. */
export const HELP = command({
  name: "help",
  summary: "explain wormhole or one of its commands",
  description: "Also wormhole COMMAND --help.",
  positionals: { command: any(text("COMMAND"), { help: "The command to explain." }) },
  flags: {},
  examples: [{ line: "wormhole help send", help: "Explain send" }],
});

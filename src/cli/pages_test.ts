/** What is made from the command table: help, man page, completions, the user guide. */
import { completionScript } from "./completions.ts";
import { documentPath, documents } from "./docs.ts";
import { displayWidth } from "./format.ts";
import { helpText } from "./help.ts";
import { manPage } from "./man.ts";
import { type OutputEvent } from "./events.ts";
import { PeerBook } from "../peers/mod.ts";
import { flagsOf, visibleCommands } from "./table.ts";
import { isOverride, longName } from "./definition.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";

Deno.test("helpText() of a command reads as it should", () => {
  assertEquals(
    helpText("config set", 80),
    `wormhole config set - change a setting in config.toml

Usage:
  wormhole config set KEY VALUE

Comments and other settings in the file stay. docs/config.md lists the settings.

Arguments:
  KEY                         Name of the setting, such as max_streams.
  VALUE                       Its new value.

Output and logs:
      --json                  Write one JSON object per line and event to
                              standard output (docs/json.md).
  -q, --quiet                 Show only what was asked for and errors.
  -v, --verbose               Log more; -vv and -vvv still more.
      --log-level LEVEL       How much is logged: error, warn, info, debug or
                              trace.
      --log-json              Log as JSON lines.
      --log-file FILE         Append the log to FILE instead of standard error.
  -h, --help                  Show this help.

Examples:
  Always meet through this hub:
    wormhole config set signal_server wss://hub.example
  Use larger chunks:
    wormhole config set bulk_chunk_size 8MB
`,
  );
});

Deno.test("helpText() names every command and flag and fits the terminal", () => {
  const program = helpText("", 80);
  for (const command of visibleCommands()) {
    assertTrue(program.includes(`  ${command.name} `), command.name);
    const text = helpText(command.name, 60);
    for (const [key, flag] of Object.entries(flagsOf(command))) {
      const no = isOverride(flag) ? "[no-]" : "";
      assertTrue(text.includes(`--${no}${longName(key)}`), key);
    }
    const before = text.slice(0, text.indexOf("\nExamples:"));
    for (const line of before.split("\n")) {
      assertTrue(displayWidth(line) <= 60 || line.startsWith("  wormhole"), line);
    }
  }
  assertTrue(helpText("config", 80).includes("wormhole config path"));
  assertThrows(() => helpText("docter", 80), "USAGE", 'did you mean "doctor"?');
});

Deno.test("every flag's conflicts, groups and examples make sense", () => {
  for (const command of visibleCommands()) {
    const flags = flagsOf(command);
    const names = Object.keys(flags).map(longName);
    const shorts = Object.values(flags).flatMap(({ short }) => short ?? []);
    assertEquals(new Set(shorts).size, shorts.length, `short flags of ${command.name}`);
    for (const { conflicts = [] } of Object.values(flags)) {
      for (const other of conflicts) assertTrue(names.includes(other), `${command.name}: ${other}`);
    }
    assertTrue(command.examples.length > 0, command.name);
    for (const { line } of command.examples) assertTrue(line.includes(`wormhole ${command.name}`), line);
  }
});

Deno.test("manPage() renders without a complaint", { ignore: !isInstalled("groff") }, async () => {
  const { stdout, stderr } = await run("groff", ["-man", "-Tutf8", "-ww", "-P-cbou"], manPage());
  assertEquals(stderr, "");
  const page = stdout.replace(/\s+/g, " ");
  for (const command of visibleCommands()) {
    assertTrue(page.includes(`wormhole ${command.name}`), command.name);
  }
  for (const words of ["--log-file FILE", "WORMHOLE_MAX_STREAMS", "EXIT STATUS", "man -l -", "~/.config"]) {
    assertTrue(page.includes(words), words);
  }
});

Deno.test("completions work in a real bash", async () => {
  const rows: [string, string[], string[]][] = [
    ["commands", ["doc"], ["doctor"]],
    ["second words", ["config", "s"], ["show", "set"]],
    ["flags", ["doctor", "--js"], ["--json"]],
    ["flags of a subcommand", ["config", "set", "--log-f"], ["--log-file"]],
    ["values", ["doctor", "--log-level", "de"], ["debug"]],
    ["values after =", ["doctor", "--log-level", "=", "tr"], ["trace"]],
    ["all values after =", ["doctor", "--log-level", "="], ["error", "warn", "info", "debug", "trace"]],
    ["positionals", ["completions", ""], ["bash", "zsh", "fish"]],
    ["settings", ["config", "set", "max"], ["max_streams"]],
    ["the command behind a flag", ["--json", "completions", "z"], ["zsh"]],
    ["topics", ["help", "vers"], ["version"]],
    ["nothing", ["version", "x"], []],
  ];
  for (const [what, words, wanted] of rows) {
    const all = ["wormhole", ...words].map((word) => `'${word}'`).join(" ");
    const script = `${completionScript("bash")}
      COMP_WORDS=(${all}); COMP_CWORD=${words.length}; _wormhole; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = await run("bash", ["--norc", "-s"], script);
    assertEquals(stderr, "", what);
    assertEquals(stdout.split("\n").filter((word) => word !== ""), wanted, what);
  }
});

Deno.test("completions of file names in a real bash keep blanks and expand nothing", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/log a$(touch evil).txt`, "");
    const script = `${completionScript("bash")}
      COMP_WORDS=(wormhole doctor --log-file log); COMP_CWORD=3; _wormhole; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await run("bash", ["--norc", "-s"], script, folder);
    assertEquals(stdout.trim(), "log a$(touch evil).txt");
    assertEquals((await Array.fromAsync(Deno.readDir(folder))).length, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("completions in a real bash know the machines that are known", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const book = new PeerBook(`${folder}/wormhole`);
    const peer = { calledItself: "x", secret: new Uint8Array(32), hosts: [] };
    for (const [at, name] of ["desk", "laptop", "Büro"].entries()) {
      await book.keep({ ...peer, name, key: new Uint8Array(32).fill(at) });
    }
    const rows: [string[], string[]][] = [
      [["send", "--to", "la"], ["laptop"]],
      [["recv", "--from", ""], ["Büro", "desk", "laptop"]],
      [["peers", "forget", "d"], ["desk"]],
    ];
    for (const [words, wanted] of rows) {
      const all = ["wormhole", ...words].map((word) => `'${word}'`).join(" ");
      const script = `XDG_CONFIG_HOME='${folder}'; ${completionScript("bash")}
        COMP_WORDS=(${all}); COMP_CWORD=${words.length}; _wormhole; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout, stderr } = await run("bash", ["--norc", "-s"], script);
      assertEquals([stdout.trim().split("\n").toSorted(), stderr], [wanted, ""]);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

for (const shell of ["zsh", "fish"] as const) {
  Deno.test(`completions for ${shell} are accepted by it`, { ignore: !isInstalled(shell) }, async () => {
    assertEquals((await run(shell, ["-n"], completionScript(shell))).stderr, "");
  });
}

Deno.test("completions for every shell know every command", () => {
  for (const shell of ["bash", "zsh", "fish"] as const) {
    const script = completionScript(shell);
    for (const { name } of visibleCommands()) {
      assertTrue(script.includes(name.split(" ").at(-1)!), `${shell}: ${name}`);
    }
  }
});

Deno.test("docs/ is up to date with the tables", async () => {
  for (const [name, text] of Object.entries(documents())) {
    const there = await Deno.readTextFile(documentPath(name));
    assertEquals(there === text, true, `docs/${name} is stale: run deno run -A src/cli/docs.ts`);
  }
});

Deno.test("docs/json.md describes every event and field", async () => {
  const page = await Deno.readTextFile(documentPath("json.md"));
  const samples: Record<OutputEvent["event"], string[]> = {
    code: ["code", "hub", "expires_at", "receiver", "receivers", "guesses", "words", "command"],
    verifier: ["verifier"],
    peer: ["transport", "path", "remote"],
    reconnecting: ["attempt", "wait_ms", "left_ms"],
    offer: ["direction", "kind", "names", "files", "directories", "bytes"],
    progress: [
      "bytes",
      "bytes_total",
      "files",
      "files_total",
      "bytes_per_second",
      "eta_ms",
      "name",
      "transport",
      "path",
      "files_per_second",
      "unchanged",
      "failed",
    ],
    file_failed: ["name", "code", "message"],
    text: ["text"],
    listening: ["url", "metrics"],
    hub_status: ["url", "status", "connections", "nameplates", "mailboxes", "uptime_ms"],
    setting: ["name", "value", "source"],
    check: ["name", "status", "text", "advice"],
    network: [
      "reach",
      "possible",
      "text",
      "advice",
      "addresses",
      "nat",
      "hub",
      "port_mapping",
      "external",
      "multicast",
      "firewalls",
    ],
    checksum: ["name", "hash", "bytes"],
    unfinished: ["kind", "name", "destination", "bytes", "bytes_total", "updated_at", "dropped"],
    kept: ["bytes", "destination"],
    verified: ["files", "bytes", "failed", "duration_ms"],
    waiting: ["direction", "name"],
    known_peer: [
      "name",
      "key",
      "hosts",
      "inbox",
      "receive",
      "sync",
      "sync_read_only",
      "sync_write_only",
      "paired_at",
      "seen_at",
    ],
    paired: ["known_peer"],
    peer_forgotten: ["name", "key"],
    wrong_guess: ["wrong", "allowed"],
    receiver_failed: ["receiver", "code", "message"],
    receivers: ["served", "failed", "receivers", "receiver", "files", "bytes", "code", "message"],
    store: [
      "files",
      "file_bytes",
      "chunks",
      "index",
      "index_bytes",
      "packs",
      "pack_bytes",
      "directory",
      "quota",
      "saved_bytes",
    ],
    store_verified: ["packs", "files", "bytes", "failed", "duration_ms"],
    store_cleaned: ["files", "packs", "bytes", "leftovers"],
    sync_change: ["side", "action", "name", "from"],
    sync_serving: ["name", "folders", "read_only", "write_only"],
    sync_session: ["name", "state", "remote", "message"],
    sync_conflict: ["name", "kind", "winner", "copy"],
    sync_merged: ["name"],
    sync_status: ["alpha", "beta", "mode", "state", "pid", "socket", "started_at", "runs", "last"],
    sync_locked: ["side", "name", "owner", "machine", "until"],
    lock: ["path", "owner", "machine", "shared", "token", "acquired_at", "expires_at", "released"],
    synced: [
      "alpha",
      "beta",
      "changes",
      "trashed",
      "bytes",
      "conflicts",
      "merged",
      "failed",
      "skipped",
      "postponed",
      "locked",
      "entries",
      "dry_run",
      "duration_ms",
    ],
    conflict_copy: ["name", "copy", "machine", "time", "kept"],
    version: ["name", "displaced_at", "kind", "bytes", "restored"],
    job: ["name", "command", "folder", "schedule", "with", "next_at", "running", "last"],
    job_plan: [
      "name",
      "action",
      "with",
      "writes",
      "removes",
      "crontab",
      "runs",
      "notes",
      "next_at",
      "dry_run",
    ],
    job_run: [
      "name",
      "started_at",
      "duration_ms",
      "exit",
      "code",
      "message",
      "report",
      "events",
      "omitted",
    ],
    change: ["path", "what", "kind", "bytes", "method", "dry_run"],
    deletions: ["entries", "directories", "of", "reason"],
    copied: [
      "files",
      "directories",
      "symlinks",
      "specials",
      "hardlinks",
      "bytes",
      "unchanged",
      "deleted",
      "failed",
      "duration_ms",
      "methods",
      "dry_run",
      "interrupted",
    ],
    warning: ["message"],
    done: [
      "direction",
      "bytes",
      "files",
      "skipped",
      "failed",
      "duration_ms",
      "bytes_on_wire",
      "bytes_found",
      "destination",
      "receipt",
      "receipt_agreed",
    ],
    error: ["code", "message", "advice", "exit"],
  };
  for (const [event, fields] of Object.entries(samples)) {
    const row = page.split("\n").find((line) => line.startsWith(`| \`${event}\` |`));
    assertTrue(row, event);
    for (const field of fields) assertTrue(row.includes(`\`${field}\``), `${event}: ${field}`);
  }
});

function isInstalled(command: string): boolean {
  try {
    return new Deno.Command(command, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
}

async function run(
  command: string,
  args: string[],
  input: string,
  cwd?: string,
): Promise<{ stdout: string; stderr: string }> {
  const child = new Deno.Command(command, { args, cwd, stdin: "piped", stdout: "piped", stderr: "piped" })
    .spawn();
  const writer = child.stdin.getWriter();
  const [output] = await Promise.all([
    child.output(),
    writer.write(new TextEncoder().encode(input)).then(() => writer.close()),
  ]);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { stdout: text(output.stdout), stderr: text(output.stderr) };
}

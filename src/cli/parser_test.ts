import { JOB_ADD } from "./commands/definitions_job.ts";
import { RECV, SEND } from "./commands/definitions_transfer.ts";
import type { Command } from "./definition.ts";
import { parse, parseArguments } from "./parser.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";

const nothing = () => undefined;

function args(command: Command, words: readonly string[], env: Record<string, string> = {}) {
  const parsed = parseArguments(command, words, (name) => env[name]);
  assertTrue(parsed.kind === "run");
  return parsed;
}

Deno.test("parseArguments() follows POSIX and GNU", () => {
  const rows: [string, Command, string[], Record<string, unknown>][] = [
    ["nothing", RECV, [], { code: undefined, yes: false, only: [], transport: "auto", verbose: 0 }],
    ["positional", RECV, ["7-guitarist-zulu"], { code: "7-guitarist-zulu" }],
    ["many positionals between flags", SEND, ["a", "-q", "b"], { path: ["a", "b"], quiet: true }],
    ["- alone", SEND, ["-"], { path: ["-"] }],
    ["after --", SEND, ["--", "-q", "--text"], { path: ["-q", "--text"], quiet: false, text: undefined }],
    ["--x=y", RECV, ["--output=in"], { output: "in" }],
    ["--x= (empty)", SEND, ["--text="], { text: "" }],
    ["= in the value", SEND, ["--text=a=b"], { text: "a=b" }],
    ["--x y", RECV, ["--output", "in"], { output: "in" }],
    ["-o y", RECV, ["-o", "in"], { output: "in" }],
    ["-oy", RECV, ["-oin"], { output: "in" }],
    ["bundle", RECV, ["-yqvv"], { yes: true, quiet: true, verbose: 2 }],
    ["bundle that ends in a value", RECV, ["-yoin"], { yes: true, output: "in" }],
    ["a value that looks like a flag", SEND, ["--text", "--json"], { text: "--json", json: false }],
    ["repeated list", SEND, ["--exclude", "*.a", "--exclude=*.b"], { exclude: ["*.a", "*.b"] }],
    ["the last option counts", RECV, ["-o", "a", "-o", "b"], { output: "b" }],
    ["--no-x", RECV, ["--yes", "--no-yes"], { yes: false }],
    ["--no-x undoes a conflict", RECV, ["--skip", "--no-skip", "--rename"], { skip: false, rename: true }],
    ["--ignore-files is not --no-…", SEND, ["--ignore-files"], { ignoreFiles: true }],
    ["a number", SEND, ["--words", "4"], { words: 4 }],
    ["a time", RECV, ["--timeout", "1h30m"], { timeout: 5_400_000 }],
    ["an enum in capitals", RECV, ["--transport", "QUIC"], { transport: "quic" }],
  ];
  for (const [what, command, words, wanted] of rows) {
    const parsed = args(command, words).args;
    for (const [key, value] of Object.entries(wanted)) assertEquals(parsed[key], value, `${what}: ${key}`);
  }
});

Deno.test("parseArguments() takes another command line as it is", () => {
  const rows: [string[], Record<string, unknown>][] = [
    [["notes", "sync", "-n", "a", "--json"], {
      name: "notes",
      command: ["sync", "-n", "a", "--json"],
      json: false,
    }],
    [["-n", "notes", "a", "--", "-n"], { name: "notes", command: ["a", "--", "-n"], dryRun: true }],
    [["notes", "--replace", "a", "--replace"], { command: ["a", "--replace"], replace: true }],
    [["--", "notes", "-n", "--", "b"], { name: "notes", command: ["-n", "--", "b"], dryRun: false }],
    [["notes", "-s", "daily", "--", "--mode", "x"], { command: ["--mode", "x"], schedule: "daily" }],
    [["notes"], { name: "notes", command: [] }],
  ];
  for (const [words, wanted] of rows) {
    const parsed = args(JOB_ADD, words).args;
    for (const [key, value] of Object.entries(wanted)) assertEquals(parsed[key], value, `${words}: ${key}`);
  }
});

Deno.test("parseArguments() says what is wrong and what was probably meant", () => {
  const rows: [Command, string[], string][] = [
    [
      RECV,
      ["--overwite"],
      '"--overwite" of wormhole recv: there is no such flag; did you mean "--overwrite"?',
    ],
    [RECV, ["--no-yess"], 'did you mean "--no-yes"?'],
    [RECV, ["-z"], '"-z" of wormhole recv: there is no such flag'],
    [RECV, ["--yes=1"], '"--yes" of wormhole recv: it takes no value'],
    [RECV, ["--no-yes=1"], "it takes no value"],
    [RECV, ["--no-output"], "there is no such flag"],
    [RECV, ["--output"], "its value is missing: give the path of a folder"],
    [RECV, ["--output="], "give the path of a folder"],
    [RECV, ["--transport", "udp"], 'it is "udp": give auto, tcp, quic or relay'],
    [RECV, ["--transport", "qic"], 'did you mean "quic"?'],
    [RECV, ["--timeout", "soon"], 'it is "soon": give a time from 1s to 7d, such as 10m'],
    [SEND, ["--words", "99"], "give a whole number from 1 to 8"],
    [RECV, ["a", "b"], '"b" of wormhole recv: there is nothing left that it could mean'],
    [RECV, ["--overwrite", "--skip"], "it cannot be given together with --skip"],
    [RECV, ["--skip", "--overwrite"], "it cannot be given together with"],
    [RECV, ["--json", "-q"], "it cannot be given together with --quiet"],
    [RECV, ["--\u001b[31m"], '"--\\u001b[31m"'],
  ];
  for (const [command, words, message] of rows) {
    assertThrows(() => parseArguments(command, words, nothing), "USAGE", message);
  }
});

Deno.test("parseArguments() takes the code from the environment, where ps does not show it", () => {
  const env = { WORMHOLE_CODE: "7-a-b" };
  assertEquals(args(RECV, [], env).args.code, "7-a-b");
  assertEquals(args(SEND, [], env).args.code, "7-a-b");
  assertEquals(args(RECV, ["8-c-d"], env).args.code, "8-c-d");
  assertEquals(args(RECV, [], { WORMHOLE_CODE: "" }).args.code, undefined);
});

Deno.test("parseArguments() hands flags that override settings to config", () => {
  const { config } = args(SEND, [
    "--port",
    "4001",
    "--streams",
    "8",
    "--hub",
    "ws://h",
    "--log-level",
    "debug",
  ]);
  assertEquals(config, { port: 4001, maxStreams: 8, signalServer: "ws://h", logLevel: "debug" });
  assertEquals(args(SEND, []).config, {});
});

Deno.test("parseArguments() leaves a switch for a setting alone unless it is turned on or off", () => {
  const rows: [string[], object][] = [
    [[], {}],
    [["--keep-chunks"], { keepChunks: true }],
    [["--no-keep-chunks"], { keepChunks: false }],
    [["--keep-chunks", "--no-keep-chunks", "--no-dedup"], { keepChunks: false, dedup: false }],
    [["--no-dedup", "--dedup"], { dedup: true }],
    [["--compat", "--no-keep-chunks"], { keepChunks: false }],
  ];
  for (const [words, config] of rows) assertEquals(args(RECV, words).config, config, words.join(" "));
});

Deno.test("parseArguments() refuses flags that mean nothing to magic-wormhole clients", () => {
  const rows: [typeof SEND | typeof RECV, string[]][] = [
    ...[["--port", "1"], ["--streams", "2"], ["--compress", "never"], ["--compression-level", "3"]].map((
      words,
    ): [typeof SEND, string[]] => [SEND, words]),
    ...[["--keep-chunks"], ["--dedup"], ["--only", "x"], ["--peer", "h:1"], ["--from", "desk"]].map((
      words,
    ): [typeof RECV, string[]] => [RECV, words]),
    ...[SEND, RECV].flatMap((command): [typeof command, string[]][] => [
      [command, ["--transport", "tcp"]],
      [command, ["--reconnect", "1m"]],
      [command, ["--remember", "desk"]],
      [command, ["--checksum"]],
    ]),
    [SEND, ["--receivers", "2"]],
    [SEND, ["--guesses", "2"]],
  ];
  for (const [command, words] of rows) {
    for (const line of [["--compat", ...words], [...words, "--compat"]]) {
      const message = `it cannot be given together with ${words[0]}`;
      assertThrows(() => parseArguments(command, line, nothing), "USAGE", message);
    }
  }
});

Deno.test("parse() finds the command", () => {
  const rows: [string[], string][] = [
    [[], "help:"],
    [["--help"], "help:"],
    [["-h"], "help:"],
    [["doctor", "--help"], "help:doctor"],
    [["doctor", "-qh"], "help:doctor"],
    [["--help", "doctor"], "help:doctor"],
    [["config", "--help"], "help:config"],
    [["config", "set", "-h"], "help:config set"],
    [["--version"], "version"],
    [["-V"], "version"],
    [["--json", "doctor"], "run:doctor"],
    [["--log-level", "info", "doctor"], "run:doctor"],
    [["config", "set", "a", "b"], "run:config set"],
  ];
  for (const [words, wanted] of rows) {
    const parsed = parse(words, nothing);
    const got = parsed.kind === "run"
      ? `run:${parsed.command.name}`
      : parsed.kind === "help"
      ? `help:${parsed.topic}`
      : parsed.kind;
    assertEquals(got, wanted, words.join(" "));
  }
  const parsed = parse(["--json", "config", "set", "a", "-v", "b"], nothing);
  assertTrue(parsed.kind === "run");
  assertEquals([parsed.args.key, parsed.args.value, parsed.args.json, parsed.args.verbose], [
    "a",
    "b",
    true,
    1,
  ]);
});

Deno.test("parse() says which command was probably meant", () => {
  const rows: [string[], string][] = [
    [["docter"], 'did you mean "doctor"?'],
    [["receive"], 'did you mean "recv"?'],
    [["7-guitarist-zulu"], 'did you mean "wormhole recv 7-guitarist-zulu"?'],
    [["config"], "say which: show, set, path"],
    [["config", "shw"], 'did you mean "show"?'],
    [["--jsn"], 'did you mean "--json"?'],
    [["frobnicate"], "there is no such command"],
  ];
  for (const [words, message] of rows) assertThrows(() => parse(words, nothing), "USAGE", message);
});

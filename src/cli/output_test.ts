import { SimulatedClock } from "../base/clock.ts";
import { ERROR_NUMBERS, type ErrorCode, WormholeError } from "../base/errors.ts";
import type { OutputEvent } from "./events.ts";
import { advice, EXIT_CODES, exitCode, Interrupted } from "./exit.ts";
import { createOutput } from "./output.ts";
import { safe, safeText } from "./safe.ts";
import { styles, type Terminal, usesColour } from "./terminal.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";

const EVIL = "evil\u001b]0;owned\u0007\u001b[2J\u009b31m\u202etxt\u200b\r\n\u2028fake\udc80\u{e0041}";

/** Every event, with everything that a peer could choose filled with {@linkcode EVIL}. */
const HOSTILE: OutputEvent[] = [
  { event: "code", code: EVIL, hub: EVIL, port: null, expires_at: EVIL },
  { event: "verifier", verifier: EVIL },
  { event: "peer", transport: "quic", path: "direct", remote: EVIL },
  { event: "reconnecting", attempt: 1, wait_ms: 300, left_ms: 600_000, receiver: 2 },
  {
    event: "offer",
    direction: "recv",
    kind: "files",
    names: [EVIL, EVIL],
    files: 2,
    directories: 1,
    bytes: 5,
  },
  { event: "file_failed", name: EVIL, code: "IO", message: EVIL },
  { event: "text", text: EVIL },
  { event: "checksum", name: EVIL, hash: EVIL, bytes: 1 },
  {
    event: "unfinished",
    kind: "transfer",
    name: EVIL,
    destination: EVIL,
    bytes: 1,
    bytes_total: 2,
    updated_at: EVIL,
    dropped: false,
  },
  {
    event: "unfinished",
    kind: "sync",
    name: EVIL,
    destination: EVIL,
    bytes: 1,
    bytes_total: null,
    updated_at: EVIL,
    dropped: false,
  },
  {
    event: "lock",
    path: EVIL,
    owner: EVIL,
    machine: EVIL,
    shared: true,
    token: null,
    acquired_at: EVIL,
    expires_at: EVIL,
    released: false,
  },
  { event: "sync_locked", side: "beta", name: EVIL, owner: EVIL, machine: null, until: EVIL },
  { event: "sync_serving", name: EVIL, folders: [EVIL], read_only: [EVIL], write_only: [] },
  { event: "kept", bytes: 1, destination: EVIL },
  { event: "verified", files: 1, bytes: 1, failed: 1, duration_ms: 1 },
  { event: "listening", url: EVIL, metrics: EVIL, transit: [EVIL] },
  { event: "setting", name: EVIL, value: EVIL, source: "file" },
  { event: "check", name: EVIL, status: "problem", text: EVIL, advice: EVIL },
  { event: "warning", message: EVIL },
  {
    event: "done",
    kind: "files",
    direction: "recv",
    bytes: 5,
    files: 1,
    skipped: 1,
    failed: 1,
    duration_ms: 5,
    bytes_on_wire: 1,
    bytes_found: 1,
    destination: EVIL,
    receipt: EVIL,
    receipt_agreed: false,
  },
  { event: "error", code: "IO", message: EVIL, advice: EVIL, exit: 6 },
];

function captured(flags: { json?: boolean; quiet?: boolean; dataOnStdout?: boolean; tty?: boolean }) {
  let out = "";
  let err = "";
  const tty = flags.tty ?? true;
  const terminal: Terminal = {
    interactive: tty,
    canRedraw: tty,
    stdoutIsTerminal: tty,
    styles: styles(false),
    columns: () => 80,
    write: (text) => err += text,
  };
  const output = createOutput({
    json: false,
    quiet: false,
    ...flags,
    terminal,
    clock: new SimulatedClock(),
    stdout: (text) => out += text,
  });
  return { output, out: () => out, err: () => err };
}

Deno.test("no output lets a peer's control characters reach a terminal", () => {
  for (const flags of [{}, { quiet: true }, { json: true }, { dataOnStdout: true }]) {
    const { output, out, err } = captured(flags);
    for (const event of HOSTILE) output.emit(event);
    const shown = out() + err();
    // deno-lint-ignore no-control-regex
    const raw = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u202e\u2028\u{e0041}\ud800-\udfff]/u.exec(
      shown,
    );
    assertEquals(raw, null, `${JSON.stringify(flags)}: ${JSON.stringify(raw?.[0])}`);
    assertTrue(shown.length > 100);
  }
});

Deno.test("safe() escapes and leaves ordinary text alone", () => {
  for (const text of ["plain", "日本語 ünï", "\u{1f600}", "e\u0301"]) assertEquals(safe(text), text);
  assertEquals(
    safe("a\n\t\u001b\u009b\u202e\udcff \ud800 \u{e0041}"),
    "a\\n\\t\\x1b\\x9b\\u{202e}\\xff \\u{d800} \\u{e0041}",
  );
  assertEquals(safeText("a\r\nb\tc\rd\u001b"), "a\nb\tc\\rd\\x1b");
});

Deno.test("human output speaks on standard error and gives a text on standard output", () => {
  const { output, out, err } = captured({});
  output.emit({ event: "code", code: "7-guitarist-zulu", hub: "ws://hub", port: null, expires_at: null });
  output.emit({ event: "text", text: "hi" });
  assertEquals(
    err(),
    "Code: 7-guitarist-zulu\nOn the other machine: wormhole recv --hub ws://hub 7-guitarist-zulu\n",
  );
  assertEquals(out(), "hi\n");
});

Deno.test("human output takes the progress line away before it writes", () => {
  const { output, err } = captured({});
  const progress = {
    event: "progress",
    bytes: 1,
    bytes_total: null,
    files: 0,
    files_total: 1,
    bytes_per_second: 0,
    eta_ms: null,
    name: null,
    transport: "tcp",
    path: "direct",
  } as const;
  output.emit(progress);
  output.emit({ event: "warning", message: "mind" });
  output.close();
  assertEquals(err(), "\r1 B  tcp direct\x1b[K\r\x1b[Kwarning: mind\n");
  const quietly = captured({ tty: false });
  quietly.output.emit(progress);
  assertEquals(quietly.err(), "", "no terminal: no line");
});

Deno.test("quiet output gives the code alone, texts and errors", () => {
  const { output, out, err } = captured({ quiet: true });
  output.emit({ event: "code", code: "7-a-b", hub: null, port: 4711, expires_at: null });
  output.emit({ event: "warning", message: "mind" });
  output.emit({ event: "error", code: "IO", message: "Cannot read", advice: "Look.", exit: 6 });
  assertEquals([out(), err()], ["7-a-b\n", "error: Cannot read\nLook.\n"]);
});

Deno.test("JSON output gives one ASCII line per event that reads back as it was", () => {
  const { output, out } = captured({ json: true });
  for (const event of HOSTILE) output.emit(event);
  const lines = out().trimEnd().split("\n");
  assertEquals(lines.map((line) => JSON.parse(line)), HOSTILE as unknown[]);
  assertTrue(/^[\x20-\x7e\n]*$/.test(out()));
  const toError = captured({ json: true, dataOnStdout: true });
  toError.output.emit(HOSTILE[0]!);
  assertEquals(
    [toError.out(), toError.err() === ""],
    ["", false],
    "data on standard output: events elsewhere",
  );
});

Deno.test("a text into a pipe is not changed", () => {
  const { output, out } = captured({ tty: false });
  output.emit({ event: "text", text: "a\u001b[1mb\n" });
  assertEquals(out(), "a\u001b[1mb\n");
});

/** What a copy on one machine fails with. */
const COPY_CODES: readonly ErrorCode[] = [
  ...[
    "INVALID_ARGUMENT",
    "UNSUPPORTED",
    "USAGE",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "NO_SPACE",
  ],
  ...[
    "READ_ONLY",
    "IS_DIRECTORY",
    "NOT_DIRECTORY",
    "IO",
    "NAME_TOO_LONG",
    "SOURCE_CHANGED",
    "TOO_MANY_OPEN_FILES",
  ],
  ...["CORRUPT", "PARTIAL", "DESTINATION_EXISTS", "BRAKED"],
] as ErrorCode[];

Deno.test("exitCode() and advice() know every error", () => {
  for (const code of Object.keys(ERROR_NUMBERS) as ErrorCode[]) {
    const error = new WormholeError(code, "x");
    assertTrue(String(exitCode(error)) in EXIT_CODES, code);
    assertTrue(/^[A-Z].*\.$/.test(advice(error)), code);
  }
  // Whoever synchronizes has no code and sends nothing.
  for (const code of Object.keys(ERROR_NUMBERS) as ErrorCode[]) {
    if (code.startsWith("CODE_")) continue;
    for (const command of ["sync", "sync serve", "lock", "lock renew"]) {
      const next = advice(new WormholeError(code, "x"), command);
      assertTrue(/^[A-Z].*\.$/.test(next), code);
      assertTrue(!/\bcode\b|\bsend\b|\breceive\b|--output/i.test(next), `${command} ${code}: ${next}`);
    }
  }
  // Nor does whoever copies, and there is nothing to forget.
  for (const code of COPY_CODES) {
    const next = advice(new WormholeError(code, "x"), "copy");
    assertTrue(!/\bcode\b|\bsend\b|\breceive\b|--output|--forget|\bsync\b/i.test(next), `${code}: ${next}`);
  }
  const rows: [unknown, number][] = [
    [new Error("bug"), 1],
    ["thrown text", 1],
    [new WormholeError("USAGE", "x"), 2],
    [new WormholeError("CODE_USED", "x"), 3],
    [new WormholeError("PEER_FROZEN", "x"), 4],
    [new WormholeError("REFUSED", "x"), 5],
    [new WormholeError("NO_SPACE", "x"), 6],
    [new WormholeError("PARTIAL", "x"), 7],
    [new WormholeError("PROTOCOL", "x"), 8],
    [new Interrupted("SIGINT"), 130],
    [new Interrupted("SIGTERM"), 143],
    [new Interrupted("SIGPIPE"), 141],
    // Cleaning up failed too: what came first counts.
    [new SuppressedError(new WormholeError("IO", "x"), new Interrupted("SIGINT")), 130],
    [new SuppressedError(new Error("bug"), new WormholeError("REFUSED", "x")), 5],
  ];
  for (const [error, code] of rows) assertEquals(exitCode(error), code, String(error));
});

Deno.test("usesColour() obeys NO_COLOR before FORCE_COLOR before the terminal", () => {
  const of = (variables: Record<string, string>, isTerminal: boolean) =>
    usesColour({ env: (name) => variables[name], isTerminal });
  assertEquals([of({}, true), of({}, false)], [true, false]);
  assertEquals([of({ NO_COLOR: "1", FORCE_COLOR: "1" }, true), of({ NO_COLOR: "" }, true)], [false, true]);
  assertEquals([of({ FORCE_COLOR: "1" }, false), of({ FORCE_COLOR: "0" }, true)], [true, false]);
});

Deno.test("the summary says what was there already, and counts it as no speed", () => {
  const { output, err } = captured({});
  const done = {
    event: "done",
    kind: "files",
    files: 1,
    skipped: 0,
    failed: 0,
    bytes_on_wire: 2 ** 20,
  } as const;
  const rest = { destination: null, receipt: null, receipt_agreed: null, duration_ms: 1000 } as const;
  output.emit({ ...done, ...rest, direction: "recv", bytes: 2 ** 30, bytes_found: 2 ** 30 - 2 ** 20 });
  output.emit({ ...done, ...rest, direction: "send", bytes: 2 ** 20, bytes_found: 2 ** 20 });
  assertEquals(err().trim().split("\n"), [
    "Received 1 file, 1.00 GiB (100%), of which 1.00 GiB was here already (1.00 MiB over the network) in 1s, 1.00 MiB/s.",
    "Sent 1 file, 1.00 MiB (100%), of which 1.00 MiB was there already in 1s.",
  ]);
});

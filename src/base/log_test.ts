import { SimulatedClock } from "./clock.ts";
import { formatLogJson, formatLogText, Logger, type LogRecord, secret } from "./log.ts";
import { WormholeError } from "./errors.ts";
import { assertEquals, assertTrue } from "./testing.ts";

function logged(run: (log: Logger) => void, level: "error" | "info" | "trace" = "trace"): LogRecord[] {
  const records: LogRecord[] = [];
  run(new Logger({ level, sink: (record) => records.push(record), clock: new SimulatedClock({ start: 0 }) }));
  return records;
}

Deno.test("Logger keeps records at or above its level", () => {
  const records = logged((log) => {
    log.error("a");
    log.info("b");
    log.debug("c");
    log.trace("d");
  }, "info");
  assertEquals(records.map(({ message }) => message), ["a", "b"]);
});

Deno.test("Logger.child() adds fields", () => {
  const [record] = logged((log) => log.child({ peer: "x" }).child({ stream: 1 }).warn("slow", { ms: 5 }));
  assertEquals(record!.fields, { peer: "x", stream: 1, ms: 5 });
});

Deno.test("formatLogText() gives one line with fields", () => {
  const [record] = logged((log) =>
    log.info("sent", { bytes: 10, name: "two words", path: "/a/b", none: undefined })
  );
  assertEquals(
    formatLogText(record!),
    '1970-01-01T00:00:00.000Z INFO  sent bytes=10 name="two words" path=/a/b',
  );
});

Deno.test("formatLogText() and formatLogJson() let no control character through", () => {
  const name = "a\nb\u001b[31m\u009b2J\u202etxt\udc80 \u{1f600}";
  const [record] = logged((log) => log.info(name, { [name]: name, list: [name] }));
  for (const line of [formatLogText(record!), formatLogJson(record!)]) {
    // deno-lint-ignore no-control-regex
    assertTrue(!/[\u0000-\u001f\u007f-\u009f\u202e]/.test(line), JSON.stringify(line));
    assertTrue(line.isWellFormed(), line);
    assertTrue(line.includes("\u{1f600}"), line);
  }
  assertEquals(JSON.parse(formatLogJson(record!)).fields.list, [name]);
});

Deno.test("formatLogJson() copes with errors, big integers, bytes and cycles", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  const [record, cyclic] = logged((log) => {
    log.error("failed", { error: new WormholeError("IO", "Cannot read"), big: 5n, key: new Uint8Array(32) });
    log.error("cycle", { cycle });
  });
  assertEquals(JSON.parse(formatLogJson(record!)).fields, {
    error: { code: "IO", message: "Cannot read" },
    big: "5",
    key: "[32 bytes]",
  });
  assertTrue(formatLogJson(cyclic!).includes("unprintable"));
});

Deno.test("Secret shows as [secret] however it is printed", () => {
  const password = secret("guitar-zebra");
  const [record] = logged((log) => log.info("code", { password, nested: { password } }));
  const printed = [
    `${password}`,
    String(password),
    "" + password,
    JSON.stringify({ password }),
    Deno.inspect({ password }),
    formatLogText(record!),
    formatLogJson(record!),
  ];
  for (const text of printed) assertTrue(text.includes("[secret]") && !text.includes("guitar"), text);
  assertEquals(password.reveal(), "guitar-zebra");
});

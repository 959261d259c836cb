import { SimulatedClock } from "../base/clock.ts";
import type { ProgressEvent } from "./events.ts";
import { displayWidth, formatDuration, formatRate, formatSize, shorten, wrap } from "./format.ts";
import { ProgressMeter, SpeedEstimator } from "./progress.ts";
import { isWorthShowing, ProgressLine, progressText } from "./progress_line.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";

const MIB = 1024 ** 2;

function progress(changes: Partial<ProgressEvent> = {}): ProgressEvent {
  return {
    event: "progress",
    bytes: 450 * MIB,
    bytes_total: 1000 * MIB,
    files: 3,
    files_total: 10,
    bytes_per_second: 50 * MIB,
    eta_ms: 11_000,
    name: "holiday.mp4",
    transport: "quic",
    path: "direct",
    ...changes,
  };
}

Deno.test("formatSize(), formatRate() and formatDuration() round as people read", () => {
  const sizes: [number, string][] = [
    [0, "0 B"],
    [999, "999 B"],
    [1000, "0.98 KiB"],
    [1024, "1.00 KiB"],
    [10 * 1024, "10.0 KiB"],
    [1023 * 1024, "1.00 MiB"],
    [4 * MIB, "4.00 MiB"],
    [1.46 * 1024 ** 3, "1.46 GiB"],
    [2 ** 63, "8.00 EiB"],
  ];
  for (const [bytes, text] of sizes) assertEquals(formatSize(bytes), text);
  assertEquals(formatRate(87.3 * MIB), "87.3 MiB/s");
  const times: [number, string][] = [
    [0, "0s"],
    [4400, "4s"],
    [59_600, "1m 00s"],
    [65_000, "1m 05s"],
    [3_599_600, "1h 00m"],
    [7_380_000, "2h 03m"],
    [273_600_000, "3d 4h"],
  ];
  for (const [ms, text] of times) assertEquals(formatDuration(ms), text);
});

Deno.test("shorten() and wrap() keep within their columns, wide characters too", () => {
  for (
    const text of ["a-rather-long-file-name.tar.gz", "日本語の長いファイル名前.txt", "e\u0301".repeat(30), ""]
  ) {
    for (let columns = 0; columns < 40; columns++) {
      assertTrue(displayWidth(shorten(text, columns)) <= columns, `${text} in ${columns}`);
    }
  }
  assertEquals(shorten("holiday-in-spain.mp4", 11), "holid…n.mp4");
  assertEquals(wrap("one two  three", 7), ["one two", "three"]);
});

Deno.test("SpeedEstimator follows a change within seconds and falls when nothing comes", () => {
  const speed = new SpeedEstimator();
  assertEquals(speed.rate(0), 0);
  for (let at = 0; at <= 10_000; at += 100) speed.add(at, at * 1000);
  assertEquals(Math.round(speed.rate(10_000)), 1_000_000);
  for (let at = 10_100; at <= 15_000; at += 100) speed.add(at, 10_000_000 + (at - 10_000) * 100);
  assertEquals(Math.round(speed.rate(15_000)), 100_000);
  assertTrue(speed.rate(30_000) < 30_000, "a stall shows");
  speed.add(30_100, 0);
  assertEquals(speed.rate(30_100), 0, "a new start");
});

Deno.test("ProgressMeter gives at most ten events per second, and always the final one", async () => {
  const clock = new SimulatedClock();
  const meter = new ProgressMeter(clock);
  const events: ProgressEvent[] = [];
  const { event: _event, bytes_per_second: _rate, eta_ms: _eta, ...counters } = progress({
    bytes_total: 2_000_000,
  });
  for (let ms = 0; ms < 1000; ms += 10) {
    const event = meter.event({ ...counters, bytes: ms * 1000 });
    if (event) events.push(event);
    await clock.advance(10);
  }
  assertEquals(events.length, 10);
  assertEquals([events[0]!.bytes_per_second, events[0]!.eta_ms], [0, null]);
  assertEquals([events[9]!.bytes_per_second, events[9]!.eta_ms], [1_000_000, 1100]);
  const last = meter.event({ ...counters, bytes: 2_000_000 }, { final: true });
  assertEquals([last?.bytes, last?.eta_ms], [2_000_000, 0]);
});

Deno.test("progressText() leaves out what does not fit and never wraps", () => {
  assertEquals(
    progressText(progress(), 140),
    "holiday.mp4  ██████████████░░░░░░░░░░░░░░░░   45%  450 MiB/0.98 GiB  3/10 files  50.0 MiB/s  ETA 11s  quic direct",
  );
  assertEquals(
    progressText(progress({ bytes_total: null, eta_ms: null, files_total: null, name: null }), 80),
    "450 MiB  50.0 MiB/s  quic direct",
  );
  for (const name of ["x".repeat(300), "日本語".repeat(40), null]) {
    for (let columns = 1; columns < 200; columns++) {
      const text = progressText(progress({ name }), columns);
      assertTrue(displayWidth(text) < Math.max(2, columns), `${columns}: ${text}`);
      if (columns >= 10) assertTrue(text.includes("45%"), text);
    }
  }
});

Deno.test("progressText() lets no name reach the terminal raw", () => {
  const text = progressText(progress({ name: "a\u001b[2J\u009b\u202e\n\r.txt" }), 200);
  assertTrue(text.includes("a\\x1b[2J\\x9b\\u{202e}\\n\\r.txt"), text);
});

Deno.test("isWorthShowing() waits for transfers that are over at once", () => {
  assertEquals(isWorthShowing(progress({ bytes_total: null }), 0), true, "unknown end: at once");
  assertEquals(isWorthShowing(progress(), 100), false, "too early to tell");
  assertEquals(isWorthShowing(progress({ eta_ms: 200 }), 400), false, "over soon");
  assertEquals(isWorthShowing(progress({ eta_ms: 2000 }), 400), true, "takes longer");
  assertEquals(isWorthShowing(progress({ eta_ms: 50 }), 1200), true, "took longer");
});

Deno.test("ProgressLine draws at most ten times per second and cleans up after itself", async () => {
  const clock = new SimulatedClock();
  const written: string[] = [];
  const line = new ProgressLine({ write: (text) => written.push(text), columns: () => 80, clock });
  for (let ms = 0; ms < 2000; ms += 10) {
    line.update(progress({ bytes: ms * 1000 * 100 }));
    await clock.advance(10);
  }
  assertTrue(
    written.length >= 15 && written.length <= 18,
    `${written.length} drawings from 300 ms to 2000 ms`,
  );
  assertTrue(
    written.every((text) => text.startsWith("\r") && text.endsWith("\x1b[K") && !text.includes("\n")),
  );
  line.pause();
  assertEquals(written.at(-1), "\r\x1b[K");
  const paused = written.length;
  line.update(progress({ bytes: 1 }));
  await clock.advance(500);
  assertEquals(written.length, paused, "nothing while paused");
  line.resume();
  line.update(progress({ bytes: 900 * MIB }));
  assertEquals(written.length, paused + 1);
  line.close();
  assertEquals(written.at(-1), "\r\x1b[K");
  await clock.advance(1000);
  assertEquals([written.length, clock.pending], [paused + 2, 0], "nothing comes after the end");
});

Deno.test("ProgressLine counts down to the next attempt after a lost connection, until there is progress", async () => {
  const clock = new SimulatedClock();
  const written: string[] = [];
  const line = new ProgressLine({ write: (text) => written.push(text), columns: () => 80, clock });
  const last = () => written.at(-1)!.slice(1, -"\x1b[K".length);
  line.wait({ event: "reconnecting", attempt: 4, wait_ms: 2600, left_ms: 600_000 });
  assertEquals(last(), "Connection lost; trying again in 3 s (attempt 4, up to 10 min)");
  await clock.advance(1000);
  assertEquals(last(), "Connection lost; trying again in 2 s (attempt 4, up to 10 min)");
  line.update(progress());
  await clock.advance(2000);
  assertTrue(last().includes("45%"), last());
  line.wait({ event: "reconnecting", attempt: 5, wait_ms: 0, left_ms: 61_000 });
  assertEquals(last(), "Connection lost; trying again now (attempt 5, up to 61 s)");
  line.pause();
  await clock.advance(1500);
  assertEquals(last(), "");
  line.resume();
  await clock.advance(1000);
  assertEquals(last(), "Connection lost; trying again now (attempt 5, up to 59 s)");
  line.close();
  assertEquals(clock.pending, 0);
});

Deno.test("ProgressLine shortens what it says of a lost connection to the terminal", () => {
  for (let columns = 1; columns < 80; columns++) {
    const written: string[] = [];
    const line = new ProgressLine({
      write: (text) => written.push(text),
      columns: () => columns,
      clock: new SimulatedClock(),
    });
    line.wait({ event: "reconnecting", attempt: 1, wait_ms: 100, left_ms: 600_000 });
    assertTrue(displayWidth(written[0]!.slice(1, -3)) < Math.max(2, columns));
    line.close();
  }
});

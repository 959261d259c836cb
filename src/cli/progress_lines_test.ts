import { SimulatedClock } from "../base/clock.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import type { ProgressEvent } from "./events.ts";
import { displayWidth } from "./format.ts";
import { ProgressLines, progressLines } from "./progress_lines.ts";

const MIB = 1024 ** 2;

function progress(bytes: number): ProgressEvent {
  return {
    event: "progress",
    bytes,
    bytes_total: 100 * MIB,
    files: 0,
    files_total: 1,
    bytes_per_second: MIB,
    eta_ms: 60_000,
    name: null,
    transport: "quic",
    path: "direct",
  };
}

/** A terminal of some rows that understands what the lines use. */
class Screen {
  rows = [""];
  #row = 0;

  write(text: string): void {
    // deno-lint-ignore no-control-regex -- terminals are controlled by these
    for (const [part] of text.matchAll(/\x1b\[\d*[A-Z]|[\r\n]|[^\x1b\r\n]+/g)) {
      if (part === "\n") this.rows[++this.#row] ??= "";
      else if (part === "\r") this.rows[this.#row] ??= "";
      else if (part === "\x1b[J") this.rows.splice(this.#row + 1);
      else if (part === "\x1b[K") continue;
      else if (part.startsWith("\x1b[")) this.#row -= Number(part.slice(2, -1));
      else this.rows[this.#row] = part;
      if (part === "\x1b[J" && text === part) this.rows[this.#row] = "";
      assertTrue(this.#row >= 0, "above the screen");
    }
  }

  get row(): number {
    return this.#row;
  }
}

Deno.test("progressLines() gives a line each for eight receivers and one for the rest", () => {
  const events = Array.from({ length: 11 }, (_, i) => [i + 1, progress(i * MIB)] as const);
  for (const columns of [20, 60, 120]) {
    const lines = progressLines(events, columns);
    assertEquals(lines.length, 9);
    for (const line of lines) assertTrue(displayWidth(line) < columns, line);
  }
  const lines = progressLines(events, 120);
  assertTrue(lines[0]!.startsWith(" 1: ") && lines[7]!.startsWith(" 8: "), lines.join("\n"));
  assertEquals(lines[8], "and 3 more: 27.0 MiB/300 MiB  3.00 MiB/s");
});

Deno.test("ProgressLines draws over itself, and leaves nothing behind", async () => {
  const clock = new SimulatedClock();
  const screen = new Screen();
  const lines = new ProgressLines({ write: (text) => screen.write(text), columns: () => 60, clock });
  lines.update(1, progress(1));
  assertEquals(screen.rows, [""], "not worth showing yet");
  await clock.advance(2000);
  for (const receiver of [1, 2, 3]) lines.update(receiver, progress(receiver * MIB));
  await clock.advance(200);
  assertEquals(screen.rows.map((row) => row.slice(0, 3)), ["1: ", "2: ", "3: "]);
  lines.remove(2);
  lines.update(3, progress(50 * MIB));
  await clock.advance(200);
  assertEquals(screen.rows.map((row) => row.slice(0, 3)), ["1: ", "3: "]);
  lines.pause();
  assertEquals([screen.rows.length, screen.row], [1, 0]);
  lines.update(1, progress(60 * MIB));
  await clock.advance(200);
  assertEquals(screen.rows.length, 1, "nothing is drawn while paused");
  lines.resume();
  lines.update(1, progress(61 * MIB));
  assertEquals(screen.rows.length, 2);
  lines.close();
  assertEquals([screen.rows.length, screen.row, clock.pending], [1, 0, 0]);
});

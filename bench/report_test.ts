import { assertEquals, assertTrue } from "../src/base/testing.ts";
import { MOVE } from "./columns.ts";
import { markdown, replaceSection } from "./report.ts";
import { mergeRows, type Row } from "./results.ts";
import { median, quantile } from "./statistics.ts";
import { tenths } from "./timeline.ts";

const ROW: Row = {
  job: "random",
  tool: "wormhole",
  date: "2026-01-01 00:00 UTC",
  commit: "abc",
  machine: "a machine",
  quick: false,
  samples: [1, 3, 2].map((wall) => ({
    bytes: 2 ** 30,
    wall,
    cpu_sender: 1,
    cpu_receiver: 2,
    rss_sender: 2 ** 20,
  })),
};

Deno.test("median() and quantile() interpolate", () => {
  assertEquals([median([3, 1, 2]), median([4, 1, 2, 3])], [2, 2.5]);
  assertEquals([quantile([0, 10], 0.99), quantile([5], 0.99)], [9.9, 5]);
  assertTrue(Number.isNaN(median([])));
});

Deno.test("mergeRows() replaces rows of the same job and tool and keeps the order", () => {
  const [a, b, c] = ["a", "b", "c"].map((tool) => ({ ...ROW, tool }));
  const fresh = { ...b!, commit: "new" };
  assertEquals(mergeRows([a!, b!], [c!, fresh]).map(({ tool, commit }) => [tool, commit]), [
    ["a", "abc"],
    ["b", "new"],
    ["c", "abc"],
  ]);
});

Deno.test("markdown() shows medians, ranges and what was measured where", () => {
  const section = { name: "x", title: "X", about: "About.", jobs: { random: "A file" }, columns: MOVE };
  const failed = { ...ROW, tool: "croc", samples: [], failure: "it broke" };
  const text = markdown(section, { bench: "x", rows: [ROW, failed] });
  assertTrue(text.includes("## X (bench/x.ts)"));
  assertTrue(text.includes("Measured 2026-01-01 00:00 UTC at commit abc on: a machine."));
  assertTrue(text.includes("| wormhole | 2.00 (1.00-3.00) | 512 | 1.00 | 2.00 | 3.00 | 1 | 3 |"), text);
  assertTrue(text.includes("| croc | failed: it broke | | | | | | 0 |"), text);
});

Deno.test("replaceSection() replaces its own section and nothing else", () => {
  const once = replaceSection("# Results\n", "a", "first\n");
  const both = replaceSection(once, "b", "other\n");
  const again = replaceSection(both, "a", "second\n");
  assertEquals(again, both.replace("first", "second"));
});

Deno.test("tenths() reads the pace of the first and last files from progress events", () => {
  const line = (at: number, event: object) => [at, JSON.stringify(event)] as const;
  const progress = (at: number, files: number) => line(at, { event: "progress", files });
  const lines = [
    line(1, { event: "offer" }),
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => progress(1 + n, n * 100)),
    // The last hundred take twice as long.
    progress(12, 1000),
  ];
  const cost = { start: 0, end: 13, cpu: 1, peakRss: 1, lines };
  assertEquals(tenths(cost, 1000), { first_tenth: 100, last_tenth: 50 });
  assertEquals(tenths({ ...cost, lines: lines.slice(0, 3) }, 1000), {});
});

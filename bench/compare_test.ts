import { assertEquals, assertTrue } from "../src/base/testing.ts";
import { compare, type Ratio, ratiosOf } from "./compare.ts";
import type { Row, Sample } from "./results.ts";

function row(tool: string, samples: Sample[], job = "random"): Row {
  return { job, tool, date: "", commit: "", machine: "", quick: false, samples };
}

const RATIO: Ratio = { name: "r", job: "random", ours: "wormhole", theirs: "rsync", metric: "wall" };

Deno.test("ratiosOf() takes the median of the ratios within each run", () => {
  // The machine is twice as slow in the second run and somebody disturbs ours in the third.
  const rows = [
    row("wormhole", [{ wall: 2 }, { wall: 4 }, { wall: 9 }]),
    row("rsync", [{ wall: 1 }, { wall: 2 }, { wall: 1 }]),
  ];
  assertEquals(ratiosOf(rows, [RATIO]), { r: 2 });
});

Deno.test("ratiosOf() adds the CPU seconds of both ends", () => {
  const rows = [
    row("wormhole", [{ cpu_sender: 2, cpu_receiver: 4 }]),
    row("rsync", [{ cpu_sender: 1.5 }]),
  ];
  assertEquals(ratiosOf(rows, [{ ...RATIO, metric: "cpu" }]), { r: 4 });
});

for (
  const [what, rows] of [
    ["the other tool is not there", [row("wormhole", [{ wall: 1 }])]],
    ["it failed at once", [row("wormhole", [{ wall: 1 }]), row("rsync", [])]],
    ["they did another job", [row("wormhole", [{ wall: 1 }]), row("rsync", [{ wall: 1 }], "text")]],
    ["a number is not there", [row("wormhole", [{}]), row("rsync", [{ wall: 1 }])]],
    ["it took no time at all", [row("wormhole", [{ wall: 1 }]), row("rsync", [{ wall: 0 }])]],
  ] as const
) {
  Deno.test(`ratiosOf() has no ratio when ${what}`, () => {
    assertEquals(ratiosOf(rows, [RATIO]), {});
  });
}

for (
  const [what, now, worse] of [
    ["lets a ratio be as it was", 2, false],
    ["lets a ratio be 15% worse", 2.299, false],
    ["complains when it is more than that", 2.31, true],
    ["lets a ratio be better", 0.5, false],
  ] as const
) {
  Deno.test(`compare() ${what}`, () => {
    assertEquals(compare({ r: 2 }, { r: now }).worse, worse ? ["r"] : []);
  });
}

Deno.test("compare() names what is missing and what is new", () => {
  const { worse, missing, lines } = compare({ old: 1, both: 1 }, { both: 1, fresh: 3 });
  assertEquals([worse, missing], [[], ["old"]]);
  assertEquals(lines.length, 3);
  assertTrue(lines.some((line) => line.includes("fresh: 3.00, not in the baseline")));
});

Deno.test("compare() takes another tolerance", () => {
  assertEquals(compare({ r: 2 }, { r: 2.31 }, { tolerance: 0.2 }).worse, []);
});

import { assertEquals } from "../base/testing.ts";
import { brake, type DeleteLimit, type Deletions } from "./brake.ts";

const half: Deletions = { entries: 50, directories: 5, of: 100, failed: 0 };
const entries = (most: number): DeleteLimit => ({ unit: "entries", most });
const percent = (most: number): DeleteLimit => ({ unit: "percent", most });

const ROWS: readonly [
  what: string,
  deletions: Deletions,
  options: Parameters<typeof brake>[1],
  reason: RegExp | undefined,
][] = [
  ["half", half, {}, undefined],
  ["more than half", { ...half, entries: 51 }, {}, /more than half/],
  ["more than half, but nothing", { ...half, entries: 0, of: 0 }, {}, undefined],
  ["the only entry", { ...half, entries: 1, of: 1 }, {}, /more than half/],
  [
    "one, of an empty source",
    { ...half, entries: 1, hollow: { source: "usb", state: "empty" } },
    {},
    /"usb" is empty/,
  ],
  [
    "one, of an unreadable one",
    { ...half, entries: 1, hollow: { source: "usb", state: "unreadable" } },
    {},
    /cannot be read/,
  ],
  [
    "none, of an empty source",
    { ...half, entries: 0, hollow: { source: "usb", state: "empty" } },
    {},
    undefined,
  ],
  ["one, where something failed", { ...half, entries: 1, failed: 2 }, {}, /2 of the source/],
  ["everything, and a yes", { ...half, entries: 100, failed: 1 }, { allowed: true }, undefined],
  ["within a number", { ...half, entries: 80 }, { limit: entries(80) }, undefined],
  ["above a number", { ...half, entries: 10 }, { limit: entries(9) }, /--max-delete 9 allows/],
  ["none at all", { ...half, entries: 1 }, { limit: entries(0) }, /--max-delete 0 allows/],
  ["within a part", { ...half, entries: 90 }, { limit: percent(90) }, undefined],
  ["above a part", { ...half, entries: 11 }, { limit: percent(10) }, /--max-delete 10% allows/],
  ["above a number, and a yes", { ...half, entries: 10 }, { limit: entries(9), allowed: true }, undefined],
];

for (const [what, deletions, options, reason] of ROWS) {
  Deno.test(`brake(): ${what}`, () => {
    const said = brake(deletions, options);
    assertEquals(said === undefined, reason === undefined, said);
    if (reason) assertEquals(reason.test(said!), true, said);
  });
}

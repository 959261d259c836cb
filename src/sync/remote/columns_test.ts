import fc from "fast-check";
import { isWormholeError } from "../../base/errors.ts";
import { assertEquals, assertThrows, assertTrue } from "../../base/testing.ts";
import {
  decodeSyncMessage,
  encodeSyncMessage,
  MAX_STAGED_FILES,
  type SyncMessageOf,
} from "../../wire/mod.ts";
import type { Staged } from "../end.ts";
import { failureColumns, failuresOf, filesMessages, filesOf } from "./columns.ts";

const file = (slot: number, path = `d/${slot}`): Staged => ({
  slot,
  path,
  isSymlink: slot % 7 === 0,
  size: slot * 1000,
  mtime: BigInt(slot) - 5n,
  mode: 0o640,
  content: new Uint8Array(32).fill(slot),
});

Deno.test("filesMessages() and filesOf() carry any number of files with paths of any length", () => {
  const files = [
    ...Array.from({ length: MAX_STAGED_FILES + 10 }, (_, slot) => file(slot)),
    ...Array.from({ length: 30 }, (_, slot) => file(10_000 + slot, `${"long/".repeat(10_000)}${slot}`)),
    file(20_000, "\udcff/caf\u00e9"),
  ].filter(({ path }) => path.split("/").length <= 512 || path.length < 100);
  const deep = Array.from(
    { length: 30 },
    (_, slot) => file(30_000 + slot, `${`${"x".repeat(200)}/`.repeat(200)}${slot}`),
  );
  const all = [...files, ...deep];
  const back: Staged[] = [];
  let messages = 0;
  for (const message of filesMessages(all)) {
    messages++;
    back.push(...filesOf(decodeSyncMessage(encodeSyncMessage(message)) as SyncMessageOf<"files">));
  }
  assertTrue(messages >= 3);
  assertEquals(back, all);
});

Deno.test("filesOf() refuses columns that contradict each other, and hostile paths", () => {
  const [good] = [...filesMessages([file(1), file(2)])];
  const none = new Uint8Array();
  const bad: Partial<SyncMessageOf<"files">>[] = [
    { count: 1 },
    { count: 3 },
    { slots: none },
    { sizes: none },
    { kinds: Uint8Array.of(1, 2) },
    { contents: new Uint8Array(63) },
    { modes: Uint8Array.of(0xff, 0xff, 0, 0) },
    { paths: new Uint8Array(5).fill(0x61) },
    { paths: new Uint8Array(7).fill(0x61) },
    { path_lengths: new Uint8Array(8).fill(0xff) },
  ];
  for (const change of bad) assertThrows(() => filesOf({ ...good!, ...change }), "PROTOCOL");
  assertThrows(() => filesOf({ ...good!, sizes: new Uint8Array(16).fill(0xff) }), "LIMIT_EXCEEDED");
  assertThrows(() => filesOf({ ...good!, paths: new TextEncoder().encode("../1..") }), "HOSTILE_NAME");
  fc.assert(
    fc.property(fc.record({ paths: fc.uint8Array({ maxLength: 6, minLength: 6 }) }), (change) => {
      try {
        filesOf({ ...good!, ...change });
      } catch (error) {
        assertTrue(isWormholeError(error), String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("failuresOf() names what failed and refuses numbers that were not asked for", () => {
  const failed = new Map([[3, { code: "SOURCE_CHANGED" as const, message: "ours" }]]);
  const found = failuresOf(failureColumns(failed), (number) => number === 3 ? "a/b" : undefined);
  assertEquals([...found].map(([slot, { code, message }]) => [slot, code, message.includes('"a/b"')]), [
    [3, "SOURCE_CHANGED", true],
  ]);
  assertThrows(() => failuresOf(failureColumns(failed), () => undefined), "PROTOCOL");
  assertThrows(
    () => failuresOf({ failed: new Uint8Array(4), codes: new Uint8Array(0) }, () => "a"),
    "PROTOCOL",
  );
});

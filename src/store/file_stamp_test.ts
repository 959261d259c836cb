import { assertEquals } from "../base/testing.ts";
import { isAsPlaced } from "./file_stamp.ts";

const PLACED_MS = 1_700_000_000_000;
const FILE = { size: 5, mtime: BigInt(PLACED_MS - 60_000) * 1_000_000n, placedMs: PLACED_MS };

function stamp({ size = 5n, mtime = FILE.mtime, ctime = BigInt(PLACED_MS) * 1_000_000n } = {}): Uint8Array {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(16, size, true);
  view.setBigInt64(24, mtime, true);
  view.setBigInt64(32, ctime, true);
  return bytes;
}

Deno.test("isAsPlaced() believes only in a file that nobody can have touched", () => {
  const fresh = BigInt(PLACED_MS - 1000) * 1_000_000n;
  const rows: [string, Uint8Array, typeof FILE, boolean][] = [
    ["as it was placed", stamp(), FILE, true],
    ["placed long before the end", stamp({ ctime: 5n }), FILE, true],
    ["another size", stamp({ size: 6n }), FILE, false],
    ["written to", stamp({ mtime: FILE.mtime + 1n }), FILE, false],
    [
      "changed later, with its time set back",
      stamp({ ctime: BigInt(PLACED_MS + 1) * 1_000_000n }),
      FILE,
      false,
    ],
    [
      "so new that a change could have the same time",
      stamp({ mtime: fresh }),
      { ...FILE, mtime: fresh },
      false,
    ],
  ];
  for (const [what, bytes, file, expected] of rows) assertEquals(isAsPlaced(bytes, file), expected, what);
});

import { posix, win32 } from "node:path";
import fc from "fast-check";
import { isWormholeError } from "../base/errors.ts";
import { encodeName } from "../base/names.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { parseName, type Platform, printable, safeLinkTarget } from "./path.ts";

const CASES: [name: string, posix: string | undefined, windows: string | undefined][] = [
  ["a.txt", undefined, undefined],
  ["ünïcödé \u{1f600}", undefined, undefined],
  [".hidden", undefined, undefined],
  ["...", undefined, "UNSUPPORTED"],
  ["", "HOSTILE_NAME", "HOSTILE_NAME"],
  [".", "HOSTILE_NAME", "HOSTILE_NAME"],
  ["..", "HOSTILE_NAME", "HOSTILE_NAME"],
  ["/", "HOSTILE_NAME", "HOSTILE_NAME"],
  ["/etc/passwd", "HOSTILE_NAME", "HOSTILE_NAME"],
  ["a/../../b", "HOSTILE_NAME", "HOSTILE_NAME"],
  ["a\0b", "HOSTILE_NAME", "HOSTILE_NAME"],
  ["\ud800", "HOSTILE_NAME", "HOSTILE_NAME"],
  ["a".repeat(255), undefined, undefined],
  ["a".repeat(256), "NAME_TOO_LONG", "NAME_TOO_LONG"],
  ["é".repeat(128), "NAME_TOO_LONG", "NAME_TOO_LONG"],
  ["..\\x", undefined, "UNSUPPORTED"],
  ["C:", undefined, "UNSUPPORTED"],
  ["file:stream", undefined, "UNSUPPORTED"],
  ["CON", undefined, "UNSUPPORTED"],
  ["aux.txt", undefined, "UNSUPPORTED"],
  ["NUL .x", undefined, "UNSUPPORTED"],
  ["com¹", undefined, "UNSUPPORTED"],
  ["console", undefined, undefined],
  ["com10", undefined, undefined],
  ["dot.", undefined, "UNSUPPORTED"],
  ["space ", undefined, "UNSUPPORTED"],
  ["what?", undefined, "UNSUPPORTED"],
  ["new\nline", undefined, "UNSUPPORTED"],
  ["not utf-8 \udcff", undefined, "UNSUPPORTED"],
];

Deno.test("parseName() decides each name on each platform", () => {
  for (const [name, ...codes] of CASES) {
    (["posix", "windows"] as Platform[]).forEach((platform, i) => {
      const parse = () => parseName(name, { platform });
      if (codes[i] === undefined) assertEquals(parse() as string, name);
      else assertThrows(parse, codes[i] as "HOSTILE_NAME");
    });
  }
});

Deno.test("parseName() takes bytes that are not UTF-8 and gives them back", () => {
  const bytes = new Uint8Array([0x61, 0xff, 0xc3]);
  assertEquals(encodeName(parseName(bytes, { platform: "posix" })), bytes);
});

/** Names made of the pieces that traversals are made of. */
const nasty = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.array(fc.constantFrom(".", "..", "/", "\\", "a", " ", "\0", ":", "C", "CON", "~", "\n"), {
    maxLength: 6,
  })
    .map((parts) => encodeName(parts.join(""))),
);

Deno.test("parseName() accepts no name that resolves outside its directory", () => {
  const base = { posix: "/base/dir", windows: "C:\\base\\dir" };
  const rules = { posix, windows: win32 };
  for (const platform of ["posix", "windows"] as const) {
    fc.assert(
      fc.property(fc.array(nasty, { minLength: 1, maxLength: 4 }), (given) => {
        let names: string[];
        try {
          names = given.map((name) => parseName(name, { platform }));
        } catch (error) {
          assertTrue(isWormholeError(error), String(error));
          return;
        }
        const { resolve, normalize, join, sep } = rules[platform];
        const path = join(base[platform], ...names);
        assertEquals(normalize(path), [base[platform], ...names].join(sep));
        assertTrue(resolve(base[platform], path).startsWith(base[platform] + sep));
      }),
      { numRuns: 20_000 },
    );
  }
});

const LINKS: [target: string, depth: number, posix: boolean, windows: boolean][] = [
  ["a", 0, true, true],
  ["./a//b/.", 0, true, true],
  ["..", 0, false, false],
  ["../a", 1, true, true],
  ["../../a", 1, false, false],
  ["./../a", 1, true, true],
  ["a/..", 5, false, false],
  ["../a/../../../b", 3, false, false],
  ["/etc/passwd", 9, false, false],
  ["", 9, false, false],
  ["a\0", 9, false, false],
  ["..\\..\\a", 1, true, false],
  ["\\\\host\\share", 9, true, false],
  ["C:\\x", 9, true, false],
  ["C:x", 9, true, false],
  ["a".repeat(4097), 0, false, false],
];

Deno.test("safeLinkTarget() decides each target on each platform", () => {
  for (const [target, depth, onPosix, onWindows] of LINKS) {
    assertEquals(safeLinkTarget(target, depth, { platform: "posix" }), onPosix, target);
    assertEquals(safeLinkTarget(target, depth, { platform: "windows" }), onWindows, target);
  }
});

Deno.test("safeLinkTarget() accepts no target outside the root, even through other accepted links", () => {
  const part = fc.constantFrom("..", ".", "a", "b", "l", "");
  const target = fc.array(part, { maxLength: 6 }).map((parts) => parts.join("/"));
  // Links named l in /root, /root/a and /root/a/b; directories a and b everywhere.
  fc.assert(
    fc.property(fc.tuple(target, target, target), (targets) => {
      if (!targets.every((each, depth) => safeLinkTarget(each, depth, { platform: "posix" }))) return;
      targets.forEach((each, depth) => {
        assertTrue(follow(["root", "a", "b"].slice(0, depth + 1), each, { targets, hops: 0 }), `${targets}`);
      });
    }),
    { numRuns: 20_000 },
  );
});

/** Resolves as a kernel does; false once it leaves the root. A loop is inside. */
function follow(from: string[], target: string, state: { targets: string[]; hops: number }): boolean {
  if (++state.hops > 40) return true;
  const here = [...from];
  for (const part of target.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      here.pop();
      if (here.length === 0) return false;
    } else if (part === "l" && here.every((name, i) => name === ["root", "a", "b"][i])) {
      const rest = target.slice(target.indexOf("l") + 1);
      return follow(here, state.targets[here.length - 1]! + rest, state);
    } else here.push(part);
  }
  return true;
}

Deno.test("printable() shows what a terminal would act on", () => {
  const cases: [string, string][] = [
    ["plain ünï \u{1f468}\u200d\u{1f469}", "plain ünï \u{1f468}\u200d\u{1f469}"],
    ["\x1b[2J\x07", "\\x1b[2J\\x07"],
    ["a\nb\tc\rd", "a\\nb\\tc\\rd"],
    ["\x9b31m\x7f", "\\x9b31m\\x7f"],
    ["gpj.\u202eexe", "gpj.\\u{202e}exe"],
    ["\u2066x\u2069\u200b\ufeff\u2028", "\\u{2066}x\\u{2069}\\u{200b}\\u{feff}\\u{2028}"],
    ["\udcff\ud800", "\\xff\\u{d800}"],
  ];
  for (const [given, shown] of cases) assertEquals(printable(given), shown);
});

Deno.test("printable() leaves no control or format character in any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assertTrue(!/[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u.test(printable(text)));
    }),
    { numRuns: 5000 },
  );
});

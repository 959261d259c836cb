import { assertEquals } from "../base/testing.ts";
import { ATTRIBUTES, existingOf, parsePreserve, preserveOf } from "./policy.ts";

Deno.test("parsePreserve() reads lists, with cp's words", () => {
  const rows: [string, readonly string[] | undefined][] = [
    ["mode", ["mode"]],
    ["mode,ownership,timestamps", ["mode", "owner", "times"]],
    ["links, xattr ,ACLs", ["hardlinks", "xattrs", "acl"]],
    ["all", ATTRIBUTES],
    ["none", []],
    ["mode,mode", ["mode"]],
    ["mood", undefined],
    ["mode,", undefined],
    ["", undefined],
    ["constructor", undefined],
  ];
  for (const [text, wanted] of rows) assertEquals(parsePreserve(text), wanted, text);
});

Deno.test("preserveOf() keeps all that may be kept unless told otherwise", () => {
  const kept = (...args: Parameters<typeof preserveOf>) =>
    ATTRIBUTES.filter((attribute) => preserveOf(...args)[attribute]);
  assertEquals(kept({}, { isRoot: true }), [...ATTRIBUTES]);
  assertEquals(kept({}, { isRoot: false }), ATTRIBUTES.filter((attribute) => attribute !== "owner"));
  assertEquals(kept({ also: ["owner"] }, { isRoot: false }), [...ATTRIBUTES]);
  assertEquals(kept({ only: ["mode", "times"], also: ["xattrs"], not: ["times"] }, { isRoot: true }), [
    "mode",
    "xattrs",
  ]);
  assertEquals(kept({ only: [] }, { isRoot: true }), []);
  assertEquals(preserveOf({}, { isRoot: true }).required, false);
  assertEquals(preserveOf({ only: ["mode"] }, { isRoot: true }).required, true);
});

Deno.test("existingOf() gives the native rule", () => {
  const rule = (existing: Parameters<typeof existingOf>[0]["existing"], checksum = false, resume = false) =>
    Object.values(existingOf({ existing, checksum, resume })).join(" ");
  assertEquals(rule("replace"), "replace size_mtime");
  assertEquals(rule("replace", false, true), "update size_mtime");
  assertEquals(rule("skip", true, true), "skip size_mtime");
  assertEquals(rule("newer"), "update newer");
  assertEquals(rule("differs"), "update size_mtime");
  assertEquals(rule("differs", true), "update checksum");
});

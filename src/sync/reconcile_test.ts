/** Who decides what: one row for each promise of docs/design/sync.md §3. */
import { assertEquals } from "../base/testing.ts";
import { ALL_ABILITIES, type Policy } from "./policy.ts";
import { reconcile } from "./reconcile.ts";
import { planText, POLICY, snapshotOf } from "./testing.ts";

type Row = [what: string, ancestor: string, alpha: string, beta: string, plan: string[]];

function check(rows: readonly Row[], policy: Policy): void {
  for (const [what, ancestor, alpha, beta, wanted] of rows) {
    const plan = reconcile({
      ancestor: snapshotOf(ancestor, { ends: 2 }),
      alpha: snapshotOf(alpha),
      beta: snapshotOf(beta),
      policy,
    });
    assertEquals(planText(plan), [...wanted].sort(), what);
  }
}

Deno.test("reconcile() two-way-safe", () => {
  check([
    ["nothing known, nothing there", "", "", "", []],
    ["nothing changed", "a=1 d/b=2", "a=1 d/b=2", "a=1 d/b=2", []],
    ["first run joins both", "", "a=1", "b=2", ["a: put b", "b: put a"]],
    ["made at both, the same", "", "a=1 d/b=2", "a=1 d/b=2", []],
    ["made at both, different", "", "a=1", "a=2", ["b: replace a keeping a.conflict", "conflict: edit a a"]],
    ["edited at alpha", "a=1", "a=2", "a=1", ["b: replace a"]],
    ["edited at beta", "a=1", "a=1", "a=2", ["a: replace a"]],
    ["edited at both, the same", "a=1", "a=2", "a=2", []],
    ["edited at both", "a=1", "a=2", "a=3", ["b: replace a keeping a.conflict", "conflict: edit a a"]],
    ["deleted at alpha", "a=1", "", "a=1", ["b: take a"]],
    ["deleted at beta", "a=1", "a=1", "", ["a: take a"]],
    ["deleted at both", "a=1", "", "", []],
    ["deleted at alpha, edited at beta", "a=1", "", "a=2", ["a: put a", "conflict: delete a b"]],
    ["edited at alpha, deleted at beta", "a=1", "a=2", "", ["b: put a", "conflict: delete a a"]],
    ["deleted and made anew the same", "a=1", "a=1", "a=1", []],
    ["a new folder with things in it", "", "d/e/a=1 d/f/", "", [
      "b: make d",
      "b: make d/e",
      "b: make d/f",
      "b: put d/e/a",
    ]],
    ["a folder deleted", "d/a=1 d/e/b=2", "", "d/a=1 d/e/b=2", [
      "b: drop d",
      "b: drop d/e",
      "b: take d/a",
      "b: take d/e/b",
    ]],
    ["a folder deleted in which the other made something", "d/a=1", "", "d/a=1 d/b=2", [
      "a: make d",
      "a: put d/b",
      "b: take d/a",
    ]],
    ["a folder deleted in which the other edited something", "d/a=1 d/b=2", "", "d/a=3 d/b=2", [
      "a: make d",
      "a: put d/a",
      "b: take d/b",
      "conflict: delete d/a b",
    ]],
    ["a folder deleted in which something is ignored", "d/a=1", "", "d/a=1 d/i=?", [
      "a: make d",
      "b: take d/a",
    ]],
    ["a file becomes a folder", "a=1", "a/b=2", "a=1", ["b: make a", "b: put a/b", "b: take a"]],
    ["a folder becomes a file", "a/b=1", "a=2", "a/b=1", ["b: drop a", "b: put a", "b: take a/b"]],
    ["a folder becomes a file, in it something new", "a/b=1", "a=2", "a/b=1 a/c=3", [
      "b: move a to a.conflict",
      "b: put a",
      "conflict: type a a",
    ]],
    ["a folder becomes a file, in it something deleted", "a/b=1 a/c=2", "a=3", "a/b=1", [
      "b: drop a",
      "b: put a",
      "b: take a/b",
    ]],
    ["a file here, a folder there", "", "a=1", "a/b=2", [
      "b: move a to a.conflict",
      "b: put a",
      "conflict: type a a",
    ]],
    ["a folder here, a file there", "", "a/b=2", "a=1", [
      "b: make a",
      "b: move a to a.conflict",
      "b: put a/b",
      "conflict: type a a",
    ]],
    ["a file becomes a symlink", "a=1", "a->x", "a=1", ["b: replace a"]],
    ["a symlink here, a file there", "", "a->x", "a=1", [
      "b: replace a keeping a.conflict",
      "conflict: type a a",
    ]],
    ["symlinks with other targets", "l->x", "l->y", "l->z", [
      "b: replace l keeping l.conflict",
      "conflict: edit l a",
    ]],
    ["permissions at alpha", "a=1", "a=1!600", "a=1", ["b: mode a 600"]],
    ["permissions of a folder at beta", "d/", "d/", "d!700", ["a: mode d 700"]],
    ["permissions here, content there", "a=1", "a=1!600", "a=2", ["a: replace a", "b: mode a 600"]],
    ["permissions at both, different", "a=1", "a=1!600", "a=1!700", ["b: mode a 600"]],
    ["made at both but for permissions", "", "a=1!600", "a=1", ["b: mode a 600"]],
    ["permissions here, deleted there", "a=1", "a=1!600", "", ["a: take a"]],
    ["renamed", "a=1", "b=1", "a=1", ["b: move a to b"]],
    ["moved into a new folder", "a=1", "d/a=1", "a=1", ["b: make d", "b: move a to d/a"]],
    ["a folder renamed", "d/a=1 d/b=2", "e/a=1 e/b=2", "d/a=1 d/b=2", [
      "b: drop d",
      "b: make e",
      "b: move d/a to e/a",
      "b: move d/b to e/b",
    ]],
    ["renamed here, edited there", "a=1", "b=1", "a=2", ["a: put a", "b: put b", "conflict: delete a b"]],
    ["renamed and edited", "a=1", "b=2", "a=1", ["b: put b", "b: take a"]],
    ["renamed at both to the same", "a=1", "b=1", "b=1", []],
    ["renamed at both differently", "a=1", "b=1", "c=1", ["a: put c", "b: put b"]],
    ["moved below itself", "a=1", "a/a=1", "a=1", ["b: make a", "b: put a/a", "b: take a"]],
    ["two of one content, one goes", "a=1 b=1", "b=1 c=1", "a=1 b=1", ["b: move a to c"]],
    ["swapped", "a=1 b=2", "a=2 b=1", "a=1 b=2", ["b: replace a", "b: replace b"]],
    ["ignored here, there not", "", "a=?", "a=1", []],
    ["ignored here since now", "a=1", "a=?", "a=1", []],
    ["ignored here, deleted there", "a=1", "a=?", "", []],
    ["ignored at both", "", "a=?", "a=?", []],
    ["a folder that cannot be read", "d/a=1 d/b=2", "d=?", "d/a=3", []],
  ], POLICY);
});

Deno.test("reconcile() two-way-resolved lets the preferred side win, the other version goes to the trash", () => {
  const resolved = { ...POLICY, mode: "two-way-resolved" } as const;
  check([
    ["alpha: edited at both", "a=1", "a=2", "a=3", ["b: replace a", "conflict: edit a a"]],
    ["alpha: deleted wins", "a=1", "", "a=3", ["b: take a", "conflict: delete a a"]],
    ["alpha: edited wins", "a=1", "a=2", "", ["b: put a", "conflict: delete a a"]],
    ["alpha: a file for a folder", "", "a=1", "a/b=2", [
      "b: drop a",
      "b: put a",
      "b: take a/b",
      "conflict: type a a",
    ]],
    ["alpha: not over what is ignored", "", "a=1", "a/i=?", ["conflict: blocked a"]],
    ["one change is no conflict", "a=1", "a=1", "a=3", ["a: replace a"]],
  ], resolved);
  check([
    ["beta: edited at both", "a=1", "a=2", "a=3", ["a: replace a", "conflict: edit a b"]],
    ["beta: deleted wins", "a=1", "a=2", "", ["a: take a", "conflict: delete a b"]],
  ], { ...resolved, prefer: "beta" });
  check([
    ["newer", "a=1", "a=2@5", "a=3@9", ["a: replace a", "conflict: edit a b"]],
    ["as old", "a=1", "a=2@5", "a=3@5", ["b: replace a", "conflict: edit a a"]],
    ["a deletion has no time", "a=1", "", "a=3", ["a: put a", "conflict: delete a b"]],
  ], { ...resolved, prefer: "newer" });
  check([
    ["larger", "a=1", "a=2", "a=3", ["a: replace a", "conflict: edit a b"]],
    ["larger folder", "", "a=2", "a/b=2 a/c=1", [
      "a: make a",
      "a: put a/b",
      "a: put a/c",
      "a: take a",
      "conflict: type a b",
    ]],
  ], { ...resolved, prefer: "larger" });
});

Deno.test("reconcile() one-way-safe never changes alpha, nor what beta has made", () => {
  check([
    ["new at beta", "", "", "a=1", []],
    ["new folder at beta", "", "", "d/a=1", []],
    ["edited at beta", "a=1", "a=1", "a=2", ["b: replace a keeping a.conflict", "conflict: edit a a"]],
    ["deleted at beta", "a=1", "a=1", "", ["b: put a"]],
    ["deleted at alpha", "a=1", "", "a=1", ["b: take a"]],
    ["deleted at alpha, edited at beta", "a=1", "", "a=2", []],
    ["a folder deleted, in it something of beta's", "d/a=1", "", "d/a=1 d/b=2", ["b: take d/a"]],
    ["permissions at beta", "a=1", "a=1", "a=1!600", ["b: mode a 644"]],
  ], { ...POLICY, mode: "one-way-safe" });
});

Deno.test("reconcile() one-way-replica makes beta what alpha is", () => {
  check([
    ["new at beta", "", "a=1", "a=1 b=2 d/c=3", ["b: drop d", "b: take b", "b: take d/c"]],
    ["edited at beta", "a=1", "a=1", "a=2", ["b: replace a"]],
    ["deleted at beta", "a=1", "a=1", "", ["b: put a"]],
    ["a folder for a file", "", "a=1", "a/b=2", ["b: drop a", "b: put a", "b: take a/b"]],
    ["ignored at beta", "", "", "d/i=?", []],
  ], { ...POLICY, mode: "one-way-replica" });
});

Deno.test("reconcile() leaves names alone that are one where case or Unicode forms do not count", () => {
  const folds = { ...POLICY, abilities: { ...ALL_ABILITIES, foldsCase: true } };
  check([
    ["two names that clash", "", "A=1 a=2 b=3", "", ["b: put b", "conflict: name A", "conflict: name a"]],
    ["two names that clash in a new folder", "", "d/A=1 d/a=2", "", [
      "b: make d",
      "conflict: name d/A",
      "conflict: name d/a",
    ]],
    ["another spelling there", "", "A=1", "a=1", []],
    ["edited under another spelling", "A=1", "A=2", "a=1", ["b: replace A"]],
  ], folds);
  check([["no clash where case counts", "", "A=1 a=2", "", ["b: put A", "b: put a"]]], POLICY);
  check([["two Unicode forms", "", "\u00e9=1 e\u0301=2", "", [
    "conflict: name e\u0301",
    "conflict: name \u00e9",
  ]]], {
    ...POLICY,
    abilities: { ...ALL_ABILITIES, normalizes: true },
  });
});

Deno.test("reconcile() leaves permissions that need not agree as they are where a file is replaced", () => {
  const modes = (permissions: "all" | "none") => {
    const [ancestor, alpha, beta] = [
      snapshotOf("a=1", { ends: 2 }),
      snapshotOf("a=2!640"),
      snapshotOf("a=1!604"),
    ];
    const [put] = reconcile({ ancestor, alpha, beta, policy: { ...POLICY, permissions } }).changes[1];
    return put?.do === "put" ? put.mode.toString(8) : put?.do;
  };
  assertEquals([modes("all"), modes("none")], ["640", "604"]);
});

Deno.test("reconcile() heeds what the ends can do and what shall be kept the same", () => {
  check([["x", "a=1", "a=1!600", "a=1", []]], { ...POLICY, permissions: "none" });
  check([["x", "a=1", "a=1!600", "a=1", []]], { ...POLICY, permissions: "executable" });
  check([["x", "a=1", "a=1!744", "a=1", ["b: mode a 744"]]], { ...POLICY, permissions: "executable" });
  check([["x", "a=1", "a=1!600", "a=1", []]], {
    ...POLICY,
    abilities: { ...ALL_ABILITIES, permissions: false },
  });
  check([["x", "", "l->x d/l->x", "", ["b: make d"]]], {
    ...POLICY,
    abilities: { ...ALL_ABILITIES, symlinks: false },
  });
});

import { assertEquals } from "../base/testing.ts";
import { PathFinder } from "./path_finder.ts";
import { snapshotOf } from "./testing.ts";

Deno.test("PathFinder.find() gives the row of every path, and none for what is not there", () => {
  const snapshot = snapshotOf("a=1 a.b=1 d/ d/b=2 d/e/c=3 d/e/cc=3 d/\u00e9=4 f->x z/y/x/w=1");
  const finder = new PathFinder(snapshot);
  for (const { row, path } of snapshot.paths()) assertEquals(finder.find(path), row, path);
  for (const path of ["b", "d/c", "a/b", "d/e/c/d", "", "d/", "/", "d//b", "d/e/", "zz", "f/x"]) {
    assertEquals(finder.find(path), -1, path);
  }
  assertEquals(new PathFinder(undefined).find("a"), -1);
});

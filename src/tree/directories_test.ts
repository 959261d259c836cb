import { encodeName } from "../base/names.ts";
import { assertEquals, assertThrows } from "../base/testing.ts";
import { MAX_PATH_BYTES, MAX_PATH_DEPTH } from "../wire/limits.ts";
import { DirectoryTable } from "./directories.ts";

const name = encodeName("d");

Deno.test("DirectoryTable gives depth, flag and path of each directory", () => {
  const table = new DirectoryTable();
  table.add({ id: 3, parent: undefined, name: encodeName("top"), flag: 1 });
  table.add({ id: 9, parent: 3, name: encodeName("s\udcffb"), flag: 0 });
  table.add({ id: 10, parent: undefined, name: encodeName("other"), flag: 2 });
  assertEquals(table.get(9), { depth: 1, pathBytes: 7, flag: 0 });
  assertEquals(table.path(9), ["top", "s\udcffb"]);
  assertEquals(table.path(10), ["other"]);
  assertEquals(table.path(undefined), []);
  assertEquals(table.get(4), undefined);
  assertEquals(table.count, 3);
});

Deno.test("DirectoryTable.add() refuses unknown parents, disorder, and what is too deep or long", () => {
  const table = new DirectoryTable();
  assertThrows(() => table.add({ id: 1, parent: 0, name, flag: 0 }), "PROTOCOL", "not a directory");
  table.add({ id: 1, parent: undefined, name, flag: 0 });
  assertThrows(() => table.add({ id: 1, parent: undefined, name, flag: 0 }), "PROTOCOL", "out of order");
  assertThrows(() => table.add({ id: 2, parent: 2, name, flag: 0 }), "PROTOCOL", "not a directory");
  for (let id = 2; id <= MAX_PATH_DEPTH + 1; id++) table.add({ id, parent: id - 1, name, flag: 0 });
  const deep = { id: 9999, parent: MAX_PATH_DEPTH + 1, name, flag: 0 };
  assertThrows(() => table.add(deep), "LIMIT_EXCEEDED", "deeper");
  const wide = new DirectoryTable();
  const long = encodeName("x".repeat(255));
  wide.add({ id: 0, parent: undefined, name: long, flag: 0 });
  assertThrows(
    () => {
      for (let id = 1; id < MAX_PATH_BYTES / 256 + 2; id++) {
        wide.add({
          id,
          parent: id - 1,
          name: long,
          flag: 0,
        });
      }
    },
    "LIMIT_EXCEEDED",
    "longer",
  );
});

Deno.test("DirectoryTable holds many directories", () => {
  const table = new DirectoryTable();
  for (let id = 0; id < 100_000; id++) {
    table.add({
      id: id * 3,
      parent: id === 0 ? undefined : Math.floor((id - 1) / 8) * 3,
      name: encodeName(`d${id}`),
      flag: id % 256,
    });
  }
  assertEquals(table.get(3 * 77_777)!.flag, 77_777 % 256);
  assertEquals(table.path(3 * 9), ["d0", "d1", "d9"]);
});

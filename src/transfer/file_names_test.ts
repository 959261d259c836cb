import { assertEquals } from "../base/testing.ts";
import { FileNames, type TransferFile } from "./file_names.ts";
import { columnsOf } from "./testing.ts";

Deno.test("FileNames tells the files of all pages with their folders, under the roots' new names", () => {
  const told: TransferFile[] = [];
  const names = new FileNames((file) => told.push(file));
  const rootName = (entry: number, name: string) => entry === 0 ? "tree (2)" : entry === 5 ? undefined : name;
  names.page(
    columnsOf([
      { name: "tree", kind: "directory" },
      { name: "a", parent: 0 },
      { name: "deep", kind: "directory", parent: 0 },
      { name: "link", kind: "symlink", parent: 0, target: "a" },
      { name: "unwanted", parent: 0 },
      { name: "refused", kind: "directory" },
    ], { last: false }),
    { wanted: new Uint8Array([0b0010_1111]), rootName },
  );
  names.page(
    columnsOf([{ name: "b", parent: 2 }, { name: "c", parent: 5 }, { name: "root" }], { first: 6 }),
    { wanted: new Uint8Array([0xff]), rootName },
  );
  assertEquals(told, [
    { entry: 1, path: "tree (2)/a" },
    { entry: 6, path: "tree (2)/deep/b" },
    { entry: 8, path: "root" },
  ]);
});

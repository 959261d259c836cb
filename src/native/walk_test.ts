import { countWalk, Walk } from "./walk.ts";
import { NativeQueue } from "./queue.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";

async function tree(): Promise<string> {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/b`);
  await Deno.writeTextFile(`${folder}/b/y.log`, "12345");
  await Deno.writeTextFile(`${folder}/a`, "1");
  await Deno.symlink("a", `${folder}/c`);
  await Deno.writeTextFile(`${folder}/.gitignore`, "*.log\n");
  return folder;
}

Deno.test("Walk.next() gives pages of columns", async () => {
  await using queue = NativeQueue.open();
  const folder = await tree();
  try {
    await using walk = await Walk.open(queue, [{ path: folder, name: "top" }], { exclude: [".*"] });
    let names = "";
    const kinds: number[] = [];
    for (let last = false; !last;) {
      const { columns, problems } = await walk.next({ maxEntries: 2 });
      assertEquals([columns.first, problems], [kinds.length, []]);
      kinds.push(...columns.kinds);
      names += new TextDecoder().decode(columns.names) + " ";
      last = columns.last;
    }
    assertEquals(kinds, [2, 1, 2, 1, 3]);
    assertEquals(names.replaceAll(" ", ""), "topaby.logc");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Walk.next() reports what cannot be sent", async () => {
  await using queue = NativeQueue.open();
  const folder = await Deno.makeTempDir();
  const listener = Deno.listen({ transport: "unix", path: `${folder}/s` });
  try {
    await using walk = await Walk.open(queue, [{ path: folder, name: "top" }]);
    const message = `Cannot send "${folder}/s": it is a socket`;
    assertEquals((await walk.next()).problems, [{ path: `${folder}/s`, code: "UNSUPPORTED", message }]);
  } finally {
    listener.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("countWalk() gives totals", async () => {
  await using queue = NativeQueue.open();
  const folder = await tree();
  try {
    const roots = [{ path: folder, name: "top" }];
    // What a short file takes depends on the file system.
    const { allocated, ...all } = await countWalk(queue, roots);
    assertEquals(all, { files: 3, directories: 2, symlinks: 1, bytes: 12, problems: 0 });
    assertTrue(allocated <= 12);
    const { allocated: _, ...fewer } = await countWalk(queue, roots, { ignoreFiles: true });
    assertEquals(fewer, { ...all, files: 2, bytes: 7 });
    await assertRejects(() => countWalk(queue, [{ path: `${folder}/no`, name: "x" }]), "NOT_FOUND");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

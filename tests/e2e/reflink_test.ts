/** File systems that share bytes: what recv finds on the same disk takes no room of its own. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { skip, tool } from "./copy/command.ts";
import { makeDisk } from "./copy/disks.ts";
import { assertTransfers, Sandbox } from "./harness.ts";
import { noise } from "./trees.ts";

const MIB = 1024 * 1024;

for (const kind of ["xfs", "btrfs"] as const) {
  Deno.test(`on ${kind}, a file that recv has under another name is placed by sharing its bytes`, async () => {
    await using sandbox = await Sandbox.create();
    const disk = await makeDisk(sandbox, "disk", { kind, bytes: 512 * MIB });
    if ("missing" in disk) return skip(disk.missing);
    const into = disk.path;
    const content = noise(64 * MIB);
    const options = { recv: ["--yes", "--overwrite"] };
    await assertTransfers(sandbox, [await sandbox.file("from/film", content)], into, options);
    await Deno.rename(sandbox.path("from/film"), sandbox.path("from/renamed"));
    const before = await freeBytes(into);
    const { receiver } = await assertTransfers(sandbox, [sandbox.path("from/renamed")], into, options);
    const { bytes_found } = receiver.events.find(({ event }) => event === "done")!;
    assertEquals(bytes_found, content.length);
    const taken = before - await freeBytes(into);
    assertTrue(taken < 4 * MIB, `${taken} bytes were taken for what was there`);
    await tool("cmp", [`${into}/film`, `${into}/renamed`]);
    // Shared is not the same: one changes without the other.
    using file = await Deno.open(`${into}/film`, { write: true });
    await file.write(new Uint8Array([content[0]! ^ 1]));
    assertEquals((await Deno.readFile(`${into}/renamed`))[0], content[0]);
  });
}

async function freeBytes(path: string): Promise<number> {
  await tool("sync", ["-f", path]);
  return Number((await tool("df", ["--output=avail", "-B1", path])).trim().split("\n").at(-1));
}

/** The store as a person sees it. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { run } from "./command.ts";
import { assertDone, transfer } from "./harness.ts";
import { type Person, Sandbox } from "./sandbox.ts";

const MIB = 2 ** 20;

const FIXTURES = new URL("../fixtures/store/packs/", import.meta.url);

Deno.test("store stats, verify, gc and clear say what is there, what is damaged and what was dropped", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("keeper");
  const packs = `${person.env.XDG_DATA_HOME}/wormhole/store/packs`;
  const event = async (args: string[], code = 0) => {
    const ended = await run(["store", ...args, "--json"], { person });
    assertEquals(ended.code, code, ended.stderr);
    return ended.events;
  };
  assertEquals((await event(["stats"]))[0]!.packs, 0, "nothing yet");
  const [name] = await putPack(person);
  const [stats] = await event(["stats"]);
  assertEquals([stats!.packs, stats!.pack_bytes, stats!.quota, stats!.directory], [
    1,
    462,
    10 * 2 ** 30,
    packs,
  ]);
  const verified = (await event(["verify"])).at(-1)!;
  assertEquals([verified.event, verified.packs, verified.bytes, verified.failed], [
    "store_verified",
    1,
    306,
    0,
  ]);
  assertEquals((await event(["stats"]))[0]!.chunks, 4, "the index knows it now, with its table");

  const bytes = await Deno.readFile(`${packs}/${name}`);
  bytes[3]! ^= 1;
  await Deno.writeFile(`${packs}/${name}`, bytes);
  const [failed] = await event(["verify"], 7);
  assertEquals([failed!.event, failed!.code, failed!.name], ["file_failed", "CORRUPT", `${packs}/${name}`]);
  await Deno.writeTextFile(`${packs}/.wormhole-0123456789abcdef.part`, "left behind");
  const [cleaned] = await event(["gc"]);
  assertEquals([cleaned!.packs, cleaned!.leftovers], [0, 2]);

  await putPack(person);
  const refused = await run(["store", "clear"], { person });
  assertEquals([refused.code, refused.stderr.includes("give --yes")], [2, true], refused.stderr);
  const [cleared] = await event(["clear", "--yes"]);
  assertEquals([cleared!.packs, cleared!.bytes], [1, 462]);
  assertEquals(await Array.fromAsync(Deno.readDir(packs)), []);
});

Deno.test("store gc keeps to the quota and touches nothing but the store", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("keeper");
  await putPack(person);
  const small = { ...person, env: { ...person.env, WORMHOLE_STORE_QUOTA: "461" } };
  const ended = await run(["store", "gc"], { person: small });
  assertEquals(ended.code, 0, ended.stderr);
  assertTrue(ended.stderr.includes("dropped 1 pack of 462 B"), ended.stderr);
});

/** Puts a pack of version 1 into somebody's store. */
async function putPack({ env }: Person): Promise<string[]> {
  const packs = `${env.XDG_DATA_HOME}/wormhole/store/packs`;
  await Deno.mkdir(packs, { recursive: true });
  const names = (await Array.fromAsync(Deno.readDir(FIXTURES))).map(({ name }) => name);
  for (const name of names) await Deno.copyFile(new URL(name, FIXTURES), `${packs}/${name}`);
  return names;
}

Deno.test("recv --keep-chunks keeps what came, so that it comes without a byte when the files are gone", async () => {
  await using sandbox = await Sandbox.create();
  const bytes = new Uint8Array(3 * 4 * MIB + 5);
  for (let at = 0; at < bytes.length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  const path = await sandbox.file("from/big", bytes);
  const into = await sandbox.folder("into");
  const first = await transfer(sandbox, [path], into, { recv: ["--yes", "--keep-chunks"] });
  assertDone(first);
  await Deno.remove(`${into}/big`);
  const [receiver] = [await sandbox.person("receiver")];
  const stats = (await run(["store", "stats", "--json"], { person: receiver })).events[0]!;
  assertEquals(stats.packs, 1);
  assertTrue(stats.pack_bytes > bytes.length, `${stats.pack_bytes} bytes`);
  const again = await transfer(sandbox, [path], into);
  assertDone(again);
  assertTrue(again.receiver.events.find(({ event }) => event === "done")!.bytes_on_wire < MIB);
  assertEquals(await Deno.readFile(`${into}/big`), bytes);
});

import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { LocalRegistry } from "./local_registry.ts";

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    await run(`${root}/runtime/rendezvous`);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("LocalRegistry.register() makes a private entry that others find until it is disposed", () =>
  inFolder(async (folder) => {
    const registry = new LocalRegistry(folder);
    assertEquals(await registry.nameplates(), []);
    {
      await using entry = await registry.register("123", "ws://127.0.0.1:4000/v1");
      assertTrue(entry);
      assertEquals((await Deno.stat(folder)).mode! & 0o777, 0o700);
      assertEquals((await Deno.stat(`${folder}/123.json`)).mode! & 0o777, 0o600);
      assertEquals((await registry.find("123"))?.url.href, "ws://127.0.0.1:4000/v1");
      assertEquals(await registry.nameplates(), ["123"]);
      assertEquals(await registry.register("123", "ws://127.0.0.1:4001/v1"), undefined);
    }
    assertEquals(await registry.find("123"), undefined);
  }));

Deno.test("LocalRegistry.find() removes entries of processes that are gone", () =>
  inFolder(async (folder) => {
    const registry = new LocalRegistry(folder);
    await (await registry.register("1", "ws://127.0.0.1:1/v1"))![Symbol.asyncDispose]();
    const child = new Deno.Command(Deno.execPath(), { args: ["--version"], stdout: "null" }).spawn();
    await child.status;
    await Deno.writeTextFile(
      `${folder}/123.json`,
      JSON.stringify({ url: "ws://127.0.0.1:1/v1", pid: child.pid }),
    );
    assertEquals(await registry.find("123"), undefined);
    await assertRejects(() => Deno.stat(`${folder}/123.json`), undefined, "os error 2");
    assertTrue(await registry.register("123", "ws://127.0.0.1:2/v1"));
  }));

Deno.test("LocalRegistry.find() passes over rubbish", () =>
  inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/5.json`, { recursive: true, mode: 0o700 });
    const rows = [["1", ""], ["2", "{"], ["3", "[]"], ["4", '{"url":"http://x","pid":1}'], [
      "6",
      "x".repeat(5000),
    ]];
    for (const [name, text] of rows) await Deno.writeTextFile(`${folder}/${name}.json`, text!);
    const registry = new LocalRegistry(folder);
    for (const name of ["1", "2", "3", "4", "5", "6", "7"]) {
      assertEquals(await registry.find(name), undefined, name);
    }
    assertEquals(await registry.nameplates(), []);
  }));

Deno.test("LocalRegistry.register() refuses a folder that others can write to", () =>
  inFolder(async (folder) => {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.chmod(folder, 0o777);
    await assertRejects(
      () => new LocalRegistry(folder).register("1", "ws://127.0.0.1:1/v1"),
      "PERMISSION_DENIED",
      "other people",
    );
  }));

import { setInFile, settingKey } from "./edit.ts";
import { assertEquals, assertRejects, assertThrows } from "../base/testing.ts";

async function edited(text: string | undefined, name: string, value: string): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/sub/config.toml`;
    if (text !== undefined) {
      await Deno.mkdir(`${folder}/sub`);
      await Deno.writeTextFile(file, text);
    }
    await setInFile(file, name, value);
    const names = (await Array.fromAsync(Deno.readDir(`${folder}/sub`))).map((entry) => entry.name);
    assertEquals(names, ["config.toml"], "nothing else is left");
    return await Deno.readTextFile(file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("setInFile() changes one line and keeps the rest", async () => {
  const rows: [string, string | undefined, string, string, string][] = [
    ["no file yet", undefined, "max_streams", "8", "max_streams = 8\n"],
    ["appends", "# mine\nport = 1\n", "max_streams", "8", "# mine\nport = 1\nmax_streams = 8\n"],
    ["no last line break", "port = 1", "max_streams", "8", "port = 1\nmax_streams = 8\n"],
    ["keeps comments", "# a\nport = 1 # why\n# b\n", "port", "2", "# a\nport = 2 # why\n# b\n"],
    [
      "# in a string",
      'signal_server = "ws://x#y"\n',
      "signal_server",
      "ws://z",
      'signal_server = "ws://z"\n',
    ],
    ["quoted key", '"port" = 1\n', "port", "2", '"port" = 2\n'],
    ["before a table", "a = 1\n\n[t]\nport = 5\n", "port", "2", "a = 1\nport = 2\n\n[t]\nport = 5\n"],
    ["sizes as bytes", "", "bulk-chunk-size", "8MB", "bulk_chunk_size = 8388608\n"],
    ["booleans", "", "force_tcp", "on", "force_tcp = true\n"],
  ];
  for (const [what, before, name, value, after] of rows) {
    assertEquals(await edited(before, name, value), after, what);
  }
});

Deno.test("setInFile() rewrites a layout that lines cannot be edited in", async () => {
  const text = 'signal_server = """\nws://x"""\nother = 1\n';
  const after = await edited(text, "signal_server", "ws://y");
  assertEquals(after.includes('signal_server = "ws://y"') && after.includes("other = 1"), true, after);
});

Deno.test("setInFile() refuses unknown names, wrong values and broken files", async () => {
  await assertRejects(() => edited("", "max_stream", "1"), "USAGE", 'did you mean "max_streams"');
  await assertRejects(
    () => edited("", "port", "none"),
    "CONFIG_INVALID",
    "give a whole number from 0 to 65535",
  );
  await assertRejects(() => edited("port = = 1\n", "port", "1"), "CONFIG_INVALID", "line 1");
  assertThrows(() => settingKey("colour"), "USAGE", "there is none of that name");
});

Deno.test("setInFile() keeps a symlinked file a symlink, and its mode", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/real.toml`, "port = 1\n", { mode: 0o640 });
    await Deno.symlink("real.toml", `${folder}/config.toml`);
    await setInFile(`${folder}/config.toml`, "port", "2");
    assertEquals((await Deno.lstat(`${folder}/config.toml`)).isSymlink, true);
    assertEquals(await Deno.readTextFile(`${folder}/real.toml`), "port = 2\n");
    assertEquals((await Deno.stat(`${folder}/real.toml`)).mode! & 0o777, 0o640);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

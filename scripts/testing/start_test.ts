import { fromFileUrl, join } from "../../src/base/paths.ts";
import { assertEquals, assertTrue } from "../../src/base/testing.ts";

const SCRIPTS = fromFileUrl(new URL("../", import.meta.url));

const MAIN = `
if (Deno.args[0] === "wait") {
  console.log("waiting");
  await new Promise((resolve) => setTimeout(resolve, 600_000));
}
console.log(JSON.stringify({ args: Deno.args, cwd: Deno.cwd() }));
Deno.exit(7);
`;

/** A small checkout with the real scripts, whose Deno and library are given, so that nothing is fetched or built. */
async function inCheckout(
  run: (house: { root: string; env: Record<string, string> }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    const root = join(folder, "a house #1%20");
    for (const part of ["scripts", "ffi/src"]) await Deno.mkdir(join(root, part), { recursive: true });
    for (const name of ["wormhole", "bootstrap"]) {
      await Deno.copyFile(SCRIPTS + name, join(root, "scripts", name));
    }
    const files = {
      "main.ts": MAIN,
      "deno.json": "{}",
      "deno.lock": '{ "version": "5" }',
      "ffi/Cargo.toml": "",
      "ffi/Cargo.lock": "",
    };
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(join(root, name), text);
    await run({
      root,
      env: {
        WORMHOLE_DENO: Deno.execPath(),
        WORMHOLE_LIBRARY: "/nowhere/libwormhole_ffi.so",
        DENO_DIR: join(folder, "cache"),
        NO_COLOR: "1",
      },
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function output(command: string, options: Deno.CommandOptions) {
  const { code, stdout, stderr } = await new Deno.Command(command, options).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

Deno.test("scripts/wormhole passes arguments, folder and exit code on, by path, by link and silently", () =>
  inCheckout(async ({ root, env }) => {
    const args = ["a b", "c\nd", "", "--", "-x", "--help", "*", "$HOME", "'"];
    const link = join(root, "link to it");
    await Deno.symlink("scripts/wormhole", link);
    for (const command of [join(root, "scripts/wormhole"), link, "scripts/wormhole", "./link to it"]) {
      const { code, out, err } = await output("/bin/sh", {
        args: ["-c", 'exec "$0" "$@"', command, ...args],
        cwd: root,
        env,
      });
      assertEquals(code, 7, err);
      assertEquals(JSON.parse(out), { args, cwd: root });
      if (command !== join(root, "scripts/wormhole")) assertEquals(err, "");
    }
  }));

Deno.test("scripts/wormhole becomes the program, so that signals reach it", () =>
  inCheckout(async ({ root, env }) => {
    await using child = new Deno.Command(join(root, "scripts/wormhole"), {
      args: ["wait"],
      env,
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = child.stdout.getReader();
    assertTrue(new TextDecoder().decode((await reader.read()).value).startsWith("waiting"));
    child.kill("SIGTERM");
    assertEquals((await child.status).signal, "SIGTERM");
    await reader.cancel();
  }));

const FAILURES: { what: string; env: Record<string, string>; words: string }[] = [
  {
    what: "WORMHOLE_DENO is no Deno",
    env: { WORMHOLE_DENO: "/bin/ls" },
    words: 'Cannot use WORMHOLE_DENO="/bin/ls"',
  },
  {
    what: "there is neither npm nor pip",
    env: { WORMHOLE_DENO: "", PATH: "TOOLS" },
    words: "neither npm nor pip is on PATH; install Node.js",
  },
  {
    what: "there is no cargo",
    env: { WORMHOLE_LIBRARY: "", PATH: "TOOLS", HOME: "/nowhere", CARGO_HOME: "/nowhere" },
    words: "cargo is not on PATH; install Rust",
  },
];

for (const { what, env: change, words } of FAILURES) {
  Deno.test(`scripts/wormhole says in one sentence what to do when ${what}`, () =>
    inCheckout(async ({ root, env }) => {
      const tools = join(root, "tools");
      await Deno.mkdir(tools);
      for (const tool of "sh uname mkdir mktemp rm mv cp cmp find cat head dirname".split(" ")) {
        const { out } = await output("/bin/sh", { args: ["-c", `command -v ${tool}`] });
        await Deno.symlink(out.trim(), join(tools, tool));
      }
      const given = { ...env, ...change };
      if (given.PATH) given.PATH = tools;
      const { code, err } = await output(join(root, "scripts/wormhole"), { cwd: root, env: given });
      assertEquals(code, 1);
      const last = err.trim().split("\n").at(-1)!;
      assertTrue(last.startsWith("wormhole: Cannot ") && last.includes(words), err);
      assertTrue(!(await names(join(root, ".deno"))).some((name) => /install|ready/.test(name)));
    }));
}

async function names(folder: string): Promise<string[]> {
  const found = [];
  for await (const { name } of Deno.readDir(folder)) found.push(name);
  return found;
}

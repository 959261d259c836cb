/** The real program as a process: what goes where, exit codes, broken pipes, doctor. */
import { fromFileUrl } from "../base/paths.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { copyToClipboard, osc52 } from "./clipboard.ts";
import { qrCode } from "./qr.ts";
import { styles } from "./terminal.ts";

const MAIN = fromFileUrl(new URL("../../main.ts", import.meta.url));

async function wormhole(
  args: readonly string[],
  { home, env = {} }: { home: string; env?: Record<string, string> },
) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--cached-only", "--frozen", MAIN, ...args],
    // A home of its own hides this person's settings; Deno's cache must stay where it is.
    env: {
      XDG_CONFIG_HOME: `${home}/config`,
      XDG_CACHE_HOME: `${home}/cache`,
      NO_COLOR: "1",
      DENO_DIR: denoDir(),
      ...env,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

function denoDir(): string {
  return Deno.env.get("DENO_DIR") ??
    `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/deno`;
}

async function withHome(run: (home: string) => Promise<void>) {
  const home = await Deno.makeTempDir();
  try {
    await run(home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("wormhole exits with what exit.ts promises", () =>
  withHome(async (home) => {
    const rows: [string[], Record<string, string>, number, RegExp][] = [
      [["version"], {}, 0, /^wormhole \d+\.\d+\.\d+\n$/],
      [["--version"], {}, 0, /^wormhole \d/],
      [["--help"], {}, 0, /Usage:/],
      [["help", "config", "set"], {}, 0, /KEY VALUE/],
      [["docter"], {}, 2, /error: Cannot run "wormhole docter".*did you mean "doctor"\?\nRun wormhole help/],
      [["doctor", "--x"], {}, 2, /Run wormhole doctor --help/],
      [["config", "show"], { WORMHOLE_PORT: "high" }, 2, /WORMHOLE_PORT: port is "high"/],
      [["config", "set", "max_stream", "1"], {}, 2, /did you mean "max_streams"\?/],
      [["help", "nonsense"], {}, 2, /no such command/],
      [["config", "show", "--log-file", "/nonexistent/log"], {}, 6, /Cannot open the log file/],
      [["docter", "--json"], {}, 2, /^\{"event":"error","code":"USAGE",.*"exit":2\}\n$/],
    ];
    for (const [args, env, code, said] of rows) {
      const ended = await wormhole(args, { home, env });
      assertEquals(ended.code, code, `${args.join(" ")}: ${ended.err}`);
      assertTrue(said.test(ended.out + ended.err), `${args.join(" ")}: ${ended.out}${ended.err}`);
      assertTrue(!(ended.out + ended.err).includes("    at "), "no stack is shown");
    }
  }));

Deno.test("wormhole config set, show and path agree", () =>
  withHome(async (home) => {
    assertEquals((await wormhole(["config", "set", "max_streams", "12"], { home })).code, 0);
    const { out } = await wormhole(["config", "show", "--json"], { home, env: { WORMHOLE_FORCE_TCP: "1" } });
    const events = out.trim().split("\n").map((line) => JSON.parse(line));
    const named = (name: string) => events.find((event) => event.name === name);
    assertEquals(named("max_streams"), { event: "setting", name: "max_streams", value: 12, source: "file" });
    assertEquals(named("force_tcp"), { event: "setting", name: "force_tcp", value: true, source: "env" });
    assertEquals(named("bulk_chunk_size").value, 4 * 1024 ** 2);
    const path = (await wormhole(["config", "path"], { home })).out.trim();
    assertEquals(path, `${home}/config/wormhole/config.toml`);
    await Deno.writeTextFile(path, 'max_streams = "many"\n');
    const broken = await wormhole(["config", "show"], { home });
    assertEquals(broken.code, 2);
    assertTrue(broken.err.includes('config.toml: max_streams is "many": give a whole number from 1 to 256'));
    assertEquals(
      (await wormhole(["config", "set", "max_streams", "3"], { home })).code,
      0,
      "a broken file is mended",
    );
  }));

Deno.test("wormhole doctor names everything and survives broken settings", () =>
  withHome(async (home) => {
    const { code, out } = await wormhole(["doctor", "--json"], { home, env: { WORMHOLE_PORT: "high" } });
    assertEquals(code, 0);
    const checks = out.trim().split("\n").map((line) => JSON.parse(line));
    const names = checks.map(({ name }) => name);
    for (
      const name of [
        "program",
        "library",
        "kernel",
        "file access",
        "FUSE",
        "hub",
        "settings",
        "machine key",
        "space",
      ]
    ) {
      assertTrue(names.includes(name), name);
    }
    assertEquals(checks.find(({ name }) => name === "settings").status, "problem");
    assertEquals(await Array.fromAsync(Deno.readDir(home)), [], "it leaves nothing behind");
  }));

Deno.test("wormhole doctor says when the hub that is set cannot be reached", () =>
  withHome(async (home) => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    listener.close();
    const env = { WORMHOLE_SIGNAL_SERVER: `ws://127.0.0.1:${port}` };
    const { out } = await wormhole(["doctor"], { home, env });
    assertTrue(/problem {2}hub: ws:\/\/127\.0\.0\.1:\d+ cannot be reached/.test(out), out);
  }).catch((error) => {
    if (!(error instanceof Deno.errors.BadResource)) throw error; // the listener is closed on purpose
  }));

Deno.test("a closed pipe ends wormhole quietly", () =>
  withHome(async (home) => {
    const script =
      `"${Deno.execPath()}" run -A --no-check "${MAIN}" man 2>"${home}/err"; echo "$?" >"${home}/code"`;
    const child = new Deno.Command("bash", {
      args: ["-c", `(${script}) | true`],
      env: { XDG_CONFIG_HOME: home, DENO_DIR: denoDir() },
    });
    await child.output();
    assertEquals(await Deno.readTextFile(`${home}/err`), "");
    // `true` may end before or after the page is written.
    assertTrue(["0", "141"].includes((await Deno.readTextFile(`${home}/code`)).trim()));
  }));

Deno.test("a full pipe that closes ends wormhole with 141 and no word", () =>
  withHome(async (home) => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", MAIN, "man"],
      env: { XDG_CONFIG_HOME: home, DENO_DIR: denoDir() },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    await child.stdout.cancel();
    const error = await new Response(child.stderr).text();
    assertEquals([(await child.status).code, error], [141, ""]);
  }));

Deno.test("qrCode() draws half blocks within a light border", async () => {
  const plain = (await qrCode("7-guitarist-zulu", { colours: false })).split("\n");
  assertTrue(
    plain.every((line) => line.length === plain[0]!.length && /^[█▀▄ ]+$/.test(line)),
    plain.join("\n"),
  );
  assertTrue(/^█+$/.test(plain[0]!), "the border is light");
  const coloured = await qrCode("7-guitarist-zulu", { colours: true });
  assertTrue(
    coloured.split("\n").every((line) => line.startsWith("\x1b[97;40m") && line.endsWith("\x1b[0m")),
  );
});

Deno.test("copyToClipboard() feeds the program by standard input, else asks the terminal", () =>
  withHome(async (home) => {
    const script = `#!/bin/sh\nprintf '%s' "$*" >"${home}/args"\ncat >"${home}/text"\n`;
    await Deno.writeTextFile(`${home}/xclip`, script, { mode: 0o755 });
    let written = "";
    const terminal = {
      interactive: true,
      canRedraw: true,
      stdoutIsTerminal: true,
      styles: styles(false),
      columns: () => 80,
      write: (text: string) => void (written += text),
    };
    const path = Deno.env.get("PATH")!;
    Deno.env.set("PATH", `${home}:${path}`);
    try {
      const env = (name: string) => name === "DISPLAY" ? ":0" : undefined;
      assertEquals(await copyToClipboard("7-a-b", { env, terminal, os: "linux" }), "xclip");
      assertEquals(await Deno.readTextFile(`${home}/text`), "7-a-b");
      assertEquals((await Deno.readTextFile(`${home}/args`)).includes("7-a-b"), false);
    } finally {
      Deno.env.set("PATH", path);
    }
    const used = await copyToClipboard("7-a-b", { env: () => undefined, terminal, os: "linux" });
    assertEquals([used, written], ["terminal", osc52("7-a-b")]);
    assertEquals(osc52("7-a-b"), "\x1b]52;c;Ny1hLWI=\x07");
    const none = { ...terminal, canRedraw: false };
    assertEquals(
      await copyToClipboard("7-a-b", { env: () => undefined, terminal: none, os: "linux" }),
      undefined,
    );
  }));

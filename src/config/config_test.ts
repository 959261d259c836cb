import { loadConfig, parseSetting } from "./config.ts";
import { folders } from "./paths.ts";
import { assertEquals, assertRejects, assertThrows, assertTrue } from "../base/testing.ts";

async function withFile(
  text: string | undefined,
  run: (env: (name: string) => string | undefined) => Promise<void>,
) {
  const home = await Deno.makeTempDir();
  try {
    if (text !== undefined) {
      await Deno.mkdir(`${home}/wormhole`);
      await Deno.writeTextFile(`${home}/wormhole/config.toml`, text);
    }
    await run((name) => name === "XDG_CONFIG_HOME" ? home : name === "HOME" ? "/home/me" : undefined);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("loadConfig() gives the defaults without a file", () =>
  withFile(undefined, async (env) => {
    const { config, sources, warnings } = await loadConfig({ env });
    assertEquals({ ...config }, {
      port: 0,
      signalServer: "",
      cacheDir: "/home/me/.cache/wormhole",
      logLevel: "warn",
      bulkChunkSize: 4 * 1024 ** 2,
      reconnect: 600_000,
      maxStreams: 64,
      minStreams: 4,
      bufferPoolSize: 256 * 1024 ** 2,
      compressionLevel: 3,
      dedup: true,
      dedupIndexSize: 1_000_000,
      keepChunks: false,
      storeQuota: 10 * 1024 ** 3,
      forceTcp: false,
      portMapping: true,
      debugIo: "auto",
    });
    assertTrue(Object.values(sources).every((source) => source === "default"));
    assertTrue(Object.isFrozen(config));
    assertEquals(warnings, []);
  }));

Deno.test("loadConfig() lets flags win over variables, these over the file", () =>
  withFile("max_streams = 10\nport = 1000\nforce_tcp = true\nbulk_chunk_size = '8MB'\n", async (outer) => {
    const env = (name: string) =>
      ({ WORMHOLE_PORT: "2000", WORMHOLE_MAX_STREAMS: "20" })[name] ?? outer(name);
    const { config, sources } = await loadConfig({ env, flags: { maxStreams: 30, minStreams: undefined } });
    assertEquals([config.maxStreams, config.port, config.forceTcp, config.bulkChunkSize], [
      30,
      2000,
      true,
      8 * 1024 ** 2,
    ]);
    assertEquals([sources.maxStreams, sources.port, sources.forceTcp, sources.minStreams], [
      "flag",
      "env",
      "file",
      "default",
    ]);
  }));

Deno.test("loadConfig() names the key that is wrong", async () => {
  const rows: [string, Record<string, string>, string][] = [
    ['max_streams = "many"', {}, 'config.toml: max_streams is "many": give a whole number from 1 to 256'],
    ["port = [1]", {}, "config.toml: port is a list or table: give a whole number"],
    ["force_tcp = 7", {}, 'config.toml: force_tcp is "7": give true or false'],
    ["", { WORMHOLE_LOG_LEVEL: "loud" }, 'WORMHOLE_LOG_LEVEL: log_level is "loud": give error, warn'],
    ["min_streams = 9\nmax_streams = 3", {}, "min_streams is 9 (file) and max_streams is 3 (file)"],
    ["port = \n", {}, "line 1"],
  ];
  for (const [text, variables, words] of rows) {
    await withFile(text, async (outer) => {
      const env = (name: string) => variables[name] ?? outer(name);
      await assertRejects(() => loadConfig({ env }), "CONFIG_INVALID", words);
    });
  }
});

Deno.test("loadConfig() warns of unknown keys with what was probably meant", () =>
  withFile("max_stream = 3\n[extra]\nx = 1\n", async (env) => {
    const { warnings, config } = await loadConfig({ env });
    assertEquals(warnings, [
      'config.toml: there is no setting "max_stream"; did you mean "max_streams"?',
      'config.toml: there is no setting "extra"',
    ]);
    assertEquals(config.maxStreams, 64);
  }));

Deno.test("loadConfig() fits the default of one stream limit to the other", () =>
  withFile("max_streams = 2", async (env) => {
    const { config } = await loadConfig({ env });
    assertEquals([config.minStreams, config.maxStreams], [2, 2]);
  }));

Deno.test("parseSetting() escapes what it quotes", () => {
  const error = assertThrows(() => parseSetting("port", "\u001b[31m", "x"), "CONFIG_INVALID");
  assertTrue(!error.message.includes("\u001b"));
});

Deno.test("folders() follows each system's customs", () => {
  const of = (os: "linux" | "darwin" | "windows", variables: Record<string, string>) =>
    folders({ os, env: (name) => variables[name] });
  assertEquals(
    of("linux", { HOME: "/home/me", XDG_CONFIG_HOME: "relative", XDG_RUNTIME_DIR: "/run/user/1" }),
    {
      configDir: "/home/me/.config/wormhole",
      dataDir: "/home/me/.local/share/wormhole",
      cacheDir: "/home/me/.cache/wormhole",
      stateDir: "/home/me/.local/state/wormhole",
      runtimeDir: "/run/user/1/wormhole",
    },
  );
  assertEquals(of("linux", { HOME: "/h" }).runtimeDir, "/h/.local/state/wormhole/run");
  assertEquals(of("darwin", { HOME: "/Users/me" }).cacheDir, "/Users/me/Library/Caches/wormhole");
  assertEquals(of("windows", { USERPROFILE: "C:\\me", APPDATA: "C:\\me\\r" }).configDir, "C:/me/r/wormhole");
});

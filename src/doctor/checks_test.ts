/** Single checks of doctor: what is wrong with a folder, a setting or a hub. */
import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { loadConfig } from "../config/config.ts";
import { MemoryMailboxStore, serveMailbox } from "../mailbox/mod.ts";
import { checkCache, checkConfigFolder, checkSettings } from "./disk.ts";
import type { Surroundings } from "./mod.ts";
import { checkHub, checkNetwork } from "./network.ts";

/** Gives what doctor looks at in a new folder with these variables. */
async function within(
  variables: Record<string, string>,
  run: (surroundings: Surroundings, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/file`, "");
    const all: Record<string, string> = { HOME: folder, ...variables };
    const settings = await loadConfig({ env: (name) => all[name]?.replace("FOLDER", folder) });
    await run({ settings, version: "1.2.3", folder }, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("checkSettings() counts what is changed, and names what is wrong", () =>
  within({ WORMHOLE_PORT: "7000" }, async (surroundings) => {
    assertEquals(await checkSettings(surroundings), [
      { name: "settings", status: "ok", text: "1 changed, all valid" },
    ]);
    const settings = { ...surroundings.settings, warnings: ["x is old"] };
    assertEquals((await checkSettings({ ...surroundings, settings }))[1], {
      name: "settings",
      status: "note",
      text: "x is old",
    });
    const settingsProblem = new WormholeError("CONFIG_INVALID", "port is wrong");
    const [finding, ...more] = await checkSettings({ ...surroundings, settingsProblem });
    assertEquals([finding!.status, finding!.text, more], ["problem", "port is wrong", []]);
  }));

Deno.test("checkCache() and checkConfigFolder() say where nothing can be written, and leave no trace", {
  ignore: Deno.build.os !== "linux",
}, () =>
  within(
    { WORMHOLE_CACHE_DIR: "/proc/none", XDG_CONFIG_HOME: "FOLDER/a/b" },
    async (surroundings, folder) => {
      const [cache] = await checkCache(surroundings);
      assertEquals([cache!.status, cache!.advice], ["problem", "Change its owner or permissions."]);
      assertTrue(cache!.text.startsWith('"/proc" cannot be written: '), cache!.text);
      const [config] = await checkConfigFolder(surroundings);
      assertEquals(config!.status, "ok");
      assertTrue(config!.text.endsWith(" can be written (it will be made)"), config!.text);
      assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["file"]);
    },
  ));

Deno.test("checkNetwork() leaves UDP alone where TCP is forced", () =>
  within({ WORMHOLE_FORCE_TCP: "true" }, async (surroundings) => {
    const [tcp, udp, ...more] = await checkNetwork(surroundings);
    assertEquals([tcp!.name, tcp!.status, more], ["TCP", "ok", []]);
    assertEquals(udp, { name: "UDP", status: "note", text: "not used: force_tcp is set" });
  }));

Deno.test("checkHub() says whether the hub that is set answers", async () => {
  const service = serveMailbox({ hostname: "127.0.0.1", port: 0, store: new MemoryMailboxStore() });
  const { url } = service;
  {
    await using _service = service;
    await within({ WORMHOLE_SIGNAL_SERVER: url }, async (surroundings) => {
      assertEquals(await checkHub(surroundings), [{ name: "hub", status: "ok", text: `${url} answers` }]);
    });
  }
  await within({ WORMHOLE_SIGNAL_SERVER: url }, async (surroundings) => {
    const [finding] = await checkHub(surroundings);
    assertEquals(finding!.status, "problem");
    assertTrue(finding!.advice!.includes("signal_server"), finding!.advice);
  });
});

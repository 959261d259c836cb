import { loadConfig } from "../config/config.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { checkKey } from "./disk.ts";
import { describeIoUring, describeKernelTls } from "./kernel.ts";
import { diagnose, type Finding, type Surroundings } from "./mod.ts";

async function within(run: (surroundings: Surroundings, folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    const env = (name: string) =>
      ({ HOME: folder, XDG_CONFIG_HOME: `${folder}/config`, WORMHOLE_CACHE_DIR: `${folder}/cache` })[name];
    await run({ settings: await loadConfig({ env }), version: "1.2.3", folder }, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("diagnose() finds something to say about everything, without leaving a trace", () =>
  within(async (surroundings, folder) => {
    const findings: Finding[] = await Array.fromAsync(diagnose(surroundings));
    const of = (name: string) => findings.find((finding) => finding.name === name);
    assertTrue(of("program")!.text.includes("Wormhole 1.2.3"));
    assertEquals(of("library")!.status, "ok");
    assertEquals([of("config folder")!.status, of("cache folder")!.status], ["ok", "ok"]);
    assertEquals([of("hub")!.status, of("machine key")!.status], ["note", "note"]);
    for (const { name, text } of findings) assertTrue(text.length > 0, name);
    assertEquals(await Array.fromAsync(Deno.readDir(folder)), []);
  }));

Deno.test("diagnose() stops when aborted", () =>
  within(async (surroundings) => {
    const signal = AbortSignal.abort(new Error("enough"));
    const failed = await Array.fromAsync(diagnose({ ...surroundings, signal })).catch((error) =>
      error.message
    );
    assertEquals(failed, "enough");
  }));

Deno.test("checkKey() sees a key that is private, open to others, or damaged", () =>
  within(async (surroundings) => {
    const { configDir } = surroundings.settings.folders;
    await Deno.mkdir(configDir, { recursive: true });
    const key = `${configDir}/identity.key`;
    await Deno.writeFile(key, new Uint8Array(32), { mode: 0o600 });
    assertEquals((await checkKey(surroundings))[0]!.status, "ok");
    await Deno.chmod(key, 0o644);
    const [open] = await checkKey(surroundings);
    assertEquals([open!.status, open!.advice], ["problem", `Run: chmod 600 "${key}"`]);
    await Deno.writeFile(key, new Uint8Array(31));
    assertTrue((await checkKey(surroundings))[0]!.text.includes("31 bytes instead of 32"));
  }));

Deno.test("describeIoUring() explains the kernel's switch", () => {
  const rows: [string | undefined, string, string][] = [
    [undefined, "ok", "allowed"],
    ["0\n", "ok", "allowed"],
    ["1\n", "note", "privileged group"],
    ["2\n", "note", "switched off"],
  ];
  for (const [value, status, words] of rows) {
    const finding = describeIoUring(value);
    assertEquals([finding.status, finding.text.includes(words)], [status, true], value);
  }
});

Deno.test("describeKernelTls() looks for tls among the kernel's protocols", () => {
  const rows: [string | undefined, string][] = [
    [undefined, "not offered by the kernel; not needed"],
    ["\n", "not offered by the kernel; not needed"],
    ["espintcp mptcp\n", "not offered by the kernel; not needed"],
    ["espintcp mptcp tls\n", "offered by the kernel; not needed"],
  ];
  for (const [value, text] of rows) {
    assertEquals(describeKernelTls(value), { status: "ok", text }, `${value}`);
  }
});

import { loadConfig } from "../config/config.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { checkKey } from "./disk.ts";
import { describeFileAccess, describeKernelTls } from "./kernel.ts";
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
    assertTrue((await checkKey(surroundings))[0]!.text.includes("only zeros"));
    await Deno.writeFile(key, new Uint8Array(32).fill(1));
    assertEquals((await checkKey(surroundings))[0]!.status, "ok");
    await Deno.chmod(key, 0o644);
    const [open] = await checkKey(surroundings);
    assertEquals([open!.status, open!.advice], ["problem", `Run: chmod 600 "${key}"`]);
    await Deno.writeFile(key, new Uint8Array(31));
    assertTrue((await checkKey(surroundings))[0]!.text.includes("31 bytes instead of 32"));
  }));

Deno.test("describeFileAccess() says what is used, what is forced, and why not io_uring", () => {
  const all = [{ name: "uring", problem: null }, { name: "linux", problem: null }, {
    name: "std",
    problem: null,
  }];
  const denied = [{ name: "uring", problem: "this system or container forbids io_uring" }, ...all.slice(1)];
  const told = (findings: Finding[]) =>
    findings.map(({ name, status, text }) => `${name} ${status}: ${text}`);
  assertEquals(told(describeFileAccess({ backends: all, used: "linux+uring" }, { forced: "auto" })), [
    "file access ok: system calls; io_uring reads many small files",
  ]);
  assertEquals(told(describeFileAccess({ backends: denied, used: "linux" }, { forced: "auto" })), [
    "file access ok: system calls",
    "io_uring note: this system or container forbids io_uring",
  ]);
  const switched = { forced: "auto", ioUringDisabled: "2\n" } as const;
  assertEquals(
    told(describeFileAccess({ backends: denied, used: "linux" }, switched))[1],
    "io_uring note: switched off (kernel.io_uring_disabled is 2)",
  );
  assertEquals(
    told(describeFileAccess({ backends: denied, used: "linux" }, { forced: "uring" }))[0],
    "file access problem: debug_io forces uring, which cannot run: this system or container forbids io_uring",
  );
  assertEquals(told(describeFileAccess({ backends: all, used: "linux+uring" }, { forced: "std" })), [
    "file access note: debug_io forces std: plain reads and writes",
  ]);
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

/** Whole transfers over a link that loses, reorders and delays packets, which a proxy of bytes cannot do to QUIC. */
import { assertEquals } from "../../../src/base/testing.ts";
import { fromFileUrl } from "../../../src/base/paths.ts";
import { PATIENCE_MS, wormholeCommand } from "../command.ts";
import { type Person, Sandbox } from "../sandbox.ts";
import { assertSameTree, noise, stagingFolders } from "../trees.ts";

const MIB = 1024 * 1024;
/** Both ends have a network of their own, so nobody else has these. */
const PORT = 4555;
const LEFT = "10.77.0.1";
const CODE = "7-guitarist-zulu";

const LINKS = {
  "reorders every tenth packet": [
    "--rate",
    "200mbit",
    "--rtt",
    "20ms",
    "--reorder",
    "10",
    "--reorder-delay",
    "8ms",
  ],
  "reorders, loses and is slow": ["--rate", "30mbit", "--rtt", "80ms", "--loss", "2", "--reorder", "5"],
};

for (const [about, link] of Object.entries(LINKS)) {
  for (const transport of ["tcp", "quic"]) {
    Deno.test(`a folder arrives over ${transport} on a link that ${about}`, async () => {
      const program = await findWanRun();
      if (program === undefined) {
        return console.log("skipped: there is no ../shared/tools/wan-run, or it may not run");
      }
      await using sandbox = await Sandbox.create();
      const source = sandbox.path("from/album");
      await sandbox.file("from/album/big", noise(4 * MIB));
      for (let i = 0; i < 50; i++) await sandbox.file(`from/album/small/${i}`, noise(100 * i, i));
      const into = await sandbox.folder("into");
      const [sender, receiver] = [await sandbox.person("sender"), await sandbox.person("receiver")];
      const common = ["--transport", transport];
      const left = as(sender, ["send", ...common, "--port", String(PORT), "--code", CODE, source]);
      const right = as(receiver, ["recv", ...common, "--yes", "--peer", `${LEFT}:${PORT}`, "-o", into, CODE]);
      const { code, stderr } = await new Deno.Command("timeout", {
        args: [
          ...["--kill-after=5", String(PATIENCE_MS / 1000), program],
          ...[...link, "--seed", "7", "--listen", String(PORT)],
          ...["--", ...left, "--", ...right],
        ],
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).output();
      assertEquals(code, 0, new TextDecoder().decode(stderr));
      await assertSameTree(`${into}/album`, source);
      assertEquals(await stagingFolders(into), []);
    });
  }
}

/** Gives the command line that runs `wormhole ARGS…` with the environment of `person` and nothing else. */
function as({ env }: Person, args: readonly string[]): string[] {
  // As people run it.
  const all = { ...env, WORMHOLE_RECONNECT: "10m" };
  return [
    "env",
    "-i",
    ...Object.entries(all).map(([name, value]) => `${name}=${value}`),
    ...wormholeCommand(),
    ...args,
  ];
}

async function findWanRun(): Promise<string | undefined> {
  const program = fromFileUrl(new URL("../../../../shared/tools/wan-run", import.meta.url));
  const stat = await Deno.stat(program).catch(() => undefined);
  return stat?.isFile && Deno.uid() === 0 ? program : undefined;
}

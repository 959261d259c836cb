/**
 * The one-file executable of `scripts/compile`, in an empty environment.
 *
 * It is compiled here when Deno's runtime is at hand (`DENORT_BIN`); `WORMHOLE_EXECUTABLE` names one that is
 * compiled already. With neither, the test is reported as ignored: the runtime's server may be out of reach.
 */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { fromFileUrl } from "../../src/base/paths.ts";
import { assertTransfers } from "./harness.ts";
import { Sandbox } from "./sandbox.ts";
import { assertSameTree, makeOddities } from "./trees.ts";

/** Aim of the project for the executable's size. */
const MAX_BYTES = 130_000_000;

const given = Deno.env.get("WORMHOLE_EXECUTABLE");

Deno.test({
  name: "the compiled executable sends and receives with neither Deno nor PATH",
  ignore: given === undefined && Deno.env.get("DENORT_BIN") === undefined,
  async fn() {
    await using sandbox = await Sandbox.create();
    const executable = given ?? await compile(sandbox.path("wormhole"));
    assertTrue((await Deno.stat(executable)).size <= MAX_BYTES);
    const source = await makeOddities(sandbox.path("tree"));
    const into = await sandbox.folder("into");
    const emptyFor = (name: string) => [
      "env",
      "-i",
      `HOME=${sandbox.path("people", name)}`,
      `XDG_RUNTIME_DIR=${sandbox.path("runtime/shared")}`,
      "PATH=",
    ];
    Deno.env.set("WORMHOLE_COMMAND", executable);
    try {
      await assertTransfers(sandbox, [source], into, {
        senderPrefix: emptyFor("sender"),
        receiverPrefix: emptyFor("receiver"),
      });
    } finally {
      Deno.env.delete("WORMHOLE_COMMAND");
    }
    await assertSameTree(`${into}/tree`, source);
    const unpacked = sandbox.path("people/receiver/.cache/wormhole/native");
    assertEquals((await Deno.stat(unpacked)).mode! & 0o777, 0o700);
  },
});

async function compile(output: string): Promise<string> {
  const script = fromFileUrl(new URL("../../scripts/compile", import.meta.url));
  const { success, stderr } = await new Deno.Command(script, { args: ["-o", output] }).output();
  assertTrue(success, new TextDecoder().decode(stderr));
  return output;
}

/**
 * The one-file executable of `scripts/compile`, in an empty environment.
 *
 * It is compiled here when Deno's runtime is at hand (`DENORT_BIN`); `WORMHOLE_EXECUTABLE` names one that is
 * compiled already. With neither, the test is reported as ignored: the runtime's server may be out of reach.
 */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { fromFileUrl } from "../../src/base/paths.ts";
import { type Ending, run } from "./command.ts";
import { assertTransfers } from "./harness.ts";
import { Sandbox } from "./sandbox.ts";
import { Machines } from "./sync_machines.ts";
import { assertSameTree, makeOddities } from "./trees.ts";

/** Aim of the project for the executable's size. */
const MAX_BYTES = 130_000_000;

const given = Deno.env.get("WORMHOLE_EXECUTABLE");

/** An executable, and an environment with nothing in it but a home. */
class Compiled implements AsyncDisposable {
  private constructor(readonly sandbox: Sandbox, readonly executable: string) {}

  static async create(): Promise<Compiled> {
    const sandbox = await Sandbox.create();
    try {
      executable ??= given === undefined
        ? compile(await Deno.makeTempFile({ prefix: "wormhole-" }))
        : Promise.resolve(given);
      Deno.env.set("WORMHOLE_COMMAND", await executable);
      return new Compiled(sandbox, await executable);
    } catch (error) {
      await sandbox[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What a command begins with so that `name` has nothing else. */
  emptyFor(name: string): string[] {
    const { sandbox } = this;
    const home = sandbox.path("people", name);
    return ["env", "-i", `HOME=${home}`, `XDG_RUNTIME_DIR=${sandbox.path("runtime/shared")}`, "PATH="];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Deno.env.delete("WORMHOLE_COMMAND");
    await this.sandbox[Symbol.asyncDispose]();
  }
}

/** Made once for all tests. */
let executable: Promise<string> | undefined;

Deno.test.afterAll(async () => {
  if (given === undefined && executable !== undefined) await Deno.remove(await executable);
});

const ignore = given === undefined && Deno.env.get("DENORT_BIN") === undefined;

Deno.test({
  name: "the compiled executable sends and receives with neither Deno nor PATH",
  ignore,
  async fn() {
    await using compiled = await Compiled.create();
    const { sandbox } = compiled;
    assertTrue((await Deno.stat(compiled.executable)).size <= MAX_BYTES);
    const source = await makeOddities(sandbox.path("tree"));
    const into = await sandbox.folder("into");
    await assertTransfers(sandbox, [source], into, {
      senderPrefix: compiled.emptyFor("sender"),
      receiverPrefix: compiled.emptyFor("receiver"),
    });
    await assertSameTree(`${into}/tree`, source);
    const unpacked = sandbox.path("people/receiver/.cache/wormhole/native");
    assertEquals((await Deno.stat(unpacked)).mode! & 0o777, 0o700);
  },
});

Deno.test({
  name: "the compiled executable copies, synchronizes, locks and runs jobs, by its own runtime",
  ignore,
  async fn() {
    await using compiled = await Compiled.create();
    const { sandbox } = compiled;
    const person = await sandbox.person("keeper");
    const wormhole = async (...args: string[]): Promise<Ending> => {
      const ended = await run(args, { person, cwd: sandbox.dir, prefix: compiled.emptyFor("keeper") });
      assertEquals(ended.code, 0, `${args}\n${ended.stderr}`);
      return ended;
    };
    const source = await makeOddities(sandbox.path("tree"));
    await wormhole("copy", source, sandbox.path("copied"));
    await assertSameTree(sandbox.path("copied"), source);
    const [a, b] = [await sandbox.folder("a"), await sandbox.folder("b")];
    await Deno.writeTextFile(`${a}/one`, "1");
    await wormhole("sync", a, b);
    await Deno.writeTextFile(`${b}/one`, "2, longer");
    await wormhole("job", "add", "notes", "sync", a, b);
    await wormhole("job", "run", "notes");
    assertEquals(await Deno.readTextFile(`${a}/one`), "2, longer");
    await wormhole("lock", `${a}/one`);
    assertTrue((await wormhole("lock", "list", "--json")).events.length > 0);
    await wormhole("store", "stats");
  },
});

Deno.test({
  name: "the compiled executable serves a known machine again and again",
  ignore,
  async fn() {
    await using _compiled = await Compiled.create();
    await using machines = await Machines.create();
    await machines.allow();
    await using _serving = await machines.serve();
    for (const text of ["1", "2, longer", "3, longer still"]) {
      await Deno.writeTextFile(`${machines.here}/one`, text);
      await machines.synced();
      assertEquals(await machines.trees(), Array(2).fill({ one: text }));
    }
  },
});

async function compile(output: string): Promise<string> {
  const script = fromFileUrl(new URL("../../scripts/compile", import.meta.url));
  const { success, stderr } = await new Deno.Command(script, { args: ["-o", output] }).output();
  assertTrue(success, new TextDecoder().decode(stderr));
  return output;
}

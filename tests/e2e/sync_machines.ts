/** Two machines that know each other and keep a folder of each the same, by the real commands. */
import { assertEquals } from "../../src/base/testing.ts";
import { type Ending, run, type Running, start } from "./command.ts";
import { type Person, Sandbox } from "./sandbox.ts";

/** Ann has the folder `here`, Ben serves `there`; they know each other. */
export class Machines implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();

  private constructor(readonly sandbox: Sandbox, readonly ann: Person, readonly ben: Person) {}

  static async create(): Promise<Machines> {
    const sandbox = await Sandbox.create();
    const people = [await sandbox.person("ann"), await sandbox.person("ben")] as const;
    const machines = new Machines(sandbox, ...people);
    machines.#stack.use(sandbox);
    for (const name of ["here", "there"]) await sandbox.folder(name);
    await using showing = start(["pair", "--json", "--yes", "--as", "ann", "ben"], { person: people[0] });
    const { code } = await showing.event("code");
    const typed = await run(["pair", "--json", "--yes", "--as", "ben", code, "ann"], { person: people[1] });
    assertEquals([typed.code, (await showing.ending()).code], [0, 0], typed.stderr);
    return machines;
  }

  get here(): string {
    return this.sandbox.path("here");
  }

  get there(): string {
    return this.sandbox.path("there");
  }

  async allow(): Promise<void> {
    const ended = await run(["peers", "rights", "--json", "ann", "--sync", this.there], { person: this.ben });
    assertEquals([ended.code, ended.events[0]!.sync], [0, [this.there]], ended.stderr);
  }

  async serve(): Promise<Running> {
    const serving = this.#stack.use(start(["sync", "serve", "--json"], { person: this.ben }));
    await serving.event("sync_serving");
    return serving;
  }

  sync(more: readonly string[] = []): Running {
    const args = ["sync", "--json", this.here, `ben:${this.there}`, ...more];
    return this.#stack.use(start(args, { person: this.ann }));
  }

  async synced(code = 0, more: readonly string[] = []): Promise<Ending> {
    const ended = await this.sync(more).ending();
    assertEquals(ended.code, code, `${ended.stderr}\n${new TextDecoder().decode(ended.stdout)}`);
    return ended;
  }

  /** Texts by path in both folders, without sync's own. */
  async trees(): Promise<Record<string, string>[]> {
    return await Promise.all([this.here, this.there].map(async (root) => {
      const tree: Record<string, string> = {};
      const walk = async (below: string): Promise<void> => {
        for await (const { name, isDirectory, isSymlink } of Deno.readDir(`${root}/${below}`)) {
          const path = below + name;
          if (path === ".wormhole-sync") continue;
          if (isDirectory) await walk(`${path}/`);
          else if (isSymlink) tree[path] = `-> ${await Deno.readLink(`${root}/${path}`)}`;
          else tree[path] = await Deno.readTextFile(`${root}/${path}`);
        }
      };
      await walk("");
      return Object.fromEntries(Object.entries(tree).sort());
    }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

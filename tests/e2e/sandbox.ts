/** Private folders for one test: on a tmpfs when there is one, gone afterwards. */

/** A folder of one test with the homes of the people in it. Dispose it to remove everything. */
export class Sandbox implements AsyncDisposable {
  /** Absolute path of the folder. */
  readonly dir: string;
  readonly #cleanups: (() => unknown)[] = [];

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** Makes an empty sandbox. */
  static async create(): Promise<Sandbox> {
    return new Sandbox(await Deno.makeTempDir({ dir: await memoryFolder(), prefix: "wormhole-test-" }));
  }

  /** Gives the path of `names` in the sandbox. */
  path(...names: string[]): string {
    return [this.dir, ...names].join("/");
  }

  /** Makes the folder `names` (and those above) and gives its path. */
  async folder(...names: string[]): Promise<string> {
    const path = this.path(...names);
    await Deno.mkdir(path, { recursive: true });
    return path;
  }

  /** Writes `content` to the file `name`, making the folders above, and gives its path. */
  async file(name: string, content: string | Uint8Array): Promise<string> {
    const path = this.path(name);
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    return path;
  }

  /** Calls `run` before the folder is removed; the last one first. */
  defer(run: () => unknown): void {
    this.#cleanups.push(run);
  }

  /**
   * Gives the environment of a person with an own home; people in one `runtime` share the folder
   * through which processes on one machine find each other.
   */
  async person(name: string, { runtime = "shared" }: { runtime?: string } = {}): Promise<Person> {
    const home = await this.folder("people", name);
    const env: Record<string, string> = {
      PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
      LANG: "C.UTF-8",
      HOME: home,
      XDG_CONFIG_HOME: `${home}/config`,
      XDG_DATA_HOME: `${home}/data`,
      XDG_STATE_HOME: `${home}/state`,
      XDG_CACHE_HOME: `${home}/cache`,
      XDG_RUNTIME_DIR: await this.folder("runtime", runtime),
      // A test that ends one side wants to see how the other ends; tests about reconnecting ask for it.
      WORMHOLE_RECONNECT: "0",
      ...passedOn(),
    };
    await Deno.chmod(env.XDG_RUNTIME_DIR!, 0o700);
    return { name, env };
  }

  /** Mounts a tmpfs of `bytes` at the folder `name`; undefined when this user may not mount. */
  async smallDisk(name: string, bytes: number): Promise<string | undefined> {
    const path = await this.folder(name);
    const options = `size=${bytes},mode=0755`;
    if (!await succeeds("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path])) return undefined;
    this.defer(() => succeeds("umount", ["-l", path]));
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const run of this.#cleanups.reverse()) await run();
    await succeeds("chmod", ["-R", "u+rwX", this.dir]);
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** Somebody who runs commands: the whole environment of their processes. */
export interface Person {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Runs `command` and tells whether it exited with 0; false as well when it cannot be started. */
export async function succeeds(command: string, args: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output();
    return success;
  } catch {
    return false;
  }
}

/** What the commands need of this process's environment: the download cache, the library, where coverage goes. */
function passedOn(): Record<string, string> {
  const kept: Record<string, string> = { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };
  const home = Deno.env.get("HOME") ?? "/";
  kept.DENO_DIR = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("XDG_CACHE_HOME") ?? `${home}/.cache`}/deno`;
  for (const name of ["WORMHOLE_LIBRARY", "DENO_TLS_CA_STORE", "WORMHOLE_DEBUG_IO", "DENO_COVERAGE_DIR"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

async function memoryFolder(): Promise<string | undefined> {
  if (Deno.env.get("WORMHOLE_TEST_DIR")) return Deno.env.get("WORMHOLE_TEST_DIR");
  try {
    return (await Deno.stat("/dev/shm")).isDirectory ? "/dev/shm" : undefined;
  } catch {
    return undefined;
  }
}

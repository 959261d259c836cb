/**
 * Other people's clients: the real magic-wormhole from PyPI with its own servers, and wormhole-william;
 * `scripts/bench-peers magic-wormhole wormhole-william` installs them.
 */
import { fromFileUrl } from "../../src/base/paths.ts";

const FOLDER = fromFileUrl(new URL("../../build/peers/magic-wormhole/bin", import.meta.url));

/** Path of the Python client, installed or not. */
export const PYTHON_CLIENT = `${FOLDER}/wormhole`;

/** Whether it is installed; the tests that need it are skipped without it. */
export const HAVE_MAGIC_WORMHOLE = ["wormhole", "twist"].every((program) => {
  try {
    return Deno.statSync(`${FOLDER}/${program}`).isFile;
  } catch {
    return false;
  }
});

/** Whether their transit relay is installed as well. */
export const HAVE_TRANSIT_RELAY = HAVE_MAGIC_WORMHOLE && (() => {
  const libraries = FOLDER.replace(/bin$/, "lib");
  return [...Deno.readDirSync(libraries)].some(({ name }) => {
    try {
      return Deno.statSync(`${libraries}/${name}/site-packages/wormhole_transit_relay`).isDirectory;
    } catch {
      return false;
    }
  });
})();

/** Path of wormhole-william: one of one's own in build/peers/bin, else the system's; undefined without one. */
export const WORMHOLE_WILLIAM = [
  FOLDER.replace("magic-wormhole/bin", "bin"),
  ...(Deno.env.get("PATH") ?? "").split(":"),
].map((folder) => `${folder}/wormhole-william`).find((path) => {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
});

/** Longest that a test waits for one thing. */
const PATIENCE_MS = 60_000;

/** Options of {@linkcode Peer}. */
export interface PeerOptions {
  readonly cwd: string;
  readonly stdin?: string;
  /** Put before the command. */
  readonly prefix?: readonly string[];
}

/** A running program of other people: of the Python environment, or by its absolute path. */
export class Peer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #title: string;
  readonly #done: Promise<number>;
  #said = "";
  #told = Promise.withResolvers<void>();

  constructor(program: string, args: readonly string[], { cwd, stdin, prefix = [] }: PeerOptions) {
    this.#title = `${program} ${args.join(" ")}`;
    const path = program.startsWith("/") ? program : `${FOLDER}/${program}`;
    const [first, ...rest] = [...prefix, path, ...args];
    this.#child = new Deno.Command(first!, {
      args: rest,
      cwd,
      env: { HOME: cwd, PYTHONUNBUFFERED: "1" },
      stdin: stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#done = this.#follow(stdin);
  }

  /** What it said on both outputs so far. */
  get said(): string {
    return this.#said;
  }

  /** Gives the first match of `pattern` in what it says, now or later. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const timer = setTimeout(() => this.#told.reject(this.#error(`never said ${pattern}`)), PATIENCE_MS);
    let ended = false;
    this.#done.then(() => {
      ended = true;
      this.#told.resolve();
    });
    try {
      for (;;) {
        const match = pattern.exec(this.#said);
        if (match) return match;
        if (ended) throw this.#error(`ended without ${pattern}`);
        await this.#told.promise;
        this.#told = Promise.withResolvers();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits for its end and gives the exit code. */
  async ending(): Promise<number> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(this.#error("did not end")), PATIENCE_MS);
    try {
      return await Promise.race([this.#done, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it ended by itself
    }
    await this.#done;
  }

  async #follow(stdin: string | undefined): Promise<number> {
    if (stdin !== undefined) {
      const writer = this.#child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(stdin));
      await writer.close();
    }
    const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) {
        this.#said += text;
        this.#told.resolve();
      }
    };
    const [, , { code }] = await Promise.all([
      read(this.#child.stdout),
      read(this.#child.stderr),
      this.#child.status,
    ]);
    return code;
  }

  #error(state: string): Error {
    return new Error(`${this.#title} ${state}:\n${this.#said.slice(-3000)}`);
  }
}

/** Where a server runs: on this machine unless told otherwise. */
export interface Spot {
  readonly address: string;
  /** Put before its command. */
  readonly prefix: readonly string[];
}

/** Their mailbox server, and what talks through it. */
export interface TheirServer extends AsyncDisposable {
  readonly url: string;
  /** Starts their `wormhole`. */
  wormhole(args: readonly string[], options?: { cwd?: string; helper?: string; stdin?: string }): Peer;
}

/** Starts their mailbox server in `folder`. */
export async function startTheirServer(
  folder: string,
  { address = "127.0.0.1", prefix = [] }: Partial<Spot> = {},
): Promise<TheirServer> {
  const server = new Peer("twist", ["wormhole-mailbox", "--port", `tcp:0:interface=${address}`], {
    cwd: folder,
    prefix,
  });
  try {
    const [, port] = await server.says(/Site starting on (\d+)/);
    const url = `ws://${address}:${port}/v1`;
    return {
      url,
      wormhole: (args, { cwd = folder, helper = "tcp:127.0.0.1:1", stdin } = {}) =>
        new Peer("wormhole", ["--relay-url", url, "--transit-helper", helper, ...args], {
          cwd,
          ...stdin !== undefined && { stdin },
        }),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** Starts their transit relay; gives its `host:port`. */
export async function startTheirRelay(
  folder: string,
  { address = "127.0.0.1", prefix = [], port: wanted = 0 }: Partial<Spot> & { port?: number } = {},
): Promise<{ place: string; peer: Peer }> {
  const at = `tcp:${wanted}:interface=${address}`;
  const peer = new Peer("twist", ["transitrelay", "--port", at], { cwd: folder, prefix });
  const [, port] = await peer.says(/(?:Transit|Factory|Server)\w* starting on (\d+)/);
  return { place: `${address}:${port}`, peer };
}

/** Wormhole itself, as a person runs it. */
import { ROOT } from "../machine.ts";
import { measured, type MeasuredOptions } from "../measured.ts";
import { output } from "../process.ts";
import { bothCosts, type Maker, type Tool } from "./tool.ts";

/** How one variant of ours is run. */
export interface Variant {
  readonly name: string;
  readonly send?: readonly string[];
  readonly recv?: readonly string[];
  /** Settings of both ends. */
  readonly env?: Readonly<Record<string, string>>;
  /** What both ends know of earlier moves stays. */
  readonly remembers?: boolean;
  /** Commands to run either end under, such as strace. */
  readonly under?: { readonly send: readonly string[]; readonly recv: readonly string[] };
}

/** Wormhole over TCP. */
export const TCP: Variant = { name: "wormhole", send: ["--transport", "tcp"] };

/** Wormhole over QUIC. */
export const QUIC: Variant = { name: "wormhole, QUIC", send: ["--transport", "quic"] };

/** The command that starts wormhole: `WORMHOLE_COMMAND`, by default this checkout. */
export function wormholeCommand(): string[] {
  const given = Deno.env.get("WORMHOLE_COMMAND");
  return given ? given.split(" ") : [`${ROOT}/scripts/wormhole`];
}

/** What `scripts/compile` made, which starts sooner than the checkout; `WORMHOLE_EXECUTABLE` names another place. */
export const ONE_FILE = Deno.env.get("WORMHOLE_EXECUTABLE") ?? `${ROOT}/build/wormhole`;

/** Runs `send`, and `recv` with the code as soon as it is shown. */
export function wormhole({ name, send = [], recv = [], env = {}, remembers = false, under }: Variant): Maker {
  return async ({ scratch }) => {
    const command = wormholeCommand();
    const settings = Object.entries(env).map(([key, value]) => `${key}=${value} `).join("");
    return {
      name,
      ours: true,
      note: `${settings}send ${[...send, ...recv].join(" ")}; recv starts when the code is shown`.replaceAll(
        "  ",
        " ",
      ),
      version: await output([...command, "version"]),
      async move(input, into) {
        const homes = new Homes(scratch);
        if (!remembers) await homes.clear(); // No hash cache from the run before.
        const { promise: code, resolve, reject } = Promise.withResolvers<string>();
        const onLine = (line: string) => {
          const event = line.startsWith("{") ? JSON.parse(line) : {};
          if (event.event === "code") resolve(event.code);
        };
        const both = async (who: string): Promise<MeasuredOptions> => ({
          scratch,
          env: { ...await homes.env(who), ...env },
          lines: true,
        });
        const sender = measured(
          [...under?.send ?? [], ...command, "send", "--json", ...send, input.path],
          { ...await both("sender"), onLine },
        );
        const sent = sender.cost();
        sent.catch(reject);
        const receive = [
          ...under?.recv ?? [],
          ...command,
          "recv",
          "--json",
          "--yes",
          ...recv,
          "-o",
          into,
          await code,
        ];
        return await bothCosts(sender, measured(receive, await both("receiver")), sent);
      },
    } satisfies Tool;
  };
}

/** Folders of two people on one machine. */
export class Homes {
  readonly #folder: string;

  constructor(scratch: string) {
    this.#folder = `${scratch}/homes`;
  }

  async clear(): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true }).catch(() => undefined);
  }

  /** Gives the environment of one of them; they share the runtime folder, where they find each other. */
  async env(who: string): Promise<Record<string, string>> {
    const home = `${this.#folder}/${who}`;
    await Deno.mkdir(home, { recursive: true });
    await Deno.mkdir(`${this.#folder}/run`, { recursive: true, mode: 0o700 });
    return {
      XDG_CONFIG_HOME: `${home}/config`,
      XDG_DATA_HOME: `${home}/data`,
      XDG_STATE_HOME: `${home}/state`,
      XDG_CACHE_HOME: `${home}/cache`,
      XDG_RUNTIME_DIR: `${this.#folder}/run`,
      // What scripts/bootstrap takes: another one would have it look at everything anew.
      DENO_DIR: Deno.env.get("DENO_DIR") ?? `${ROOT}/.deno/cache`,
    };
  }
}

/** Tools whose receiving end is a server that the sending end connects to. */
import type { Input } from "../inputs.ts";
import { type Cost, measured } from "../measured.ts";
import { freePort, listening } from "../process.ts";
import type { Maker, Move, Place, Tool } from "./tool.ts";

/** Where the server is to listen and the client finds it. */
export interface At {
  /** Address for both. */
  readonly host: string;
  readonly port: number;
}

/** The two commands of one move. */
export interface Ends {
  /** Writes into the folder; it listens at the port once it is ready. */
  readonly server: readonly string[];
  readonly client: readonly string[];
  /** The server ends by itself after the move, and only then all has been written. */
  readonly serverEnds?: boolean;
}

/** A tool with a server. */
export interface Served {
  readonly name: string;
  readonly note: string;
  readonly version: string;
  ends(input: Input, into: string, at: At): Promise<Ends>;
}

/** Prepares a {@linkcode Served}, or tells why it cannot run here. */
export type ServedMaker = (place: Place) => Promise<Served | { readonly missing: string }>;

/** Makes the tool that runs both ends on loopback; the server is started for each move, so that its cost is known. */
export function overLoopback(make: ServedMaker): Maker {
  return async (place) => {
    const served = await make(place);
    if ("missing" in served) return served;
    const { name, note, version } = served;
    return {
      name,
      note,
      version,
      async move(input, into) {
        const at = { host: "127.0.0.1", port: freePort() };
        return await moveBetween(await served.ends(input, into, at), { ...place, port: at.port });
      },
    } satisfies Tool;
  };
}

/** Wall time is the client's, unless the server ends by itself later. */
async function moveBetween(
  { server, client, serverEnds = false }: Ends,
  { scratch, port }: Place & { port: number },
): Promise<Move> {
  const running = measured(server, { scratch, server: !serverEnds });
  const serverCost = running.cost();
  serverCost.catch(() => {}); // The client's failure says more.
  let sender: Cost;
  try {
    await listening(port);
    sender = await measured(client, { scratch }).cost();
    if (serverEnds) return { sender, receiver: { ...await serverCost, start: sender.start } };
    await childrenEnded(running.child.pid);
  } finally {
    try {
      running.child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
  }
  return { sender, receiver: { ...await serverCost, start: sender.start, end: sender.end } };
}

/** Waits until the server has collected its children, one per connection: killed before, it would not count them. */
async function childrenEnded(wrapper: number): Promise<void> {
  const childrenOf = async (pid: string | number) =>
    (await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "")).trim();
  const server = await childrenOf(wrapper);
  for (let tries = 0; tries < 200; tries++) {
    if (await childrenOf(server) === "") return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

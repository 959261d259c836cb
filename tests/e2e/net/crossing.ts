/** One file sent by the real commands from one host of the emulated internet to another. */
import { type Ending, type Event, start } from "../command.ts";
import { accept, assertDone, offer, type RunningHub } from "../harness.ts";
import { Sandbox } from "../sandbox.ts";
import type { Host } from "./lab.ts";

/** How a transfer got through. */
export interface Crossing {
  /** How the last bytes came; `failed` when they did not. */
  readonly path: "direct" | "relay" | "failed";
  /** From the start of `recv` until it had something, in ms. */
  readonly firstByteMs: number;
  /** From the start of `recv` until all was there, in ms. */
  readonly totalMs: number;
  /** Each `transport path remote` in turn, as the receiver told. */
  readonly ways: readonly string[];
  /** What went wrong. */
  readonly error?: unknown;
}

/** Starts `wormhole hub` on a host that others can reach. */
export async function startHubOn(
  host: Host,
  sandbox: Sandbox,
  { port = 4000, args = [] }: { port?: number; args?: readonly string[] } = {},
): Promise<RunningHub> {
  const person = await sandbox.person("hub", { runtime: "of-hub" });
  const at = `${host.address.includes(":") ? `[${host.address}]` : host.address}:${port}`;
  const database = sandbox.path("hub.sqlite");
  const hub = start(["hub", "--json", "--listen", at, "--database", database, ...args], {
    person,
    prefix: host.prefix,
  });
  try {
    const { url } = await hub.event("listening");
    return { hub, url, [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose]() };
  } catch (error) {
    await hub[Symbol.asyncDispose]();
    throw error;
  }
}

/** Options of {@linkcode cross}. */
export interface CrossOptions {
  readonly from: Host;
  readonly to: Host;
  readonly hub: string;
  readonly content: Uint8Array;
  /** Further arguments of both commands. */
  readonly both?: readonly string[];
  /** Further environment of the sender. */
  readonly env?: Record<string, string>;
}

/** Sends and receives; whatever goes wrong is in what it gives. */
export async function cross({ from, to, hub, content, both = [], env }: CrossOptions): Promise<Crossing> {
  // Machines of their own: one machine has one key.
  await using sandbox = await Sandbox.create();
  let firstByteMs = NaN;
  const began = performance.now();
  let startMs = began;
  const ways: string[] = [];
  try {
    const path = await sandbox.file("from/file", content);
    const into = await sandbox.folder("into");
    await using offered = await offer(sandbox, [path], {
      meeting: { hub },
      send: both,
      senderPrefix: from.prefix,
      ...env && { env },
    });
    startMs = performance.now();
    await using receiver = accept(offered, into, { recv: ["--yes", ...both], receiverPrefix: to.prefix });
    receiver.event("progress", ({ bytes }) => bytes > 0).then(
      () => firstByteMs = performance.now() - startMs,
      () => {}, // How it ended tells.
    );
    const received = await receiver.ending();
    const totalMs = performance.now() - startMs;
    const told = peers(received);
    ways.push(...told.map(({ transport, path, remote }) => `${transport} ${path} ${remote}`));
    assertDone({ sender: await offered.sender.ending(), receiver: received });
    const arrived = await Deno.readFile(`${into}/file`);
    if (!arrived.every((byte, at) => byte === content[at])) throw new Error("the content is another");
    return { path: told.at(-1)!.path, firstByteMs, totalMs, ways };
  } catch (error) {
    return { path: "failed", firstByteMs, totalMs: performance.now() - startMs, ways, error };
  }
}

function peers({ events }: Ending): Event[] {
  return events.filter(({ event }) => event === "peer");
}

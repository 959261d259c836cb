/** Whole transfers by the real commands: somebody sends, somebody receives, in private homes. */
import { assertEquals } from "../../src/base/testing.ts";
import { type Ending, run, type Running, start, type StartOptions } from "./command.ts";
import type { Person, Sandbox } from "./sandbox.ts";

/** How the two find each other: by the shared runtime folder, by the sender's address, or by a hub's URL. */
export type Meeting = "local" | "peer" | { readonly hub: string };

/** Options of {@linkcode offer} and {@linkcode transfer}. */
export interface TransferOptions {
  /** Arguments of `send` after the paths. */
  send?: readonly string[];
  /** Arguments of `recv` after the code, without `-o`. */
  recv?: readonly string[];
  meeting?: Meeting;
  stdin?: Uint8Array;
  /** Who sends; another name is another machine. */
  sender?: string;
  /** Folder in which `send` runs. */
  cwd?: string;
  /** Further environment of `send`. */
  env?: Record<string, string>;
  senderPrefix?: readonly string[];
  receiverPrefix?: readonly string[];
}

/** A sender that waits for somebody with the code. */
export interface Offer extends AsyncDisposable {
  readonly sender: Running;
  readonly code: string;
  /** Arguments of `recv` that find this sender. */
  readonly find: readonly string[];
  readonly receiver: Person;
  readonly senderPerson: Person;
}

/** How both commands ended. */
export interface Transferred {
  readonly sender: Ending;
  readonly receiver: Ending;
}

/** Starts `send` with `what` (paths, `-`, `--text` and so on) and waits for its code. */
export async function offer(
  sandbox: Sandbox,
  what: readonly string[],
  options: TransferOptions = {},
): Promise<Offer> {
  const { meeting = "local" } = options;
  const shared = meeting === "local" ? "shared" : undefined;
  const senderPerson = await sandbox.person(options.sender ?? "sender", { runtime: shared ?? "of-sender" });
  const receiver = await sandbox.person("receiver", { runtime: shared ?? "of-receiver" });
  const hub = typeof meeting === "object" ? ["--hub", meeting.hub] : [];
  const port = meeting === "peer" ? freePort() : undefined;
  const listen = port === undefined ? [] : ["--port", String(port)];
  const sender = start(["send", "--json", ...hub, ...listen, ...options.send ?? [], ...what], {
    person: senderPerson,
    cwd: options.cwd,
    stdin: options.stdin,
    env: options.env,
    prefix: options.senderPrefix,
  });
  try {
    const { code } = await sender.event("code");
    const find = port === undefined ? hub : ["--peer", `127.0.0.1:${port}`];
    const dispose = () => sender[Symbol.asyncDispose]();
    return { sender, code, find, receiver, senderPerson, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await sender[Symbol.asyncDispose]();
    throw error;
  }
}

/** Starts `recv` for an offer, into `into`. */
export function accept(
  { code, find, receiver }: Offer,
  into: string,
  options: Pick<TransferOptions, "recv" | "receiverPrefix"> & Partial<StartOptions> = {},
): Running {
  const { recv = ["--yes"], receiverPrefix: prefix, ...rest } = options;
  return start(["recv", "--json", ...find, ...recv, "-o", into, code], { person: receiver, prefix, ...rest });
}

/** Sends `what` and receives it into `into`; gives how both ended. */
export async function transfer(
  sandbox: Sandbox,
  what: readonly string[],
  into: string,
  options: TransferOptions = {},
): Promise<Transferred> {
  await using offered = await offer(sandbox, what, options);
  await using receiving = accept(offered, into, options);
  return await bothEndings(offered.sender, receiving);
}

/** Waits for both ends; a failure of one to end tells also how the other did. */
async function bothEndings(sending: Running, receiving: Running): Promise<Transferred> {
  const [sender, receiver] = await Promise.allSettled([sending.ending(), receiving.ending()]);
  if (sender.status === "fulfilled" && receiver.status === "fulfilled") {
    return { sender: sender.value, receiver: receiver.value };
  }
  const told = [sender, receiver].map((end) =>
    end.status === "rejected"
      ? end.reason.message
      : `the other ended with ${end.value.code}: ${end.value.stderr}\n${lastEvents(end.value)}`
  );
  throw new Error(told.join("\n"));
}

/** Fails unless both ended with 0. */
export function assertDone({ sender, receiver }: Transferred): void {
  const words = `sender: ${sender.stderr}\nreceiver: ${receiver.stderr}\n${lastEvents(sender)}\n${
    lastEvents(receiver)
  }`;
  assertEquals([sender.code, receiver.code], [0, 0], words);
}

/** Sends and receives as {@linkcode transfer} and fails unless both ended with 0. */
export async function assertTransfers(
  sandbox: Sandbox,
  what: readonly string[],
  into: string,
  options: TransferOptions = {},
): Promise<Transferred> {
  const transferred = await transfer(sandbox, what, into, options);
  assertDone(transferred);
  return transferred;
}

/** Fails unless `ending` has `code` and says something on standard error or in an error event. */
export function assertFailed(ending: Ending, code: number | readonly number[], words?: RegExp): void {
  const codes = typeof code === "number" ? [code] : code;
  const said = `${ending.stderr}\n${lastEvents(ending)}`;
  if (!codes.includes(ending.code)) assertEquals(ending.code, codes[0]!, said);
  if (!/\w/.test(ending.stderr) && !ending.events.some(({ event }) => event === "error")) {
    throw new Error(`exit code ${ending.code} without a word`);
  }
  if (words && !words.test(said)) throw new Error(`no ${words} in: ${said}`);
}

/** A running hub; dispose it to end it. */
export interface RunningHub extends AsyncDisposable {
  readonly hub: Running;
  readonly url: string;
}

/** Starts `wormhole hub` on a free port of this machine. */
export async function startHub(sandbox: Sandbox, args: readonly string[] = []): Promise<RunningHub> {
  const person = await sandbox.person("hub", { runtime: "of-hub" });
  const database = sandbox.path("hub.sqlite");
  const hub = start(["hub", "--json", "--listen", "127.0.0.1:0", "--database", database, ...args], {
    person,
  });
  try {
    const { url } = await hub.event("listening");
    return { hub, url, [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose]() };
  } catch (error) {
    await hub[Symbol.asyncDispose]();
    throw error;
  }
}

/** Gives arguments of `send` with which {@linkcode slowToPack} content takes a second for each 4 MiB, so that tests find it under way. */
export const SLOWLY = ["--compress", "always", "--compression-level", "12", "--streams", "1"] as const;

/** Gives a TCP port that was free just now; for what must be told a port and cannot say one itself. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

function lastEvents({ events }: Ending): string {
  return events.slice(-4).map((event) => JSON.stringify(event)).join("\n");
}

export { type Ending, run, start };
export { Sandbox } from "./sandbox.ts";

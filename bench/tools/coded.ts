/** Other tools that move files by a code or ticket, peer to peer. */
import { PEERS } from "../machine.ts";
import { measured, type MeasuredOptions } from "../measured.ts";
import { found, freePort, listening, output } from "../process.ts";
import { bothCosts, type Maker, type Tool } from "./tool.ts";

/** croc, with a relay of its own; the relay's work is not in the numbers. */
export const croc: Maker = async ({ scratch }) => {
  const program = await found("croc", `${PEERS}/bin/croc`);
  if (!program) return { missing: "croc is not installed (scripts/bench-peers)" };
  const ports = Array.from({ length: 5 }, freePort);
  const home = `${scratch}/croc`;
  await Deno.mkdir(home, { recursive: true });
  const env = { HOME: home, CROC_CONFIG_DIR: home };
  const relay = serve([program, "relay", "--host", "127.0.0.1", "--ports", ports.join(",")], { env });
  await listening(ports[0]!);
  let round = 0;
  return {
    name: "croc",
    note:
      "croc send and croc, both started at once with one code, over a croc relay on loopback (its CPU not counted)",
    version: await output([program, "--version"]),
    async move({ path }, into) {
      const secret = `bench-${Deno.pid}-${++round}-wormhole-code`;
      const relayed = ["--relay", `127.0.0.1:${ports[0]}`];
      const options: MeasuredOptions = { scratch, env: { ...env, CROC_SECRET: secret } };
      const sender = measured([program, "--yes", ...relayed, "send", "--no-local", path], options);
      const receiver = measured([program, "--yes", "--overwrite", ...relayed, "--out", into], {
        ...options,
        cwd: into,
      });
      return await bothCosts(sender, receiver);
    },
    [Symbol.asyncDispose]: relay.end,
  } satisfies Tool;
};

/** Magic Wormhole's Python program, with a mailbox server of its own; the server's work is not in the numbers. */
export const magicWormhole: Maker = async ({ scratch }) => {
  const folder = `${PEERS}/magic-wormhole/bin`;
  const [program, twist] = [await found(`${folder}/wormhole`), await found(`${folder}/twist`)];
  if (!program || !twist) return { missing: "magic-wormhole is not installed (scripts/bench-peers)" };
  const port = freePort();
  const home = `${scratch}/magic-wormhole`;
  await Deno.mkdir(home, { recursive: true });
  const mailbox = [
    "wormhole-mailbox",
    `--port=tcp:${port}:interface=127.0.0.1`,
    `--channel-db=${home}/relay.sqlite`,
  ];
  const server = serve([twist, ...mailbox], { env: { HOME: home }, cwd: home });
  await listening(port);
  let round = 0;
  return {
    name: "magic-wormhole",
    note:
      "wormhole send and receive of Python, both started at once with one code, over a mailbox server on " +
      "loopback (its CPU not counted), directly connected",
    version: await output([program, "--version"]),
    async move({ path }, into) {
      const code = `${++round}-bench-code`;
      const all = ["--relay-url", `ws://127.0.0.1:${port}/v1`, "--transit-helper", ""];
      const options: MeasuredOptions = { scratch, env: { HOME: home }, cwd: into };
      const sender = measured([program, ...all, "send", "--hide-progress", "--code", code, path], options);
      const receive = [program, ...all, "receive", "--hide-progress", "--accept-file", code];
      return await bothCosts(sender, measured(receive, options));
    },
    [Symbol.asyncDispose]: server.end,
  } satisfies Tool;
};

/** sendme, directly, without relays. */
export const sendme: Maker = async ({ scratch }) => {
  const program = await found("sendme", `${PEERS}/bin/sendme`);
  if (!program) return { missing: "sendme is not installed (scripts/bench-peers)" };
  return {
    name: "sendme",
    note:
      "sendme send, then sendme receive with the ticket, relays disabled; the sender is ended after the move",
    version: await output([program, "--version"]),
    async move({ path }, into) {
      const work = await Deno.makeTempDir({ dir: scratch, prefix: "sendme-" });
      const { promise: ticket, resolve, reject } = Promise.withResolvers<string>();
      const onLine = (line: string) => {
        const found = line.match(/\bblob[a-z0-9]{20,}/);
        if (found) resolve(found[0]);
      };
      const options: MeasuredOptions = { scratch, cwd: work, onLine };
      const sender = measured([program, "send", "--relay", "disabled", path], { ...options, server: true });
      const sent = sender.cost();
      sent.then(() => reject(new Error("sendme send ended before it gave a ticket")), reject);
      try {
        const receive = [program, "receive", "--relay", "disabled", await ticket];
        const receiver = await measured(receive, { scratch, cwd: into }).cost();
        sender.child.kill("SIGINT");
        return { sender: { ...await sent, end: receiver.end }, receiver };
      } finally {
        await Deno.remove(work, { recursive: true });
      }
    },
  } satisfies Tool;
};

function serve(
  command: readonly string[],
  { env, cwd }: { env: Record<string, string>; cwd?: string },
): { end(): Promise<void> } {
  const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
  const child = new Deno.Command(command[0]!, { args: command.slice(1), env, ...cwd && { cwd }, ...streams })
    .spawn();
  return {
    async end() {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

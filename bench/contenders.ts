/** The tools that are measured: each moves a job's path into a folder by whole commands. */
import { fromFileUrl } from "../src/base/paths.ts";
import type { Job } from "./jobs.ts";
import { type Cost, type Measured, measured, type MeasuredOptions } from "./measured.ts";

/** What both ends of one move cost; the receiver is absent for tools with one process. */
export interface Move {
  readonly sender: Cost;
  readonly receiver?: Cost;
}

/** Where a tool may write while it runs. */
export interface Place {
  /** Folder for homes, logs and results. */
  readonly scratch: string;
}

/** One tool that is ready to run. */
export interface Contender extends AsyncDisposable {
  readonly name: string;
  /** How it was run, and what its numbers do not contain. */
  readonly note: string;
  /** Version as the tool says it. */
  readonly version: string;
  /** Moves `job.path` into the empty folder `into`. */
  move(job: Job, into: string): Promise<Move>;
}

/** Makes a contender, or tells why it cannot run here. */
export type Maker = (place: Place) => Promise<Contender | { readonly missing: string }>;

const ROOT = fromFileUrl(new URL("..", import.meta.url)).replace(/\/$/, "");

/** Every tool, in the order of the table. */
export const CONTENDERS: Readonly<Record<string, Maker>> = {
  "wormhole": (place) => wormhole(place, "wormhole", ["--transport", "tcp"]),
  "wormhole-quic": (place) => wormhole(place, "wormhole, QUIC", ["--transport", "quic"]),
  "cp": copy,
  "croc": croc,
  "rsync": rsync,
  "scp": scp,
};

/** Runs wormhole as a person would: `send`, and `recv` with the code as soon as it is shown. */
async function wormhole(place: Place, name: string, args: readonly string[]): Promise<Contender> {
  const given = Deno.env.get("WORMHOLE_COMMAND");
  const command = given ? given.split(" ") : [`${ROOT}/scripts/wormhole`];
  const homes = `${place.scratch}/${name.replaceAll(/\W+/g, "-")}`;
  const env = async (who: string) => {
    const home = `${homes}/${who}`;
    await Deno.mkdir(home, { recursive: true });
    await Deno.mkdir(`${homes}/run`, { recursive: true, mode: 0o700 });
    return {
      XDG_CONFIG_HOME: `${home}/config`,
      XDG_DATA_HOME: `${home}/data`,
      XDG_STATE_HOME: `${home}/state`,
      XDG_CACHE_HOME: `${home}/cache`,
      XDG_RUNTIME_DIR: `${homes}/run`,
      DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
    };
  };
  return {
    name,
    note: `send ${args.join(" ")}; recv starts when the code is shown`,
    version: await output([...command, "version"]),
    async move(job, into) {
      await Deno.remove(homes, { recursive: true }).catch(() => undefined); // no hash cache from the run before
      const { promise: code, resolve, reject } = Promise.withResolvers<string>();
      const onLine = (line: string) => {
        const event = line.startsWith("{") ? JSON.parse(line) : {};
        if (event.event === "code") resolve(event.code);
      };
      const scratch = place.scratch;
      const sender = measured([...command, "send", "--json", ...args, job.path], {
        scratch,
        env: await env("sender"),
        onLine,
      });
      const sent = sender.cost();
      sent.catch(reject);
      const receive = [...command, "recv", "--json", "--yes", "-o", into, await code];
      const receiver = measured(receive, { scratch, env: await env("receiver") });
      return await bothCosts(sender, receiver, sent);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function copy({ scratch }: Place): Promise<Contender> {
  return {
    name: "cp -r",
    note: "one process, no network, no encryption, no check: the floor",
    version: (await output(["cp", "--version"])).split("\n")[0]!,
    async move(job, into) {
      return { sender: await measured(["cp", "-r", "--reflink=never", job.path, into], { scratch }).cost() };
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Runs croc with a relay of its own on loopback; the relay's work is not in the numbers. */
async function croc({ scratch }: Place): Promise<Contender | { missing: string }> {
  const program = await found("croc", `${ROOT}/build/peers/bin/croc`);
  if (!program) return { missing: "croc is not installed (scripts/bench-peers)" };
  const ports = Array.from({ length: 5 }, freePort);
  const home = `${scratch}/croc`;
  await Deno.mkdir(home, { recursive: true });
  const env = { HOME: home, CROC_CONFIG_DIR: home };
  const relay = new Deno.Command(program, {
    args: ["relay", "--host", "127.0.0.1", "--ports", ports.join(",")],
    env,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await listening(ports[0]!);
  let round = 0;
  return {
    name: "croc",
    note:
      "croc send and croc, both started at once with one code, over a croc relay on loopback (its CPU not counted)",
    version: await output([program, "--version"]),
    async move(job, into) {
      const secret = `bench-${Deno.pid}-${++round}-wormhole-code`;
      const relayed = ["--relay", `127.0.0.1:${ports[0]}`];
      const options: MeasuredOptions = { scratch, env: { ...env, CROC_SECRET: secret } };
      const send = [program, "--yes", ...relayed, "send", "--no-local", job.path];
      const receive = [program, "--yes", ...relayed, "--out", into];
      const sender = measured(send, options);
      const receiver = measured(receive, { ...options, cwd: into });
      return await bothCosts(sender, receiver);
    },
    async [Symbol.asyncDispose]() {
      relay.kill("SIGKILL");
      await relay.status;
    },
  };
}

/** Runs rsync against a daemon on loopback, which is started for each move so that its cost is known. */
async function rsync({ scratch }: Place): Promise<Contender | { missing: string }> {
  const program = await found("rsync");
  if (!program) return { missing: "rsync is not installed (scripts/bench-peers)" };
  return {
    name: "rsync",
    note: "rsync -r --times --perms --links --whole-file to an rsync daemon: no encryption, no compression",
    version: (await output([program, "--version"])).split("\n")[0]!,
    async move(job, into) {
      const port = freePort();
      const config = `${scratch}/rsyncd.conf`;
      const owner = Deno.uid() === 0 ? "uid = 0\ngid = 0\n" : "";
      await Deno.writeTextFile(config, `use chroot = no\n${owner}[into]\npath = ${into}\nread only = no\n`);
      const serve = [
        "--daemon",
        "--no-detach",
        "--address=127.0.0.1",
        `--port=${port}`,
        `--config=${config}`,
      ];
      const options = ["-r", "--times", "--perms", "--links", "--whole-file"];
      const target = `rsync://127.0.0.1:${port}/into/`;
      return await moveToServer([program, ...serve], [program, ...options, job.path, target], {
        scratch,
        port,
      });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Runs scp against an sshd of its own with throw-away keys on a free port of loopback. */
async function scp({ scratch }: Place): Promise<Contender | { missing: string }> {
  const [program, server] = [await found("scp"), await found("sshd", "/usr/sbin/sshd")];
  if (!program || !server) return { missing: "scp and sshd are not both installed (scripts/bench-peers)" };
  const home = `${scratch}/ssh`;
  await Deno.mkdir(home, { recursive: true, mode: 0o700 });
  for (const key of ["host", "user"]) {
    await output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", `${home}/${key}`]);
  }
  const user = await output(["id", "-un"]);
  await Deno.copyFile(`${home}/user.pub`, `${home}/authorized`);
  await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 }).catch(() => undefined);
  const settings = {
    ListenAddress: "127.0.0.1",
    HostKey: `${home}/host`,
    AuthorizedKeysFile: `${home}/authorized`,
    PidFile: `${home}/pid`,
    StrictModes: "no",
    UsePAM: "no",
    PermitRootLogin: "prohibit-password",
    Subsystem: "sftp internal-sftp",
  };
  const config = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`).join("");
  await Deno.writeTextFile(`${home}/sshd_config`, config);
  return {
    name: "scp",
    note: "scp -r -p to an sshd on loopback with OpenSSH's default cipher",
    version: await output(["ssh", "-V"], "stderr"),
    async move(job, into) {
      const port = freePort();
      const trust = [
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        `UserKnownHostsFile=${home}/known`,
        "-o",
        "LogLevel=ERROR",
      ];
      const command = [program, "-r", "-p", "-P", String(port), "-i", `${home}/user`, ...trust, job.path];
      const serve = [server, "-D", "-f", `${home}/sshd_config`, "-p", String(port), "-E", `${home}/sshd.log`];
      return await moveToServer(serve, [...command, `${user}@127.0.0.1:${into}/`], { scratch, port });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Runs a client against a server that is started for this one move, so that its cost is known; wall time is the client's. */
async function moveToServer(
  serve: readonly string[],
  client: readonly string[],
  { scratch, port }: { scratch: string; port: number },
): Promise<Move> {
  const server = measured(serve, { scratch, server: true });
  const serverCost = server.cost();
  let sender: Cost;
  try {
    await listening(port);
    sender = await measured(client, { scratch }).cost();
  } finally {
    server.child.kill("SIGTERM");
  }
  return { sender, receiver: { ...await serverCost, start: sender.start, end: sender.end } };
}

/** Waits for both ends; when one fails, the other is ended too. */
async function bothCosts(
  sender: Measured,
  receiver: Measured,
  sent: Promise<Cost> = sender.cost(),
): Promise<Move> {
  try {
    const [senderCost, receiverCost] = await Promise.all([sent, receiver.cost()]);
    return { sender: senderCost, receiver: receiverCost };
  } catch (error) {
    for (const { child } of [sender, receiver]) {
      try {
        child.kill("SIGTERM");
      } catch {
        // it has ended
      }
    }
    throw error;
  }
}

async function found(...names: string[]): Promise<string | undefined> {
  for (const name of names) {
    const script = 'command -v -- "$1"';
    const { success, stdout } = await new Deno.Command("sh", { args: ["-c", script, "sh", name] }).output();
    if (success) return new TextDecoder().decode(stdout).trim();
  }
  return undefined;
}

async function output(command: readonly string[], stream: "stdout" | "stderr" = "stdout"): Promise<string> {
  const ended = await new Deno.Command(command[0]!, { args: command.slice(1) }).output();
  if (!ended.success) throw new Error(`${command.join(" ")}: ${new TextDecoder().decode(ended.stderr)}`);
  return new TextDecoder().decode(ended[stream]).trim();
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

/** Waits until something accepts connections at `port` of loopback. */
async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
  throw new Error(`nothing listens at port ${port}`);
}

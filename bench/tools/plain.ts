/** Tools without encryption: the floors that ours is compared with. */
import { measured } from "../measured.ts";
import { found, output } from "../process.ts";
import type { Served, ServedMaker } from "./served.ts";
import type { Maker } from "./tool.ts";

/** `cp`. */
export const copy: Maker = async ({ scratch }) => ({
  name: "cp -r",
  note: "one process, no network, no encryption, no check",
  version: (await output(["cp", "--version"])).split("\n")[0]!,
  async move(input, into) {
    return { sender: await measured(["cp", "-r", "--reflink=never", input.path, into], { scratch }).cost() };
  },
});

/** rsync against a daemon, whole files. */
export const rsyncDaemon: ServedMaker = rsyncWith("rsync daemon", ["--whole-file"]);

/** rsync against a daemon, sending only what an older version does not have, and keeping what broke off. */
export const rsyncDelta: ServedMaker = rsyncWith("rsync daemon, delta", ["--no-whole-file", "--partial"]);

function rsyncWith(name: string, more: readonly string[]): ServedMaker {
  return async (place) => {
    const program = await found("rsync");
    if (!program) return { missing: "rsync is not installed (scripts/bench-peers)" };
    return await servedRsync({ program, name, more, ...place });
  };
}

async function servedRsync(
  { program, name, more, scratch }: {
    program: string;
    name: string;
    more: readonly string[];
    scratch: string;
  },
): Promise<Served> {
  return {
    name,
    note: `rsync -r --times --perms --links ${
      more.join(" ")
    } to an rsync daemon: no encryption, no compression`,
    version: (await output([program, "--version"])).split("\n")[0]!,
    async ends(input, into, { host, port }) {
      const config = `${scratch}/rsyncd.conf`;
      const owner = Deno.uid() === 0 ? "uid = 0\ngid = 0\n" : "";
      await Deno.writeTextFile(
        config,
        `use chroot = no\n${owner}[into]\npath = ${into}\nread only = no\nreverse lookup = no\n`,
      );
      const daemon = ["--daemon", "--no-detach", `--address=${host}`, `--port=${port}`, `--config=${config}`];
      const options = ["-r", "--times", "--perms", "--links", ...more];
      return {
        server: [program, ...daemon],
        client: [program, ...options, input.path, `rsync://${host}:${port}/into/`],
      };
    },
  } satisfies Served;
}

/** A tar through a bare TCP connection. */
export const tarOverNc: ServedMaker = async () => {
  const [tar, nc] = [await found("tar"), await found("nc.openbsd", "nc")];
  if (!tar || !nc) return { missing: "tar and nc are not both installed (scripts/bench-peers)" };
  return {
    name: "tar, nc, tar",
    note: "tar c | nc -N HOST PORT and nc -l PORT | tar x: no encryption, no check",
    version: (await output([tar, "--version"])).split("\n")[0]!,
    ends({ path }, into, { host, port }) {
      const slash = path.lastIndexOf("/");
      const send = ["sh", "-c", 'tar c -C "$1" "$2" | "$3" -N "$4" "$5"', "sh"];
      const receive = ["sh", "-c", '"$1" -l "$2" "$3" | tar x -C "$4"', "sh"];
      return Promise.resolve({
        server: [...receive, nc, host, String(port), into],
        client: [...send, path.slice(0, slash), path.slice(slash + 1), nc, host, String(port)],
        serverEnds: true,
      });
    },
  } satisfies Served;
};

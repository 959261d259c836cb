/** Tools over SSH: each against an sshd of its own with throw-away keys. */
import { found, output } from "../process.ts";
import type { At, Ends, Served, ServedMaker } from "./served.ts";
import type { Place } from "./tool.ts";

/** scp. */
export const scp: ServedMaker = overSsh("scp", "scp", {
  note: "scp -r -p to an sshd with OpenSSH's default cipher",
  client: (program, { path }, target) => [
    program,
    "-r",
    "-p",
    "-P",
    String(target.port),
    ...target.options,
    path,
    `${target.user}@${target.host}:${target.into}/`,
  ],
});

/** rsync over ssh. */
export const rsyncOverSsh: ServedMaker = overSsh("rsync", "rsync, ssh", {
  note:
    "rsync -r --times --perms --links --whole-file through ssh with OpenSSH's default cipher, no compression",
  client: (program, { path }, target) => [
    program,
    "-r",
    "--times",
    "--perms",
    "--links",
    "--whole-file",
    "-e",
    `ssh -p ${target.port} ${target.options.join(" ")}`,
    path,
    `${target.user}@${target.host}:${target.into}/`,
  ],
});

/** rclone over sftp. */
export const rclone: ServedMaker = overSsh("rclone", "rclone, sftp", {
  note:
    "rclone copy to an sshd's sftp, 4 transfers at a time, no check of hashes (sftp has none without a shell)",
  client: (program, { path, files }, target) => {
    const remote =
      `:sftp,host=${target.host},port=${target.port},user=${target.user},key_file=${target.key}:`;
    const name = path.slice(path.lastIndexOf("/") + 1);
    // rclone copies what is in a folder, not the folder.
    const into = files > 1 ? `${target.into}/${name}` : target.into;
    return [program, "copy", "--config", "/dev/null", "--sftp-disable-hashcheck", path, `${remote}${into}`];
  },
});

interface Target extends At {
  readonly user: string;
  readonly into: string;
  /** File of the private key. */
  readonly key: string;
  /** Options of ssh and scp that make them trust the server. */
  readonly options: readonly string[];
}

function overSsh(
  program: string,
  name: string,
  { note, client }: {
    note: string;
    client(program: string, input: Parameters<Served["ends"]>[0], target: Target): readonly string[];
  },
): ServedMaker {
  return async (place) => {
    const [tool, server] = [await found(program), await found("sshd", "/usr/sbin/sshd")];
    if (!tool || !server) {
      return { missing: `${program} and sshd are not both installed (scripts/bench-peers)` };
    }
    const home = await prepareSsh(place);
    const user = await output(["id", "-un"]);
    return {
      name,
      note,
      version: program === "scp"
        ? await output(["ssh", "-V"], { stream: "stderr" })
        : (await output([tool, program === "rclone" ? "version" : "--version"])).split("\n")[0]!,
      ends(input, into, at): Promise<Ends> {
        const trust = ["StrictHostKeyChecking=no", `UserKnownHostsFile=${home}/known`, "LogLevel=ERROR"];
        const options = ["-i", `${home}/user`, ...trust.flatMap((option) => ["-o", option])];
        const listen = ["-o", `ListenAddress=${at.host}`, "-p", String(at.port), "-E", `${home}/sshd.log`];
        return Promise.resolve({
          server: [server, "-D", "-f", `${home}/sshd_config`, ...listen],
          client: client(tool, input, { ...at, user, into, key: `${home}/user`, options }),
        });
      },
    };
  };
}

/** Makes keys and settings, once per scratch folder. */
async function prepareSsh({ scratch }: Place): Promise<string> {
  const home = `${scratch}/ssh`;
  if (await Deno.stat(home).catch(() => undefined)) return home;
  await Deno.mkdir(home, { recursive: true, mode: 0o700 });
  for (const key of ["host", "user"]) {
    await output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", `${home}/${key}`]);
  }
  await Deno.copyFile(`${home}/user.pub`, `${home}/authorized`);
  await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 }).catch(() => undefined);
  const settings = {
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
  return home;
}

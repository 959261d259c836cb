/** Programs that keep a folder here and one at another machine the same, each between two homes in one network of its own. */
import { type Cost, measured } from "../measured.ts";
import type { OwnNetwork } from "../own_network.ts";
import { fromFileUrl } from "../../src/base/paths.ts";
import { output } from "../process.ts";
import { Watched } from "../watched.ts";
import { Homes, ONE_FILE, wormholeCommand } from "./wormhole.ts";

/** The two folders and what is beside them. */
export interface Ends {
  readonly here: string;
  readonly there: string;
  /** Folder for homes, logs and results. */
  readonly scratch: string;
  readonly network: OwnNetwork;
}

/** Both ends, ready for runs. */
export interface SyncPair extends AsyncDisposable {
  /** What goes on running at the other end, and at this one where that is no command. */
  readonly there: Watched;
  readonly here?: Watched;
  /** Whether memory of `there` is that of the work: not where each connection has a process of its own. */
  readonly hasPeak?: boolean;
  /** Makes both the same. `first`: they never were. */
  sync(options: { first: boolean }): Promise<Cost>;
}

/** One program. */
export interface PeerSyncer {
  readonly name: string;
  readonly note: string;
  readonly ours?: boolean;
  readonly program: string;
  /** Arguments of the program for its version. */
  readonly version: readonly string[];
  open(ends: Ends): Promise<SyncPair>;
}

/** The next TCP port of the network of their own, in which nobody else is. */
let nextPort = 8970;

/** Names that no program shall copy: each may leave a folder of its own. */
const OWN = [".wormhole-sync", ".stfolder"];

/** What is compared, in the order of the tables. */
export const PEER_SYNCERS: readonly PeerSyncer[] = [
  {
    name: "wormhole",
    note:
      "`wormhole sync FOLDER NAME:` to `wormhole sync serve`: two-way-safe, over TLS 1.3; start-up of Deno, finding the " +
      "other machine and handshakes included",
    ours: true,
    program: wormholeCommand()[0]!,
    version: [...wormholeCommand().slice(1), "version"],
    open: (ends) => openWormhole(ends, wormholeCommand()),
  },
  {
    name: "wormhole, one file",
    note: "the same by the executable that `scripts/compile` makes, at both ends",
    ours: true,
    program: ONE_FILE,
    version: ["version"],
    open: (ends) => openWormhole(ends, [ONE_FILE]),
  },
  {
    name: "unison",
    note:
      "`unison -batch -silent` to `unison -socket`: two-way, not encrypted; its fast check trusts size, time and inode",
    program: "unison",
    version: ["-version"],
    open: openUnison,
  },
  {
    name: "rclone bisync",
    note:
      "`rclone bisync` to `rclone serve sftp`, after a first run with `--resync`: two-way, compares sizes and times, whole " +
      "files",
    program: "rclone",
    version: ["version"],
    open: openRclone,
  },
  {
    name: "syncthing",
    note:
      "two daemons that run already, watching off: from asking both for a scan (REST) until both say that nothing is needed; " +
      "two-way, encrypted; no start-up and no connecting in it",
    program: "syncthing",
    version: ["--version"],
    open: openSyncthing,
  },
  {
    name: "rsync",
    note:
      "`rsync -a --delete` to a daemon: one way only, without a memory and not encrypted; what looking at everything costs at " +
      "the least",
    program: "rsync",
    version: ["--version"],
    open: openRsync,
  },
];

async function openWormhole(
  { here, there, scratch, network }: Ends,
  wormhole: readonly string[],
): Promise<SyncPair> {
  const homes = new Homes(scratch);
  const command = (words: readonly string[]) => network.command([...wormhole, ...words]);
  const [ann, ben] = [await homes.env("ann"), await homes.env("ben")];
  let code = (_: string) => {};
  const shown = new Promise<string>((resolve) => code = resolve);
  const pairing = measured(command(["pair", "--json", "--yes", "--as", "ann", "ben"]), {
    scratch,
    env: ann,
    onLine: (line) => line.includes('"code"') && code(JSON.parse(line).code),
  });
  const paired = pairing.cost();
  await output(command(["pair", "--json", "--yes", "--as", "ben", await shown, "ann"]), { env: ben });
  await paired;
  await output(command(["peers", "rights", "ann", "--sync", there]), { env: ben });
  const log = `${scratch}/serve.log`;
  const server = Watched.start(command(["sync", "serve", "--json"]), { env: ben, log });
  while (!(await Deno.readTextFile(log).catch(() => "")).includes("sync_serving")) await pause(20);
  await pause(1000);
  return {
    there: server,
    hasPeak: true,
    sync: () =>
      measured(command(["sync", "--quiet", "--max-delete", "100%", here, "ben:"]), { scratch, env: ann })
        .cost(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function openUnison({ here, there, scratch, network }: Ends): Promise<SyncPair> {
  const port = nextPort++;
  const env = { HOME: scratch, UNISON: `${scratch}/unison` };
  await Deno.mkdir(env.UNISON, { recursive: true });
  const server = Watched.start(network.command(["unison", "-socket", String(port)]), {
    env,
    log: `${scratch}/serve.log`,
  });
  await network.listening(port);
  const target = `socket://127.0.0.1:${port}/${there}`;
  const ignored = OWN.flatMap((name) => ["-ignore", `Name ${name}`]);
  const words = ["unison", here, target, "-batch", "-silent", "-confirmbigdel=false", ...ignored];
  return {
    there: server,
    hasPeak: true,
    sync: () => measured(network.command(words), { scratch, env }).cost(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function openRclone({ here, there, scratch, network }: Ends): Promise<SyncPair> {
  const port = nextPort++;
  const env = { HOME: scratch, RCLONE_CONFIG: "/dev/null" };
  const server = Watched.start(
    network.command([
      ...[
        "rclone",
        "serve",
        "sftp",
        there,
        "--user=bench",
        "--pass=bench",
        "--addr",
        `127.0.0.1:${port}`,
        "--dir-cache-time",
        "0",
      ],
    ]),
    { env, log: `${scratch}/serve.log` },
  );
  await network.listening(port);
  const password = await output(["rclone", "obscure", "bench"]);
  const target = `:sftp,host=127.0.0.1,port=${port},user=bench,pass=${password},disable_hashcheck=true:/`;
  const words = ["rclone", "bisync", here, target, "--quiet", "--force", "--workdir", `${scratch}/bisync`];
  return {
    there: server,
    hasPeak: true,
    sync: ({ first }) =>
      measured(network.command([...words, ...first ? ["--resync"] : []]), { scratch, env }).cost(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function openRsync({ here, there, scratch, network }: Ends): Promise<SyncPair> {
  const port = nextPort++;
  const config = `${scratch}/rsyncd.conf`;
  await Deno.writeTextFile(
    config,
    `use chroot = no\n[m]\npath = ${there}\nread only = no\nuid = 0\ngid = 0\n`,
  );
  const daemon = ["rsync", "--daemon", "--no-detach", "--port", String(port), "--config", config];
  const server = Watched.start(network.command(daemon), { log: `${scratch}/serve.log` });
  await network.listening(port);
  const words = ["rsync", "-a", "--delete", ...OWN.map((name) => `--exclude=${name}`), `${here}/`];
  return {
    there: server,
    sync: () => measured(network.command([...words, `rsync://127.0.0.1:${port}/m/`]), { scratch }).cost(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Key of the daemons' REST interfaces. */
const KEY = "bench";

async function openSyncthing({ here, there, scratch, network }: Ends): Promise<SyncPair> {
  const stack = new AsyncDisposableStack();
  const start = async (name: string) => {
    const [port, own] = [nextPort++, nextPort++];
    const url = `http://127.0.0.1:${port}`;
    const server = stack.use(Watched.start(
      network.command([
        ...[
          "syncthing",
          "serve",
          `--home=${scratch}/home-${name}`,
          "--no-browser",
          "--no-restart",
          "--no-default-folder",
        ],
        ...["--skip-port-probing", `--gui-address=127.0.0.1:${port}`, `--gui-apikey=${KEY}`],
      ]),
      {
        // Without the process that only watches over the other one.
        env: { HOME: scratch, STMONITORED: "yes" },
        log: `${scratch}/${name}.log`,
      },
    ));
    await network.listening(port);
    const ask = (path: string, words: readonly string[] = []) =>
      output(network.command(["curl", "-sf", "-H", `X-API-Key: ${KEY}`, ...words, `${url}/rest/${path}`]));
    return { url, server, ask, own, id: JSON.parse(await ask("system/status")).myID as string };
  };
  const [a, b] = [await start("here"), await start("there")];
  const devices = [{ deviceID: a.id, port: a.own }, { deviceID: b.id, port: b.own }];
  for (const [each, path] of [[a, here], [b, there]] as const) {
    const config = JSON.parse(await each.ask("config"));
    Object.assign(config.options, {
      listenAddresses: [`tcp://127.0.0.1:${each.own}`],
      globalAnnounceEnabled: false,
      localAnnounceEnabled: false,
      relaysEnabled: false,
      natEnabled: false,
      urAccepted: -1,
      crashReportingEnabled: false,
      // It would be the only one that is nice to others.
      setLowPriority: false,
      reconnectionIntervalS: 1,
    });
    config.devices = devices.map(({ deviceID, port }) => ({
      deviceID,
      addresses: [`tcp://127.0.0.1:${port}`],
    }));
    config.folders = [{
      id: "f",
      path,
      devices: devices.map(({ deviceID }) => ({ deviceID })),
      fsWatcherEnabled: false,
      rescanIntervalS: 0,
    }];
    await Deno.mkdir(`${path}/.stfolder`, { recursive: true });
    await each.ask("config", ["-X", "PUT", "--data-binary", JSON.stringify(config)]);
  }
  while (!JSON.parse(await a.ask("system/connections")).connections[b.id]?.connected) await pause(50);
  const script = fromFileUrl(new URL("./syncthing_rescan.py", import.meta.url));
  return {
    there: b.server,
    here: a.server,
    hasPeak: true,
    sync: () => measured(network.command(["python3", "-S", script, KEY, a.url, b.url]), { scratch }).cost(),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

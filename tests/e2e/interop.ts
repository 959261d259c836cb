/**
 * Other people's clients and ours, in every pairing, on an emulated internet: which of them exchange what, through whose
 * mailbox server, and directly or through whose relay. `interop_test.ts` runs a part, `bench/interop.ts` all of it.
 */
import { run, start } from "./command.ts";
import { Sandbox } from "./sandbox.ts";
import {
  HAVE_MAGIC_WORMHOLE,
  HAVE_TRANSIT_RELAY,
  Peer,
  startTheirRelay,
  startTheirServer,
} from "./magic_wormhole.ts";
import { WORMHOLE_WILLIAM } from "./magic_wormhole.ts";
import { startHubOn } from "./net/crossing.ts";
import type { Host, Lab } from "./net/lab.ts";

export const CLIENTS = ["magic-wormhole", "wormhole-william"] as const;
export const DIRECTIONS = ["sends", "receives"] as const;
export const KINDS = ["text", "file", "folder"] as const;
export const SERVERS = ["their mailbox server", "our hub"] as const;
export const TRANSITS = ["direct", "their relay", "our relay"] as const;

/** One pairing. `direction`: what the other people's client does. */
export interface Pairing {
  readonly client: typeof CLIENTS[number];
  readonly direction: typeof DIRECTIONS[number];
  readonly kind: typeof KINDS[number];
  readonly server: typeof SERVERS[number];
  readonly transit: typeof TRANSITS[number];
}

/** Every pairing there is; a text goes through the mailbox, so it has no transit but "direct". */
export function everyPairing(): Pairing[] {
  return CLIENTS.flatMap((client) =>
    DIRECTIONS.flatMap((direction) =>
      KINDS.flatMap((kind) =>
        SERVERS.flatMap((server) =>
          TRANSITS.filter((transit) => kind !== "text" || transit === "direct")
            .map((transit) => ({ client, direction, kind, server, transit }))
        )
      )
    )
  );
}

/** Why there can be no pairings here, as a sentence; undefined where there can. */
export function missingClients(): string | undefined {
  if (!HAVE_MAGIC_WORMHOLE || !HAVE_TRANSIT_RELAY) {
    return "there is no magic-wormhole: run scripts/bench-peers magic-wormhole";
  }
  if (WORMHOLE_WILLIAM === undefined) {
    return "there is no wormhole-william: run scripts/bench-peers wormhole-william";
  }
  return undefined;
}

/** Port of relays: wormhole-william cannot be told another than its public one's. */
const RELAY_PORT = 4001;

/** The relay that is built into wormhole-william; here the name leads to one of ours. */
const BUILT_IN_RELAY = "transit.magic-wormhole.io";

const TEXT = "grüße aus dem Labor";
const CODE = /code is: (\S+)/;

/** What wormhole-william says when it has derived another key than its peer, once in 256 times: docs/interop.md. */
const OTHER_KEY = /decrypt message failed/;

/** Most times that one exchange is run for that. */
const TRIES = 4;

/** Two servers of either kind, and two hosts near each other and two that only reach servers. */
export class Interop implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #mailboxes: Record<Pairing["server"], string>;
  readonly #relays: Record<"their relay" | "our relay", Host>;
  readonly #near: readonly [Host, Host];
  readonly #far: readonly [Host, Host];
  /** Exchanges with wormhole-william, and how many were in vain since it had derived another key than ours. */
  readonly william = { exchanges: 0, otherKey: 0 };

  private constructor(
    stack: AsyncDisposableStack,
    { mailboxes, relays, near, far }: {
      mailboxes: Record<Pairing["server"], string>;
      relays: Record<"their relay" | "our relay", Host>;
      near: readonly [Host, Host];
      far: readonly [Host, Host];
    },
  ) {
    this.#stack = stack;
    this.#mailboxes = mailboxes;
    this.#relays = relays;
    this.#near = near;
    this.#far = far;
  }

  /** Starts everything in `lab`. */
  static async start(lab: Lab): Promise<Interop> {
    await using stack = new AsyncDisposableStack();
    const sandbox = stack.use(await Sandbox.create());
    const theirs = await lab.site("theirs");
    const ours = await lab.site("ours");
    const street = await lab.router("street");
    const near = [await lab.host("near1"), await lab.host("near2")] as const;
    for (const host of near) await host.join(street);
    const nat = "port-restricted";
    const far = [await lab.site("far1", { nat }), await lab.site("far2", { nat })] as const;
    const server = stack.use(await startTheirServer(await sandbox.folder("theirs"), theirs));
    const relay = await startTheirRelay(await sandbox.folder("relay"), { ...spot(theirs), port: RELAY_PORT });
    stack.use(relay.peer);
    const transit = `${ours.address}:${RELAY_PORT}`;
    // Every pairing comes from one of four addresses.
    const args = ["--transit-listen", transit, "--rate-limit", "1000"];
    const hub = stack.use(await startHubOn(ours, sandbox, { args }));
    const mailboxes = { "their mailbox server": server.url, "our hub": hub.url };
    const relays = { "their relay": theirs, "our relay": ours };
    return new Interop(stack.move(), { mailboxes, relays, near, far });
  }

  /** Exchanges something. @throws {Error} when it does not arrive, or not on the way that it should. */
  async exchange(pairing: Pairing): Promise<void> {
    if (pairing.client === "magic-wormhole") return await this.#exchange(pairing);
    for (let tries = 1;; tries++) {
      this.william.exchanges++;
      try {
        return await this.#exchange(pairing);
      } catch (error) {
        if (tries === TRIES || !OTHER_KEY.test(String(error))) throw error;
        this.william.otherKey++;
      }
    }
  }

  /** Sends `count` texts from wormhole-william to the Python client; gives how many fail since the two derive other keys. */
  async otherKeysBetweenThem(count: number): Promise<number> {
    await using sandbox = await Sandbox.create();
    const cwd = await sandbox.folder("theirs");
    const common = { kind: "text", server: "their mailbox server", transit: "direct" } as const;
    const pairing = { ...common, client: "wormhole-william", direction: "sends" } as const;
    let failed = 0;
    for (let i = 0; i < count; i++) {
      await using william = await this.#their(pairing, this.#near[0], ["send", "--text", TEXT], { cwd });
      const [, code] = await william.says(CODE);
      await using python = await this.#their(
        { ...common, client: "magic-wormhole", direction: "receives" },
        this.#near[1],
        ["receive", code!],
        { cwd },
      );
      const codes = [await python.ending(), await william.ending()];
      if (codes.every((code) => code === 0)) continue;
      if (!OTHER_KEY.test(william.said)) throw new Error(william.said + python.said);
      failed++;
    }
    return failed;
  }

  async #exchange(pairing: Pairing): Promise<void> {
    await using sandbox = await Sandbox.create();
    const content = crypto.getRandomValues(new Uint8Array(60_000));
    const what = await prepare(sandbox, pairing.kind, content);
    const into = await sandbox.folder("into");
    const [from, to] = pairing.transit === "direct" ? this.#near : this.#far;
    const path = pairing.direction === "sends"
      ? await this.#theySend({ sandbox, pairing, what, into, from, to })
      : await this.#theyReceive({ sandbox, pairing, what, into, from, to });
    const wanted = pairing.kind === "text" ? undefined : pairing.transit === "direct" ? "direct" : "relay";
    if (path !== wanted) throw new Error(`it went ${path}, not ${wanted}`);
    if (pairing.kind === "text") return;
    const arrived = pairing.kind === "file" ? `${into}/größe.bin` : `${into}/tree/a/b/größe.bin`;
    const got = await Deno.readFile(arrived);
    if (got.length !== content.length || !got.every((byte, at) => byte === content[at])) {
      throw new Error("the content is another");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }

  async #theySend({ sandbox, pairing, what, into, from, to }: Way): Promise<string | undefined> {
    const cwd = await sandbox.folder("theirs");
    await using theirs = await this.#their(pairing, from, ["send", ...what], { cwd });
    const [, code] = await theirs.says(CODE);
    const person = await sandbox.person("receiver", { runtime: "of-receiver" });
    const ours = await run([...this.#ours("recv", pairing), "--yes", "-o", into, code!], {
      person,
      prefix: to.prefix,
    });
    assertBoth([ours.code, await theirs.ending()], `${ours.stderr}${theirs.said}`);
    if (pairing.kind === "text" && ours.events.find(({ event }) => event === "text")?.text !== TEXT) {
      throw new Error("the text is another");
    }
    return ours.events.find(({ event }) => event === "peer")?.path;
  }

  async #theyReceive({ sandbox, pairing, what, into, from, to }: Way): Promise<string | undefined> {
    const person = await sandbox.person("sender", { runtime: "of-sender" });
    await using ours = start([...this.#ours("send", pairing), ...what], { person, prefix: from.prefix });
    const { code } = await ours.event("code");
    const yes = pairing.client === "magic-wormhole" && pairing.kind !== "text" ? ["--accept-file"] : [];
    const args = ["receive", ...yes, code];
    await using theirs = await this.#their(pairing, to, args, { cwd: into, stdin: "y\n" });
    const [their, our] = await Promise.all([theirs.ending(), ours.ending()]);
    assertBoth([our.code, their], `${our.stderr}${theirs.said}`);
    if (pairing.kind === "text" && !theirs.said.includes(TEXT)) throw new Error("the text is another");
    return our.events.find(({ event }) => event === "peer")?.path;
  }

  /** Our command up to what it is about; at our hub with our relay it finds that by itself. */
  #ours(command: "send" | "recv", { server, transit }: Pairing): string[] {
    const args = [command, "--json", "--compat", "--hub", this.#mailboxes[server]];
    if (transit === "direct" || server === "our hub" && transit === "our relay") return args;
    return [...args, "--transit-relay", `${this.#relays[transit].address}:${RELAY_PORT}`];
  }

  async #their(
    { client, server, transit }: Pairing,
    host: Host,
    args: readonly string[],
    { cwd, stdin }: { cwd: string; stdin?: string },
  ): Promise<Peer> {
    const [command, ...rest] = args;
    const relay = this.#relays[transit === "direct" ? "their relay" : transit].address;
    const quiet = rest.includes("--text") ? [] : ["--hide-progress"];
    if (client === "magic-wormhole") {
      const helper = `tcp:${relay}:${RELAY_PORT}`;
      const global = ["--relay-url", this.#mailboxes[server], "--transit-helper", helper];
      return new Peer("wormhole", [...global, command!, ...quiet, ...rest], {
        cwd,
        prefix: host.prefix,
        ...stdin !== undefined && { stdin },
      });
    }
    // The file is only for this command, and gone with it.
    const hosts = `${cwd}/../hosts-${crypto.randomUUID()}`;
    await Deno.writeTextFile(hosts, `127.0.0.1 localhost\n${relay} ${BUILT_IN_RELAY}\n`);
    const bind = 'mount --bind "$1" /etc/hosts && shift && exec "$@"';
    const prefix = [...host.prefix, "unshare", "--mount", "sh", "-c", bind, "sh", hosts];
    return new Peer(
      WORMHOLE_WILLIAM!,
      ["--relay-url", this.#mailboxes[server], command!, ...quiet, ...rest],
      {
        cwd,
        prefix,
        ...stdin !== undefined && { stdin },
      },
    );
  }
}

interface Way {
  readonly sandbox: Sandbox;
  readonly pairing: Pairing;
  /** What is sent, as arguments. */
  readonly what: readonly string[];
  readonly into: string;
  readonly from: Host;
  readonly to: Host;
}

async function prepare(
  sandbox: Sandbox,
  kind: Pairing["kind"],
  content: Uint8Array<ArrayBuffer>,
): Promise<string[]> {
  if (kind === "text") return ["--text", TEXT];
  if (kind === "file") return [await sandbox.file("from/größe.bin", content)];
  await sandbox.file("from/tree/a/b/größe.bin", content);
  await sandbox.file("from/tree/small", "small");
  return [sandbox.path("from/tree")];
}

function spot({ address, prefix }: Host) {
  return { address, prefix };
}

function assertBoth(codes: readonly number[], said: string): void {
  if (codes.some((code) => code !== 0)) {
    throw new Error(`ours ended with ${codes[0]}, theirs with ${codes[1]}: ${said}`);
  }
}

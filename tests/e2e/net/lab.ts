/**
 * An internet of network namespaces: routers of several kinds, the hosts behind them, and nothing else. All of it hangs
 * on one shell with a mount namespace of its own; when that ends, however its parent did, the kernel takes everything away,
 * and the names in it are nobody else's.
 */
import { succeeds } from "../sandbox.ts";
import { firewall, type NatKind } from "./nat.ts";

/** What a router is to be; without anything it only passes packets on. */
export interface RouterOptions {
  readonly nat?: NatKind;
  /** The router of its provider, when that is not the internet itself. */
  readonly behind?: Router;
  /** False: no UDP leaves this network. */
  readonly udp?: boolean;
  /** The only TCP port that may be reached from this network. */
  readonly onlyTcpPort?: number;
  /** Which version of IP there is; with 6 nothing is translated, and what nobody asked for is kept out. */
  readonly ip?: 4 | 6;
  /** Lets in what nobody asked for, with IPv6 as well: for servers. */
  readonly open?: boolean;
  /** What the line to the provider carries each way, in Mbit/s. */
  readonly mbits?: number;
}

/** Addresses of a network: `network/bits`, and its members from 1 on. */
interface Subnet {
  readonly bits: number;
  member(number: number): string;
}

/** Says that this machine has none of it, and what would help. */
const NEEDS =
  "a network of namespaces needs Linux, iproute2, nftables, util-linux, and root or user namespaces " +
  "(Debian: apt install iproute2 nftables util-linux)";

/** How long one step of set-up may take, in ms. */
const PATIENCE_MS = 20_000;

/** The whole network; disposing of it ends every process in it. */
export class Lab implements AsyncDisposable {
  readonly #shell: Shell;
  readonly #nameSpaces = new Set<string>();
  #networks = 0;

  private constructor(shell: Shell) {
    this.#shell = shell;
  }

  /** Makes an empty one; gives the reason as a sentence where that is impossible. */
  static async open(): Promise<Lab | string> {
    const isRoot = Deno.build.os === "linux" && Deno.uid() === 0;
    const own = ["unshare", ...isRoot ? [] : ["--user", "--map-root-user"], "--mount", "--net"];
    // Where the programs of administrators are, which others do not have on their PATH.
    const shell = [...own, "env", `PATH=${Deno.env.get("PATH")}:/usr/sbin:/sbin`, "sh"];
    if (!await succeeds(shell[0]!, [...shell.slice(1), "-c", "ip -V && nft -v && setpriv -V"])) return NEEDS;
    const lab = new Lab(new Shell(shell, { ofUser: !isRoot }));
    try {
      await lab.#shell.run("mount -t tmpfs none /run && mkdir /run/netns");
      await lab.space("internet");
      await lab.run(forwarding("internet"));
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      return `${NEEDS}; here: ${error instanceof Error ? error.message : error}`;
    }
  }

  /** Makes a router with a network of its own behind it. */
  async router(name: string, options: RouterOptions = {}): Promise<Router> {
    const router = new Router(this, name, { ...options, number: this.#networks++ });
    await router.build();
    return router;
  }

  /** Makes a host that is connected to nothing. */
  async host(name: string): Promise<Host> {
    await this.space(name);
    return new Host(this, name);
  }

  /** Makes a router and one host behind it. */
  async site(name: string, options: RouterOptions = {}): Promise<Host> {
    const host = await this.host(name);
    await host.join(await this.router(`${name}-router`, options));
    return host;
  }

  /** Goes before a command that is to run on the host or router `name`. */
  prefix(name: string): string[] {
    return this.#shell.prefix(`/run/netns/${name}`);
  }

  /** Runs a script of `sh -e` outside of all hosts; for {@linkcode Router} and {@linkcode Host}. */
  run(script: string): Promise<string> {
    return this.#shell.run(script);
  }

  /** Makes an empty namespace. */
  async space(name: string): Promise<void> {
    if (this.#nameSpaces.has(name)) throw new TypeError(`there is a ${name} already`);
    this.#nameSpaces.add(name);
    // Addresses are usable at once, not when nobody else on the link has claimed them for a second.
    await this.run(`
      ip netns add ${name}
      ip -n ${name} link set lo up
      ip netns exec ${name} sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pids = [...this.#nameSpaces].map((name) => `ip netns pids ${name} || true`).join("\n");
    await this.#shell.run(`kill -9 $(${pids}) 2>/dev/null || true`).catch(() => {}); // The end does it as well.
    await this.#shell.end();
  }
}

/** Connects a network to the internet, or to another router. */
export class Router {
  readonly name: string;
  readonly #lab: Lab;
  readonly #options: RouterOptions & { readonly number: number };
  #members = 1;

  constructor(lab: Lab, name: string, options: RouterOptions & { number: number }) {
    this.name = name;
    this.#lab = lab;
    this.#options = options;
  }

  /** The version of IP on this network. */
  get ip(): 4 | 6 {
    return this.#options.ip ?? 4;
  }

  /** Its own network. */
  get lan(): Subnet {
    const { nat = "none", number } = this.#options;
    if (this.ip === 6) return subnet6(`2001:db8:1:${number.toString(16)}::`);
    return nat === "none" ? subnet4(`198.51.100.${8 * number}`, 29) : subnet4(`192.168.${number}.0`, 24);
  }

  /** The address that it has at its provider. */
  get outside(): string {
    return this.#uplink.member(2);
  }

  get #uplink(): Subnet {
    const { behind, number } = this.#options;
    if (this.ip === 6) return subnet6(`2001:db8:0:${number.toString(16)}::`);
    return behind ? subnet4(`100.64.${number}.0`, 24) : subnet4(`203.0.113.${4 * number}`, 30);
  }

  /** For {@linkcode Lab}: makes it. */
  async build(): Promise<void> {
    const { behind, nat = "none", number, mbits } = this.#options;
    const { name, lan } = this;
    const provider = behind?.name ?? "internet";
    await this.#lab.space(name);
    const uplink = this.#uplink;
    const route = nat === "none"
      ? `ip -n ${provider} route add ${lan.member(0)}/${lan.bits} via ${uplink.member(2)}`
      : "";
    await this.#lab.run(`
      ${cable([name, "wan0"], [provider, `to${number}`])}
      ${address(name, "wan0", uplink, 2)}
      ${address(provider, `to${number}`, uplink, 1)}
      ip -n ${name} route add default via ${uplink.member(1)}
      ip -n ${name} link add lan0 type bridge
      ${address(name, "lan0", lan, 1)}
      ${forwarding(name)}
      ${route}
      ${carrier([name, "wan0"])}
      ${carrier([provider, `to${number}`])}
      ${mbits === undefined ? "" : line(name, "wan0", mbits) + line(provider, `to${number}`, mbits)}
      ip netns exec ${name} nft -f - <<END\n${firewall({ ...this.#options, nat })}\nEND`);
  }

  /** For {@linkcode Host}: a number on this network that nobody has had. */
  nextMember(): number {
    return ++this.#members;
  }
}

/** A machine; it is on one network at a time. */
export class Host {
  readonly name: string;
  readonly #lab: Lab;
  #router: Router | undefined;
  #member = 0;

  constructor(lab: Lab, name: string) {
    this.#lab = lab;
    this.name = name;
  }

  /** Goes before a command that is to run here. */
  get prefix(): string[] {
    return this.#lab.prefix(this.name);
  }

  /** Its address on the network that it is on. */
  get address(): string {
    if (this.#router === undefined) throw new TypeError(`${this.name} is on no network`);
    return this.#router.lan.member(this.#member);
  }

  /** Connects it to the network of `router` alone; `mbits`: what its cable carries towards there, in Mbit/s. */
  async join(router: Router, { mbits }: { mbits?: number } = {}): Promise<void> {
    if (this.#router) await this.leave();
    this.#router = router;
    this.#member = router.nextMember();
    const port = `${this.name.slice(0, 8)}${this.#member}`;
    await this.#lab.run(`
      ${cable([this.name, "eth0"], [router.name, port])}
      ip -n ${router.name} link set ${port} master lan0 up
      ${this.#configured()}
      ${mbits === undefined ? "" : line(this.name, "eth0", mbits)}
      ${carrier([this.name, "eth0"])}
      ${carrier([router.name, port])}`);
  }

  /** Takes the cable out: the network is gone with its address, and nobody is told. */
  async leave(): Promise<void> {
    await this.#lab.run(`ip -n ${this.name} link delete eth0`);
    this.#router = undefined;
  }

  /** Gives it another address of the same network; the one before is gone. */
  async renumber(): Promise<void> {
    this.#member = this.#router!.nextMember();
    await this.#lab.run(`ip -n ${this.name} address flush dev eth0\n${this.#configured()}`);
  }

  /** Takes the interface down; the addresses stay with it (those of IPv6 do not). */
  async down(): Promise<void> {
    await this.#lab.run(`ip -n ${this.name} link set eth0 down`);
  }

  /** Brings the interface up again. */
  async up(): Promise<void> {
    await this.#lab.run(this.#configured());
  }

  #configured(): string {
    const { lan } = this.#router!;
    return `
      ${address(this.name, "eth0", lan, this.#member)}
      ip -n ${this.name} route replace default via ${lan.member(1)}`;
  }
}

/** Waits until the kernel has seen that both ends of a cable are there: before, IPv6 has no multicast to find neighbours by. */
function carrier([space, device]: End): string {
  return `until [ "$(ip -n ${space} -o link show ${device} up | grep -c LOWER_UP)" = 1 ]; do sleep 0.02; done`;
}

type End = readonly [space: string, device: string];

function cable([space, device]: End, [otherSpace, otherDevice]: End): string {
  return `ip link add ${device} netns ${space} type veth peer name ${otherDevice} netns ${otherSpace}`;
}

function address(space: string, device: string, subnet: Subnet, number: number): string {
  return `
    ip -n ${space} address replace ${subnet.member(number)}/${subnet.bits} dev ${device}
    ip -n ${space} link set ${device} up`;
}

/** A line with a queue of 20 ms. */
function line(space: string, device: string, mbits: number): string {
  return `ip netns exec ${space} tc qdisc add dev ${device} root tbf rate ${mbits}mbit burst 128k latency 20ms\n`;
}

function forwarding(space: string): string {
  return `ip netns exec ${space} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`;
}

function subnet4(network: string, bits: number): Subnet {
  const parts = network.split(".");
  return { bits, member: (number) => [...parts.slice(0, 3), Number(parts[3]) + number].join(".") };
}

function subnet6(network: string): Subnet {
  return { bits: 64, member: (number) => number === 0 ? network : `${network}${number.toString(16)}` };
}

/** A shell that runs one script after the other and ends with whoever started it. */
class Shell {
  readonly #child: Deno.ChildProcess;
  readonly #user: readonly string[];
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;
  #last: Promise<unknown> = Promise.resolve();

  constructor([program, ...args]: string[], { ofUser }: { ofUser: boolean }) {
    this.#child = new Deno.Command(program!, { args, stdin: "piped", stdout: "piped" }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#lines = lines(this.#child.stdout);
    this.#user = ofUser ? ["--user", "--preserve-credentials", `--target=${this.#child.pid}`] : [];
  }

  /** Goes before a command that is to run in the network namespace whose file is `path` here. */
  prefix(path: string): string[] {
    const enter = ["nsenter", ...this.#user, `--net=/proc/${this.#child.pid}/root${path}`];
    // A test that is killed takes what it started with it; one that was killed before this was asked for is nobody's parent.
    const orphaned = `[ "$PPID" = ${Deno.pid} ] && exec "$@"`;
    return [...enter, "setpriv", "--pdeathsig", "KILL", "sh", "-c", orphaned, "sh"];
  }

  /** Runs a script with `set -e`, after those before it, and gives what it wrote. */
  run(script: string): Promise<string> {
    const before = this.#last.catch(() => {}); // Whoever asked for it was told.
    const running = before.then(() => this.#run(script));
    this.#last = running;
    return running;
  }

  async end(): Promise<void> {
    await this.#input.close().catch(() => {}); // It may have ended by itself.
    await this.#child.status;
    await this.#lines.return?.();
  }

  async #run(script: string): Promise<string> {
    const mark = `end-${crypto.randomUUID()}`;
    const text = `( set -e\n${script}\n) 2>&1 </dev/null; echo; echo ${mark} $?\n`;
    await this.#input.write(new TextEncoder().encode(text));
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), PATIENCE_MS);
    try {
      let output = "";
      for (;;) {
        const { value, done } = await this.#lines.next();
        if (done) throw new Error(`the network's shell has ended: ${output}`);
        if (value.startsWith(mark)) {
          if (value === `${mark} 0`) return output.trim();
          throw new Error(`${output.trim()} (in: ${script.trim()})`);
        }
        output += `${value}\n`;
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Gives what a process writes, line by line. */
export async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const all = (rest + text).split("\n");
    rest = all.pop()!;
    yield* all;
  }
}

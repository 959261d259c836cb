/**
 * Proxies that the environment names, and which of them a connection goes through. Decisions only: bytes are carried
 * by `ffi/src/net/proxy.rs`. The rules for people are in docs/guide.md.
 */
import { type BlockList, isIP } from "node:net";
import { WormholeError } from "../base/errors.ts";
import { bareHost, hostPort } from "../base/host_port.ts";
import { type Environment, processEnvironment } from "./paths.ts";
import { contains, NEAR, subnets } from "./subnets.ts";

/** A proxy to connect through. It holds a password: show it with {@linkcode proxyPlace} only. */
export interface Proxy {
  readonly kind: "http" | "socks5";
  /** Name or IP literal, without brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  readonly user?: string;
  readonly password?: string;
}

/** What a connection carries: `ws` and `wss` to a mailbox server, `tcp` to another machine. */
export type ProxiedScheme = "ws" | "wss" | "tcp";

/** A variable that is set but names no proxy that can be used. */
export interface BadProxy {
  readonly variable: string;
  /** Ends "Cannot use the proxy in X: …"; holds nothing of the value. */
  readonly state: string;
}

/** Longest user name and password, in bytes (RFC 1929 §2). */
const MAX_LOGIN_BYTES = 255;

/** Entries of NO_PROXY that are looked at; more are left out. */
const MAX_EXCEPTIONS = 1000;

/** Every variable that names a proxy; for each the spelling in small letters goes first, as with curl. */
const VARIABLES = { ws: "http_proxy", wss: "https_proxy", all: "all_proxy", none: "no_proxy" } as const;

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "http:": 80, "socks5:": 1080, "socks5h:": 1080 };

const LOOPBACK = subnets("127.0.0.0/8", "::1/128", "0.0.0.0/32", "::/128");

/** The proxies of one environment. */
export class Proxies {
  readonly #found: Readonly<Record<"ws" | "wss" | "all", Found | undefined>>;
  readonly #exceptions: Exceptions;
  readonly #own: () => readonly string[];

  /**
   * Reads the environment; what is wrong in it only matters to connections that would use it. `own` gives the
   * addresses that this machine has at present, some of which may be public.
   */
  constructor(env: Environment, own: () => readonly string[] = () => []) {
    this.#own = own;
    const found = (name: string) => readProxy(env, name);
    this.#found = {
      // A web server hands its callers' `Proxy:` header to programs as HTTP_PROXY (CVE-2016-5385).
      ws: readProxy(env, VARIABLES.ws, { onlySmall: !!env("REQUEST_METHOD") }),
      wss: found(VARIABLES.wss),
      all: found(VARIABLES.all),
    };
    this.#exceptions = new Exceptions(variable(env, VARIABLES.none)?.value ?? "");
  }

  /**
   * Gives the proxy for a connection to `host` (name or IP literal); undefined: it goes directly.
   *
   * This machine's and private addresses never go to a proxy: of other machines' addresses only public ones.
   *
   * @throws {WormholeError} INVALID_ARGUMENT when the variable that counts names no proxy that can be used.
   */
  for(scheme: ProxiedScheme, { host, port }: { host: string; port: number }): Proxy | undefined {
    const bare = bareHost(host).replace(/\.$/, "").toLowerCase();
    const { wss, all } = this.#found;
    const found = scheme === "tcp" ? all ?? wss : this.#found[scheme] ?? all;
    if (found === undefined || isNear(bare) || this.#exceptions.has(bare, port)) return undefined;
    if (isIP(bare) !== 0 && this.#own().includes(bare)) return undefined;
    if (found.proxy !== undefined) return found.proxy;
    throw new WormholeError("INVALID_ARGUMENT", `Cannot use the proxy in ${found.variable}: ${found.state}`);
  }

  /** Gives the proxy for a URL of `ws:`, `wss:`, `http:` or `https:`; otherwise as {@linkcode Proxies.for}. */
  forUrl({ protocol, hostname, port }: URL): Proxy | undefined {
    const secure = protocol === "wss:" || protocol === "https:";
    return this.for(secure ? "wss" : "ws", { host: hostname, port: Number(port) || (secure ? 443 : 80) });
  }

  /** Gives what is set, by variable, for people: places without passwords, and what is wrong. */
  list(): readonly ({ readonly variable: string; readonly place: string } | BadProxy)[] {
    return Object.values(this.#found).filter((found) => found !== undefined).map(
      ({ variable, proxy, state }) =>
        proxy ? { variable, place: `${proxy.kind} ${proxyPlace(proxy)}` } : { variable, state: state! },
    );
  }
}

let ofProcess: Proxies | undefined;

/**
 * Gives the proxies of this process's environment, and takes the variables out of it: Deno would follow them by its
 * own rules, even to this machine's own mailbox at 127.0.0.1. To be called before the first connection.
 */
export function processProxies(): Proxies {
  if (ofProcess !== undefined) return ofProcess;
  ofProcess = new Proxies(processEnvironment, ownAddresses);
  for (const name of Object.values(VARIABLES)) {
    for (const spelling of [name, name.toUpperCase()]) Deno.env.delete(spelling);
  }
  return ofProcess;
}

/** Gives `host:port` of a proxy, which is all that anybody is shown of it. */
export function proxyPlace(proxy: Proxy): string {
  return hostPort(proxy);
}

function ownAddresses(): string[] {
  return Deno.networkInterfaces().map(({ address }) => address);
}

/** Tells whether `host` is a name or an address that every machine has, or an address of a private network. */
function isNear(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  return contains(LOOPBACK, host) || contains(NEAR, host);
}

interface Found {
  readonly variable: string;
  readonly proxy?: Proxy;
  readonly state?: string;
}

function readProxy(env: Environment, name: string, options: { onlySmall?: boolean } = {}): Found | undefined {
  const set = variable(env, name, options);
  if (set === undefined) return undefined;
  const read = parseProxy(set.value);
  return typeof read === "string"
    ? { variable: set.variable, state: read }
    : { variable: set.variable, proxy: read };
}

/** Gives the proxy, or what is wrong with it in words that hold nothing of it: it may be a password. */
function parseProxy(text: string): Proxy | string {
  let url: URL;
  try {
    const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
    // Schemes that URL does not know keep their host as it is written, those of the web are cleaned up.
    url = new URL(withScheme);
  } catch {
    return "it is no address";
  }
  const fallback = DEFAULT_PORTS[url.protocol];
  if (fallback === undefined) return "it must begin with http://, socks5:// or socks5h://";
  const host = bareHost(url.hostname);
  if (host === "") return "the host is missing";
  if (url.port === "0") return "it has no port";
  let user: string, password: string;
  try {
    [user, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
  } catch {
    return "its user name or password is not percent-encoded";
  }
  const kind = url.protocol === "http:" ? "http" : "socks5";
  const tooLong = [user, password].some((text) => new TextEncoder().encode(text).length > MAX_LOGIN_BYTES);
  if (tooLong) return `its user name or password is longer than ${MAX_LOGIN_BYTES} bytes`;
  if (user.includes(":") && kind === "http") return "its user name holds a colon";
  const login = user !== "" || password !== "";
  return { kind, host, port: Number(url.port) || fallback, ...login && { user, password } };
}

function variable(
  env: Environment,
  name: string,
  { onlySmall = false }: { onlySmall?: boolean } = {},
): { variable: string; value: string } | undefined {
  for (const variable of onlySmall ? [name] : [name, name.toUpperCase()]) {
    const value = env(variable)?.trim();
    if (value) return { variable, value };
  }
  return undefined;
}

/** NO_PROXY: hosts, their subdomains, addresses and CIDR blocks, each also with a port; `*` is everything. */
class Exceptions {
  readonly #rules: readonly ((host: string, port: number) => boolean)[];

  constructor(text: string) {
    this.#rules = text.split(/[\s,]+/).filter((entry) => entry !== "").slice(0, MAX_EXCEPTIONS).map(rule);
  }

  has(host: string, port: number): boolean {
    return this.#rules.some((matches) => matches(host, port));
  }
}

function rule(entry: string): (host: string, port: number) => boolean {
  if (entry === "*") return () => true;
  const { host: written, port: only } = splitPort(entry.toLowerCase());
  const atPort = (port: number) => only === undefined || only === port;
  const block = blockOf(written);
  if (block !== undefined) return (host, port) => atPort(port) && contains(block, host);
  const name = written.replace(/^\*?\./, "").replace(/\.$/, "");
  if (name === "") return () => false;
  return (host, port) => atPort(port) && (host === name || isIP(host) === 0 && host.endsWith(`.${name}`));
}

function splitPort(entry: string): { host: string; port?: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(entry);
  if (match === null) return { host: entry };
  const host = match[1] ?? match[2] ?? "";
  return match[3] === undefined ? { host } : { host, port: Number(match[3]) };
}

/** The addresses that an entry stands for; undefined when it is a name. */
function blockOf(entry: string): BlockList | undefined {
  const [address = "", bits, ...more] = entry.split("/");
  const family = isIP(address);
  if (family === 0 || more.length > 0) return undefined;
  const longest = family === 4 ? 32 : 128;
  if (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= longest)) return undefined;
  return subnets(`${address}/${bits ?? longest}`);
}

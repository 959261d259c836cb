/**
 * The hub's relay: where its clients' sealed packets pass when the two machines have no direct way. The native library runs
 * it; what it may hold, whom it serves and what clients are told of it is decided here. docs/design/relay.md.
 */
import { createHash } from "node:crypto";
import { isIP } from "node:net";
import { isWormholeError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { hostPort } from "../base/host_port.ts";
import type { TlsIdentity } from "../mailbox/door.ts";
import { headEnd, type HttpAnswer, type HttpRequest } from "../mailbox/http_request.ts";
import type { Carrier } from "../mailbox/serve.ts";
import { splice } from "../mailbox/splice.ts";
import { NativeQueue } from "../native/queue.ts";
import {
  closeRelay,
  joinConnection,
  type JoinRequest,
  openRelay,
  type Relay,
  type RelaySeen,
  relaySeen,
  type RelayServerOptions,
  relayToken,
  renewRelay,
  takeOver,
} from "../native/relay.ts";
import { JOIN_LIMITS, JOIN_PATH, joinAnswer, parseJoin } from "./joins.ts";
import { parseListen } from "./listen.ts";

/** Machines at a time; at worst each makes the relay hold 512 packets. */
export const MAX_RELAY_CLIENTS = 1000;

/** The path of iroh's relays, for WebSockets. */
const RELAY_PATH = "/relay";

/** The path by which iroh sees that a relay is there. */
const PROBE_PATH = "/ping";

/** How often the token is made anew; it opens the relay for a week from then on. */
const TOKEN_MS = 3_600_000;

/** Async threads of the native library: what passes does so on them. */
const NATIVE_THREADS = 4;

/** Options of {@linkcode HubRelay.open}. */
export interface HubRelayOptions {
  /** Where the hub listens; address discovery takes the same place in UDP. */
  readonly hub: { readonly hostname: string | undefined; readonly port: number };
  /** A place of the relay's own, as `--listen`; without it the hub passes connections on from its own. */
  readonly listen?: string;
  /** Address of the relay for clients, where they cannot tell it from the hub's. */
  readonly url?: string;
  /** A place for address discovery (UDP), as `--listen`. */
  readonly discoveryListen?: string;
  /** Behind a proxy, which passes no UDP on: without a place of its own there is no address discovery. */
  readonly behindProxy: boolean;
  /** The hub's certificate, if it has one. */
  readonly tls?: TlsIdentity;
  /** 32 bytes that outlive a restart where anything does: so do the tokens and the id that are made with them. */
  readonly secret: Uint8Array;
  readonly maxClients?: number;
  /** What one machine may send. */
  readonly clientBytesPerSecond?: number;
  /** Other limits than those of a public hub for connections that it joins. */
  readonly joins?: Partial<RelayServerOptions["joins"]>;
  readonly log: Logger;
}

/** A relay that runs. */
export class HubRelay implements AsyncDisposable {
  readonly #queue: NativeQueue;
  readonly #relay: Relay;
  readonly #options: HubRelayOptions;
  readonly #id: string;
  readonly #timer: ReturnType<typeof setInterval>;
  #token: string;
  /** The certificate at the hub's own place. */
  #certificate: string | undefined;

  private constructor(queue: NativeQueue, relay: Relay, token: string, options: HubRelayOptions) {
    this.#queue = queue;
    this.#relay = relay;
    this.#token = token;
    this.#options = options;
    this.#id = createHash("sha256").update("wormhole:relay-id:").update(options.secret).digest("hex").slice(
      0,
      32,
    );
    this.#certificate = options.tls && certificateHash(options.tls);
    this.#timer = setInterval(() => this.#remake(), TOKEN_MS);
  }

  /**
   * Opens the relay, without address discovery where its port is taken.
   *
   * @throws {WormholeError} NATIVE_LIBRARY; INVALID_ARGUMENT, ADDRESS_IN_USE or IO for the places.
   */
  static async open(options: HubRelayOptions): Promise<HubRelay> {
    const queue = NativeQueue.open({ threads: NATIVE_THREADS });
    try {
      const relay = await openNative(queue, options);
      return new HubRelay(queue, relay, await relayToken(queue, relay.relay), options);
    } catch (error) {
      await queue.close();
      throw error;
    }
  }

  /** Where WebSockets are taken, `ip:port`; for the log. */
  get address(): string {
    return this.#relay.addresses[0]!;
  }

  /** UDP port of address discovery, if there is any. */
  get discoveryPort(): number | undefined {
    const address = this.#relay.discovery?.address;
    return address === undefined ? undefined : Number(address.slice(address.lastIndexOf(":") + 1));
  }

  /** Gives what clients are told in `welcome`; wire/spec/mailbox.md §7. */
  welcome(): object {
    const { listen, url } = this.#options;
    const certificates = [this.#certificate, this.#relay.discovery?.pin.toHex()];
    const other = this.#relay.discovery?.otherPort;
    return {
      relay: {
        id: this.#id,
        token: this.#token,
        ...url !== undefined && { url },
        ...listen !== undefined && { port: Number(this.address.slice(this.address.lastIndexOf(":") + 1)) },
        ...this.discoveryPort !== undefined && { discovery_port: this.discoveryPort },
        ...other !== undefined && { other_discovery_port: other },
        certificates: certificates.filter((each) => each !== undefined),
        ...this.#joins && { joins: true },
      },
    };
  }

  /** Gives what carries a connection to the hub on to the relay, or to what it is to be joined to, if it came for either. */
  forward(request: HttpRequest, from: string): Carrier | undefined {
    const { method, path, headers } = request;
    if (this.#joins && method === "GET" && path === JOIN_PATH) {
      const asked = parseJoin(request);
      // What follows the head would be lost.
      return (conn, first) =>
        this.#join(conn, { asked: headEnd(first) === first.length ? asked : undefined, from });
    }
    if (this.#options.listen !== undefined || method !== "GET" || path !== RELAY_PATH) return undefined;
    if (!headers.has("upgrade")) return undefined;
    return (conn, first) => this.#carry(conn, first);
  }

  /** Tells whether a request only asks whether the relay is there. */
  isProbe(path: string): boolean {
    return path === PROBE_PATH;
  }

  seen(): Promise<RelaySeen> {
    return relaySeen(this.#queue, this.#relay.relay);
  }

  /** Takes the hub's new certificate. @throws {WormholeError} CONFIG_INVALID. */
  async renew(tls: TlsIdentity): Promise<void> {
    if (this.#options.listen !== undefined) await renewRelay(this.#queue, this.#relay.relay, tls);
    this.#certificate = certificateHash(tls);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await closeRelay(this.#queue, this.#relay.relay);
    await this.#queue.close();
  }

  /** Has the native library carry the bytes; what is encrypted has its keys here, and is copied here. */
  async #carry(conn: Deno.Conn, first: Uint8Array): Promise<void> {
    if (this.#options.tls === undefined) {
      try {
        return await takeOver(this.#queue, this.#relay.relay, { ...ends(conn), first });
      } catch (error) {
        if (!isWormholeError(error, "UNSUPPORTED")) throw error;
      }
    }
    await splice(conn, { port: Number(this.address.slice(this.address.lastIndexOf(":") + 1)), first });
  }

  /**
   * Whether the hub joins connections: where the kernel can pass their bytes on, which is Linux without TLS of the hub's own, and
   * where nobody has to count them.
   */
  get #joins(): boolean {
    const { tls, clientBytesPerSecond } = this.#options;
    return Deno.build.os === "linux" && tls === undefined && clientBytesPerSecond === undefined;
  }

  async #join(
    conn: Deno.Conn,
    { asked, from }: { asked: JoinRequest | undefined; from: string },
  ): Promise<HttpAnswer | void> {
    if (asked === undefined) return joinAnswer(undefined);
    const why = await joinConnection(this.#queue, this.#relay.relay, { ...ends(conn), ...asked, from });
    if (why !== undefined) return joinAnswer(why);
  }

  async #remake(): Promise<void> {
    try {
      this.#token = await relayToken(this.#queue, this.#relay.relay);
    } catch (error) {
      // The one before is good for days.
      this.#options.log.error("no new token for the relay", { error });
    }
  }
}

async function openNative(queue: NativeQueue, options: HubRelayOptions): Promise<Relay> {
  const { listen, tls, log, maxClients = MAX_RELAY_CLIENTS, clientBytesPerSecond } = options;
  const common: Omit<RelayServerOptions, "listen" | "discovery"> = {
    joins: { ...JOIN_LIMITS, ...options.joins },
    ...listen !== undefined && tls && { tls: { cert: tls.cert, key: tls.key } },
    secret: options.secret,
    maxClients,
    ...clientBytesPerSecond !== undefined && { clientBytesPerSecond },
  };
  const places = listen === undefined ? ["127.0.0.1:0"] : addresses(parseListen(listen));
  const failures: unknown[] = [];
  for (const discovery of [...discoveryPlaces(options), undefined]) {
    try {
      const relay = await openRelay(queue, { ...common, listen: places, ...discovery && { discovery } });
      if (failures.length > 0 && discovery === undefined) {
        log.error("no address discovery: machines find fewer direct ways", { error: failures[0] });
      }
      return relay;
    } catch (error) {
      failures.push(error);
      // A place that was asked for has to be had; another is worth a try.
      if (!isWormholeError(error) || discovery === undefined || options.discoveryListen !== undefined) {
        throw error;
      }
    }
  }
  throw failures[0];
}

/** Gives where addresses may be told, best first. */
function discoveryPlaces({ hub, listen, discoveryListen, behindProxy }: HubRelayOptions): string[] {
  if (discoveryListen !== undefined) return addresses(parseListen(discoveryListen)).slice(0, 1);
  if (listen !== undefined) return addresses(parseListen(listen));
  return behindProxy ? [] : addresses(hub);
}

/** Gives the addresses of a place: all interfaces of both families when it names none; of a name, none. */
function addresses({ hostname, port }: { hostname: string | undefined; port: number }): string[] {
  if (hostname === undefined) return [`[::]:${port}`, `0.0.0.0:${port}`];
  const host = hostname === "localhost" ? "127.0.0.1" : hostname;
  if (isIP(host) === 0) return [];
  return [hostPort({ host, port })];
}

/** Gives both ends of a connection, `ip:port` each. */
function ends(conn: Deno.Conn): { local: string; remote: string } {
  const at = ({ hostname: host, port }: Deno.NetAddr) => hostPort({ host, port });
  return { local: at(conn.localAddr as Deno.NetAddr), remote: at(conn.remoteAddr as Deno.NetAddr) };
}

/** Gives the SHA-256 of the first certificate in a chain, in hex; undefined where there is none. */
function certificateHash({ cert }: TlsIdentity): string | undefined {
  const base64 = /-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/.exec(cert)?.[1];
  if (base64 === undefined) return undefined;
  return createHash("sha256").update(Uint8Array.fromBase64(base64.replace(/\s/g, ""))).digest("hex");
}

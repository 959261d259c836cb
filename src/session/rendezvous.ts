/**
 * Where two sides meet: on the sender, a mailbox at a hub or one of its own that this machine and this network
 * are told about; on the receiver, whichever of these the nameplate leads to. Spec: `src/wire/spec/pairing.md` §5.
 */
import { anySignal } from "../base/any_signal.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { hostPort } from "../base/host_port.ts";
import type { MailboxLimits } from "../mailbox/limits.ts";
import { type Code, makePassword } from "../pairing/code.ts";
import { connectFirst } from "../pairing/connect_first.ts";
import { parseHubUrl, parsePeerAddress } from "../pairing/hub_url.ts";
import type { LanDiscovery } from "../pairing/lan.ts";
import type { LocalRegistry } from "../pairing/local_registry.ts";
import { LastingMailbox, TALKING_MS } from "../pairing/lasting_mailbox.ts";
import { MailboxClient } from "../pairing/mailbox_client.ts";
import type { Meeting } from "./options.ts";
import { findOnLan } from "./find_on_lan.ts";

/** Nameplates that a sender without a hub draws from: three digits, so that two on one network rarely collide. */
const OWN_NAMEPLATES = { low: 100, high: 999 } as const;

/** Draws before a machine with that many senders counts as full. */
const NAMEPLATE_TRIES = 50;

/** How long a receiver looks around on this network. */
const LOOK_MS = 10_000;

/** The same when a hub is there to ask as well: most codes are then the hub's. */
const LOOK_BESIDES_HUB_MS = 3_000;

/** What both sides need to meet. */
interface RendezvousOptions {
  /** Whose codes these are. */
  readonly appId: string;
  /** Address of a hub; none or "": this network only. */
  readonly hub?: string;
  /** Senders of this person on this machine; left out: they are not looked at. */
  readonly registry?: LocalRegistry;
  /** Senders on this network; left out: they are not looked at. */
  readonly lan?: LanDiscovery;
  readonly signal?: AbortSignal;
}

/** Options of {@linkcode openRendezvous}. */
export interface OpenRendezvousOptions extends RendezvousOptions {
  /** A code that the two agreed on before; else one is made. */
  readonly code?: Code;
  /** Words of the code that is made; 2 when left out. */
  readonly words?: number;
  /** TCP port of the sender's own mailbox; 0 or none takes a free one. */
  readonly port?: number;
  /** Interface for the sender's own mailbox; all when left out. */
  readonly hostname?: string;
  /** Limits of the sender's own mailbox, such as how long its code lives. */
  readonly limits?: Partial<MailboxLimits>;
  /** Gets a sentence when this network cannot be told about the sender. */
  readonly onWarning?: (sentence: string) => void;
}

/** A sender's place to meet. */
export interface OpenRendezvous extends Meeting {
  /** Port of the sender's own mailbox, for `--peer`; undefined at a hub. */
  readonly port: number | undefined;
  /** How long the code waits for somebody, in ms; undefined when it lasts as long as the sender, or the hub did not say. */
  readonly expiresInMs: number | undefined;
}

/** A sender's place to meet with the way to its mailboxes. */
export interface OpenPlace extends OpenRendezvous {
  readonly mailbox: MailboxClient;
  readonly url: URL;
}

/** Options of {@linkcode findRendezvous}. */
export interface FindRendezvousOptions extends RendezvousOptions {
  readonly code: Code;
  /** `host:port` of the sender's own mailbox: nothing else is looked at. */
  readonly peer?: string;
  /** How long to look around on this network; 10 s when left out. */
  readonly lookMs?: number;
  /** Called when the answer is not at hand and this network is being searched. */
  readonly onLooking?: () => void;
  /**
   * Tells whether a nameplate is of another program at the hub. Asked where the hub would make one that nobody offers,
   * and its sender would be waited for in vain.
   */
  readonly isOthers?: (nameplate: string) => Promise<boolean>;
}

/** How a receiver found its sender. */
export interface FoundRendezvous extends Meeting {
  readonly via: Route;
}

type Route = "peer" | "local" | "hub" | "lan";

/**
 * Opens the place where the sender waits, under a new code or the given one.
 *
 * @throws {WormholeError} HUB_UNREACHABLE or HUB_REFUSED; ADDRESS_IN_USE for `port`; ALREADY_EXISTS when the given
 * code's number is in use on this machine; INVALID_ARGUMENT for the hub's address.
 */
export async function openRendezvous(options: OpenRendezvousOptions): Promise<OpenRendezvous> {
  const place = await openPlace(options);
  // A mailbox of one's own goes with this program only.
  if (!options.hub) return place;
  const mailbox = new LastingMailbox(place.mailbox, {
    appId: options.appId,
    make: { reuse: options.code !== undefined },
    onLost: ({ message }) => options.onWarning?.(`The hub was lost (${message}); trying again.`),
  });
  return { ...place, mailbox, [Symbol.asyncDispose]: () => mailbox[Symbol.asyncDispose]() };
}

/** Does as {@linkcode openRendezvous}; `many`: everybody who comes gets a mailbox of their own. */
export async function openPlace(options: OpenRendezvousOptions & { many?: boolean }): Promise<OpenPlace> {
  return await (options.hub ? openAtHub(options.hub, options) : openHere(options));
}

/**
 * Finds the sender's place by the code's nameplate and joins it.
 *
 * @throws {WormholeError} CODE_NOT_FOUND when nobody offers it, CODE_CROWDED when two on this network do or two others
 * use it already, CODE_EXPIRED, CODE_USED, HUB_UNREACHABLE, HUB_REFUSED, INVALID_ARGUMENT for an address.
 */
export async function findRendezvous(options: FindRendezvousOptions): Promise<FoundRendezvous> {
  const { code, appId, peer, signal } = options;
  if (peer !== undefined) {
    const client = await MailboxClient.connect(parsePeerAddress(peer), { appId, signal })
      .catch((error) =>
        Promise.reject(isWormholeError(error, "HUB_UNREACHABLE") ? noSender(peer, error) : error)
      );
    return await claimed(client, { ...options, via: "peer" });
  }
  const local = await options.registry?.find(code.nameplate);
  if (local !== undefined) {
    const client = await reachable(MailboxClient.connect(local.url, { appId, signal }));
    if (client !== undefined) return await claimed(client, { ...options, via: "local" });
  }
  return await findElsewhere(options);
}

type OpenPlaceOptions = Parameters<typeof openPlace>[0];

async function openAtHub(hub: string, options: OpenPlaceOptions): Promise<OpenPlace> {
  const { appId, many = false, signal } = options;
  const url = parseHubUrl(hub);
  const client = await MailboxClient.connect(url, { appId, signal });
  try {
    const code = options.code ??
      { nameplate: await client.allocate({ signal }), password: password(options) };
    // A code that was agreed on may be used again and again, as long as nobody guesses at it.
    await client.claim(code.nameplate, { many, reuse: options.code !== undefined, signal });
    return {
      mailbox: client,
      url,
      code,
      appId,
      port: undefined,
      expiresInMs: client.expiresInMs,
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  } catch (error) {
    await client[Symbol.asyncDispose]();
    throw error;
  }
}

async function openHere(options: OpenPlaceOptions): Promise<OpenPlace> {
  const { appId, registry, lan, many = false, signal, onWarning } = options;
  // Loaded here, since receivers and senders at a hub need no server.
  const { MANY_LIMITS, MemoryMailboxStore, serveMailbox, SINGLE_CODE_LIMITS } = await import(
    "../mailbox/mod.ts"
  );
  await using stack = new AsyncDisposableStack();
  const store = stack.use(new MemoryMailboxStore());
  const limits = { ...many ? MANY_LIMITS : SINGLE_CODE_LIMITS, ...options.limits };
  const service = stack.use(
    serveMailbox({ hostname: options.hostname, port: options.port ?? 0, store, limits }),
  );
  const url = new URL(service.url);
  const client = stack.use(await MailboxClient.connect(url, { appId, signal }));
  const { nameplate, entry } = await reserve(registry, { url: service.url, code: options.code });
  if (entry !== undefined) stack.use(entry);
  await client.claim(nameplate, { many, signal });
  if (lan !== undefined) {
    try {
      stack.use(await lan.announce({ nameplate, port: service.port }));
    } catch (error) {
      signal?.throwIfAborted();
      const state = error instanceof Error ? error.message : String(error);
      onWarning?.(`This network cannot be told about the code (${state}); the receiver can use --peer.`);
    }
  }
  const kept = stack.move();
  return {
    mailbox: client,
    url,
    code: options.code ?? { nameplate, password: password(options) },
    appId,
    port: service.port,
    expiresInMs: undefined,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Takes a nameplate that no other sender of this person has. */
async function reserve(
  registry: LocalRegistry | undefined,
  { url, code }: { url: string; code: Code | undefined },
): Promise<{ nameplate: string; entry: AsyncDisposable | undefined }> {
  for (let tries = 0; tries < NAMEPLATE_TRIES; tries++) {
    const nameplate = code?.nameplate ?? drawNameplate();
    if (registry === undefined) return { nameplate, entry: undefined };
    const entry = await registry.register(nameplate, url);
    if (entry !== undefined) return { nameplate, entry };
    if (code !== undefined) {
      throw new WormholeError(
        "ALREADY_EXISTS",
        `Cannot use the code ${code.nameplate}-…: another send on this machine uses its number`,
      );
    }
  }
  throw new WormholeError("LIMIT_EXCEEDED", "Cannot make a code: too many sends run on this machine");
}

/** Looks at the hub and on this network at once; claims one after the other, so that at most one code is spent. */
async function findElsewhere(options: FindRendezvousOptions): Promise<FoundRendezvous> {
  const { code, appId, hub, lan, onLooking, lookMs = LOOK_MS } = options;
  const others = new AbortController();
  const signal = anySignal(options.signal, others.signal);
  const routes = new Map<Route, Promise<Arrival>>();
  const start = (via: Route, client: Promise<MailboxClient | undefined>) =>
    routes.set(via, client.then((client) => ({ via, client }), (error) => ({ via, error })));
  if (hub) start("hub", MailboxClient.connect(parseHubUrl(hub), { appId, signal }));
  if (lan !== undefined) {
    onLooking?.();
    start(
      "lan",
      lookAround(lan, { code, appId, signal, ms: hub ? Math.min(lookMs, LOOK_BESIDES_HUB_MS) : lookMs }),
    );
  }
  const failures: unknown[] = [];
  try {
    while (routes.size > 0) {
      const { via, client, error } = await Promise.race(routes.values());
      routes.delete(via);
      options.signal?.throwIfAborted();
      if (error !== undefined) failures.push(error);
      if (client === undefined) continue;
      try {
        return await claimed(client, { ...options, via });
      } catch (error) {
        failures.push(error);
      }
    }
    throw gravest(failures) ?? notFound(options);
  } finally {
    others.abort();
    for (const { client } of await Promise.all(routes.values())) await client?.[Symbol.asyncDispose]();
  }
}

interface Arrival {
  via: Route;
  client?: MailboxClient | undefined;
  error?: unknown;
}

async function lookAround(
  lan: LanDiscovery,
  { code, appId, signal, ms }: { code: Code; appId: string; signal: AbortSignal; ms: number },
): Promise<MailboxClient | undefined> {
  const sender = await findOnLan(lan, { nameplate: code.nameplate, signal, ms });
  if (sender === undefined) return undefined;
  const urls = sender.addresses.map((host) => parsePeerAddress(hostPort({ host, port: sender.port })));
  return await connectFirst(urls, { appId, signal });
}

function noSender(peer: string, cause: Error): WormholeError {
  return new WormholeError(
    "CONNECT_FAILED",
    `Cannot reach the sender at ${peer}: nothing answers there; is it still running, and is this the port it shows?`,
    { cause },
  );
}

async function claimed(
  client: MailboxClient,
  options: FindRendezvousOptions & { via: Route },
): Promise<FoundRendezvous> {
  const { code, appId, isOthers, signal, via } = options;
  try {
    if (via === "hub" && !client.ours && await isOthers?.(code.nameplate)) throw notFound(options);
    await client.claim(code.nameplate, { mustExist: true, signal });
  } catch (error) {
    await client[Symbol.asyncDispose]();
    throw error;
  }
  const mailbox = new LastingMailbox(client, {
    appId,
    waitingMs: TALKING_MS,
  });
  return { mailbox, code, appId, via, [Symbol.asyncDispose]: () => mailbox[Symbol.asyncDispose]() };
}

/** Gives a client, or undefined when nothing answers there any more. */
async function reachable(connecting: Promise<MailboxClient>): Promise<MailboxClient | undefined> {
  try {
    return await connecting;
  } catch (error) {
    if (isWormholeError(error, "HUB_UNREACHABLE")) return undefined;
    throw error;
  }
}

/** Gives the failure that says most: one about the code itself, then one about the way, then "nobody there". */
function gravest(failures: unknown[]): unknown {
  const about = (rank: (error: unknown) => boolean) => failures.find(rank);
  return about((error) => !isWormholeError(error, "CODE_NOT_FOUND", "HUB_UNREACHABLE")) ??
    about((error) => isWormholeError(error, "HUB_UNREACHABLE")) ?? failures[0];
}

function notFound({ code }: FindRendezvousOptions): WormholeError {
  return new WormholeError(
    "CODE_NOT_FOUND",
    `Cannot find the code ${code.nameplate}-…: nobody on this network offers it; is the sender still running? ` +
      "For another network use --hub or --peer",
  );
}

function password({ words = 2 }: OpenRendezvousOptions): string {
  return makePassword(words, (byteLength) => crypto.getRandomValues(new Uint8Array(byteLength)));
}

function drawNameplate(): string {
  const { low, high } = OWN_NAMEPLATES;
  const [random] = crypto.getRandomValues(new Uint32Array(1));
  return String(low + random! % (high - low + 1));
}

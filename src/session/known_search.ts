/**
 * How two machines that know each other find each other: both are at every place that either may come to, at once and for as
 * long as it takes. wire/spec/known_peers.md §3.
 */
import { anySignal } from "../base/any_signal.ts";
import type { Clock } from "../base/clock.ts";
import { isWormholeError, type WormholeError } from "../base/errors.ts";
import { hostPort } from "../base/host_port.ts";
import { type Direction, epochsAt, knownEntry, knownPlace, knownPort } from "../pairing/known_place.ts";
import type { PairingCrypto } from "../pairing/crypto.ts";
import { parseHubUrl, parsePeerAddress } from "../pairing/hub_url.ts";
import type { LanDiscovery, LanSender } from "../pairing/lan.ts";
import type { LocalRegistry } from "../pairing/local_registry.ts";
import type { Mailbox } from "../pairing/mailbox_client.ts";
import { isLoopback } from "../transport/hints.ts";
import { visit } from "./known_visit.ts";

/** Pauses before a place is tried again, in ms: each is twice the one before. */
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 20_000;

/** How often this machine's senders are looked at, in ms. */
const LOOK_MS = 300;

/** How long a sender's address on this machine waits at most for its file to lead there, in ms. */
const LOOPBACK_MS = 100;

/** The time may jump while a machine sleeps, so that no pause is longer than this, in ms. */
const MAX_NAP_MS = 30_000;

/** Places on the network that are tried at once: anybody may announce what somebody else did. */
const MAX_FOUND = 16;

/** How often a place that was announced is tried before it has to be announced again. */
const FOUND_TRIES = 3;

/** Where to look; what is left out is not looked at. */
export interface KnownWays {
  /** Address of a hub; none or "": none. */
  readonly hub?: string;
  readonly registry?: LocalRegistry;
  readonly lan?: LanDiscovery;
  /** Receiver: `host:port` of the sender's own mailbox. */
  readonly peer?: string;
  /** Receiver: IP addresses at which the sender was last. */
  readonly hosts?: readonly string[];
  /** Sender: TCP port of its own mailbox; 0 or none: one that the other knows, where it is free. */
  readonly mailboxPort?: number;
  /** Sender: interface for its own mailbox; all when left out. */
  readonly hostname?: string;
  /** Gets a sentence when a way is closed. */
  readonly onWarning?: (sentence: string) => void;
}

/** What {@linkcode KnownSearch} needs. */
export interface KnownSearchOptions {
  readonly direction: Direction;
  readonly role: "sender" | "receiver";
  readonly ways: KnownWays;
  readonly greet: (mailbox: Mailbox) => void;
  /** Told what ends the search. */
  readonly onFailure: (error: unknown) => void;
  readonly crypto: PairingCrypto;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A search from {@linkcode KnownSearch.start} until the signal aborts; disposing waits for its end. */
export class KnownSearch implements AsyncDisposable {
  readonly #options: KnownSearchOptions;
  readonly #tasks = new Set<Promise<void>>();
  /** Where a visit is under way by whatever way it was found, and the epoch: one is enough. */
  readonly #visited = new Set<string>();
  readonly #warned = new Set<string>();
  /** Visits to what was announced. */
  #found = 0;

  constructor(options: KnownSearchOptions) {
    this.#options = options;
  }

  /** Begins; `own`: the URL of this sender's own mailbox server, with its port. */
  start(own?: { readonly url: URL; readonly port: number }): void {
    const { role, ways, direction, crypto } = this.#options;
    if (ways.hub) this.#run(this.#stay(parseHubUrl(ways.hub), { warn: true }));
    if (role === "sender") {
      if (own === undefined) return;
      this.#run(this.#stay(own.url));
      if (ways.lan !== undefined) this.#run(this.#announce(ways.lan, own.port));
      return;
    }
    if (ways.peer !== undefined) this.#run(this.#stay(parsePeerAddress(ways.peer)));
    const none = Promise.withResolvers<void>();
    if (ways.registry !== undefined) {
      this.#run(this.#watch(ways.registry, { entry: knownEntry(crypto, direction), onNone: none.resolve }));
    }
    if (ways.lan !== undefined) this.#run(this.#browse(ways.lan));
    const port = knownPort(crypto, direction);
    for (const host of ways.hosts ?? []) {
      // This machine's own senders are found at once where they have left a file.
      const mayLeaveFile = ways.registry !== undefined && isLoopback(host);
      const after = mayLeaveFile ? { after: none.promise } : {};
      this.#run(this.#stay(parsePeerAddress(hostPort({ host, port })), after));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  #run(work: Promise<void>): void {
    const { signal, onFailure } = this.#options;
    const task = work.catch((error) => void (signal.aborted || onFailure(error)))
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  /** Is at `url` in every epoch, for as long as it takes. */
  #stay(
    url: URL,
    { warn = false, after }: { warn?: boolean; after?: Promise<void> } = {},
  ): Promise<void> {
    return this.#everyEpoch(async (epoch, signal) => {
      if (after !== undefined) await Promise.race([after, nap(this.#options.clock, LOOPBACK_MS, signal)]);
      await this.#visit(url, { epoch, signal, warn });
    });
  }

  /** Visits again and again; at most `tries` times in a row without success when that is given. */
  async #visit(
    url: URL,
    { epoch, signal, warn = false, tries = Infinity }: {
      epoch: number;
      signal: AbortSignal;
      warn?: boolean;
      tries?: number;
    },
  ): Promise<void> {
    const { role, greet, crypto, direction, clock } = this.#options;
    const place = knownPlace(crypto, direction, epoch);
    const where = `${url.host} ${epoch}`;
    for (let pause = FIRST_PAUSE_MS; tries > 0 && !signal.aborted; tries--) {
      const begun = clock.monotonic();
      const isFirst = !this.#visited.has(where);
      try {
        this.#visited.add(where);
        if (isFirst) await visit(url, { place, role, greet, signal });
      } catch (error) {
        if (signal.aborted) return;
        if (!isWormholeError(error)) throw error;
        if (warn) this.#warn(`hub ${url.host}`, error);
      } finally {
        if (isFirst) this.#visited.delete(where);
      }
      if (clock.monotonic() - begun > MAX_PAUSE_MS) pause = FIRST_PAUSE_MS;
      await nap(clock, pause, signal);
      pause = Math.min(pause * 2, MAX_PAUSE_MS);
    }
  }

  async #announce(lan: LanDiscovery, port: number): Promise<void> {
    const { crypto, direction } = this.#options;
    await this.#everyEpoch(async (epoch, signal) => {
      try {
        await using _announcement = await lan.announce({
          tag: knownPlace(crypto, direction, epoch).tag,
          port,
        });
        await aborted(signal);
      } catch (error) {
        if (!isWormholeError(error)) throw error;
        this.#warn("network", error);
      }
    });
  }

  async #browse(lan: LanDiscovery): Promise<void> {
    const { crypto, direction, clock, signal } = this.#options;
    try {
      for await (const sender of lan.browse({ signal })) {
        if (!("tag" in sender.sign)) continue;
        const { tag } = sender.sign;
        // One epoch to either side: the sender's clock may be another.
        const epochs = new Set(epochsAt(clock.now()).flatMap((epoch) => [epoch - 1, epoch, epoch + 1]));
        for (const epoch of epochs) {
          if (epoch >= 0 && knownPlace(crypto, direction, epoch).tag === tag) this.#tryFound(sender, epoch);
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!isWormholeError(error)) throw error;
      this.#warn("network", error);
    }
  }

  #tryFound({ addresses, port }: LanSender, epoch: number): void {
    const { signal } = this.#options;
    for (const host of addresses) {
      if (this.#found >= MAX_FOUND) return;
      const url = parsePeerAddress(hostPort({ host, port }));
      if (this.#visited.has(`${url.host} ${epoch}`)) continue;
      this.#found++;
      const visited = this.#visit(url, { epoch, signal, tries: FOUND_TRIES });
      this.#run(visited.finally(() => this.#found--));
    }
  }

  /** `onNone` is told that there is no file just now. */
  async #watch(
    registry: LocalRegistry,
    { entry, onNone }: { entry: string; onNone: () => void },
  ): Promise<void> {
    const { clock, signal } = this.#options;
    const visited = new Set<string>();
    while (!signal.aborted) {
      const files = await registry.findKnown(entry);
      if (files.length === 0) onNone();
      for (const { url } of files) {
        if (visited.has(url.href)) continue;
        visited.add(url.href);
        const [epoch] = epochsAt(clock.now());
        const visiting = this.#visit(url, { epoch: epoch!, signal, tries: FOUND_TRIES });
        this.#run(visiting.finally(() => visited.delete(url.href)));
      }
      await nap(clock, LOOK_MS, signal);
    }
  }

  /** Runs `work` in every epoch that this machine stands in. */
  async #everyEpoch(work: (epoch: number, signal: AbortSignal) => Promise<void>): Promise<void> {
    const { clock, signal, onFailure } = this.#options;
    const running = new Map<number, { stop: AbortController; done: Promise<void> }>();
    const end = async (epoch: number) => {
      const { stop, done } = running.get(epoch)!;
      running.delete(epoch);
      stop.abort();
      await done;
    };
    try {
      while (!signal.aborted) {
        const epochs = epochsAt(clock.now());
        for (const epoch of running.keys()) if (!epochs.includes(epoch)) await end(epoch);
        for (const epoch of epochs) {
          if (running.has(epoch)) continue;
          const stop = new AbortController();
          const either = anySignal(signal, stop.signal);
          const done = work(epoch, either).catch((error) => void (either.aborted || onFailure(error)));
          running.set(epoch, { stop, done });
        }
        await nap(clock, MAX_NAP_MS, signal);
      }
    } finally {
      for (const epoch of [...running.keys()]) await end(epoch);
    }
  }

  #warn(way: string, error: WormholeError): void {
    if (this.#warned.has(way)) return;
    this.#warned.add(way);
    this.#options.ways.onWarning?.(`${error.message}; looking elsewhere, and there again.`);
  }
}

/** Waits; an abort only ends the wait. */
async function nap(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(ms, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

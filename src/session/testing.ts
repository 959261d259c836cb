/** Links and networks for tests of this folder. */
import type { Announcement, LanDiscovery, LanSender } from "../pairing/lan.ts";
import type { Link, PeerConnection } from "../transport/connection.ts";
import type { DirectTransport } from "../transport/hints.ts";

/** 32 bytes: the key of the peer that tests pair with. */
export const KEY: Uint8Array = new Uint8Array(32).fill(7);

/** 32 bytes: another's. */
export const STRANGER: Uint8Array = new Uint8Array(32).fill(8);

/** Options of {@linkcode ScriptedLink}. */
export interface ScriptedLinkOptions {
  peerKey?: Uint8Array;
  remote?: string;
  rttMs?: number;
  /** What the peer says; undefined ends the link. */
  frames?: (Uint8Array | undefined)[];
}

/** A link whose peer says `frames`, and then nothing more. */
export class ScriptedLink implements Link {
  readonly kind: DirectTransport;
  readonly peerKey: Uint8Array;
  readonly remote: string;
  readonly native = 0 as Link["native"];
  readonly sent: Uint8Array[] = [];
  closed = false;
  readonly stats: Link["stats"];
  readonly #frames: (Uint8Array | undefined)[];

  constructor(
    kind: DirectTransport,
    { peerKey = KEY, remote = "192.0.2.1:4000", rttMs = 40, frames = [] }: ScriptedLinkOptions = {},
  ) {
    this.kind = kind;
    this.peerKey = peerKey;
    this.remote = remote;
    this.#frames = [...frames];
    this.stats = () => Promise.resolve({ rttMs, bytesSent: 0, bytesReceived: 0, remote });
  }

  send(frame: Uint8Array): Promise<void> {
    this.sent.push(frame);
    return Promise.resolve();
  }

  recv({ signal }: { signal?: AbortSignal } = {}): Promise<Uint8Array | undefined> {
    if (this.#frames.length > 0) return Promise.resolve(this.#frames.shift());
    return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
  }

  bulk(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Gives a link the brand that only session may give. */
export function branded(link: Link, more: Pick<PeerConnection, "renewal"> = {}): PeerConnection {
  return Object.assign(link, more) as Link as PeerConnection;
}

/** One network in memory: who announces is seen by all who browse. */
export class MemoryLan implements LanDiscovery {
  readonly senders = new Map<string, LanSender>();
  /** Where whoever announces is. */
  addresses = ["127.0.0.1"];
  #changed = Promise.withResolvers<void>();
  #next = 1;

  announce({ port, ...sign }: Announcement): Promise<AsyncDisposable> {
    const sender = { instance: `wormhole-${this.#next++}`, sign, port, addresses: this.addresses };
    return Promise.resolve(this.add(sender));
  }

  /** Has it announced until disposed of. */
  add(sender: LanSender): AsyncDisposable {
    const key = `${sender.instance} ${sender.addresses}`;
    this.senders.set(key, sender);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    return { [Symbol.asyncDispose]: () => Promise.resolve(void this.senders.delete(key)) };
  }

  async *browse({ signal }: { signal: AbortSignal }): AsyncIterable<LanSender> {
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    const seen = new Set<LanSender>();
    while (!signal.aborted) {
      for (const sender of this.senders.values()) {
        if (seen.has(sender)) continue;
        seen.add(sender);
        yield sender;
      }
      await Promise.race([this.#changed.promise, aborted]);
    }
  }
}

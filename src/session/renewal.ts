/**
 * How each side of a session comes to another link; wire/spec/handshake.md §3. Both may dial; the receiver decides which
 * link it is, by saying so on it, and the sender takes the one with the highest number.
 */
import { isIP } from "node:net";
import { sameSecret } from "../base/bytes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { hostOf } from "../base/host_port.ts";
import { processProxies } from "../config/proxies.ts";
import type { Link, PeerConnection, Renewal } from "../transport/connection.ts";
import type { PairingCrypto } from "../pairing/crypto.ts";
import type { LanDiscovery } from "../pairing/lan.ts";
import { dialFirst } from "../transport/dial.ts";
import {
  addProxied,
  type DialTarget,
  type Hint,
  hintText,
  orderHints,
  type RelayHint,
} from "../transport/hints.ts";
import { authenticated, type NextLink } from "./authenticated.ts";
import { discard, type Door } from "./door.ts";
import { decodeReconnect, encodeReconnect } from "./reconnect_frame.ts";
import { type Role, seekOnLan } from "./seek_on_lan.ts";

/** What either side needs to make links anew. */
export interface RenewalOptions {
  readonly door: Door;
  /** 16 bytes that only the two ends of this session know. */
  readonly secret: Uint8Array;
  /** 32 bytes: the key that every link must prove. */
  readonly peerKey: Uint8Array;
  /** Where the other machine said that it can be reached; empty when it only dials. */
  readonly hints: readonly Hint[];
  /** Where it is at the relay of the hub. */
  readonly relay?: RelayHint;
  /** Where the other end of the first link was: how the other machine was seen from here. */
  readonly remote: string;
  readonly dial: (hint: DialTarget, options: { signal: AbortSignal }) => Promise<Link>;
  /** Called before a dial when this machine's addresses are others than at the last one. */
  readonly onMoved?: () => Promise<void>;
  /** Gives this machine's own addresses. */
  readonly addresses: () => Promise<readonly string[]>;
  /** Where to look for the other machine when both have other addresses; nowhere when left out. */
  readonly seek?: {
    readonly lan: LanDiscovery;
    readonly crypto: Pick<PairingCrypto, "hkdf">;
    /** Gives a port that this machine listens on; none where it does not. */
    readonly port: () => Promise<number | undefined>;
  };
  /** Gives how a new link comes to further ones. */
  readonly nextLink?: (first: Link) => NextLink | undefined;
  readonly clock?: Clock;
}

abstract class Renewing implements Renewal {
  protected readonly options: RenewalOptions;
  /** The number of the last link: issued by the receiver, taken by the sender. */
  protected last = 0;
  protected abstract readonly role: Role;
  /** Where the other machine was seen on this network since. */
  #found: readonly string[] = [];
  /** This machine's addresses at the last dial, in one text; none where they could not be told. */
  #own: Promise<string | undefined>;

  constructor(options: RenewalOptions) {
    this.options = options;
    this.#own = options.addresses().then(inOneText, () => undefined);
  }

  abstract dial(options: { signal: AbortSignal }): Promise<PeerConnection>;
  abstract arrival(options: { isLost: () => boolean; signal: AbortSignal }): Promise<PeerConnection>;

  addresses(): Promise<readonly string[]> {
    return this.options.addresses();
  }

  async seek({ onFound, signal }: { onFound: () => void; signal: AbortSignal }): Promise<void> {
    const { seek, secret, addresses, clock = systemClock } = this.options;
    const port = await seek?.port();
    if (seek === undefined || port === undefined) return;
    const { role } = this;
    await seekOnLan({
      ...seek,
      port,
      secret,
      role,
      addresses,
      onFound: (hosts) => {
        const isNew = hosts.some((host) => !this.#found.includes(host));
        this.#found = hosts;
        if (isNew) onFound();
      },
      clock,
      signal,
    });
  }

  /** Dials everything that the other machine may be at. */
  protected async dialled(signal: AbortSignal): Promise<Link> {
    const { dial, onMoved, clock = systemClock } = this.options;
    const own = await this.addresses();
    const before = await this.#own;
    this.#own = Promise.resolve(inOneText(own));
    if (before !== undefined && before !== inOneText(own)) await onMoved?.();
    const link = await dialFirst(this.#hints(own), { dial, clock, signal });
    if (!signal.aborted) return link;
    await discard(link);
    throw signal.reason;
  }

  /** Says on `link` that it is this session's. */
  protected say(link: Link): Promise<void> {
    return link.send(encodeReconnect({ secret: this.options.secret, link: this.last }));
  }

  protected connection(link: Link): PeerConnection {
    const nextLink = this.options.nextLink?.(link);
    return authenticated(link, this.options.peerKey, { renewal: this, ...nextLink && { nextLink } });
  }

  /**
   * Where it was found, the hints, best first for the network that this machine is in now, where the first link went, the same by
   * proxy, then the relay.
   */
  #hints(own: readonly string[]): DialTarget[] {
    const { hints, relay, remote } = this.options;
    const host = hostOf(remote);
    const at = (hosts: readonly string[]): Hint[] =>
      hosts.flatMap((host) => hints.map((hint) => ({ ...hint, host })));
    const all = [...at(this.#found), ...orderHints(hints, own), ...at(isIP(host) === 0 ? [] : [host])];
    const each = addProxied(
      [...new Map(all.map((hint) => [hintText(hint), hint])).values()],
      processProxies(),
    );
    return relay ? [...each, relay] : each;
  }
}

function inOneText(addresses: readonly string[]): string {
  return addresses.toSorted().join();
}

/** The receiver's side: it numbers the links. */
export class ReceiverRenewal extends Renewing {
  protected override readonly role = "receiver";

  override async dial({ signal }: { signal: AbortSignal }): Promise<PeerConnection> {
    const before = this.last;
    const link = await this.dialled(signal);
    try {
      // The sender may have come by itself in the meantime.
      if (this.last !== before) throw superseded();
      return await this.#issue(link);
    } catch (error) {
      await discard(link);
      throw error;
    }
  }

  override async arrival(
    { isLost, signal }: { isLost: () => boolean; signal: AbortSignal },
  ): Promise<PeerConnection> {
    for (;;) {
      const { link, number } = await this.options.door.returned({ signal });
      // While a link works here, a sender that does not know it yet is only about to learn of it.
      if (isLost() || number === this.last) {
        try {
          return await this.#issue(link);
        } catch (error) {
          if (!(error instanceof WormholeError)) throw error;
        }
      }
      await discard(link);
    }
  }

  async #issue(link: Link): Promise<PeerConnection> {
    this.last++;
    await this.say(link);
    return this.connection(link);
  }
}

/** The sender's side: it takes what the receiver numbers. */
export class SenderRenewal extends Renewing {
  protected override readonly role = "sender";

  override async dial({ signal }: { signal: AbortSignal }): Promise<PeerConnection> {
    const link = await this.dialled(signal);
    try {
      await this.say(link);
      const frame = await link.recv({ signal });
      const answer = frame && decodeReconnect(frame);
      if (answer === undefined || !sameSecret(answer.secret, this.options.secret)) {
        throw new WormholeError("CONNECTION_LOST", `Cannot go on over "${link.remote}": it was not taken`);
      }
      if (!this.#takes(answer.link)) throw superseded();
      return this.connection(link);
    } catch (error) {
      await discard(link);
      throw error;
    }
  }

  override async arrival({ signal }: { signal: AbortSignal }): Promise<PeerConnection> {
    for (;;) {
      const { link, number } = await this.options.door.returned({ signal });
      if (this.#takes(number)) return this.connection(link);
      await discard(link);
    }
  }

  #takes(number: number): boolean {
    if (number <= this.last) return false;
    this.last = number;
    return true;
  }
}

function superseded(): WormholeError {
  return new WormholeError("CANCELLED", "Cannot use a new connection: there is a newer one");
}

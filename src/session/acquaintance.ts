/** What a session begins with: two machines that have learned each other's keys and addresses, by whatever way. */
import { hostOf } from "../base/host_port.ts";
import { isIP } from "node:net";
import type { RelayOffer } from "../pairing/relay_offer.ts";
import { isLoopback } from "../transport/hints.ts";
import type { AbilityValue } from "../wire/fields.ts";
import type { Introduction } from "./introduction.ts";

/** What two sides know of each other once they are paired. */
export interface Introduced {
  readonly peer: Introduction;
  /** 16 bytes that nobody else knows: by them the two find this session again after a lost connection. */
  readonly secret: Uint8Array;
  /** 32 bytes by which the two may know each other from now on; none where they do already. */
  readonly pairSecret?: Uint8Array;
}

/** The same, with what has to stay open until there is a connection. */
export type Acquainted = Introduced & AsyncDisposable;

/** What this side tells about itself. */
export interface OwnSide {
  /** Where it can be reached, once its endpoint is open: also at the relay of the hub where the two meet, if it has one. */
  readonly reachable: (relay?: RelayOffer) => Promise<Pick<Introduction, "hints" | "relay">>;
}

/** The other machine, as this session got to know it. */
export interface MetPeer {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** IP addresses where it was. */
  readonly hosts: readonly string[];
  readonly abilities: Readonly<Record<string, AbilityValue>>;
  readonly pairSecret?: Uint8Array;
}

/** Gives what is to be told of the other machine once it has proved its key over a link from or to `remote`. */
export function metPeer({ peer, pairSecret }: Introduced, remote: string): MetPeer {
  const seen = hostOf(remote);
  return {
    key: peer.key,
    // Of use only between two people's programs on one machine.
    hosts: [...new Set([...isIP(seen) === 0 ? [] : [seen], ...peer.hints.map(({ host }) => host)])]
      .toSorted((a, b) => Number(isLoopback(a)) - Number(isLoopback(b))),
    abilities: peer.abilities,
    ...pairSecret && { pairSecret },
  };
}

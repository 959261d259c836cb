import { sameBytes } from "../base/bytes.ts";
import { WormholeError } from "../base/errors.ts";
import type { RelayOffer } from "../pairing/relay_offer.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { DialTransport, Hint, RelayHint } from "../transport/hints.ts";
import type { Introduction } from "./introduction.ts";

/** How the two sides of one session reach each other: at their addresses, and at the relay of the hub where they met. */
export class Reach {
  readonly #transports: readonly DialTransport[];
  #own: RelayHint | undefined;

  constructor(transports: readonly DialTransport[]) {
    this.#transports = transports;
  }

  /**
   * Gives where this machine can be reached, from now on also at the relay that is offered; a relay that was offered
   * before stays.
   *
   * @throws {WormholeError} UNSUPPORTED when the person allows nothing but a relay and there is none.
   */
  async announce(endpoint: Endpoint, offer?: RelayOffer): Promise<Pick<Introduction, "hints" | "relay">> {
    const [first, ...others] = this.#transports;
    if (offer !== undefined && this.#transports.includes("relay")) this.#own = await endpoint.useRelay(offer);
    if (first === "relay" && others.length === 0 && this.#own === undefined) {
      throw new WormholeError(
        "UNSUPPORTED",
        "Cannot use a relay: the two machines meet at no hub that has one",
      );
    }
    return { hints: await endpoint.hints(), ...this.#own && { relay: this.#own } };
  }

  /** Gives those of the peer's hints that this side may dial. */
  hints(peer: Pick<Introduction, "hints">): Hint[] {
    return peer.hints.filter(({ transport }) => this.#transports.includes(transport));
  }

  /** Gives the peer's hint of the relay, where both are at the same one; two programs of one machine need none. */
  relay(peer: Pick<Introduction, "key" | "relay">, ownKey: Uint8Array): RelayHint | undefined {
    if (peer.relay === undefined || this.#own === undefined || sameBytes(peer.key, ownKey)) return undefined;
    return sameBytes(peer.relay.relay, this.#own.relay) ? peer.relay : undefined;
  }

  /** Tells whether both sides go to the hub to be joined there; `relay`: what {@linkcode Reach.relay} gave. */
  canJoin(relay: RelayHint | undefined): boolean {
    return this.#own?.joins === true && relay?.joins === true;
  }
}

import { isWormholeError, WormholeError } from "../base/errors.ts";
import type { FurtherLink, PeerConnection, TransportKind } from "../transport/connection.ts";
import { MAX_LINKS } from "../wire/mod.ts";
import type { LinkStatus } from "./bulk_sender.ts";

/** The links of one transfer by their numbers: 0 is the connection of the control stream; wire/spec/streams.md §1. */
export class TransferLinks implements AsyncDisposable {
  readonly #links = new Map<number, PeerConnection>();
  readonly #used = new Set([0]);

  constructor(connection: PeerConnection) {
    this.#links.set(0, connection);
  }

  /** @throws {WormholeError} CONNECTION_LOST when there is no such link any more. */
  get(number: number): PeerConnection {
    const link = this.#links.get(number);
    if (link === undefined) {
      throw new WormholeError("CONNECTION_LOST", `Cannot use link ${number}: it has gone`);
    }
    return link;
  }

  /** Gives the number of the link with this native connection. */
  numberOf(native: number): number | undefined {
    for (const [number, link] of this.#links) if (link.native === native) return number;
    return undefined;
  }

  /** Waits for the next further link, and gives its number; undefined when no more will come. */
  async next(
    signal: AbortSignal,
  ): Promise<{ link: number; kind: TransportKind; isRelayed: boolean } | undefined> {
    for (;;) {
      const further = await this.#links.get(0)!.nextLink?.({ signal });
      if (further === undefined) return undefined;
      if (signal.aborted) {
        await further.link.close();
        throw signal.reason;
      }
      if (this.#take(further)) {
        const { kind, remote } = further.link;
        return { link: further.number, kind, isRelayed: remote.startsWith("relay ") };
      }
      await further.link.close("PROTOCOL").catch(() => {}); // It is of no use, however it ends.
    }
  }

  /** Resolves when a further link has ended; nothing may come over its control stream. */
  async gone(number: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#links.get(number)?.recv({ signal });
    } catch (error) {
      if (signal.aborted) throw error;
      // Why it ended matters to nobody: the transfer goes on without it.
      if (!isWormholeError(error)) throw error;
    }
  }

  /** Closes a further link; what its streams carried and was not acknowledged breaks with them. */
  async drop(number: number): Promise<void> {
    const link = number > 0 ? this.#links.get(number) : undefined;
    if (link === undefined) return;
    this.#links.delete(number);
    await link.close();
  }

  /** Asks the transport how every link does. */
  async status(): Promise<(LinkStatus & { bytesReceived: number })[]> {
    return await Promise.all(Array.from(this.#links, async ([link, connection]) => {
      try {
        const { rttMs, bytesSent, bytesReceived, lostPackets = 0, relayed = false } = await connection
          .stats();
        return { link, rttMs, bytesSent, bytesReceived, lostPackets, isRelayed: relayed };
      } catch (error) {
        // It ends just now; whoever watches it says so.
        if (!isWormholeError(error)) throw error;
        return { link, rttMs: 0, bytesSent: 0, bytesReceived: 0, lostPackets: 0, isRelayed: false };
      }
    }));
  }

  /** Closes the further links; the first one belongs to the caller. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#links.keys()].map((number) => this.drop(number)));
  }

  #take({ number, link }: FurtherLink): boolean {
    if (number >= MAX_LINKS || this.#used.has(number)) return false;
    this.#used.add(number);
    this.#links.set(number, link);
    return true;
  }
}

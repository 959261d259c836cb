/** One congestion-controlled connection of a simulated path: how fast it sends, and what a loss does to it. */

/** Bytes of a packet's payload on an Ethernet path. */
export const PACKET_BYTES = 1448;

/** First window of a connection, RFC 6928. */
const FIRST_WINDOW = 10 * PACKET_BYTES;

/** How a connection answers to a loss. */
export type Reaction = "reno" | "cubic" | "bbr";

/** A connection's congestion control, in steps of time. */
export interface Flow {
  /** Bytes/s that it sends now, over a path whose round trip is `rttMs`. */
  rate(rttMs: number): number;
  /** `delivered` bytes arrived in the last `ms`, at `now`; `lost` tells whether any did not. */
  heard(now: number, ms: number, news: { delivered: number; lost: boolean; rttMs: number }): void;
}

/** Makes the flow of a new connection. */
export function makeFlow(reaction: Reaction): Flow {
  return reaction === "bbr" ? new RateFlow() : new WindowFlow(reaction);
}

/** Reno and CUBIC (RFC 9438): a window that grows until something is lost. */
class WindowFlow implements Flow {
  #window = FIRST_WINDOW;
  #threshold = Infinity;
  #reducedAt = -Infinity;
  #peak = 0;
  #epoch = 0;

  constructor(readonly reaction: "reno" | "cubic") {}

  rate(rttMs: number): number {
    return this.#window / (rttMs / 1000);
  }

  heard(now: number, ms: number, { delivered, lost, rttMs }: Parameters<Flow["heard"]>[2]): void {
    if (lost && now - this.#reducedAt > rttMs) {
      this.#peak = this.#window;
      this.#window = Math.max(2 * PACKET_BYTES, this.#window * (this.reaction === "cubic" ? 0.7 : 0.5));
      this.#threshold = this.#window;
      this.#reducedAt = this.#epoch = now;
      return;
    }
    if (this.#window < this.#threshold) {
      this.#window += delivered;
      return;
    }
    const friendly = this.#window + PACKET_BYTES * (this.reaction === "cubic" ? 0.53 : 1) * ms / rttMs;
    this.#window = Math.max(friendly, this.reaction === "cubic" ? this.#cubic(now) : 0);
  }

  /** W(t) = C (t - K)^3 + W_max, in packets and seconds. */
  #cubic(now: number): number {
    const peak = this.#peak / PACKET_BYTES;
    const k = Math.cbrt(peak * 0.3 / 0.4);
    const t = (now - this.#epoch) / 1000;
    const wanted = (0.4 * (t - k) ** 3 + peak) * PACKET_BYTES;
    // No faster than half a window per round trip.
    return Math.min(wanted, this.#window * 1.05);
  }
}

/** BBR in outline: sends at the rate that was delivered, probes for more, and takes a loss for what it is. */
class RateFlow implements Flow {
  /** The most that was delivered in each of the last rounds, bytes/s. */
  #rounds: number[] = [];
  #roundAt = 0;
  #roundBytes = 0;
  #startup = true;
  #full = 0;
  #flat = 0;
  #cycle = 0;
  #least = Infinity;

  rate(rttMs: number): number {
    this.#least = Math.min(this.#least, rttMs);
    const bandwidth = Math.max(FIRST_WINDOW / (this.#least / 1000), ...this.#rounds);
    const gain = this.#startup ? 2.77 : this.#cycle === 0 ? 1.25 : this.#cycle === 1 ? 0.75 : 1;
    return Math.min(gain * bandwidth, 2 * bandwidth * this.#least / rttMs);
  }

  heard(now: number, _ms: number, { delivered, rttMs }: Parameters<Flow["heard"]>[2]): void {
    this.#roundBytes += delivered;
    if (now - this.#roundAt < rttMs) return;
    const bandwidth = this.#roundBytes / ((now - this.#roundAt) / 1000);
    this.#roundAt = now;
    this.#roundBytes = 0;
    this.#rounds = [...this.#rounds, bandwidth].slice(-10);
    this.#cycle = (this.#cycle + 1) % 8;
    if (!this.#startup) return;
    if (bandwidth > 1.25 * this.#full) {
      this.#full = bandwidth;
      this.#flat = 0;
    } else if (++this.#flat >= 3) this.#startup = false;
  }
}

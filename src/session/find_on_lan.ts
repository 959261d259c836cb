import { anySignal } from "../base/any_signal.ts";
import { WormholeError } from "../base/errors.ts";
import type { LanDiscovery, LanSender } from "../pairing/lan.ts";

/** How long after the first answer another sender with the same nameplate may still turn up. */
const SETTLE_MS = 200;

/** Options of {@linkcode findOnLan}. */
export interface FindOnLanOptions {
  nameplate: string;
  /** How long to look. */
  ms: number;
  signal?: AbortSignal;
  /** How long to watch for a second sender after the first; 200 ms when left out. */
  settleMs?: number;
}

/**
 * Looks for the sender of `nameplate` on this network; undefined when none was seen in time.
 *
 * @throws {WormholeError} CODE_CROWDED when two different senders announce it; the signal's reason.
 */
export async function findOnLan(
  lan: LanDiscovery,
  { nameplate, ms, signal, settleMs = SETTLE_MS }: FindOnLanOptions,
): Promise<LanSender | undefined> {
  signal?.throwIfAborted();
  const done = new AbortController();
  const either = anySignal(signal, done.signal);
  let timer = setTimeout(() => done.abort(), ms);
  let found: LanSender | undefined;
  try {
    for await (const sender of lan.browse({ signal: either })) {
      if (!("nameplate" in sender.sign) || sender.sign.nameplate !== nameplate) continue;
      if (found === undefined) {
        found = sender;
        clearTimeout(timer);
        timer = setTimeout(() => done.abort(), settleMs);
      } else if (found.instance === sender.instance) {
        // One sender may answer by several of its interfaces.
        found = { ...sender, addresses: [...new Set([...found.addresses, ...sender.addresses])] };
      } else {
        throw new WormholeError(
          "CODE_CROWDED",
          `Cannot choose a sender for the code ${nameplate}-…: two machines on this network offer it; ` +
            "name the right one with --peer",
        );
      }
    }
  } finally {
    clearTimeout(timer);
  }
  signal?.throwIfAborted();
  return found;
}

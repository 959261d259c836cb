import type { Clock } from "../base/clock.ts";
import { isWormholeError } from "../base/errors.ts";
import type { Link } from "../transport/connection.ts";
import { type ConnectedEvent, connectedEvent } from "./connected_event.ts";

/** How often it is looked at, in ms: only people and logs wait for it. */
const LOOK_MS = 1000;

/**
 * Tells when a link leaves the hub's relay for a direct path, or the other way round, until disposed of. What the link was
 * when it was made is taken as told.
 */
export function watchPath(
  link: Link,
  { clock, onChange }: { clock: Pick<Clock, "timer">; onChange: (event: ConnectedEvent) => void },
): Disposable {
  // Only QUIC has more than one path.
  if (link.kind !== "quic") return { [Symbol.dispose]: () => {} };
  let over = false;
  let direct = !link.remote.startsWith("relay ");
  const look = async () => {
    try {
      const event = await connectedEvent(link);
      if (over) return;
      if (event.direct !== direct) onChange(event);
      direct = event.direct;
      timer = clock.timer(LOOK_MS, look);
    } catch (error) {
      // A link that is gone has no path; whoever uses it knows.
      if (!isWormholeError(error)) throw error;
    }
  };
  let timer = clock.timer(0, look);
  return {
    [Symbol.dispose]: () => {
      over = true;
      timer.cancel();
    },
  };
}

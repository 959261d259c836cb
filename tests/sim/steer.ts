/** Runs the whole steering over simulated links: a QUIC and a TCP link between the same two machines. */
import { Steering } from "../../src/transport/steering.ts";
import { Run, TICK_MS } from "./control.ts";
import type { SimulatedLink, SimulatedPath } from "./path.ts";

/** What a run gave: the whole, and what each link carried. */
export interface Steered {
  readonly total: Run;
  readonly links: ReadonlyMap<number, Run>;
  /** Links that were given up, with the time. */
  readonly given_up: readonly (readonly [link: number, at: number])[];
}

/** Lets the steering run links of these kinds for `ms`; `happens` is called before every tick. */
export function steer(
  path: SimulatedPath,
  { kinds, ms, remaining = Infinity, happens, isRelayed }: {
    kinds: readonly ("tcp" | "quic")[];
    ms: number;
    remaining?: number;
    happens?: (now: number, links: readonly SimulatedLink[]) => void;
    /** Whether a relay carries the link with this number. */
    isRelayed?: (link: number, now: number) => boolean;
  },
): Steered {
  const links = kinds.map((kind) => path.open(kind));
  const steering = new Steering({ cpuCount: 2, minStreams: 4, maxStreams: 256 }, { start: 4 });
  const total = new Run();
  const runs = new Map(links.map((_, i) => [i, new Run()]));
  const gone = new Set<number>();
  const given_up: [number, number][] = [];
  while (path.now < ms) {
    happens?.(path.now, links);
    const received = links.reduce((sum, link) => sum + link.received, 0);
    const course = steering.tick({
      now: path.now,
      remaining: remaining - received,
      links: links.flatMap((link, i) =>
        gone.has(i) ? [] : [{
          link: i,
          kind: link.kind,
          rttMs: path.rttMs,
          isRelayed: isRelayed?.(i, path.now) ?? false,
          received: link.received,
          lostPackets: link.lostPackets,
          sentPackets: link.sentPackets,
          blockedUs: link.blockedMs * 1000,
          streams: link.live,
          isOwing: link.streams.length > 0,
        }]
      ),
    });
    for (const link of course.given_up) {
      given_up.push([link, path.now]);
      gone.add(link);
    }
    for (const [i, link] of links.entries()) {
      const streams = course.streams.get(i) ?? 0;
      path.resize(link, streams);
      runs.get(i)!.moments.push({ at: path.now, received: link.received, streams });
    }
    const streams = links.reduce((sum, link) => sum + link.live, 0);
    total.moments.push({ at: path.now, received, streams });
    path.advance(TICK_MS);
  }
  return { total, links: runs, given_up };
}

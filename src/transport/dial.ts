import { type Clock, systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import type { Link } from "./connection.ts";
import { DialRace, type RaceAction, type RaceEvent } from "./dial_race.ts";
import { type DialTarget, hintText, isLoopback } from "./hints.ts";

/** Addresses named in the message of a failed dial. */
const MAX_NAMED_FAILURES = 6;

/** Options of {@linkcode dialFirst}. */
export interface DialOptions<T extends DialTarget = DialTarget> {
  /** Makes one link, or rejects; aborting its signal ends it. */
  readonly dial: (hint: T, options: { signal: AbortSignal }) => Promise<Link>;
  readonly signal?: AbortSignal;
  readonly clock?: Pick<Clock, "sleep">;
}

/**
 * Dials `hints` as {@linkcode DialRace} decides and gives the winning link; all other attempts are cancelled
 * and their links closed.
 *
 * @throws {WormholeError} CONNECT_FAILED, naming what was tried, when no address answers.
 */
export function dialFirst<T extends DialTarget>(
  hints: readonly T[],
  { dial, signal, clock = systemClock }: DialOptions<T>,
): Promise<Link> {
  if (signal?.aborted) return Promise.reject(signal.reason);
  const race = new DialRace(hints);
  const links = new Map<DialTarget, Link>();
  const failures: Failure[] = [];
  const cancel = new AbortController();
  return new Promise<Link>((resolve, reject) => {
    const abort = () => {
      end();
      for (const hint of links.keys()) drop(hint);
      reject(signal!.reason);
    };
    const end = () => {
      signal?.removeEventListener("abort", abort);
      cancel.abort(new WormholeError("CANCELLED", "the race for a connection is over"));
    };
    const drop = (hint: DialTarget) => {
      // The link lost before anything was sent on it, so how its end goes matters to nobody.
      links.get(hint)?.close().catch(() => {});
      links.delete(hint);
    };
    const handle = (event: RaceEvent) => {
      if (signal?.aborted && event.type === "linked") drop(event.hint);
      else race.handle(event).forEach(perform);
    };
    const attempt = async (hint: DialTarget) => {
      try {
        // The race gives back only what it was given.
        const link = await dial(hint as T, { signal: cancel.signal });
        links.set(hint, link);
        handle({ type: "linked", hint, rttMs: await roundTrip(link, hint) });
      } catch (error) {
        failures.push({ hint, error });
        drop(hint);
        handle({ type: "failed", hint });
      }
    };
    const perform = (action: RaceAction) => {
      switch (action.type) {
        case "dial":
          return void attempt(action.hint);
        case "timer":
          return void clock.sleep(action.ms, { signal: cancel.signal }).then(
            () => handle({ type: "timer", timer: action.timer }),
            () => {}, // Cancelled with the race.
          );
        case "drop":
          return drop(action.hint);
        case "win":
          end();
          return resolve(links.get(action.hint)!);
        case "give up":
          end();
          return reject(connectFailed(failures));
      }
    };
    signal?.addEventListener("abort", abort, { once: true });
    race.start().forEach(perform);
  });
}

interface Failure {
  readonly hint: DialTarget;
  readonly error: unknown;
}

/** A link that cannot tell its round trip yet counts as a long one, unless it never leaves the machine. */
async function roundTrip(link: Link, hint: DialTarget): Promise<number> {
  if (hint.transport !== "relay" && isLoopback(hint.host)) return 0;
  const { rttMs } = await link.stats();
  return rttMs > 0 ? rttMs : Infinity;
}

function connectFailed(failures: readonly Failure[]): WormholeError {
  if (failures.length === 0) {
    return new WormholeError(
      "CONNECT_FAILED",
      "Cannot connect to the other machine: it gave no address that this machine may dial",
    );
  }
  const named = failures.slice(0, MAX_NAMED_FAILURES)
    .map(({ hint, error }) => `${hintText(hint)} (${state(error)})`);
  if (failures.length > named.length) named.push(`and ${failures.length - named.length} more`);
  return new WormholeError(
    "CONNECT_FAILED",
    `Cannot connect to the other machine: none of its addresses answered; tried ${named.join(", ")}`,
    // That somebody refused our key says the most: it may be about to let us in.
    {
      cause:
        (failures.find(({ error }) => isWormholeError(error, "PEER_UNAUTHENTICATED")) ?? failures[0]!).error,
    },
  );
}

/** Gives the last part of `Cannot <verb> <x>: <state>`. */
function state(error: unknown): string {
  if (isWormholeError(error, "TIMEOUT")) return "no answer";
  const message = error instanceof Error ? error.message : String(error);
  return /^Cannot .*?: (.*)$/s.exec(message)?.[1] ?? message;
}

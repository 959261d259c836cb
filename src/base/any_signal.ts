/** Signals that follow others. */

/** Those that somebody listens to, by what they follow: they live as long as it does. */
const heard = new WeakMap<AbortSignal, Set<AbortSignal>>();

/** What a signal of {@linkcode anySignal} follows: none of these follows another one. */
const followed = new WeakMap<AbortSignal, readonly AbortSignal[]>();

/**
 * Gives a signal that aborts as soon as one of `signals` does, with its reason; undefined ones count for nothing.
 *
 * As `AbortSignal.any()`, but it is sure to tell those that listen to it: Deno before 2.8, the runtime of some compiled executables among
 * them, forgets one that only its listeners hold (https://github.com/denoland/deno/issues/29075).
 */
export function anySignal(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  const given = signals.filter((signal) => signal !== undefined);
  if (given.length === 1) return given[0]!;
  const any = AbortSignal.any(given);
  if (any.aborted) return any;
  const sources = given.flatMap((signal) => followed.get(signal) ?? [signal]);
  followed.set(any, sources);
  keepWhileHeard(any, sources);
  return any;
}

function keepWhileHeard(any: AbortSignal, sources: readonly AbortSignal[]): void {
  const listeners = new Set<unknown>();
  const drop = () => {
    for (const source of sources) heard.get(source)?.delete(any);
  };
  const add: AbortSignal["addEventListener"] = (type: string, listener: unknown, options?: unknown) => {
    AbortSignal.prototype.addEventListener.call(any, type, listener as EventListener, options as boolean);
    if (type !== "abort" || any.aborted || !listener) return;
    listeners.add(listener);
    for (const source of sources) {
      const those = heard.get(source);
      if (those === undefined) heard.set(source, new Set([any]));
      else those.add(any);
    }
  };
  const remove: AbortSignal["removeEventListener"] = (type: string, listener: unknown, options?: unknown) => {
    AbortSignal.prototype.removeEventListener.call(any, type, listener as EventListener, options as boolean);
    if (type === "abort" && listeners.delete(listener) && listeners.size === 0) drop();
  };
  AbortSignal.prototype.addEventListener.call(any, "abort", drop, { once: true });
  Object.assign(any, { addEventListener: add, removeEventListener: remove });
}

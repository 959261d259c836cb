import { LockBook } from "../locks/mod.ts";
import type { Context } from "./context.ts";

/** Calls `wake` when one of the locks of this machine with these keys ends, unless disposed of before. */
export function wakeWhenFree(
  keys: ReadonlySet<string>,
  { settings, clock }: Pick<Context<unknown>, "settings" | "clock">,
  wake: () => void,
): Disposable {
  if (keys.size === 0) return { [Symbol.dispose]: () => {} };
  const stop = new AbortController();
  const book = new LockBook(settings.folders.stateDir, { clock });
  // What else goes wrong with the file of locks, the next run meets; it comes in its interval.
  book.ended(keys, stop).then(wake, () => {});
  return {
    [Symbol.dispose]: () => {
      stop.abort();
      book[Symbol.dispose]();
    },
  };
}

/**
 * Serves several receivers side by side: who is served, when nobody more is let in, and what the whole came to. It knows
 * neither codes nor connections; `many.ts` gives it those.
 */
import { WormholeError } from "../base/errors.ts";
import type { TransferOutcome } from "../transfer/mod.ts";

/** What became of one receiver. */
export type ReceiverEnd =
  | { readonly receiver: number; readonly outcome: TransferOutcome }
  | { readonly receiver: number; readonly error: unknown };

/** How a whole went. */
export interface CrowdResult {
  /** By number. */
  readonly ends: readonly ReceiverEnd[];
  /** Why nobody more was let in; none when everybody was there. */
  readonly cause?: unknown;
}

/** Options of {@linkcode serveEach}. */
export interface ServeEachOptions {
  /** Serves receiver 1 to `count`; what it throws is that receiver's end alone. */
  serve(receiver: number): Promise<TransferOutcome>;
  onEnd?(end: ReceiverEnd): void;
}

/** Serves `count` receivers at once, each to its own end. */
export async function serveEach(
  count: number,
  { serve, onEnd }: ServeEachOptions,
): Promise<CrowdResult> {
  const ends = Array.from({ length: count }, async (_, i) => {
    const end = await endOf(i + 1, serve(i + 1));
    onEnd?.(end);
    return end;
  });
  return { ends: await Promise.all(ends) };
}

/** One who came and has not shown yet that the code is known. */
export interface Visit {
  /** Aborts when nobody more is let in, unless {@linkcode Visit.paired} was called before. */
  readonly signal: AbortSignal;
  /** This one knows the code: gives its number. */
  paired(): number;
}

/** Options of {@linkcode serveComers}. */
export interface ServeComersOptions<Comer> {
  /** Waits for the next who comes. */
  next(options: { signal: AbortSignal }): Promise<Comer>;
  /** Serves one to its end. */
  serve(comer: Comer, visit: Visit): Promise<TransferOutcome>;
  /** Called once, when nobody more is let in. */
  close(): Promise<void>;
  /** Aborts when nobody more is to be let in. */
  readonly until: AbortSignal;
  /** Most who are served at once. */
  readonly atOnce: number;
  onEnd?(end: ReceiverEnd): void;
  /** Told of one who went before it had shown to know the code. */
  onGone?(error: unknown): void;
}

/** Serves whoever comes until `until` aborts or `next` fails, then lets those finish who are being served. */
export async function serveComers<Comer>(options: ServeComersOptions<Comer>): Promise<CrowdResult> {
  const { until, atOnce } = options;
  const ends: ReceiverEnd[] = [];
  const running = new Set<Promise<void>>();
  let receivers = 0;
  let cause: unknown;
  const visit = async (comer: Comer) => {
    const closed = new AbortController();
    const close = () => closed.abort(until.reason);
    until.addEventListener("abort", close, { once: true });
    let receiver: number | undefined;
    const paired = () => {
      until.removeEventListener("abort", close);
      return receiver ??= ++receivers;
    };
    const ended = await endOf(0, options.serve(comer, { signal: closed.signal, paired }));
    until.removeEventListener("abort", close);
    if (receiver === undefined) return options.onGone?.("error" in ended ? ended.error : undefined);
    const end = { ...ended, receiver };
    ends.push(end);
    options.onEnd?.(end);
  };
  try {
    for (;;) {
      until.throwIfAborted();
      const comer = await options.next({ signal: until });
      const serving = visit(comer).finally(() => running.delete(serving));
      running.add(serving);
      while (running.size >= atOnce) await Promise.race(running);
    }
  } catch (error) {
    cause = until.aborted ? until.reason : error;
  }
  // Whoever is served is served to the end, whatever becomes of the code.
  await Promise.all([options.close(), ...running]);
  return { ends: ends.sort((a, b) => a.receiver - b.receiver), cause };
}

/** The reason of an end that was wished: nobody more is let in after this time. */
export class TimeUp extends WormholeError {
  constructor(ms: number) {
    super("TIMEOUT", `Cannot send: nobody came within ${Math.round(ms / 1000)} s`);
  }
}

/** Gives the failure that the whole comes to; undefined when all that was to be done was done. */
export function crowdFailure({ ends, cause }: CrowdResult): unknown {
  if (cause !== undefined && !(cause instanceof TimeUp && ends.length > 0)) return cause;
  const failed = ends.filter((end) => "error" in end);
  if (failed.length > 0) {
    const [first] = failed;
    const same = failed.length === ends.length &&
      failed.every(({ error }) => codeOf(error) !== undefined && codeOf(error) === codeOf(first!.error));
    if (same) return first!.error;
    return new WormholeError(
      "PARTIAL",
      `Cannot send to everybody: ${failed.length} of ${ends.length} receivers failed, the others have it all`,
    );
  }
  const partial = ends.filter((end) => "outcome" in end && !isWhole(end.outcome)).length;
  if (partial === 0) return undefined;
  return new WormholeError(
    "PARTIAL",
    `Cannot send everything: of ${ends.length} receivers ${partial} did not get all`,
  );
}

/** Tells whether a transfer left nothing to be desired. */
export function isWhole({ failedCount, receipt }: TransferOutcome): boolean {
  return failedCount === 0 && receipt?.state !== "differs";
}

/** Least buffers of one transfer, in chunks: fewer would stall on every read. */
const LEAST_CHUNKS = 2;

/** Divides the memory for buffers between those who are served at once. */
export function poolShare(
  poolBytes: number,
  { receivers, chunkBytes }: { receivers: number; chunkBytes: number },
): number {
  return Math.max(Math.floor(poolBytes / receivers), LEAST_CHUNKS * chunkBytes);
}

async function endOf(receiver: number, serving: Promise<TransferOutcome>): Promise<ReceiverEnd> {
  try {
    return { receiver, outcome: await serving };
  } catch (error) {
    return { receiver, error };
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof WormholeError ? error.code : undefined;
}

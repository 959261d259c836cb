/** A reader of event sockets. */
import type { Clock } from "../base/clock.ts";

/** Longest line that is taken, in characters. */
const MAX_LINE_CHARACTERS = 1024 * 1024;

/** Options of {@linkcode firstLines}. */
export interface ClientOptions {
  readonly clock: Clock;
  /** How long to wait for the first line. */
  readonly timeoutMs: number;
  /** How many lines; Infinity: until the other side ends. */
  readonly lines: number;
  readonly signal?: AbortSignal;
}

/**
 * Gives lines of a socket as they come, without their line breaks. Ends early, without an error, when nobody answers in time or the other side
 * ends.
 *
 * @throws {Deno.errors.ConnectionRefused} when whoever made it is gone; what connecting throws.
 */
export async function* firstLines(path: string, options: ClientOptions): AsyncGenerator<string> {
  const connection = await Deno.connect({ transport: "unix", path });
  let isClosed = false;
  const close = () => {
    if (!isClosed) connection.close();
    isClosed = true;
  };
  options.signal?.addEventListener("abort", close, { once: true });
  const timer = options.clock.timer(options.timeoutMs, close);
  try {
    const decoder = new TextDecoder();
    const bytes = new Uint8Array(64 * 1024);
    let rest = "", count = 0;
    for (;;) {
      const read = await connection.read(bytes).catch(() => null); // closed from here
      if (read === null) return;
      rest += decoder.decode(bytes.subarray(0, read), { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop()!;
      if (rest.length > MAX_LINE_CHARACTERS) return;
      for (const line of lines) {
        timer.cancel();
        yield line;
        if (++count >= options.lines) return;
      }
    }
  } finally {
    timer.cancel();
    options.signal?.removeEventListener("abort", close);
    close();
  }
}

import { anySignal } from "../base/any_signal.ts";
import { MailboxClient } from "./mailbox_client.ts";

/** Options of {@linkcode connectFirst}. */
export interface ConnectFirstOptions {
  appId: string;
  signal?: AbortSignal;
  timeoutMs?: number;
}

/**
 * Connects to the mailbox at several addresses at once and keeps the first that answers; `urls` lead to one and
 * the same server.
 *
 * @throws {WormholeError} HUB_UNREACHABLE, or what the last of them fails with; the signal's reason.
 */
export async function connectFirst(
  urls: readonly URL[],
  { appId, signal, timeoutMs }: ConnectFirstOptions,
): Promise<MailboxClient> {
  const [only] = urls;
  if (urls.length === 1) return await MailboxClient.connect(only!, { appId, signal, timeoutMs });
  const others = new AbortController();
  const either = anySignal(signal, others.signal);
  const attempts = urls.map((url) => MailboxClient.connect(url, { appId, signal: either, timeoutMs }));
  try {
    const winner = await Promise.any(attempts);
    others.abort();
    await Promise.all(attempts.map(async (attempt) => {
      const client = await attempt.catch(() => undefined); // A loser's failure matters to nobody.
      if (client !== winner) await client?.[Symbol.asyncDispose]();
    }));
    return winner;
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof AggregateError ? error.errors.at(-1) : error;
  }
}

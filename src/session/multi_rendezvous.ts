/** A place under one code where everybody who comes is met apart from the others. Spec: wire/spec/pairing.md §7. */
import { type Clock, systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import type { Code } from "../pairing/code.ts";
import { type Mailbox, MailboxClient } from "../pairing/mailbox_client.ts";
import { withDeadline } from "./deadline.ts";
import type { Meeting } from "./options.ts";
import { openPlace, type OpenRendezvousOptions } from "./rendezvous.ts";

/** How long one who came may take for the first word, in ms: that costs no guess, and must not keep anybody busy. */
const FIRST_WORD_MS = 30_000;

/** How long a lost link to the server is tried again, in ms; it keeps the code as long. */
const COME_BACK_MS = 120_000;

/** Pause before the first try, in ms; each further one is twice as long. */
const FIRST_RETRY_MS = 500;

/** A code that many may use. */
export interface MultiRendezvous extends AsyncDisposable {
  readonly code: Code;
  /** Port of the sender's own mailbox, for `--peer`; undefined at a hub. */
  readonly port: number | undefined;
  /** As in `OpenRendezvous`. */
  readonly expiresInMs: number | undefined;
  /**
   * Waits for the next who comes; to be called again and again.
   *
   * @throws {WormholeError} CODE_EXPIRED at a hub, CONNECTION_LOST when it is gone; the signal's reason.
   */
  next(options?: { signal?: AbortSignal }): Promise<Meeting>;
  /** Ends the code: who comes later is told that it is used up. Meetings that were given go on. */
  end(): Promise<void>;
}

/**
 * Opens a place for many under a new code or the given one.
 *
 * @throws {WormholeError} what `openRendezvous` throws; UNSUPPORTED when the hub cannot do it.
 */
export async function openMultiRendezvous(
  { clock = systemClock, ...options }: OpenRendezvousOptions & { clock?: Clock },
): Promise<MultiRendezvous> {
  const place = await openPlace({ ...options, many: true });
  const { appId, onWarning } = options;
  const { code, url, port, expiresInMs } = place;
  let owner = place.mailbox;
  const arrival = async (signal: AbortSignal | undefined): Promise<string> => {
    for (;;) {
      try {
        return await owner.nextArrival({ ...signal && { signal } });
      } catch (error) {
        if (!isLost(error)) throw error;
        onWarning?.(`${error.message}; whoever comes meanwhile has to try again.`);
        const { side } = owner;
        await owner[Symbol.asyncDispose]();
        owner = await comeBack(url, { appId, side, nameplate: code.nameplate, clock, signal, lost: error });
      }
    }
  };
  return {
    code,
    port,
    expiresInMs,
    async next({ signal } = {}) {
      for (;;) {
        const mailbox = await arrival(signal);
        const client = await openMailbox(url, mailbox, { appId, signal });
        // Gone with the link; the one who came is told by the server.
        if (client === undefined) continue;
        return {
          mailbox: patient(client, clock),
          code,
          appId,
          port,
          [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
        };
      }
    },
    end: () => owner.close("happy"),
    async [Symbol.asyncDispose]() {
      await owner[Symbol.asyncDispose]();
      await place[Symbol.asyncDispose]();
    },
  };
}

/** Gives a link to one's mailbox; undefined when the server cannot be reached just now. */
async function openMailbox(
  url: URL,
  mailbox: string,
  about: { appId: string; signal: AbortSignal | undefined },
): Promise<MailboxClient | undefined> {
  try {
    const client = await MailboxClient.connect(url, about);
    client.open(mailbox);
    return client;
  } catch (error) {
    if (isLost(error)) return undefined;
    throw error;
  }
}

/** Claims the nameplate again under the same side, which nobody else knows; for as long as the server keeps it. */
async function comeBack(
  url: URL,
  { appId, side, nameplate, clock, signal, lost }: {
    appId: string;
    side: string;
    nameplate: string;
    clock: Clock;
    signal: AbortSignal | undefined;
    lost: WormholeError;
  },
): Promise<MailboxClient> {
  const until = clock.monotonic() + COME_BACK_MS;
  for (let wait = FIRST_RETRY_MS; clock.monotonic() + wait < until; wait *= 2) {
    await clock.sleep(wait, { ...signal && { signal } });
    let client: MailboxClient | undefined;
    try {
      client = await MailboxClient.connect(url, { appId, side, signal });
      await client.claim(nameplate, { many: true, signal });
      return client;
    } catch (error) {
      await client?.[Symbol.asyncDispose]();
      if (!isLost(error)) throw error;
    }
  }
  throw lost;
}

/** The link to the mailbox server is gone; the code may not be. */
function isLost(error: unknown): error is WormholeError {
  return isWormholeError(error, "CONNECTION_LOST", "HUB_UNREACHABLE");
}

/** Gives `mailbox` with a deadline for its first message. */
function patient(mailbox: Mailbox, clock: Clock): Mailbox {
  let heard = false;
  const late = (cause: unknown) =>
    new WormholeError("TIMEOUT", "Cannot go on with one who came: nothing was said", { cause });
  return {
    side: mailbox.side,
    relay: mailbox.relay,
    add: (phase, body) => mailbox.add(phase, body),
    close: (mood) => mailbox.close(mood),
    async next({ signal } = {}) {
      if (heard) return await mailbox.next({ ...signal && { signal } });
      const message = await withDeadline((signal) => mailbox.next({ signal }), {
        ms: FIRST_WORD_MS,
        late,
        clock,
        ...signal && { signal },
      });
      heard = true;
      return message;
    },
  };
}

/** A place under one code where everybody who comes is met apart from the others. Spec: wire/spec/pairing.md §7. */
import { type Clock, systemClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import type { Code } from "../pairing/code.ts";
import { type Mailbox, MailboxClient } from "../pairing/mailbox_client.ts";
import { withDeadline } from "./deadline.ts";
import type { Meeting } from "./options.ts";
import { openPlace, type OpenRendezvousOptions } from "./rendezvous.ts";

/** How long one who came may take for the first word, in ms: that costs no guess, and must not keep anybody busy. */
const FIRST_WORD_MS = 30_000;

/** A code that many may use. */
export interface MultiRendezvous extends AsyncDisposable {
  readonly code: Code;
  /** Port of the sender's own mailbox, for `--peer`; undefined at a hub. */
  readonly port: number | undefined;
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
  const { appId } = options;
  const { code, url, port, mailbox: owner } = place;
  return {
    code,
    port,
    async next({ signal } = {}) {
      const mailbox = await owner.nextArrival({ ...signal && { signal } });
      const client = await MailboxClient.connect(url, { appId, signal });
      client.open(mailbox);
      return {
        mailbox: patient(client, clock),
        code,
        appId,
        port,
        [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
      };
    },
    end: () => owner.close("happy"),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
}

/** Gives `mailbox` with a deadline for its first message. */
function patient(mailbox: Mailbox, clock: Clock): Mailbox {
  let heard = false;
  const late = (cause: unknown) =>
    new WormholeError("TIMEOUT", "Cannot go on with one who came: nothing was said", { cause });
  return {
    side: mailbox.side,
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

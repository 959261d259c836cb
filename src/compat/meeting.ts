import type { Place } from "../native/compat.ts";
import { type Code, MailboxClient, makePassword, parseCode, parseHubUrl } from "../pairing/mod.ts";

/** Whose codes these are: magic-wormhole's file transfer. */
export const COMPAT_APP_ID = "lothar.com/wormhole/text-or-file-xfer";

/** The mailbox server that magic-wormhole clients use unless told otherwise. */
export const PUBLIC_MAILBOX = "ws://relay.magic-wormhole.io:4000/v1";

/** Options of {@linkcode meet}. */
export interface MeetOptions {
  /** Address of a mailbox server; "" for {@linkcode PUBLIC_MAILBOX}. */
  readonly hub: string;
  /** A code that is agreed on; left out: one of `words` words is made. */
  readonly code?: string;
  readonly words?: number;
  /** Fails when nobody offers the code, at a hub of ours; other servers make it and wait. */
  readonly mustExist?: boolean;
  readonly signal: AbortSignal;
}

/**
 * Tells whether somebody offers a code's number at `hub` under {@linkcode COMPAT_APP_ID}, by the hub's list: nothing is
 * claimed, and nothing said of the code's words. False also where a hub gives no list, or only a part of a long one.
 *
 * @throws {WormholeError} what the mailbox fails with.
 */
export async function isOffered(
  { hub, code, signal }: { hub: string; code: string; signal: AbortSignal },
): Promise<boolean> {
  const { nameplate } = parseCode(code, { lenient: true });
  await using mailbox = await MailboxClient.connect(parseHubUrl(hub), { appId: COMPAT_APP_ID, signal });
  return (await mailbox.list({ signal })).includes(nameplate);
}

/** Gives the transit relays of this side: its own, else the hub's. */
export function relaysOf(
  own: readonly Place[],
  { transit }: Pick<MailboxClient, "transit">,
): readonly Place[] {
  return own.length > 0 || transit === undefined ? own : [transit];
}

/** Claims a code's mailbox. @throws {WormholeError} CODE_INVALID and what the mailbox fails with. */
export async function meet(
  { hub, code: given, words = 2, mustExist = false, signal }: MeetOptions,
): Promise<{ code: Code; mailbox: MailboxClient }> {
  const known = given === undefined ? undefined : parseCode(given, { lenient: true });
  const url = parseHubUrl(hub === "" ? PUBLIC_MAILBOX : hub);
  const mailbox = await MailboxClient.connect(url, { appId: COMPAT_APP_ID, signal });
  try {
    const code = known ?? {
      nameplate: await mailbox.allocate({ signal }),
      password: makePassword(words, (length) => crypto.getRandomValues(new Uint8Array(length))),
    };
    await mailbox.claim(code.nameplate, { mustExist, signal });
    return { code, mailbox };
  } catch (error) {
    await mailbox[Symbol.asyncDispose]();
    throw error;
  }
}

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
  readonly signal: AbortSignal;
}

/** Claims a code's mailbox. @throws {WormholeError} CODE_INVALID and what the mailbox fails with. */
export async function meet(
  { hub, code: given, words = 2, signal }: MeetOptions,
): Promise<{ code: Code; mailbox: MailboxClient }> {
  const known = given === undefined ? undefined : parseCode(given, { lenient: true });
  const url = parseHubUrl(hub === "" ? PUBLIC_MAILBOX : hub);
  const mailbox = await MailboxClient.connect(url, { appId: COMPAT_APP_ID, signal });
  try {
    const code = known ?? {
      nameplate: await mailbox.allocate({ signal }),
      password: makePassword(words, (length) => crypto.getRandomValues(new Uint8Array(length))),
    };
    await mailbox.claim(code.nameplate, { signal });
    return { code, mailbox };
  } catch (error) {
    await mailbox[Symbol.asyncDispose]();
    throw error;
  }
}

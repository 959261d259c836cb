import { WormholeError } from "../base/errors.ts";
import { pair } from "../pairing/pake.ts";
import type { Introduced } from "./acquaintance.ts";
import {
  decodeIntroduction,
  encodeIntroduction,
  type Introduction,
  PROTOCOL_VERSION,
} from "./introduction.ts";
import type { Meeting, SessionOptions } from "./options.ts";
import { SECRET_BYTES } from "./reconnect_frame.ts";

/** Bytes of the secret by which two machines know each other. */
const PAIR_SECRET_BYTES = 32;

/**
 * Swaps introductions with whoever has the same code and, where a side wants it, has the verifiers compared.
 *
 * @throws {WormholeError} what `pair` throws; REFUSED when a person says that the verifiers differ;
 * VERSION_UNSUPPORTED, PROTOCOL or LIMIT_EXCEEDED for the peer's introduction.
 */
export async function introduce(
  meeting: Meeting,
  { role, own, twin, ...options }: SessionOptions & {
    role: "sender" | "receiver";
    own: Pick<Introduction, "hints" | "relay">;
    twin?: Uint8Array;
  },
): Promise<Introduced> {
  const { identity, agent, abilities = {}, confirm, crypto, guesses, onEvent, signal } = options;
  const pairing = await pair(meeting.mailbox, {
    code: meeting.code,
    appId: meeting.appId,
    introduction: encodeIntroduction({
      version: PROTOCOL_VERSION,
      key: identity.publicKey,
      ...twin && { twin },
      ...own,
      abilities,
      agent,
    }),
    crypto,
    role,
    ...guesses && { guesses },
    signal,
    onPeer: () => onEvent?.({ type: "found" }),
    ...(confirm && {
      confirm: async (verifier: string) => {
        onEvent?.({ type: "verifier", verifier });
        if (await confirm(verifier, { signal })) return;
        throw new WormholeError("REFUSED", "Cannot go on: the verifiers were not confirmed to be the same");
      },
    }),
  });
  const peer = decodeIntroduction(pairing.introduction);
  onEvent?.({ type: "connecting", agent: peer.agent });
  return {
    peer,
    secret: pairing.derive("wormhole:reconnect", SECRET_BYTES),
    pairSecret: pairing.derive("wormhole:known", PAIR_SECRET_BYTES),
  };
}

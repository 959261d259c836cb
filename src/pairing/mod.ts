/**
 * Turns a short code into a shared key: codes and words, the mailbox client, the PAKE exchange and
 * finding a sender on this network. It never opens links to the peer and never runs a mailbox server.
 *
 * Spec: `src/wire/spec/pairing.md` and `src/wire/spec/mailbox.md`.
 */
export { type Code, completeWord, formatCode, makePassword, MAX_CODE_WORDS, parseCode } from "./code.ts";
export { EVEN_WORDS, ODD_WORDS, wordsOf } from "./words.ts";
export { type Mailbox, MailboxClient, type MailboxMessage, type Mood } from "./mailbox_client.ts";
export { parseHubUrl, parsePeerAddress } from "./hub_url.ts";
export { connectFirst, type ConnectFirstOptions } from "./connect_first.ts";
export { type Guess, GuessGate } from "./guesses.ts";
export { pair, type Pairing, type PairOptions } from "./pake.ts";
export type { PairingCrypto, Spake2 } from "./crypto.ts";
export { nativeCrypto } from "./native_crypto.ts";
export { type Announcement, type LanDiscovery, type LanSender, nativeLanDiscovery } from "./lan.ts";
export {
  type Direction,
  epochsAt,
  KNOWN_APP_ID,
  knownCode,
  knownEntry,
  type KnownPlace,
  knownPlace,
  knownPort,
} from "./known_place.ts";
export { LocalRegistry } from "./local_registry.ts";

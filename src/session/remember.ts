/** How two machines that met by a code come to know each other from then on; wire/spec/known_peers.md §1. */
import { sameBytes } from "../base/bytes.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import type { Identity } from "../config/identity.ts";
import type { Peer, PeerBook } from "../peers/mod.ts";
import type { AbilityValue } from "../wire/fields.ts";
import type { MetPeer } from "./acquaintance.ts";
import { MAX_ABILITY_BYTES } from "./introduction.ts";

/** Ability of a side that keeps the other machine; its value is what the side calls itself. */
const REMEMBER = "remember";

/** Ability of a side that does nothing else. */
const PAIR = "pair";

/** What a person wants to be remembered, and how. */
export interface Remembering {
  /** What the other machine is to be called; what it calls itself when left out. */
  readonly name?: string;
  /** What this machine calls itself. */
  readonly calledItself: string;
}

/** Gives the abilities that tell the other side so; `only`: nothing else is done in this session. */
export function rememberAbilities(
  { calledItself }: Remembering,
  { only = false }: { only?: boolean } = {},
): Record<string, AbilityValue> {
  return { [REMEMBER]: shortened(calledItself), ...only && { [PAIR]: true } };
}

/** Tells whether the other side runs `wormhole pair`. */
export function onlyPairs({ abilities }: MetPeer): boolean {
  return abilities[PAIR] === true;
}

/**
 * Keeps the machine that was met; undefined when its person did not ask for that.
 *
 * @throws {WormholeError} INVALID_ARGUMENT when it is this machine itself; what {@linkcode PeerBook.keep} throws.
 */
export async function remember(
  met: MetPeer,
  { book, name, identity }: { book: PeerBook; name?: string; identity: Identity },
): Promise<Peer | undefined> {
  const calledItself = met.abilities[REMEMBER];
  if (typeof calledItself !== "string" || met.pairSecret === undefined) return undefined;
  if (sameBytes(met.key, identity.publicKey)) {
    const state = "both sides have the same machine key; it knows itself";
    throw new WormholeError("INVALID_ARGUMENT", `Cannot pair this machine with itself: ${state}`);
  }
  return await book.keep({
    calledItself,
    key: met.key,
    secret: met.pairSecret,
    hosts: met.hosts,
    ...name !== undefined && { name },
  });
}

/** Options of {@linkcode noteMeeting}. */
export interface NoteOptions {
  readonly book: PeerBook;
  readonly identity: Identity;
  /** No code was needed. */
  readonly isKnown: boolean;
  readonly remembering?: Remembering;
  onRemembered(peer: Peer): void;
  onWarning(sentence: string): void;
}

/**
 * Keeps what a transfer's session has shown of the other machine. A list that cannot be written is no reason not to go on.
 *
 * @throws {WormholeError} REFUSED when the other side transfers nothing.
 */
export async function noteMeeting(met: MetPeer, options: NoteOptions): Promise<void> {
  const { book, identity, isKnown, remembering } = options;
  if (!isKnown && onlyPairs(met)) {
    throw new WormholeError(
      "REFUSED",
      "Cannot transfer: the other side runs wormhole pair, which moves no files",
    );
  }
  try {
    if (isKnown) await book.saw(met.key, met.hosts);
    if (remembering === undefined) return;
    const { name } = remembering;
    const kept = await remember(met, { book, identity, ...name !== undefined && { name } });
    if (kept !== undefined) options.onRemembered(kept);
    else {
      options.onWarning("The other machine is not remembered: its person did not ask for that (--remember).");
    }
  } catch (error) {
    if (!isWormholeError(error)) throw error;
    options.onWarning(error.message);
  }
}

function shortened(name: string): string {
  let short = name;
  while (new TextEncoder().encode(short).length > MAX_ABILITY_BYTES) short = [...short].slice(0, -1).join("");
  return short;
}

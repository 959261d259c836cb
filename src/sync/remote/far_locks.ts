/** Locks on paths of another machine, over a session with it; wire/spec/locks.md. */
import { WormholeError } from "../../base/errors.ts";
import { decodeName, encodeName } from "../../base/names.ts";
import type { SyncMessage, SyncMessageOf, SyncMessageType, ToldLock } from "../../wire/mod.ts";
import type { SyncChannel } from "./channel.ts";
import { stateOf } from "./states.ts";

/** First minor version that knows locks. */
const MINOR = 1;

/** A lock as the other machine tells it; times are durations, since its clock is not ours. */
export interface FarLock {
  /** Absolute at the other machine. */
  readonly path: string;
  /** In the words of whoever took it. */
  readonly owner: string;
  readonly isShared: boolean;
  /** Whose it is: the other machine's, this one's, or a third's. */
  readonly holder: "there" | "here" | "other";
  /** For how long it has been held; undefined for a request that waits. */
  readonly ageMs: number | undefined;
  /** When it ends unless it is renewed, in ms from now; undefined for a request that waits. */
  readonly leftMs: number | undefined;
}

/** How it stands with a lock that was asked for; `lock` is who is in the way unless it is held. */
export interface FarAsked {
  readonly is: "held" | "waiting" | "busy";
  readonly lock: FarLock;
}

/** What {@linkcode FarLocks.ask} takes. */
export interface FarRequest {
  /** 32 hex digits, made at random: all that it takes to renew and release the lock. */
  readonly token: string;
  /** Absolute there, or below the home folder. */
  readonly path: string;
  readonly isShared: boolean;
  readonly owner: string;
  readonly ttlMs: number;
  /** Wait for a turn where somebody is in the way: ask again at least every 5 s then. */
  readonly waits: boolean;
}

/** See the top of this file. One call at a time, and none while a run of the session waits for an answer. */
export class FarLocks {
  readonly #channel: SyncChannel;

  constructor(channel: SyncChannel) {
    this.#channel = channel;
  }

  /**
   * Asks for a lock, or how it stands with it; twice is as good as once, whatever became of the first answer.
   *
   * @throws {WormholeError} REFUSED without a right to change what is there; LIMIT_EXCEEDED when this machine has too many locks there;
   * VERSION_UNSUPPORTED; what ends the session.
   */
  async ask({ token, path, isShared, owner, ttlMs, waits }: FarRequest): Promise<FarAsked> {
    const { state, lock } = await this.#question(`lock "${path}"`, {
      type: "lock",
      token: Uint8Array.fromHex(token),
      path: encodeName(path),
      shared: isShared,
      owner,
      ttl_ms: ttlMs,
      wait: waits,
    }, "lock_state");
    if (state === "ended") throw strange();
    return { is: state, lock: farLock(lock) };
  }

  /** Makes a lock last `ttlMs` from now on. @throws {WormholeError} NOT_FOUND when it is not held any more; as {@linkcode FarLocks.ask}. */
  async renew(token: string, ttlMs: number): Promise<FarLock> {
    const message = { type: "renew", token: Uint8Array.fromHex(token), ttl_ms: ttlMs } as const;
    const { state, lock } = await this.#question("renew the lock", message, "lock_state");
    if (state !== "held") throw strange();
    return farLock(lock);
  }

  /** Gives up a lock, or a place in the queue. @throws {WormholeError} as {@linkcode FarLocks.renew}. */
  async release(token: string): Promise<FarLock> {
    const message = { type: "unlock", token: Uint8Array.fromHex(token) } as const;
    const { state, lock } = await this.#question("release the lock", message, "lock_state");
    if (state !== "ended") throw strange();
    return farLock(lock);
  }

  /** Gives the locks that have to do with `path`, or "" for all in folders with a right, and how many more there are. */
  async list(path: string): Promise<{ locks: FarLock[]; more: number }> {
    const { locks, more } = await this.#question(
      `list the locks of "${path}"`,
      { type: "ask_locks", path: encodeName(path) },
      "locks",
    );
    return { locks: locks.map(farLock), more };
  }

  async #question<T extends SyncMessageType>(
    verb: string,
    message: SyncMessage,
    answer: T,
  ): Promise<SyncMessageOf<T>> {
    const channel = this.#channel;
    if (channel.minor < MINOR) {
      throw new WormholeError("VERSION_UNSUPPORTED", `Cannot ${verb}: the other side has an older Wormhole`);
    }
    await channel.send(message);
    return await channel.expect(answer, {
      refusal: (code) => new WormholeError(code, `Cannot ${verb}: ${STATES[code] ?? stateOf(code)}`),
    });
  }
}

const STATES: Partial<Record<WormholeError["code"], string>> = {
  REFUSED: "it gives this machine no right to change that (there: wormhole peers rights NAME --sync DIR)",
  NOT_FOUND: "it has ended, or there never was one with that token",
  LIMIT_EXCEEDED: "this machine has too many locks there",
  INVALID_ARGUMENT: "it is no path that can be locked there",
};

/** Gives a lock as this side sees it: what is here for the one that tells is there for us. */
export function farLock({ path, owner, shared, holder, age_ms, left_ms }: ToldLock): FarLock {
  const whose = { here: "there", you: "here", other: "other" } as const;
  return {
    path: decodeName(path),
    owner,
    isShared: shared,
    holder: whose[holder],
    ageMs: age_ms,
    leftMs: left_ms,
  };
}

function strange(): WormholeError {
  return new WormholeError("PROTOCOL", "Cannot go on: the other side answered something else about a lock");
}

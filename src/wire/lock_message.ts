/** The messages about locks, for any session of two machines that carries them. Spec: spec/locks.md. */
import {
  bool,
  bytes,
  type Fields,
  list,
  optional,
  record,
  text,
  uint,
  type ValueOf,
  word,
} from "./fields.ts";
import * as limits from "./limits.ts";

const TOKEN = bytes(16, { min: 16 });
const TTL = uint(limits.MAX_LOCK_TTL_MS, { min: limits.MIN_LOCK_TTL_MS });

const FIELDS = {
  /** Absolute at the machine that keeps the lock, or what the message says. */
  path: bytes(limits.MAX_TARGET_BYTES, { min: 1 }),
  /** For people, as it was given. */
  owner: text(limits.MAX_LOCK_OWNER_BYTES),
  shared: bool,
  /** Whose it is: of the machine that tells, of the one that is told, or of a third. */
  holder: word("here", "you", "other"),
  /** For how long it has been held; absent for a request that waits. */
  age_ms: optional(uint()),
  /** When it ends unless it is renewed, in ms from now; absent for a request that waits. */
  left_ms: optional(uint(limits.MAX_LOCK_TTL_MS)),
} as const satisfies Fields;

/** A lock, or a request for one, as a machine tells it to another. */
export type ToldLock = ValueOf<typeof FIELDS>;

/** Field of {@linkcode ToldLock}. */
export const TOLD_LOCK = record(FIELDS);

/** Rows of a message table; their numbers, 64 to 79, are the same in every session. */
export const LOCK_MESSAGES = {
  /** Asks for a lock, or how it stands with one that was asked for. */
  lock: {
    number: 64,
    fields: {
      /** 16 random bytes, made by who asks: all that it takes to renew and release it. */
      token: TOKEN,
      path: bytes(limits.MAX_TARGET_BYTES),
      shared: bool,
      owner: text(limits.MAX_LOCK_OWNER_BYTES),
      ttl_ms: TTL,
      /** Where somebody is in the way: wait for a turn. */
      wait: bool,
    },
  },
  renew: { number: 65, fields: { token: TOKEN, ttl_ms: TTL } },
  /** Gives up a lock, or a place in the queue. */
  unlock: { number: 66, fields: { token: TOKEN } },
  /** Answers all of them. */
  lock_state: {
    number: 67,
    fields: {
      state: word("held", "waiting", "busy", "ended"),
      /** `held`, `ended`: the lock itself; otherwise who is in its way. */
      lock: TOLD_LOCK,
    },
  },
  ask_locks: { number: 68, fields: { path: bytes(limits.MAX_TARGET_BYTES) } },
  locks: {
    number: 69,
    fields: {
      locks: list(TOLD_LOCK, limits.MAX_TOLD_LOCKS),
      /** Locks beyond those. */
      more: uint(0xffffffff),
    },
  },
} as const satisfies Record<string, { number: number; fields: Fields }>;

/** What the commands about locks have in common. */
import { type HeldLock, LockBook } from "../../locks/mod.ts";
import type { Context } from "../context.ts";
import type { LockEvent } from "../events_lock.ts";

/** Gives this person's locks. Dispose them. */
export function lockBook({ settings, clock }: Context<unknown>): LockBook {
  return new LockBook(settings.folders.stateDir, { clock });
}

/** Gives a lock as people and scripts see it. */
export function lockEvent(
  { path, owner, isShared, acquiredMs, expiresMs }: Omit<HeldLock, "key">,
  { token, released }: { token: string | null; released: boolean },
): LockEvent {
  return {
    event: "lock",
    path,
    owner,
    shared: isShared,
    token,
    acquired_at: new Date(acquiredMs).toISOString(),
    expires_at: new Date(expiresMs).toISOString(),
    released,
  };
}

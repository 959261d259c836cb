/** What the commands about locks have in common. */
import { type HeldLock, LockBook } from "../../locks/mod.ts";
import type { FarLock } from "../../sync/remote/mod.ts";
import type { Context } from "../context.ts";
import type { LockEvent } from "../events_lock.ts";
import { peerNames } from "./peers.ts";

/** Gives this person's locks. Dispose them. */
export function lockBook({ settings, clock }: Pick<Context<unknown>, "settings" | "clock">): LockBook {
  return new LockBook(settings.folders.stateDir, { clock });
}

/** Gives what others see of this person where they gave no name. */
export function ownerName({ args, env }: Context<{ readonly owner: string | undefined }>): string {
  return args.owner ?? `${env("USER") ?? env("LOGNAME") ?? "somebody"}@${Deno.hostname()}`;
}

/** Tells locks of this machine as people and scripts see them. */
export async function tellLocks(
  context: Context<unknown>,
  locks: readonly Omit<HeldLock, "key">[],
  about: { token: string | null; released: boolean },
): Promise<void> {
  const names = locks.some(({ machine }) => machine !== undefined) ? await peerNames(context) : undefined;
  for (const { path, owner, machine, isShared, acquiredMs, expiresMs } of locks) {
    const from = machine === undefined ? Deno.hostname() : names?.get(machine) ?? null;
    const lock = { path, owner, machine: from, isShared, acquiredMs, expiresMs };
    context.output.emit(lockEvent(lock, about));
  }
}

/** Gives what the machine is called that has a lock: as the machine `there` says, of this one, of itself or of neither. */
export function holderName(holder: FarLock["holder"], there: string | null): string | null {
  return { there, here: Deno.hostname(), other: null }[holder];
}

/** Gives the event of a lock; `machine`: the name of the one whose it is. */
export function lockEvent(
  { path, owner, machine, isShared, acquiredMs, expiresMs }: Omit<HeldLock, "key" | "ttlMs" | "machine"> & {
    readonly machine: string | null;
  },
  { token, released }: { token: string | null; released: boolean },
): LockEvent {
  return {
    event: "lock",
    path,
    owner,
    machine,
    shared: isShared,
    token,
    acquired_at: new Date(acquiredMs).toISOString(),
    expires_at: new Date(expiresMs).toISOString(),
    released,
  };
}

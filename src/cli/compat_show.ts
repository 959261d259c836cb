/** What `send --compat` and `recv --compat` show in the same way. */
import { WormholeError } from "../base/errors.ts";
import type { Context } from "./context.ts";
import { confirmVerifier, type ProgressShow } from "./transfer_show.ts";

/** Tells of the connection for the bytes. */
export function compatConnected(
  { remote, relayed }: { remote: string; relayed: boolean },
  { show, context }: { show: ProgressShow; context: Context<unknown> },
): void {
  const path = relayed ? "relay" : "direct";
  show.connected({ kind: "tcp", direct: !relayed });
  context.output.emit({ event: "peer", transport: "tcp", path, remote });
}

/** Lets the person compare the verifier. @throws {WormholeError} REFUSED when it is another one. */
export async function confirmCompat(verifier: string, context: Context<unknown>): Promise<void> {
  if (await confirmVerifier(verifier, context)) return;
  throw new WormholeError("REFUSED", "Cannot go on: the verifier was not confirmed");
}

/** Gives the transit relays of the command line. */
export function relaysOf({ transitRelay }: { transitRelay?: string }): { host: string; port: number }[] {
  const match = /^(.*):(\d+)$/.exec(transitRelay ?? "");
  return match ? [{ host: match[1]!.replace(/^\[(.*)\]$/, "$1"), port: Number(match[2]) }] : [];
}

import type { Link, TransportKind } from "../transport/connection.ts";

/** How a link goes: to be told when it is made, and again when that changes. */
export interface ConnectedEvent {
  readonly type: "connected";
  readonly kind: TransportKind;
  /** `ip:port`, or `relay host:port`. */
  readonly remote: string;
  /** False while the hub's relay carries the packets. */
  readonly direct: boolean;
}

/** Gives how a link goes now. */
export async function connectedEvent(link: Link): Promise<ConnectedEvent> {
  const { remote, relayed = false } = await link.stats();
  // Between two paths none is in use, and the link tells where it began.
  const isRelayed = relayed || remote.startsWith("relay ");
  return { type: "connected", kind: link.kind, remote, direct: !isRelayed };
}

import type { Mood, ServerMessage } from "./messages.ts";
import type { RefusalReason } from "./refusal.ts";

/** What the driver has to do after an event, in order. */
export type ServerAction =
  | { type: "send"; connection: number; message: ServerMessage }
  /** Ends a connection with a WebSocket close code; the driver must not report its `disconnect` any more. */
  | { type: "close"; connection: number; code: number; reason: string }
  | ServerReport;

/** Something for the operator's log and metrics; never holds a nameplate, mailbox, side, address or body. */
export type ServerReport =
  | { type: "report"; event: "nameplate_made" }
  | { type: "report"; event: "mailbox_closed"; mood: Mood; ended: boolean }
  | { type: "report"; event: "mailboxes_expired"; count: number }
  | { type: "report"; event: "refused"; reason: RefusalReason }
  /** The store failed; `state` is its own word for it. */
  | { type: "report"; event: "failed"; state: string };

/** Numbers for a health check. */
export interface ServerCounts {
  connections: number;
  nameplates: number;
  mailboxes: number;
}

import { WormholeError } from "../base/errors.ts";

/** Why a server refused something; for logs and metrics, so never more than the kind. */
export type RefusalReason =
  // Rates.
  | "claims per address"
  | "claims per nameplate"
  | "connections per minute"
  | "messages per connection"
  // Amounts.
  | "connections"
  | "mailboxes per address"
  | "full"
  | "too long"
  | "too slow"
  // Everything else.
  | "bad request"
  | "draining"
  | "failed"
  | "malformed frame"
  | "mistakes"
  | "no bind"
  | "no request"
  | "origin"
  | "silent";

/** Reasons that say that somebody came too often. */
export const RATE_LIMITS: readonly RefusalReason[] = [
  "claims per address",
  "claims per nameplate",
  "connections per minute",
  "messages per connection",
];

/** HUB_REFUSED with its kind. */
export class Refusal extends WormholeError {
  constructor(readonly reason: RefusalReason, message: string) {
    super("HUB_REFUSED", message);
  }
}

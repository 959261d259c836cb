import type { MailboxLimits } from "./limits.ts";
import { Refusal } from "./refusal.ts";
import { TokenBuckets } from "./token_buckets.ts";

/** How many addresses and nameplates the rate limits remember one by one. */
const BUCKET_KEYS = 20_000;

/** Who may do how much how often: rates by address, nameplate and connection, and what each address holds. */
export class Guards {
  readonly #limits: MailboxLimits;
  readonly #claims: TokenBuckets;
  readonly #nameplates: TokenBuckets;
  readonly #connections: TokenBuckets;
  readonly #messages: TokenBuckets;
  readonly #held = new Map<string, { connections: number; mailboxes: number }>();
  /** Who began a mailbox, by mailbox; forgotten at a restart. */
  readonly #owners = new Map<string, string>();

  constructor(limits: MailboxLimits) {
    const perMinute = (burst: number, rate: number) =>
      new TokenBuckets({ burst, perMs: rate / 60_000, keys: BUCKET_KEYS });
    this.#limits = limits;
    this.#claims = perMinute(limits.claimBurst, limits.claimsPerMinute);
    this.#nameplates = perMinute(limits.nameplateBurst, limits.nameplateClaimsPerMinute);
    this.#connections = perMinute(limits.connectionBurst, limits.connectionsPerMinute);
    this.#messages = new TokenBuckets({
      burst: limits.messageBurst,
      perMs: limits.messagesPerSecond / 1_000,
      keys: limits.connections,
    });
  }

  /** Counts a connection in. @throws {Refusal} when its address has or makes too many. */
  connect(address: string, nowMs: number): void {
    if ((this.#held.get(address)?.connections ?? 0) >= this.#limits.connectionsPerAddress) {
      throw new Refusal("connections", "too many connections");
    }
    if (!this.#connections.take(address, nowMs)) {
      throw new Refusal("connections per minute", "too many connections");
    }
    this.#count(address, "connections", 1);
  }

  disconnect(address: string): void {
    this.#count(address, "connections", -1);
  }

  /** Tells whether a connection may send one more frame now. */
  message(connection: number, nowMs: number): boolean {
    return this.#messages.take(String(connection), nowMs);
  }

  /** Pays for a look at nameplates. @throws {Refusal} when there were too many. */
  claim(address: string, nowMs: number): void {
    if (this.#claims.take(address, nowMs)) return;
    throw new Refusal("claims per address", "too many codes were tried from your address; wait a minute");
  }

  /** Pays for a try at one nameplate, whoever makes it. @throws {Refusal} when there were too many. */
  nameplate(appId: string, name: string, nowMs: number): void {
    if (this.#nameplates.take(`${name}\n${appId}`, nowMs)) return;
    throw new Refusal("claims per nameplate", "too many came for this code; wait a minute");
  }

  /** @throws {Refusal} when an address may begin no more mailboxes. */
  checkMailboxes(address: string): void {
    if ((this.#held.get(address)?.mailboxes ?? 0) < this.#limits.mailboxesPerAddress) return;
    throw new Refusal("mailboxes per address", "too many codes are open from your address");
  }

  /** Counts a mailbox for the address that began it. */
  own(mailbox: string, address: string): void {
    this.#owners.set(mailbox, address);
    this.#count(address, "mailboxes", 1);
  }

  /** The mailbox ended; unknown ones are no failure. */
  disown(mailbox: string): void {
    const address = this.#owners.get(mailbox);
    if (address === undefined) return;
    this.#owners.delete(mailbox);
    this.#count(address, "mailboxes", -1);
  }

  /** Forgets whoever has been quiet for long enough. */
  tick(nowMs: number): void {
    for (const buckets of [this.#claims, this.#nameplates, this.#connections, this.#messages]) {
      buckets.forgetFull(nowMs);
    }
  }

  #count(address: string, what: "connections" | "mailboxes", change: 1 | -1): void {
    const counts = this.#held.get(address) ?? { connections: 0, mailboxes: 0 };
    counts[what] += change;
    if (counts.connections === 0 && counts.mailboxes === 0) this.#held.delete(address);
    else this.#held.set(address, counts);
  }
}

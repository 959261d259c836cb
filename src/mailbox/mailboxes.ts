import { WormholeError } from "../base/errors.ts";
import type { MailboxLimits } from "./limits.ts";
import { Refusal } from "./refusal.ts";
import type { MailboxState, MailboxStore, Nameplate, StoredMessage, StoreTotals } from "./store.ts";

/** Ranges that nameplates are drawn from, shortest first: what is short is quick to say. */
const NAMEPLATE_RANGES = [[1, 99], [100, 999], [1_000, 9_999], [10_000, 99_999], [100_000, 999_999]] as const;

/** Random tries in one range before it counts as full; 16 misses leave a range under nine tenths full in 4 of 5 cases. */
const NAMEPLATE_TRIES = 16;

/** One side of an application, as a `bind` names it. */
export interface Party {
  appId: string;
  side: string;
}

/** What {@linkcode Mailboxes} is made with. */
export interface MailboxesOptions {
  store: MailboxStore;
  limits: MailboxLimits;
  random: (byteLength: number) => Uint8Array;
}

/**
 * The rules of nameplates and mailboxes over a store: who may join, how much may be kept, when it ends.
 *
 * Invariant: a nameplate or mailbox never has a third side, and a nameplate that ended stays blocked for
 * `codeTtlMs`, so an old code cannot meet a new pair.
 */
export class Mailboxes {
  readonly #store: MailboxStore;
  readonly #limits: MailboxLimits;
  readonly #random: (byteLength: number) => Uint8Array;
  #totals: StoreTotals;

  constructor({ store, limits, random }: MailboxesOptions) {
    this.#store = store;
    this.#limits = limits;
    this.#random = random;
    // Counted once: counting again at each message would cost a scan of the table.
    this.#totals = store.totals();
  }

  /** What is kept now. */
  get totals(): Readonly<StoreTotals> {
    return this.#totals;
  }

  /** Counts again what is kept: a change that failed may have been counted. */
  recount(): void {
    this.#totals = this.#store.totals();
  }

  /** Tells whether there is, or was lately, a nameplate `name`. */
  known(party: Party, name: string): boolean {
    return this.#store.nameplate(party.appId, name) !== undefined;
  }

  /** Gives when a nameplate expires if nobody comes, in whole seconds from `nowMs`; nothing where it never does. */
  expiry({ createdMs }: Nameplate, nowMs: number): { expires_in?: number } {
    const leftMs = createdMs + this.#limits.codeTtlMs - nowMs;
    return Number.isFinite(leftMs) ? { expires_in: Math.max(0, Math.floor(leftMs / 1_000)) } : {};
  }

  /**
   * Draws a nameplate that no application has, and claims it: so a number that was drawn says whose code it is.
   *
   * @throws {WormholeError} HUB_REFUSED when the server is full.
   */
  allocate(party: Party, nowMs: number): Nameplate {
    for (const [low, high] of NAMEPLATE_RANGES) {
      for (let tries = 0; tries < NAMEPLATE_TRIES; tries++) {
        const name = String(low + this.#below(high - low + 1));
        if (!this.#store.hasNameplate(name)) return this.#create(party, name, nowMs);
      }
    }
    throw new Refusal("full", "no short code is free now");
  }

  /**
   * Joins the nameplate `name`, making it when it is new and `mustExist` is false; the same side may claim again.
   * `reuse`: makes it anew also when it has ended, unless somebody may still come with its code or has guessed at it.
   *
   * @throws {WormholeError} CODE_NOT_FOUND, CODE_EXPIRED, CODE_USED or CODE_CROWDED; HUB_REFUSED when full.
   */
  claim(
    party: Party,
    { name, mustExist, reuse = false }: { name: string; mustExist: boolean; reuse?: boolean },
    nowMs: number,
  ): Nameplate {
    const found = this.#store.nameplate(party.appId, name);
    if (found === undefined) {
      if (mustExist) throw new WormholeError("CODE_NOT_FOUND", "nobody offers this code");
      return this.#create(party, name, nowMs);
    }
    if (reuse && !mustExist && this.#reusable(found)) return this.#create(party, name, nowMs);
    if (found.state === "expired") throw new WormholeError("CODE_EXPIRED", "this code has expired");
    if (found.state === "used" || found.released.includes(party.side)) {
      throw new WormholeError("CODE_USED", "reclaimed");
    }
    if (found.sides.includes(party.side)) return found;
    if (found.sides.length >= 2) throw new WormholeError("CODE_CROWDED", "crowded");
    const mailbox = this.#store.mailbox(found.mailbox);
    if (mailbox === undefined) throw new WormholeError("CODE_USED", "reclaimed");
    found.sides.push(party.side);
    this.#store.transaction(() => {
      this.#store.putNameplate(found);
      this.#join(mailbox, party, nowMs);
    });
    return found;
  }

  /**
   * Makes a mailbox for a side that comes to a nameplate whose owner serves many; the owner is to open it.
   *
   * @throws {WormholeError} HUB_REFUSED when full.
   */
  admit(party: Party, name: string, nowMs: number): string {
    if (this.#totals.mailboxes >= this.#limits.mailboxes) {
      throw new Refusal("full", "too many codes are open");
    }
    return this.#store.transaction(() => {
      const nameplate = this.#store.nameplate(party.appId, name);
      if (nameplate !== undefined) this.#store.putNameplate({ ...nameplate, spoiled: true });
      return this.#createMailbox(party, name, nowMs);
    });
  }

  /** Ends a mailbox to which nobody came but the side that it was made for; tells whether it was one. */
  dismiss(id: string, nowMs: number): boolean {
    const mailbox = this.#store.mailbox(id);
    if (mailbox === undefined || mailbox.sides.length > 1) return false;
    this.#delete(mailbox, "used", nowMs);
    return true;
  }

  /** Gives the mailbox that an open nameplate of somebody else than `party` leads to. */
  held(party: Party, name: string): string | undefined {
    const found = this.#store.nameplate(party.appId, name);
    return found?.state === "open" && !found.sides.includes(party.side) ? found.mailbox : undefined;
  }

  /** Gives up `name` for a side; the nameplate is used up when all its sides did. Unknown ones are no failure. */
  release(party: Party, name: string, nowMs: number): void {
    const nameplate = this.#store.nameplate(party.appId, name);
    if (nameplate?.state !== "open" || !nameplate.sides.includes(party.side)) return;
    if (!nameplate.released.includes(party.side)) nameplate.released.push(party.side);
    if (nameplate.released.length === nameplate.sides.length) end(nameplate, "used", nowMs);
    this.#store.putNameplate(nameplate);
  }

  /** Tells whether there is a mailbox of that id, whoever's it is. */
  has(id: string): boolean {
    return this.#store.mailbox(id) !== undefined;
  }

  /**
   * Makes the mailbox of a meeting point, whose id both sides knew before.
   *
   * @throws {WormholeError} HUB_REFUSED when full.
   */
  found(party: Party, id: string, nowMs: number): void {
    if (this.#totals.mailboxes >= this.#limits.mailboxes) {
      throw new Refusal("full", "too many codes are open");
    }
    this.#putNew(party, { id, nameplate: "" }, nowMs);
  }

  /** Ends a meeting point that nobody is at any more; what was said there was for those who were. */
  abandon(id: string, nowMs: number): void {
    const mailbox = this.#store.mailbox(id);
    if (mailbox !== undefined) this.#delete(mailbox, "used", nowMs);
  }

  /**
   * Checks that a side may use a mailbox, and counts it in.
   *
   * @throws {WormholeError} CODE_NOT_FOUND when there is no such mailbox, CODE_CROWDED for a third side,
   * CODE_USED for a side that closed it before.
   */
  open(party: Party, id: string, nowMs: number): StoredMessage[] {
    const mailbox = this.#mailbox(party, id);
    if (mailbox.closed.includes(party.side)) throw new WormholeError("CODE_USED", "reclaimed");
    if (!mailbox.sides.includes(party.side) && mailbox.sides.length >= 2) {
      throw new WormholeError("CODE_CROWDED", "crowded");
    }
    this.#join(mailbox, party, nowMs);
    return this.#store.messages(id);
  }

  /**
   * Keeps a message of a side that has opened the mailbox.
   *
   * @throws {WormholeError} CODE_NOT_FOUND when the mailbox ended; LIMIT_EXCEEDED when it or the server is full.
   */
  add(party: Party, id: string, message: StoredMessage): void {
    const mailbox = this.#mailbox(party, id);
    const { length } = message.body;
    const { messagesPerMailbox, bytesPerMailbox, totalBytes } = this.#limits;
    if (mailbox.messageCount >= messagesPerMailbox || mailbox.byteLength + length > bytesPerMailbox) {
      throw new WormholeError("LIMIT_EXCEEDED", "the mailbox is full");
    }
    if (this.#totals.byteLength + length > totalBytes) {
      throw new WormholeError("LIMIT_EXCEEDED", "the server is full");
    }
    mailbox.messageCount++;
    mailbox.byteLength += length;
    mailbox.updatedMs = message.receivedMs;
    this.#store.transaction(() => {
      this.#store.addMessage(id, message);
      this.#store.putMailbox(mailbox);
    });
    this.#totals.byteLength += length;
  }

  /** Ends a side's use of a mailbox, `happy` when it got what it came for; true when that deleted it. */
  close(party: Party, { id, happy }: { id: string; happy: boolean }, nowMs: number): boolean {
    const mailbox = this.#store.mailbox(id);
    if (mailbox === undefined || mailbox.appId !== party.appId || !mailbox.sides.includes(party.side)) {
      return false;
    }
    if (!happy && mailbox.sides.length > 1) this.#spoil(mailbox);
    if (!mailbox.closed.includes(party.side)) mailbox.closed.push(party.side);
    mailbox.updatedMs = nowMs;
    if (mailbox.closed.length === mailbox.sides.length) {
      this.#delete(mailbox, "used", nowMs);
      return true;
    }
    this.#store.putMailbox(mailbox);
    return false;
  }

  /** Names of open nameplates of an application. */
  list(appId: string): string[] {
    return this.#store.openNameplates(appId, 1_000);
  }

  /**
   * Ends what is overdue; gives the ids of mailboxes that are gone, and why. Mailboxes for which `inUse` holds
   * live on unless nobody ever came.
   */
  expire(nowMs: number, inUse: (mailbox: string) => boolean): { mailbox: string; lonely: boolean }[] {
    const gone: { mailbox: string; lonely: boolean }[] = [];
    const { codeTtlMs, mailboxTtlMs } = this.#limits;
    this.#store.transaction(() => {
      const before = nowMs - codeTtlMs;
      for (const nameplate of this.#store.staleNameplates({ openMs: before, endedMs: before })) {
        if (nameplate.state !== "open") {
          this.#store.deleteNameplate(nameplate.appId, nameplate.name);
          this.#totals.nameplates--;
          continue;
        }
        const lonely = nameplate.sides.length < 2;
        if (!lonely) nameplate.spoiled = true;
        end(nameplate, lonely ? "expired" : "used", nowMs);
        this.#store.putNameplate(nameplate);
        const mailbox = lonely ? this.#store.mailbox(nameplate.mailbox) : undefined;
        if (mailbox === undefined) continue;
        this.#delete(mailbox, "expired", nowMs);
        gone.push({ mailbox: mailbox.id, lonely });
      }
      for (const mailbox of this.#store.staleMailboxes(nowMs - mailboxTtlMs)) {
        if (inUse(mailbox.id)) {
          this.#store.putMailbox({ ...mailbox, updatedMs: nowMs });
          continue;
        }
        this.#delete(mailbox, "expired", nowMs);
        gone.push({ mailbox: mailbox.id, lonely: false });
      }
    });
    return gone;
  }

  #create(party: Party, name: string, nowMs: number): Nameplate {
    const again = this.#store.nameplate(party.appId, name) !== undefined;
    const { nameplates, mailboxes } = this.#totals;
    if ((!again && nameplates >= this.#limits.nameplates) || mailboxes >= this.#limits.mailboxes) {
      throw new Refusal("full", "too many codes are open");
    }
    return this.#store.transaction(() => {
      const nameplate: Nameplate = {
        appId: party.appId,
        name,
        mailbox: this.#createMailbox(party, name, nowMs),
        state: "open",
        sides: [party.side],
        released: [],
        spoiled: false,
        createdMs: nowMs,
        endedMs: 0,
      };
      this.#store.putNameplate(nameplate);
      if (!again) this.#totals.nameplates++;
      return nameplate;
    });
  }

  #createMailbox(party: Party, nameplate: string, nowMs: number): string {
    const id = this.#random(16).toHex();
    this.#putNew(party, { id, nameplate }, nowMs);
    return id;
  }

  #putNew(
    { appId, side }: Party,
    { id, nameplate }: { id: string; nameplate: string },
    nowMs: number,
  ): void {
    this.#store.putMailbox({
      id,
      appId,
      nameplate,
      sides: [side],
      closed: [],
      updatedMs: nowMs,
      messageCount: 0,
      byteLength: 0,
    });
    this.#totals.mailboxes++;
  }

  /** Tells whether a nameplate ended well: nobody came, or both who met in it got what they came for. */
  #reusable({ state, spoiled, sides, mailbox }: Nameplate): boolean {
    if (state === "open" || spoiled) return false;
    return sides.length < 2 || this.#store.mailbox(mailbox) === undefined;
  }

  /** Somebody did not get what it came for: whoever still has the code must not meet a new pair. */
  #spoil({ id, appId, nameplate: name }: MailboxState): void {
    const nameplate = this.#store.nameplate(appId, name);
    if (nameplate?.mailbox === id) this.#store.putNameplate({ ...nameplate, spoiled: true });
  }

  #join(mailbox: MailboxState, party: Party, nowMs: number): void {
    if (!mailbox.sides.includes(party.side)) mailbox.sides.push(party.side);
    mailbox.updatedMs = nowMs;
    this.#store.putMailbox(mailbox);
  }

  #mailbox(party: Party, id: string): MailboxState {
    const mailbox = this.#store.mailbox(id);
    if (mailbox === undefined || mailbox.appId !== party.appId) {
      throw new WormholeError("CODE_NOT_FOUND", "there is no such mailbox");
    }
    return mailbox;
  }

  #delete(mailbox: MailboxState, state: "used" | "expired", nowMs: number): void {
    this.#store.transaction(() => {
      this.#store.deleteMailbox(mailbox.id);
      if (state === "expired" && mailbox.sides.length > 1) this.#spoil(mailbox);
      const nameplate = this.#store.nameplate(mailbox.appId, mailbox.nameplate);
      if (nameplate?.mailbox === mailbox.id && nameplate.state === "open") {
        end(nameplate, state, nowMs);
        this.#store.putNameplate(nameplate);
      }
    });
    this.#totals.mailboxes--;
    this.#totals.byteLength -= mailbox.byteLength;
  }

  /** Draws a number below `bound` (at most 2^20) with a bias under 2^-28. */
  #below(bound: number): number {
    let value = 0;
    for (const byte of this.#random(6)) value = value * 256 + byte;
    return value % bound;
  }
}

function end(nameplate: Nameplate, state: "used" | "expired", nowMs: number): void {
  nameplate.state = state;
  nameplate.endedMs = nowMs;
}

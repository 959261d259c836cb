import { isWormholeError, WormholeError } from "../base/errors.ts";
import type { MailboxLimits } from "./limits.ts";
import { Mailboxes, type Party } from "./mailboxes.ts";
import { type ClientMessage, type Mood, parseClientFrame, type ServerMessage } from "./messages.ts";
import type { MailboxStore, StoredMessage } from "./store.ts";
import { TokenBuckets } from "./token_buckets.ts";

/** What the driver has to do after an event, in order. */
export type ServerAction =
  | { type: "send"; connection: number; message: ServerMessage }
  /** Ends a connection with a WebSocket close code; the driver must not report its `disconnect` any more. */
  | { type: "close"; connection: number; code: number; reason: string }
  /** Something for the operator's log; never holds a nameplate, mailbox, side, address or body. */
  | { type: "report"; event: "mailbox_closed"; mood: Mood; ended: boolean }
  | { type: "report"; event: "mailboxes_expired"; count: number }
  | { type: "report"; event: "refused"; reason: string };

/** What {@linkcode MailboxServer} is made with. */
export interface MailboxServerOptions {
  store: MailboxStore;
  limits: MailboxLimits;
  nowMs: () => number;
  random: (byteLength: number) => Uint8Array;
  /** Text that clients show to their user. */
  motd?: string;
}

/** Numbers for a health check. */
export interface ServerCounts {
  connections: number;
  nameplates: number;
  mailboxes: number;
}

interface Client {
  readonly address: string;
  readonly sinceMs: number;
  party: Party | undefined;
  allocated: boolean;
  nameplate: string | undefined;
  /** Mailbox that the claim led to. */
  claimed: string | undefined;
  /** Mailbox whose messages it gets. */
  opened: string | undefined;
  closed: boolean;
  mistakes: number;
}

/** WebSocket close codes (RFC 6455 §7.4.1). */
const POLICY = 1008;
const TOO_BIG = 1009;
const TRY_AGAIN = 1013;

/** Mailboxes that their two sides name themselves, 128 bits or more of it unguessable; spec/mailbox.md §5.7. */
const MEETING_POINT = /^meet-[0-9a-f]{32,64}$/;

/** How long the owner of a code for many may be away before the code ends: a network that changes takes seconds. */
const OWNER_GRACE_MS = 120_000;

/** How many addresses and connections the rate limits remember one by one. */
const BUCKET_KEYS = 20_000;

/**
 * The mailbox server as a state machine: events in, actions out; no sockets, no timers.
 *
 * Spec: `src/wire/spec/mailbox.md`.
 */
export class MailboxServer {
  readonly #options: MailboxServerOptions;
  readonly #mailboxes: Mailboxes;
  readonly #clients = new Map<number, Client>();
  readonly #subscribers = new Map<string, Set<number>>();
  /** Who began a mailbox, by mailbox; forgotten at a restart. */
  readonly #owners = new Map<string, string>();
  /** Connections that serve many under one nameplate, by the mailbox that it leads to; they end with the connection. */
  readonly #hosts = new Map<string, number>();
  /** Those whose connection was lost: the same side may come back for a while. */
  readonly #absent = new Map<string, { untilMs: number; party: Party; name: string }>();
  /** Mailboxes of those who came to them, and the mailbox of the nameplate by which they came. */
  readonly #admitted = new Map<string, string>();
  readonly #perAddress = new Map<string, { connections: number; mailboxes: number }>();
  readonly #claims: TokenBuckets;
  readonly #messages: TokenBuckets;

  constructor(options: MailboxServerOptions) {
    const { limits } = options;
    this.#options = options;
    this.#mailboxes = new Mailboxes(options);
    this.#claims = new TokenBuckets({
      burst: limits.claimBurst,
      perMs: limits.claimsPerMinute / 60_000,
      keys: BUCKET_KEYS,
    });
    this.#messages = new TokenBuckets({
      burst: limits.messageBurst,
      perMs: limits.messagesPerSecond / 1_000,
      keys: limits.connections,
    });
  }

  /** Numbers for a health check. */
  get counts(): ServerCounts {
    const { nameplates, mailboxes } = this.#mailboxes.totals;
    return { connections: this.#clients.size, nameplates, mailboxes };
  }

  /** A client connected from `address` (an IP address, or a prefix that stands for one household). */
  connect(connection: number, address: string): ServerAction[] {
    const { limits, motd, nowMs } = this.#options;
    const used = this.#perAddress.get(address)?.connections ?? 0;
    if (this.#clients.size >= limits.connections || used >= limits.connectionsPerAddress) {
      return this.#end(connection, TRY_AGAIN, "too many connections");
    }
    this.#count(address, "connections", 1);
    this.#clients.set(connection, {
      address,
      sinceMs: nowMs(),
      party: undefined,
      allocated: false,
      nameplate: undefined,
      claimed: undefined,
      opened: undefined,
      closed: false,
      mistakes: 0,
    });
    const welcome = motd === undefined ? {} : { motd };
    return [{ type: "send", connection, message: { type: "welcome", welcome } }];
  }

  /** A client's frame arrived; undefined for one that is not text. Unknown connections are ignored. */
  message(connection: number, text: string | undefined): ServerAction[] {
    const client = this.#clients.get(connection);
    if (client === undefined) return [];
    const { limits, nowMs } = this.#options;
    if (text !== undefined && utf8Longer(text, limits.messageBytes)) {
      return this.#end(connection, TOO_BIG, "message too long");
    }
    if (!this.#messages.take(String(connection), nowMs())) {
      return this.#end(connection, POLICY, "too many messages");
    }
    const actions: ServerAction[] = [];
    try {
      if (text === undefined) throw new WormholeError("PROTOCOL", "not a text frame");
      const { message, id } = parseClientFrame(text);
      if (id !== undefined) actions.push({ type: "send", connection, message: { type: "ack", id } });
      // A late tick must not let anybody join what is overdue.
      if (message.type === "claim" || message.type === "allocate") actions.push(...this.#expire(nowMs()));
      return [...actions, ...this.#handle(connection, client, message)];
    } catch (error) {
      if (!isWormholeError(error)) throw error;
      return [...actions, ...this.#refuse(connection, client, error)];
    }
  }

  /** A client's connection ended. */
  disconnect(connection: number): ServerAction[] {
    return this.#forget(connection);
  }

  /** Time passed: to be called every few seconds. */
  tick(): ServerAction[] {
    const nowMs = this.#options.nowMs();
    this.#expireAbsent(nowMs);
    const actions = this.#expire(nowMs);
    for (const [connection, client] of this.#clients) {
      if (client.party === undefined && nowMs - client.sinceMs >= this.#options.limits.bindTimeoutMs) {
        actions.push(...this.#end(connection, POLICY, "no bind"));
      }
    }
    this.#claims.forgetFull(nowMs);
    this.#messages.forgetFull(nowMs);
    return actions;
  }

  #handle(connection: number, client: Client, message: ClientMessage): ServerAction[] {
    const nowMs = this.#options.nowMs();
    const reply = (message: ServerMessage): ServerAction[] => [{ type: "send", connection, message }];
    if (message.type === "ping") return reply({ type: "pong", pong: message.ping });
    if (message.type === "submit-permissions") return [];
    if (message.type === "bind") {
      once(client.party === undefined, "already bound");
      client.party = { appId: message.appid, side: message.side };
      return [];
    }
    const { party } = client;
    if (party === undefined) throw new WormholeError("PROTOCOL", "must bind first");
    switch (message.type) {
      case "list":
        this.#spendClaim(client, nowMs);
        return reply({
          type: "nameplates",
          nameplates: this.#mailboxes.list(party.appId).map((id) => ({ id })),
        });
      case "allocate": {
        once(!client.allocated, "only one allocate per connection");
        this.#spendClaim(client, nowMs);
        this.#checkMailboxes(client);
        const { name, mailbox } = this.#mailboxes.allocate(party, nowMs);
        client.allocated = true;
        this.#own(mailbox, client.address);
        return reply({ type: "allocated", nameplate: name });
      }
      case "claim": {
        once(client.claimed === undefined, "only one claim per connection");
        // A claim that follows an allocate was paid for.
        if (!client.allocated) this.#spendClaim(client, nowMs);
        const held = this.#mailboxes.held(party, message.nameplate) ?? "";
        if (this.#absent.has(held)) {
          throw new WormholeError("CODE_NOT_FOUND", "its sender is not here just now");
        }
        const host = this.#hosts.get(held);
        if (host !== undefined) {
          return this.#admit(connection, client, { party, name: message.nameplate, host });
        }
        // Whoever has it already would be taken for the first who comes.
        if (message.many && held !== "") {
          throw new WormholeError("CODE_CROWDED", "crowded");
        }
        const before = this.#mailboxes.totals.mailboxes;
        if (!message.mustExist && !client.allocated) this.#checkMailboxes(client);
        const claimed = this.#mailboxes.claim(
          party,
          { name: message.nameplate, mustExist: message.mustExist },
          nowMs,
        );
        if (this.#mailboxes.totals.mailboxes > before) this.#own(claimed.mailbox, client.address);
        client.nameplate = claimed.name;
        client.claimed = claimed.mailbox;
        if (!message.many) return reply({ type: "claimed", mailbox: claimed.mailbox });
        this.#absent.delete(claimed.mailbox);
        this.#hosts.set(claimed.mailbox, connection);
        // After a restart of the server somebody may have come before the owner was back, as to a code for two.
        const strays = this.#turnAway(claimed.mailbox);
        return [...reply({ type: "claimed", mailbox: claimed.mailbox, many: true }), ...strays];
      }
      case "release": {
        const name = message.nameplate ?? client.nameplate;
        if (name === undefined) throw new WormholeError("PROTOCOL", "release must follow claim");
        this.#mailboxes.release(party, name, nowMs);
        return [...reply({ type: "released" }), ...this.#closeDoor(connection, client)];
      }
      case "open":
        once(client.opened === undefined, "only one open per connection");
        return this.#open(connection, client, { party, id: message.mailbox }, nowMs);
      case "add": {
        if (client.opened === undefined) throw new WormholeError("PROTOCOL", "must open before adding");
        const { phase, body, id } = message;
        const stored = { side: party.side, phase, body, receivedMs: nowMs, id };
        this.#mailboxes.add(party, client.opened, stored);
        return [...this.#subscribers.get(client.opened) ?? []].map((subscriber) => (
          { type: "send", connection: subscriber, message: delivery(stored) }
        ));
      }
      case "close": {
        once(!client.closed, "only one close per connection");
        const id = message.mailbox ?? client.opened ?? client.claimed;
        if (id === undefined) throw new WormholeError("PROTOCOL", "close must follow open");
        client.closed = true;
        this.#unsubscribe(connection, client);
        const ended = this.#mailboxes.close(party, id, nowMs);
        const told = message.mood !== "happy" && this.#admitted.has(id) ? this.#turnAway(id) : [];
        if (ended) this.#disown(id);
        return [
          ...reply({ type: "closed" }),
          ...told,
          ...this.#closeDoor(connection, client),
          { type: "report", event: "mailbox_closed", mood: message.mood, ended },
        ];
      }
    }
  }

  /** Gives one who comes to a nameplate that serves many a mailbox of its own, and tells the owner. */
  #admit(
    connection: number,
    client: Client,
    { party, name, host }: { party: Party; name: string; host: number },
  ): ServerAction[] {
    this.#checkMailboxes(client);
    const mailbox = this.#mailboxes.admit(party, name, this.#options.nowMs());
    this.#own(mailbox, client.address);
    this.#admitted.set(mailbox, this.#clients.get(host)!.claimed!);
    client.nameplate = name;
    client.claimed = mailbox;
    return [
      { type: "send", connection, message: { type: "claimed", mailbox } },
      { type: "send", connection: host, message: { type: "arrived", mailbox } },
    ];
  }

  /** The owner gives its code up: it is used up, and whoever the owner did not look at is told so. */
  #closeDoor(connection: number, client: Client): ServerAction[] {
    if (this.#hosts.get(client.claimed ?? "") !== connection) return [];
    this.#mailboxes.release(client.party!, client.nameplate!, this.#options.nowMs());
    return this.#leaveDoor(connection, client);
  }

  /** Turns away whoever the owner did not look at. */
  #leaveDoor(connection: number, { claimed = "" }: Client): ServerAction[] {
    if (this.#hosts.get(claimed) !== connection) return [];
    this.#hosts.delete(claimed);
    const nowMs = this.#options.nowMs();
    const actions: ServerAction[] = [];
    for (const [mailbox, door] of this.#admitted) {
      if (door !== claimed || !this.#mailboxes.dismiss(mailbox, nowMs)) continue;
      actions.push(...this.#turnAway(mailbox));
      this.#disown(mailbox);
    }
    return actions;
  }

  /** Ends the codes whose owners did not come back. */
  #expireAbsent(nowMs: number): void {
    for (const [mailbox, { untilMs, party, name }] of this.#absent) {
      if (nowMs < untilMs) continue;
      this.#absent.delete(mailbox);
      this.#mailboxes.release(party, name, nowMs);
    }
  }

  /** Tells the other side of a mailbox that the owner of the code will not go on: it need not wait for an answer. */
  #turnAway(mailbox: string): ServerAction[] {
    const message = { type: "error", error: "this code is not served any more", code: "CODE_USED" } as const;
    return [...this.#subscribers.get(mailbox) ?? []].map((connection) => ({
      type: "send",
      connection,
      message,
    }));
  }

  #open(
    connection: number,
    client: Client,
    { party, id }: { party: Party; id: string },
    nowMs: number,
  ): ServerAction[] {
    if (MEETING_POINT.test(id) && !this.#mailboxes.has(id)) {
      this.#spendClaim(client, nowMs);
      this.#checkMailboxes(client);
      this.#mailboxes.found(party, id, nowMs);
      this.#own(id, client.address);
    }
    const messages = this.#mailboxes.open(party, id, nowMs);
    client.opened = id;
    const subscribers = this.#subscribers.get(id) ?? new Set();
    this.#subscribers.set(id, subscribers.add(connection));
    return messages.map((stored) => ({ type: "send", connection, message: delivery(stored) }));
  }

  /** Ends what is overdue and tells the clients that still wait for it. */
  #expire(nowMs: number): ServerAction[] {
    const gone = this.#mailboxes.expire(nowMs, (mailbox) => this.#subscribers.has(mailbox));
    const actions: ServerAction[] = [];
    for (const { mailbox } of gone) {
      for (const connection of this.#subscribers.get(mailbox) ?? []) {
        const client = this.#clients.get(connection)!;
        client.opened = undefined;
        actions.push({
          type: "send",
          connection,
          message: { type: "error", error: "this code has expired", code: "CODE_EXPIRED" },
        });
      }
      this.#subscribers.delete(mailbox);
      this.#disown(mailbox);
    }
    if (gone.length > 0) actions.push({ type: "report", event: "mailboxes_expired", count: gone.length });
    return actions;
  }

  #spendClaim(client: Client, nowMs: number): void {
    if (this.#claims.take(client.address, nowMs)) return;
    throw new WormholeError("HUB_REFUSED", "too many codes were tried from your address; wait a minute");
  }

  #checkMailboxes({ address }: Client): void {
    if ((this.#perAddress.get(address)?.mailboxes ?? 0) < this.#options.limits.mailboxesPerAddress) return;
    throw new WormholeError("HUB_REFUSED", "too many codes are open from your address");
  }

  #refuse(connection: number, client: Client, { code, message }: WormholeError): ServerAction[] {
    const refusal: ServerAction = {
      type: "send",
      connection,
      message: { type: "error", error: message, code },
    };
    if (code === "HUB_REFUSED") return [refusal, ...this.#end(connection, POLICY, "refused")];
    client.mistakes++;
    if (client.mistakes < this.#options.limits.mistakes) return [refusal];
    return [refusal, ...this.#end(connection, POLICY, "too many mistakes")];
  }

  #end(connection: number, code: number, reason: string): ServerAction[] {
    const told = this.#forget(connection);
    return [...told, { type: "report", event: "refused", reason }, {
      type: "close",
      connection,
      code,
      reason,
    }];
  }

  #forget(connection: number): ServerAction[] {
    const client = this.#clients.get(connection);
    if (client === undefined) return [];
    this.#unsubscribe(connection, client);
    this.#clients.delete(connection);
    this.#count(client.address, "connections", -1);
    const { claimed = "", nameplate = "", party } = client;
    if (this.#hosts.get(claimed) === connection) {
      const untilMs = this.#options.nowMs() + OWNER_GRACE_MS;
      this.#absent.set(claimed, { untilMs, party: party!, name: nameplate });
    }
    return this.#leaveDoor(connection, client);
  }

  #unsubscribe(connection: number, client: Client): void {
    if (client.opened === undefined) return;
    const subscribers = this.#subscribers.get(client.opened);
    subscribers?.delete(connection);
    if (subscribers?.size === 0) {
      this.#subscribers.delete(client.opened);
      if (MEETING_POINT.test(client.opened)) {
        this.#mailboxes.abandon(client.opened, this.#options.nowMs());
        this.#disown(client.opened);
      }
    }
    client.opened = undefined;
  }

  #own(mailbox: string, address: string): void {
    this.#owners.set(mailbox, address);
    this.#count(address, "mailboxes", 1);
  }

  #disown(mailbox: string): void {
    this.#admitted.delete(mailbox);
    const address = this.#owners.get(mailbox);
    if (address === undefined) return;
    this.#owners.delete(mailbox);
    this.#count(address, "mailboxes", -1);
  }

  #count(address: string, what: "connections" | "mailboxes", change: 1 | -1): void {
    const counts = this.#perAddress.get(address) ?? { connections: 0, mailboxes: 0 };
    counts[what] += change;
    if (counts.connections === 0 && counts.mailboxes === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, counts);
  }
}

function delivery({ side, phase, body, receivedMs, id }: StoredMessage): ServerMessage {
  const message = { type: "message", side, phase, body, server_rx: receivedMs / 1_000 } as const;
  return id === undefined ? message : { ...message, id };
}

function once(allowed: boolean, state: string): void {
  if (!allowed) throw new WormholeError("PROTOCOL", state);
}

/** Tells whether `text` has more than `limit` bytes in UTF-8. */
function utf8Longer(text: string, limit: number): boolean {
  if (text.length > limit) return true;
  if (text.length * 3 <= limit) return false;
  return new TextEncoder().encode(text).length > limit;
}

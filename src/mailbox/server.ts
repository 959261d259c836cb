import { isWormholeError, WormholeError } from "../base/errors.ts";
import type { MailboxLimits } from "./limits.ts";
import { Mailboxes, type Party } from "./mailboxes.ts";
import { type ClientMessage, parseClientFrame, type ServerMessage, utf8Longer } from "./messages.ts";
import type { MailboxStore, StoredMessage } from "./store.ts";
import { Guards } from "./guards.ts";
import { Refusal, type RefusalReason } from "./refusal.ts";
import type { ServerAction, ServerCounts } from "./server_action.ts";

/** What {@linkcode MailboxServer} is made with. */
export interface MailboxServerOptions {
  store: MailboxStore;
  limits: MailboxLimits;
  nowMs: () => number;
  random: (byteLength: number) => Uint8Array;
  /** Text that clients show to their user. */
  motd?: string;
  /** What else clients are told at once. */
  welcome?: () => object;
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
const INTERNAL = 1011;

/** Mailboxes that their two sides name themselves, 128 bits or more of it unguessable; spec/mailbox.md §5.7. */
const MEETING_POINT = /^meet-[0-9a-f]{32,64}$/;

/** How long the owner of a code for many may be away before the code ends: a network that changes takes seconds. */
const OWNER_GRACE_MS = 120_000;

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
  /** Connections that serve many under one nameplate, by the mailbox that it leads to; they end with the connection. */
  readonly #hosts = new Map<string, number>();
  /** Those whose connection was lost: the same side may come back for a while. */
  readonly #absent = new Map<string, { untilMs: number; party: Party; name: string }>();
  /** Mailboxes of those who came to them, and the mailbox of the nameplate by which they came. */
  readonly #admitted = new Map<string, string>();
  readonly #guards: Guards;
  #draining = false;

  constructor(options: MailboxServerOptions) {
    this.#options = options;
    this.#mailboxes = new Mailboxes(options);
    this.#guards = new Guards(options.limits);
  }

  /** Numbers for a health check. */
  get counts(): ServerCounts {
    const { nameplates, mailboxes } = this.#mailboxes.totals;
    return { connections: this.#clients.size, nameplates, mailboxes };
  }

  /** Bytes of message bodies that are kept. */
  get storedBytes(): number {
    return this.#mailboxes.totals.byteLength;
  }

  /** Connections that have a code and are not done with it. */
  get engaged(): number {
    let count = 0;
    for (const { claimed, opened, closed } of this.#clients.values()) {
      if ((claimed ?? opened) !== undefined && !closed) count++;
    }
    return count;
  }

  /** From now on no codes are made; those that are there go on. */
  drain(): void {
    this.#draining = true;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** A client connected from `address` (an IP address, or a prefix that stands for one household). */
  connect(connection: number, address: string): ServerAction[] {
    const { limits, motd, welcome: more, nowMs } = this.#options;
    try {
      if (this.#clients.size >= limits.connections) throw new Refusal("connections", "too many connections");
      this.#guards.connect(address, nowMs());
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return this.#end(connection, TRY_AGAIN, { reason: error.reason, text: error.message });
    }
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
    const welcome = { ...more?.(), wormhole: 1, ...motd !== undefined && { motd } } as const;
    return [{ type: "send", connection, message: { type: "welcome", welcome } }];
  }

  /** A client's frame arrived; undefined for one that is not text. Unknown connections are ignored. */
  message(connection: number, text: string | undefined): ServerAction[] {
    const client = this.#clients.get(connection);
    if (client === undefined) return [];
    const { limits, nowMs } = this.#options;
    if (text !== undefined && utf8Longer(text, limits.messageBytes)) {
      return this.#end(connection, TOO_BIG, { reason: "too long", text: "message too long" });
    }
    const flood = this.control(connection);
    if (flood.length > 0) return flood;
    const actions: ServerAction[] = [];
    try {
      if (text === undefined) throw new WormholeError("PROTOCOL", "not a text frame");
      const { message, id } = parseClientFrame(text);
      if (id !== undefined) actions.push({ type: "send", connection, message: { type: "ack", id } });
      // A late tick must not let anybody join what is overdue.
      if (message.type === "claim" || message.type === "allocate") actions.push(...this.#expire(nowMs()));
      return [...actions, ...this.#handle(connection, client, message)];
    } catch (error) {
      if (!isWormholeError(error)) return [...actions, ...this.#failed(error, connection)];
      return [...actions, ...this.#refuse(connection, client, error)];
    }
  }

  /** A client's ping or pong arrived: free of charge they would be a way to keep a server busy. */
  control(connection: number): ServerAction[] {
    const { nowMs } = this.#options;
    if (!this.#clients.has(connection) || this.#guards.message(connection, nowMs())) return [];
    return this.#end(connection, POLICY, { reason: "messages per connection", text: "too many messages" });
  }

  /** A client's connection ended. */
  disconnect(connection: number): ServerAction[] {
    try {
      return this.#forget(connection);
    } catch (error) {
      return this.#failed(error);
    }
  }

  /** Time passed: to be called every few seconds. */
  tick(): ServerAction[] {
    const nowMs = this.#options.nowMs();
    const actions: ServerAction[] = [];
    try {
      this.#expireAbsent(nowMs);
      actions.push(...this.#expire(nowMs));
    } catch (error) {
      // What is overdue is met again at the next tick.
      actions.push(...this.#failed(error));
    }
    for (const [connection, client] of this.#clients) {
      if (client.party === undefined && nowMs - client.sinceMs >= this.#options.limits.bindTimeoutMs) {
        actions.push(...this.#end(connection, POLICY, { reason: "no bind", text: "no bind" }));
      }
    }
    this.#guards.tick(nowMs);
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
        this.#guards.claim(client.address, nowMs);
        return reply({
          type: "nameplates",
          nameplates: this.#mailboxes.list(party.appId).map((id) => ({ id })),
        });
      case "allocate": {
        once(!client.allocated, "only one allocate per connection");
        this.#guards.claim(client.address, nowMs);
        this.#guards.checkMailboxes(client.address);
        if (this.#draining) throw draining();
        const { name, mailbox } = this.#mailboxes.allocate(party, nowMs);
        client.allocated = true;
        this.#guards.own(mailbox, client.address);
        return [...reply({ type: "allocated", nameplate: name }), MADE];
      }
      case "claim": {
        once(client.claimed === undefined, "only one claim per connection");
        // A claim that follows an allocate was paid for.
        if (!client.allocated) {
          this.#guards.claim(client.address, nowMs);
          this.#guards.nameplate(party.appId, message.nameplate, nowMs);
        }
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
        const makes = !message.mustExist && !client.allocated;
        if (makes) this.#guards.checkMailboxes(client.address);
        if (makes && this.#draining && !this.#mailboxes.known(party, message.nameplate)) throw draining();
        const { nameplate: name, mustExist, reuse } = message;
        const claimed = this.#mailboxes.claim(party, { name, mustExist, reuse }, nowMs);
        const made = this.#mailboxes.totals.mailboxes > before;
        if (made) this.#guards.own(claimed.mailbox, client.address);
        client.nameplate = claimed.name;
        client.claimed = claimed.mailbox;
        const told = {
          type: "claimed",
          mailbox: claimed.mailbox,
          ...this.#mailboxes.expiry(claimed, nowMs),
        } as const;
        const reports = made ? [MADE] : [];
        if (!message.many) return [...reply(told), ...reports];
        this.#absent.delete(claimed.mailbox);
        this.#hosts.set(claimed.mailbox, connection);
        // After a restart of the server somebody may have come before the owner was back, as to a code for two.
        const strays = this.#turnAway(claimed.mailbox);
        return [...reply({ ...told, many: true }), ...reports, ...strays];
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
        const ended = this.#mailboxes.close(party, { id, happy: message.mood === "happy" }, nowMs);
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
    this.#guards.checkMailboxes(client.address);
    const mailbox = this.#mailboxes.admit(party, name, this.#options.nowMs());
    this.#guards.own(mailbox, client.address);
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
      this.#guards.claim(client.address, nowMs);
      this.#guards.checkMailboxes(client.address);
      if (this.#draining) throw draining();
      this.#mailboxes.found(party, id, nowMs);
      this.#guards.own(id, client.address);
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

  #refuse(connection: number, client: Client, error: WormholeError): ServerAction[] {
    const { code, message } = error;
    const refusal: ServerAction = {
      type: "send",
      connection,
      message: { type: "error", error: message, code },
    };
    if (error instanceof Refusal) {
      return [refusal, ...this.#end(connection, POLICY, { reason: error.reason, text: "refused" })];
    }
    client.mistakes++;
    if (client.mistakes < this.#options.limits.mistakes) return [refusal];
    return [refusal, ...this.#end(connection, POLICY, { reason: "mistakes", text: "too many mistakes" })];
  }

  /** The store failed, as on a full disk: nothing was changed, and whoever asked for it has to come again. */
  #failed(error: unknown, connection?: number): ServerAction[] {
    try {
      this.#mailboxes.recount();
    } catch {
      // Then the counts stay what they were until it works again.
    }
    const { errstr, name } = error as { errstr?: unknown; name?: unknown };
    const failed: ServerAction = { type: "report", event: "failed", state: String(errstr ?? name) };
    if (connection === undefined) return [failed];
    const words = "the server cannot keep anything just now; try again later";
    const refusal: ServerAction = {
      type: "send",
      connection,
      message: { type: "error", error: words, code: "HUB_REFUSED" },
    };
    let end: ServerAction[];
    try {
      end = this.#end(connection, INTERNAL, { reason: "failed", text: "internal error" });
    } catch {
      end = [{ type: "close", connection, code: INTERNAL, reason: "internal error" }];
    }
    return [failed, refusal, ...end];
  }

  #end(
    connection: number,
    code: number,
    { reason, text }: { reason: RefusalReason; text: string },
  ): ServerAction[] {
    const told = this.#forget(connection);
    return [...told, { type: "report", event: "refused", reason }, {
      type: "close",
      connection,
      code,
      reason: text,
    }];
  }

  #forget(connection: number): ServerAction[] {
    const client = this.#clients.get(connection);
    if (client === undefined) return [];
    this.#unsubscribe(connection, client);
    this.#clients.delete(connection);
    this.#guards.disconnect(client.address);
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

  #disown(mailbox: string): void {
    this.#admitted.delete(mailbox);
    this.#guards.disown(mailbox);
  }
}

const MADE: ServerAction = { type: "report", event: "nameplate_made" };

function draining(): Refusal {
  return new Refusal("draining", "this server is about to end; try again in a minute");
}

function delivery({ side, phase, body, receivedMs, id }: StoredMessage): ServerMessage {
  const message = { type: "message", side, phase, body, server_rx: receivedMs / 1_000 } as const;
  return id === undefined ? message : { ...message, id };
}

function once(allowed: boolean, state: string): void {
  if (!allowed) throw new WormholeError("PROTOCOL", state);
}

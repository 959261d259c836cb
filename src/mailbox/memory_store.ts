import type { MailboxState, MailboxStore, Nameplate, StoredMessage, StoreTotals } from "./store.ts";

/** Keeps everything in memory: for a sender's own mailbox and for tests. */
export class MemoryMailboxStore implements MailboxStore {
  readonly #nameplates = new Map<string, Nameplate>();
  /** How many applications have a nameplate of each name. */
  readonly #names = new Map<string, number>();
  readonly #mailboxes = new Map<string, MailboxState>();
  readonly #messages = new Map<string, StoredMessage[]>();
  readonly #secrets = new Map<string, Uint8Array>();

  nameplate(appId: string, name: string): Nameplate | undefined {
    return structuredClone(this.#nameplates.get(key(appId, name)));
  }

  hasNameplate(name: string): boolean {
    return this.#names.has(name);
  }

  putNameplate(nameplate: Nameplate): void {
    const { appId, name } = nameplate;
    if (!this.#nameplates.has(key(appId, name))) this.#names.set(name, (this.#names.get(name) ?? 0) + 1);
    this.#nameplates.set(key(appId, name), structuredClone(nameplate));
  }

  deleteNameplate(appId: string, name: string): void {
    if (!this.#nameplates.delete(key(appId, name))) return;
    const left = this.#names.get(name)! - 1;
    if (left === 0) this.#names.delete(name);
    else this.#names.set(name, left);
  }

  openNameplates(appId: string, limit: number): string[] {
    const names: string[] = [];
    for (const nameplate of this.#nameplates.values()) {
      if (names.length >= limit) break;
      if (nameplate.appId === appId && nameplate.state === "open") names.push(nameplate.name);
    }
    return names;
  }

  staleNameplates({ openMs, endedMs }: { openMs: number; endedMs: number }): Nameplate[] {
    return [...this.#nameplates.values()]
      .filter(({ state, createdMs, endedMs: ended }) =>
        state === "open" ? createdMs <= openMs : ended <= endedMs
      )
      .map((nameplate) => structuredClone(nameplate));
  }

  mailbox(id: string): MailboxState | undefined {
    return structuredClone(this.#mailboxes.get(id));
  }

  putMailbox(mailbox: MailboxState): void {
    this.#mailboxes.set(mailbox.id, structuredClone(mailbox));
  }

  deleteMailbox(id: string): void {
    this.#mailboxes.delete(id);
    this.#messages.delete(id);
  }

  staleMailboxes(updatedMs: number): MailboxState[] {
    return [...this.#mailboxes.values()]
      .filter((mailbox) => mailbox.updatedMs <= updatedMs)
      .map((mailbox) => structuredClone(mailbox));
  }

  addMessage(mailbox: string, message: StoredMessage): void {
    const messages = this.#messages.get(mailbox) ?? [];
    messages.push({ ...message });
    this.#messages.set(mailbox, messages);
  }

  messages(mailbox: string): StoredMessage[] {
    return (this.#messages.get(mailbox) ?? []).map((message) => ({ ...message }));
  }

  secret(name: string): Uint8Array {
    return this.#secrets.getOrInsertComputed(name, () => crypto.getRandomValues(new Uint8Array(32)));
  }

  totals(): StoreTotals {
    let byteLength = 0;
    for (const mailbox of this.#mailboxes.values()) byteLength += mailbox.byteLength;
    return { nameplates: this.#nameplates.size, mailboxes: this.#mailboxes.size, byteLength };
  }

  /** Runs `change`; the server's changes cannot fail half way in memory. */
  transaction<T>(change: () => T): T {
    return change();
  }

  [Symbol.dispose](): void {
    this.#nameplates.clear();
    this.#names.clear();
    this.#mailboxes.clear();
    this.#messages.clear();
  }
}

function key(appId: string, name: string): string {
  return `${name}\n${appId}`;
}

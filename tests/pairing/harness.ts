/** A real hub on a free port, for tests. */
import { MemoryMailboxStore } from "../../src/mailbox/memory_store.ts";
import { type MailboxService, serveMailbox, type ServeMailboxOptions } from "../../src/mailbox/serve.ts";
import { SqliteMailboxStore } from "../../src/mailbox/sqlite_store.ts";
import { MailboxClient } from "../../src/pairing/mailbox_client.ts";

/** Application id of all tests. */
export const APP_ID = "wormhole.test";

/** A running hub and how to reach it. */
export interface TestHub extends AsyncDisposable {
  service: MailboxService;
  url: URL;
  client(): Promise<MailboxClient>;
}

/** Runs a hub on the loopback interface until disposed. */
export function hubFor(
  { database, ...options }: Partial<ServeMailboxOptions> & { database?: string } = {},
): Promise<TestHub> {
  const store = database === undefined ? new MemoryMailboxStore() : new SqliteMailboxStore(database);
  const service = serveMailbox({ hostname: "127.0.0.1", port: 0, store, ...options });
  const url = new URL(service.url);
  const close = async () => {
    await service[Symbol.asyncDispose]();
    store[Symbol.dispose]();
  };
  let closing: Promise<void> | undefined;
  return Promise.resolve({
    service,
    url,
    client: () => MailboxClient.connect(url, { appId: APP_ID }),
    [Symbol.asyncDispose]: () => closing ??= close(),
  });
}

/** Gives the UTF-8 bytes of `value`. */
export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

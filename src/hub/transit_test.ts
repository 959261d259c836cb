/** The hub's transit relay as its clients and its operator see it; how it joins and refuses is tested in `ffi/`. */
import { systemClock } from "../base/clock.ts";
import { formatLogJson, Logger, type LogRecord } from "../base/log.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { type HubOptions, runHub } from "./hub.ts";

const TOKEN = "0123456789abcdef".repeat(4);

/** A running hub with a relay. */
class Hub implements AsyncDisposable {
  readonly records: LogRecord[] = [];
  readonly #controller = new AbortController();
  readonly #draining = Promise.withResolvers<number>();
  readonly ended: Promise<void>;
  readonly listening: Promise<
    { url: string; port: number; metricsUrl?: string; transit?: readonly string[] }
  >;

  constructor(options: Partial<HubOptions> = {}) {
    const { promise, resolve, reject } = Promise.withResolvers<Awaited<Hub["listening"]>>();
    this.listening = promise;
    this.ended = runHub({
      listen: "127.0.0.1:0",
      transit: { listen: "127.0.0.1:0" },
      metrics: true,
      log: new Logger({ level: "trace", clock: systemClock, sink: (record) => this.records.push(record) }),
      signal: this.#controller.signal,
      onListening: resolve,
      onDraining: ({ transit }) => this.#draining.resolve(transit),
      ...options,
    });
    this.ended.catch(reject);
    this.listening.catch(() => {}); // Tests of failures look at the end.
  }

  /** Tells it to end; gives how many relayed connections it waits for. */
  end(): Promise<number> {
    this.#controller.abort();
    return this.#draining.promise;
  }

  async asks(side: string): Promise<Deno.TcpConn> {
    const [place] = (await this.listening).transit!;
    const [hostname, port] = place!.split(":");
    const conn = await Deno.connect({ hostname: hostname!, port: Number(port) });
    await say(conn, `please relay ${TOKEN} for side ${side.repeat(16)}\n`);
    return conn;
  }

  async metrics(): Promise<string> {
    const { url } = await this.listening;
    return await (await fetch(url.replace("ws:", "http:").replace("/v1", "/metrics"))).text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort();
    await this.ended.catch(() => {}); // Tests look at it themselves.
  }
}

async function say(conn: Deno.TcpConn, text: string): Promise<void> {
  await conn.write(new TextEncoder().encode(text));
}

async function hear(conn: Deno.TcpConn, expected: string): Promise<void> {
  let heard = "";
  const buffer = new Uint8Array(1024);
  while (heard.length < expected.length) {
    const length = await conn.read(buffer);
    if (length === null) break;
    heard += new TextDecoder().decode(buffer.subarray(0, length));
  }
  assertEquals(heard, expected);
}

Deno.test("runHub() relays, counts it, and tells nobody what", async () => {
  await using hub = new Hub({ motd: "hello" });
  using one = await hub.asks("a");
  using other = await hub.asks("b");
  await hear(one, "ok\n");
  await hear(other, "ok\n");
  await say(one, "canary-of-one");
  await hear(other, "canary-of-one");
  const metrics = await hub.metrics();
  for (const line of ["pairs 1", "pairs_total 1", "connections 2", "waiting 0", "bytes_total 13"]) {
    assertTrue(metrics.includes(`\nwormhole_hub_transit_${line}\n`), metrics);
  }
  assertTrue(metrics.includes('wormhole_hub_transit_refused_total{reason="bad_handshake"} 0'), metrics);
  await hub[Symbol.asyncDispose]();
  const told = metrics + hub.records.map(formatLogJson).join("\n");
  assertTrue(told.includes("hub listens"), told);
  for (const secret of [TOKEN, "aaaaaaaa", "canary"]) assertTrue(!told.includes(secret), told);
});

Deno.test("runHub() tells clients where its relay is", async () => {
  const welcome = async (hub: Hub) => {
    const socket = new WebSocket((await hub.listening).url);
    const { promise, resolve } = Promise.withResolvers<string>();
    socket.addEventListener("message", ({ data }) => resolve(data), { once: true });
    const text = await promise;
    const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
    socket.close();
    await closed;
    return JSON.parse(text).welcome;
  };
  await using beside = new Hub();
  const port = Number((await beside.listening).transit![0]!.split(":")[1]);
  assertEquals(await welcome(beside), { wormhole: 1, transit: { port } });
  await using elsewhere = new Hub({ transit: { listen: "127.0.0.1:0", announce: "[2001:db8::1]:4001" } });
  assertEquals(await welcome(elsewhere), { wormhole: 1, transit: { hostname: "2001:db8::1", port: 4001 } });
});

Deno.test("runHub() lets those who are relayed finish when it ends, and lets in nobody new", async () => {
  await using hub = new Hub({ drainMs: 60_000 });
  const one = await hub.asks("a");
  const other = await hub.asks("b");
  await hear(one, "ok\n");
  await hear(other, "ok\n");
  assertEquals(await hub.end(), 2);
  using third = await hub.asks("c");
  assertEquals(await third.read(new Uint8Array(1)), null);
  await say(one, "the rest");
  await hear(other, "the rest");
  one.close();
  other.close();
  await hub.ended;
});

Deno.test("runHub() says when the relay's port is taken", async () => {
  await using hub = new Hub();
  const [listen] = (await hub.listening).transit!;
  await using second = new Hub({ transit: { listen: listen! } });
  await assertRejects(() => second.ended, "ADDRESS_IN_USE", `Cannot listen on ${listen}: the port is in use`);
});

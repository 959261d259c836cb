import { systemClock } from "../base/clock.ts";
import { Logger, type LogRecord } from "../base/log.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { selfSigned } from "../mailbox/testing.ts";
import { HubRelay, type HubRelayOptions } from "./relay.ts";

const HERE = { hostname: "127.0.0.1", port: 0 };
const SECRET = new Uint8Array(32).fill(5);

function open(options: Partial<HubRelayOptions> = {}, records: LogRecord[] = []): Promise<HubRelay> {
  const log = new Logger({ level: "trace", clock: systemClock, sink: (record) => void records.push(record) });
  return HubRelay.open({ hub: HERE, behindProxy: false, secret: SECRET, log, ...options });
}

interface Offer {
  id: string;
  token: string;
  url?: string;
  port?: number;
  discovery_port?: number;
  certificates: string[];
  joins?: boolean;
}

function offer(relay: HubRelay): Offer {
  return (relay.welcome() as { relay: Offer }).relay;
}

function request(path: string, headers: Record<string, string> = { upgrade: "websocket" }, method = "GET") {
  return { method, path, headers: new Map(Object.entries(headers)) };
}

Deno.test("HubRelay takes what comes to /relay of the hub, and nothing else", async () => {
  await using relay = await open();
  assertEquals(relay.forward(request("/v1"), "192.0.2.1"), undefined);
  assertEquals(relay.forward(request("/relay", {}), "192.0.2.1"), undefined);
  assertEquals(relay.forward(request("/relay", { upgrade: "websocket" }, "POST"), "192.0.2.1"), undefined);
});

Deno.test("HubRelay answers whoever came to the hub, whether the hub has a certificate or not", async () => {
  const tls = await selfSigned();
  for (const options of tls === undefined ? [{}] : [{}, { tls }]) {
    await using relay = await open(options);
    using door = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = door.addr as Deno.NetAddr;
    const client = await Deno.connect({ hostname: "127.0.0.1", port });
    await client.write(
      new TextEncoder().encode("GET /ping HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n"),
    );
    const conn = await door.accept();
    const first = new Uint8Array(7);
    await conn.read(first);
    const carrying = relay.forward(request("/relay"), "192.0.2.1")!(conn, first);
    const answer = await new Response(client.readable).text();
    assertTrue(answer.startsWith("HTTP/1.1 200 OK"), answer);
    await carrying;
    try {
      conn.close();
    } catch {
      // It was closed with what it was joined to.
    }
  }
});

Deno.test("HubRelay tells clients the same after a restart, but for what is made anew", async () => {
  const offers: Offer[] = [];
  for (let starts = 0; starts < 2; starts++) {
    await using relay = await open();
    offers.push(offer(relay));
  }
  const [first, second] = offers as [Offer, Offer];
  assertEquals([second.id, first.id.length], [first.id, 32]);
  assertTrue(first.discovery_port !== undefined && first.certificates.length === 1);
  assertTrue(first.certificates[0] !== second.certificates[0]);
  assertEquals([first.url, first.port], [undefined, undefined]);
  await using other = await open({ secret: new Uint8Array(32) });
  assertTrue(offer(other).id !== first.id && offer(other).token !== first.token);
});

Deno.test("HubRelay with a place of its own is told by its port, and takes nothing from the hub's", async () => {
  await using relay = await open({ listen: "127.0.0.1:0", url: "https://relay.example.org" });
  const { port, url } = offer(relay);
  assertEquals([`127.0.0.1:${port}`, url], [relay.address, "https://relay.example.org"]);
  assertEquals(relay.forward(request("/relay"), "192.0.2.1"), undefined);
  const answer = await fetch(`http://${relay.address}/ping`);
  assertEquals([answer.status, await answer.text()], [200, ""]);
});

Deno.test("HubRelay behind a proxy tells addresses only where it is told to", async () => {
  await using silent = await open({ behindProxy: true });
  assertEquals(offer(silent).discovery_port, undefined);
  await using told = await open({ behindProxy: true, discoveryListen: "127.0.0.1:0" });
  assertTrue(offer(told).discovery_port! > 0);
});

Deno.test("HubRelay goes on without address discovery where its port is taken, unless it was asked for", async () => {
  await using first = await open();
  const taken = { hostname: "127.0.0.1", port: first.discoveryPort! };
  const records: LogRecord[] = [];
  await using second = await open({ hub: taken }, records);
  assertEquals(offer(second).discovery_port, undefined);
  assertTrue(records.some(({ message }) => message.includes("address discovery")));
  await assertRejects(() => open({ discoveryListen: `127.0.0.1:${taken.port}` }), "ADDRESS_IN_USE");
});

Deno.test("HubRelay tells the hash of the hub's certificate, and of the next one", async () => {
  const [one, other] = [await selfSigned(), await selfSigned()];
  if (one === undefined || other === undefined) return console.log("skipped: no openssl here");
  await using relay = await open({ tls: one });
  const hash = async (pem: string) => {
    const der = Uint8Array.fromBase64(pem.replace(/-----[^-]+-----|\s/g, ""));
    return new Uint8Array(await crypto.subtle.digest("SHA-256", der)).toHex();
  };
  assertEquals(offer(relay).certificates[0], await hash(one.cert));
  await relay.renew(other);
  assertEquals(offer(relay).certificates[0], await hash(other.cert));
});

/** What a side that is to be joined asks for. */
function joinRequest(token: string, side: 0 | 1) {
  return request("/relay/join", {
    upgrade: "wormhole-join",
    authorization: `Bearer ${token}`,
    "wormhole-join": `${"0f".repeat(32)} ${side}`,
  });
}

/** Has a client of `door` taken to the relay with this request; gives its end and what comes of it. */
async function brought(relay: HubRelay, door: Deno.TcpListener, asked: ReturnType<typeof request>) {
  const client = await Deno.connect({ hostname: "127.0.0.1", port: door.addr.port });
  const conn = await door.accept();
  const carrying = relay.forward(asked, "192.0.2.1")!(conn, new TextEncoder().encode("x\r\n\r\n"));
  const outcome = carrying.finally(() => conn.close());
  return { client, outcome };
}

Deno.test("HubRelay joins two sides of one key, and answers those that it does not join", async () => {
  await using relay = await open({ joins: { connectionsPerAddress: 2 } });
  if (Deno.build.os !== "linux") return assertEquals(offer(relay).joins, undefined);
  const { token, joins } = offer(relay);
  assertEquals(joins, true);
  using door = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [one, other] = [
    await brought(relay, door, joinRequest(token, 0)),
    await brought(relay, door, joinRequest(token, 1)),
  ];
  const told = new Uint8Array(1000);
  for (const { client } of [one, other]) {
    const length = await client.read(told);
    const text = new TextDecoder().decode(told.subarray(0, length!));
    assertTrue(text.startsWith("HTTP/1.1 101 ") && text.endsWith("\r\n\r\n"), text);
  }
  const full = await brought(relay, door, joinRequest(token, 0));
  assertEquals((await full.outcome)?.status, 503);
  full.client.close();
  await one.client.write(new Uint8Array([1, 2, 3]));
  assertEquals(await other.client.read(told), 3);
  one.client.close();
  assertEquals(await other.client.read(told), null);
  other.client.close();
  assertEquals([await one.outcome, await other.outcome], [undefined, undefined]);
  const { joined, refusedTotal } = await relay.seen();
  assertEquals([joined.connections, joined.joined, joined.bytes, refusedTotal], [0, 1, 3, 0]);

  for (const [asked, status] of [[joinRequest("0.0", 0), 403], [request("/relay/join"), 400]] as const) {
    const refused = await brought(relay, door, asked);
    assertEquals((await refused.outcome)?.status, status);
    refused.client.close();
  }
  assertEquals((await relay.seen()).refusedTotal, 1);
});

Deno.test("HubRelay does not join what it could not pass on in the kernel, or would have to count", async () => {
  const tls = await selfSigned();
  for (const options of [{ clientBytesPerSecond: 1_000_000 }, ...tls ? [{ tls }] : []]) {
    await using relay = await open(options);
    assertEquals(offer(relay).joins, undefined);
    assertEquals(relay.forward(joinRequest(offer(relay).token, 0), "192.0.2.1"), undefined);
  }
});

Deno.test("HubRelay counts nothing before anybody comes", async () => {
  await using relay = await open();
  const { clients, clientsTotal, refusedTotal, bytesIn, bytesOut } = await relay.seen();
  assertEquals([clients, clientsTotal, refusedTotal, bytesIn, bytesOut], [0, 0, 0, 0, 0]);
});

import { createSocket } from "node:dgram";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { isUnknown } from "./facts.ts";
import { activeFirewalls } from "./firewall.ts";
import { probeHub } from "./hub_probe.ts";
import { defaultGateway, probePortMapping, readAnswer } from "./port_mapping.ts";
import { type HttpAnswer, judgeAnswer, probePortal } from "./portal.ts";

const NEVER = new AbortController().signal;

/** A WebSocket server that says `welcome` to everybody and answers pings with `pong`. */
function server(welcome: string | Uint8Array<ArrayBuffer>, pong?: object) {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onopen = () => socket.send(welcome);
    socket.onmessage = () => pong && socket.send(JSON.stringify({ type: "pong", ...pong }));
    socket.onerror = () => {}; // The client hangs up at will.
    return response;
  });
  const url = new URL(`ws://127.0.0.1:${server.addr.port}/v1`);
  return { url, [Symbol.asyncDispose]: () => server.shutdown() };
}

Deno.test("probeHub() measures the way to a hub and the difference of the clocks", async () => {
  await using hub = server('{"type":"welcome","welcome":{}}', { server_tx: 1_000_000 });
  const facts = await probeHub(hub.url, {
    timeoutMs: 60_000,
    signal: NEVER,
    now: () => 1_000_000_000 - 60_000,
  });
  assertTrue(!isUnknown(facts), JSON.stringify(facts));
  assertTrue(facts.connectMs > 0 && facts.rttMs! > 0);
  assertEquals(Math.round(facts.skewMs! / 10_000), 6);
});

Deno.test("probeHub() says what is wrong with a hub, and throws nothing but its signal's reason", async () => {
  const probe = (url: URL, timeoutMs = 60_000) => probeHub(url, { timeoutMs, signal: NEVER });
  for (
    const welcome of ["garbage", "[1]", "null", new Uint8Array(3), '{"type":"error"}', "x".repeat(70_000)]
  ) {
    await using liar = server(welcome);
    assertEquals(await probe(liar.url), { unknown: `${liar.url.host} is no mailbox server` });
  }
  await using silent = server('{"type":"other"}');
  assertEquals(await probe(silent.url, 50), { unknown: `${silent.url.host} does not answer within 0.05 s` });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = new URL(`ws://127.0.0.1:${listener.addr.port}/v1`);
  listener.close();
  const closed = await probe(url);
  assertTrue(
    isUnknown(closed) && closed.unknown.startsWith(`${url.host} cannot be reached: `),
    JSON.stringify(closed),
  );
  const aborted = probeHub(silent.url, { timeoutMs: 60_000, signal: AbortSignal.abort(new Error("enough")) });
  assertEquals(await aborted.catch((error) => error.message), "enough");
});

/** A router on loopback: answers by what it was asked. */
async function router(answers: { pmp?: Uint8Array; pcp?: Uint8Array; upnp?: string }) {
  const socket = createSocket("udp4");
  socket.on("message", (bytes: Uint8Array, from: { port: number; address: string }) => {
    const answer = bytes[0] === 0 ? answers.pmp : bytes[0] === 2 ? answers.pcp : answers.upnp;
    if (answer !== undefined) socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", () => resolve()));
  return {
    port: socket.address().port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => socket.close(() => resolve())),
  };
}

const PMP = Uint8Array.of(0, 128, 0, 0, 0, 0, 0, 9, 203, 0, 113, 9);
const PCP = Uint8Array.from([2, 128, 0, 0, ...Array(20).fill(0)]);
const UPNP = "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=100\r\n" +
  "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n";

Deno.test("probePortMapping() finds what a router speaks, and its address outside", async () => {
  await using pmp = await router({ pmp: PMP, pcp: PCP });
  await using ssdp = await router({ upnp: UPNP });
  await using mute = await router({});
  const probe = (pmp: number, ssdp: number, timeoutMs: number) =>
    probePortMapping({
      gateway: "127.0.0.1",
      own: "192.0.2.7",
      timeoutMs,
      signal: NEVER,
      ports: { pmp, ssdp: { host: "127.0.0.1", port: ssdp } },
    });
  assertEquals(await probe(pmp.port, ssdp.port, 600), {
    protocols: ["NAT-PMP", "PCP", "UPnP"],
    external: "203.0.113.9",
  });
  assertEquals(await probe(mute.port, mute.port, 50), { protocols: [] });
});

Deno.test("readAnswer() takes only answers, and only from where they belong", () => {
  const text = (value: string) => new TextEncoder().encode(value);
  const rows: [string, Uint8Array, boolean, unknown][] = [
    ["NAT-PMP", PMP, true, { protocol: "NAT-PMP", external: "203.0.113.9" }],
    ["NAT-PMP without an address", Uint8Array.of(0, 128, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0), true, {
      protocol: "NAT-PMP",
    }],
    ["NAT-PMP switched off", Uint8Array.of(0, 128, 0, 2, 0, 0, 0, 9, 1, 2, 3, 4), true, undefined],
    ["half of NAT-PMP", PMP.subarray(0, 11), true, undefined],
    ["PCP", PCP, true, { protocol: "PCP" }],
    ["PCP that may not", Uint8Array.from([2, 128, 0, 2, ...Array(20).fill(0)]), true, undefined],
    ["nothing", new Uint8Array(), true, undefined],
    ["NAT-PMP of a stranger", PMP, false, undefined],
    ["UPnP", text(UPNP), false, { protocol: "UPnP" }],
    ["another device", text(UPNP.replace("InternetGatewayDevice", "MediaServer")), false, undefined],
    ["a refusal", text(UPNP.replace("200 OK", "404 No")), false, undefined],
    ["noise", new Uint8Array(5000).fill(0xff), false, undefined],
  ];
  for (const [what, bytes, fromRouter, answer] of rows) {
    assertEquals(readAnswer(bytes, { fromRouter }) as unknown, answer, what);
  }
});

Deno.test("defaultGateway() reads the kernel's routes", () => {
  const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
  const route = (destination: string, gateway: string, metric: number) =>
    `eth0\t${destination}\t${gateway}\t0003\t0\t0\t${metric}\t00000000\t0\t0\t0\n`;
  const rows: [string, string | undefined][] = [
    ["", undefined],
    [head, undefined],
    [head + route("0001A8C0", "00000000", 0), undefined],
    [head + route("00000000", "0101A8C0", 100), "192.168.1.1"],
    [head + route("00000000", "0101A8C0", 600) + route("00000000", "010000C0", 100), "192.0.0.1"],
    [head + route("00000000", "nonsense", 1), undefined],
  ];
  for (const [routes, gateway] of rows) assertEquals(defaultGateway(routes), gateway, routes);
});

Deno.test("activeFirewalls() reads who says that it is switched on", async () => {
  const root = await Deno.makeTempDir();
  try {
    assertEquals(await activeFirewalls(root), []);
    await Deno.mkdir(`${root}/etc/ufw`, { recursive: true });
    await Deno.writeTextFile(`${root}/etc/ufw/ufw.conf`, "# x\nENABLED=no\n");
    assertEquals(await activeFirewalls(root), []);
    await Deno.writeTextFile(`${root}/etc/ufw/ufw.conf`, "# x\nENABLED=yes\n");
    await Deno.mkdir(`${root}/run/firewalld`, { recursive: true });
    assertEquals(await activeFirewalls(root), Deno.build.os === "linux" ? ["ufw", "firewalld"] : []);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("probePortal() hears what answers in a hub's place", async () => {
  const serve = async (respond: () => Response) => {
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, respond);
    const found = await probePortal(new URL(`ws://127.0.0.1:${server.addr.port}/v1`), { signal: NEVER });
    await server.shutdown();
    return found;
  };
  const moved = () =>
    new Response("log in", { status: 302, headers: { location: "http://login.example/?x" } });
  assertEquals(await serve(moved), "HTTP 302 to login.example");
  assertEquals(await serve(() => new Response("no", { status: 404 })), undefined);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const closed = new URL(`ws://127.0.0.1:${listener.addr.port}/v1`);
  listener.close();
  assertEquals(await probePortal(closed, { signal: NEVER }), undefined);
});

Deno.test("judgeAnswer() takes a web server's own answers for nothing else", () => {
  const rows: [HttpAnswer, string | undefined][] = [
    [{ status: 511 }, "HTTP 511: this network wants a login"],
    [{ status: 302, location: "https://login.example:8443/a?b" }, "HTTP 302 to login.example"],
    [{ status: 307, location: "http://10.0.0.1/" }, "HTTP 307 to 10.0.0.1"],
    [{ status: 200, contentType: "text/html; charset=utf-8" }, "HTTP 200 with a web page"],
    [{ status: 200, contentType: "application/json" }, undefined],
    [{ status: 301, location: "https://hub.example/x" }, undefined],
    [{ status: 301, location: "/login" }, undefined],
    [{ status: 301, location: "https://www.hub.example/x" }, undefined],
    [{ status: 302, location: "http://[" }, undefined],
    [{ status: 302 }, undefined],
    [{ status: 404, contentType: "text/html" }, undefined],
    [{ status: 403 }, undefined],
  ];
  for (const [answer, portal] of rows) {
    assertEquals(judgeAnswer(answer, "hub.example"), portal, JSON.stringify(answer));
  }
});

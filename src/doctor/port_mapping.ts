/**
 * Asks the router whether it forwards ports: UPnP (SSDP, UPnP Device Architecture 1.0 §1.2), NAT-PMP (RFC 6886) and PCP
 * (RFC 6887). Nothing is mapped.
 */
import { createSocket, type Socket } from "node:dgram";
import { isIPv4 } from "node:net";
import type { PortMappingFacts } from "./facts.ts";

/** Port of NAT-PMP and PCP on the router. */
const PMP_PORT = 5351;

/** What UPnP routers answer to. */
const SSDP = { host: "239.255.255.250", port: 1900 } as const;

/** Pause before a question is asked again, since UDP may lose it. */
const AGAIN_MS = 250;

/** Everything that is asked, by protocol. */
const QUESTIONS = {
  // Version 0, opcode 0: which address outside?
  pmp: Uint8Array.of(0, 0),
  // Version 2, opcode 0 (ANNOUNCE), lifetime 0; the client's address follows.
  pcp: (own: string) =>
    Uint8Array.from([
      2,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      ...Array(10).fill(0),
      0xff,
      0xff,
      ...own.split(".").map(Number),
    ]),
  upnp: new TextEncoder().encode(
    'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\n' +
      "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n",
  ),
};

/** Where to ask. */
export interface PortMappingOptions {
  /** The router's IPv4 address; undefined: only UPnP is tried. */
  readonly gateway: string | undefined;
  /** This machine's address in the router's network, which PCP wants to hear. */
  readonly own: string | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Other places than the usual ones. */
  readonly ports?: { readonly pmp: number; readonly ssdp: { readonly host: string; readonly port: number } };
}

/** Gives what answered within the time. */
export async function probePortMapping(
  { gateway, own, timeoutMs, signal, ports = { pmp: PMP_PORT, ssdp: SSDP } }: PortMappingOptions,
): Promise<PortMappingFacts> {
  signal.throwIfAborted();
  const socket = createSocket("udp4");
  const found = new Set<string>();
  let external: string | undefined;
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  const ask = () => {
    const say = (question: Uint8Array, port: number, host: string) =>
      socket.send(question, port, host, () => {}); // No way there: then there is no answer.
    if (gateway !== undefined) {
      say(QUESTIONS.pmp, ports.pmp, gateway);
      if (own !== undefined && isIPv4(own)) say(QUESTIONS.pcp(own), ports.pmp, gateway);
    }
    say(QUESTIONS.upnp, ports.ssdp.port, ports.ssdp.host);
  };
  socket.on("error", () => resolve());
  socket.on("message", (bytes: Uint8Array, from: { address: string; port: number }) => {
    const answer = readAnswer(bytes, { fromRouter: from.address === gateway && from.port === ports.pmp });
    if (answer === undefined) return;
    found.add(answer.protocol);
    external ??= answer.external;
  });
  let repeat: ReturnType<typeof setInterval> | undefined;
  const timer = setTimeout(resolve, timeoutMs);
  try {
    await Promise.race([done, bound(socket)]);
    ask();
    repeat = setInterval(ask, AGAIN_MS);
    await done;
  } finally {
    clearTimeout(timer);
    clearInterval(repeat);
    signal.removeEventListener("abort", abort);
    await new Promise<void>((resolve) => socket.close(() => resolve()));
  }
  return { protocols: [...found].sort(), ...external !== undefined && { external } };
}

/** Reads one datagram; undefined when it is no answer to any question. `fromRouter`: from the port that was asked. */
export function readAnswer(
  bytes: Uint8Array,
  { fromRouter }: { fromRouter: boolean },
): { protocol: string; external?: string } | undefined {
  if (fromRouter) {
    // PCP: version 2, response bit and opcode 0. Whatever the result, somebody speaks it (RFC 6887 §7.2).
    if (bytes.length >= 24 && bytes[0] === 2 && bytes[1] === 0x80) {
      return bytes[3] === 0 ? { protocol: "PCP" } : undefined;
    }
    // NAT-PMP: version 0, opcode 128, result 0, epoch, address (RFC 6886 §3.2).
    if (bytes.length >= 12 && bytes[0] === 0 && bytes[1] === 0x80 && bytes[2] === 0 && bytes[3] === 0) {
      const external = [...bytes.subarray(8, 12)].join(".");
      return { protocol: "NAT-PMP", ...external !== "0.0.0.0" && { external } };
    }
    return undefined;
  }
  const text = new TextDecoder().decode(bytes.subarray(0, 2000));
  return /^HTTP\/1\.1 200\b/i.test(text) &&
      /^st: *urn:schemas-upnp-org:device:InternetGatewayDevice:/im.test(text)
    ? { protocol: "UPnP" }
    : undefined;
}

/** Reads `/proc/net/route`: the gateway of the default route with the lowest metric. */
export function defaultGateway(routes: string): string | undefined {
  const defaults = routes.split("\n").slice(1).map((line) => line.trim().split(/\s+/))
    .filter(([, destination, gateway]) => destination === "00000000" && /^[0-9A-F]{8}$/i.test(gateway ?? ""))
    .filter(([, , gateway]) => gateway !== "00000000")
    .sort((a, b) => Number(a[6]) - Number(b[6]));
  const hex = defaults[0]?.[2];
  // The kernel prints the number as it lies in memory, on every machine that Wormhole is built for little-endian.
  return hex?.match(/../g)?.reverse().map((byte) => parseInt(byte, 16)).join(".");
}

function bound(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.bind(0, () => resolve()));
}

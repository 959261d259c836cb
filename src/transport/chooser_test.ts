import fc from "fast-check";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { allowedTransports, preferredTransport, streamCount, type StreamCountInput } from "./chooser.ts";

Deno.test("allowedTransports() gives what the person allows", () => {
  assertEquals(allowedTransports(), ["quic", "tcp", "relay"]);
  assertEquals(allowedTransports({ choice: "quic" }), ["quic", "relay"]);
  assertEquals(allowedTransports({ choice: "tcp" }), ["tcp"]);
  assertEquals(allowedTransports({ choice: "relay" }), ["relay"]);
  assertEquals(allowedTransports({ choice: "auto", forceTcp: true }), ["tcp", "relay"]);
});

Deno.test("preferredTransport() takes TCP near and QUIC far", () => {
  assertEquals(preferredTransport({ rttMs: 0.1 }), "tcp");
  assertEquals(preferredTransport({ rttMs: 4.9 }), "tcp");
  assertEquals(preferredTransport({ rttMs: 5 }), "quic");
  assertEquals(preferredTransport({ rttMs: Infinity }), "quic");
});

const BASE: StreamCountInput = { kind: "tcp", rttMs: 0.2, cpuCount: 2, minStreams: 4, maxStreams: 64 };
const COUNTS = [
  { description: "2 cores on one machine", input: {}, count: 4 },
  { description: "1 core on one machine", input: { cpuCount: 1 }, count: 4 },
  { description: "2 cores, few streams wanted", input: { minStreams: 1 }, count: 2 },
  { description: "8 cores on a LAN", input: { cpuCount: 8 }, count: 8 },
  { description: "64 cores on a LAN", input: { cpuCount: 64 }, count: 8 },
  { description: "many streams wanted with 2 cores", input: { minStreams: 32 }, count: 4 },
  { description: "TCP at 50 ms, not measured yet", input: { rttMs: 50 }, count: 8 },
  { description: "QUIC at 100 ms, not measured yet", input: { kind: "quic", rttMs: 100 }, count: 16 },
  { description: "a second away, not measured yet", input: { rttMs: 1000 }, count: 64 },
  {
    description: "TCP with 30 MiB in flight",
    input: { rttMs: 80, bandwidthDelayBytes: 30 << 20 },
    count: 10,
  },
  { description: "TCP with 1 GiB in flight", input: { rttMs: 80, bandwidthDelayBytes: 1 << 30 }, count: 64 },
  {
    description: "QUIC far away",
    input: { kind: "quic", rttMs: 80, bandwidthDelayBytes: 1 << 30, cpuCount: 16 },
    count: 4,
  },
  { description: "a cap below the floor", input: { maxStreams: 1 }, count: 1 },
] satisfies { description: string; input: Partial<StreamCountInput>; count: number }[];

for (const { description, input, count } of COUNTS) {
  Deno.test(`streamCount() gives ${count} for ${description}`, () =>
    assertEquals(streamCount({ ...BASE, ...input }), count));
}

Deno.test("streamCount() stays between 1 and maxStreams", () => {
  const input = fc.record({
    kind: fc.constantFrom("tcp", "quic", "memory"),
    rttMs: fc.double({ min: 0, noNaN: true }),
    cpuCount: fc.integer({ min: 0, max: 512 }),
    minStreams: fc.integer({ min: 1, max: 64 }),
    maxStreams: fc.integer({ min: 1, max: 256 }),
    bandwidthDelayBytes: fc.option(fc.double({ min: 0, noNaN: true }), { nil: undefined }),
  });
  fc.assert(fc.property(input, (input) => {
    const count = streamCount(input as StreamCountInput);
    assertTrue(Number.isInteger(count) && count >= 1 && count <= input.maxStreams, String(count));
  }));
});

import fc from "fast-check";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { maskedFrame } from "./testing.ts";
import { acceptKey, encodeFrame, FrameFault, FrameReader, OPCODE } from "./websocket.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function read(reader: FrameReader, input: Uint8Array): string[] {
  return [...reader.push(input)].map((event) =>
    event.type === "message"
      ? `message ${event.text}`
      : event.type === "ping"
      ? `ping ${new TextDecoder().decode(event.payload)}`
      : event.type
  );
}

Deno.test("acceptKey() gives the value of RFC 6455 §1.3", async () => {
  assertEquals(await acceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

Deno.test("FrameReader.push() reads the frames of RFC 6455 §5.7", () => {
  const hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
  assertEquals(read(new FrameReader(100), Uint8Array.from(hello)), ["message Hello"]);
});

Deno.test("FrameReader.push() reads messages cut anywhere, controls between fragments", () => {
  const input = Uint8Array.from([
    ...maskedFrame(OPCODE.text, bytes("grü"), { final: false }),
    ...maskedFrame(OPCODE.ping, bytes("?")),
    ...maskedFrame(OPCODE.continuation, bytes(""), { final: false }),
    ...maskedFrame(OPCODE.pong, bytes("")),
    ...maskedFrame(OPCODE.continuation, bytes("ße")),
    ...maskedFrame(OPCODE.binary, bytes("x".repeat(70_000))),
    ...maskedFrame(OPCODE.text, Uint8Array.of(0xff)),
    ...maskedFrame(OPCODE.close, Uint8Array.of(3, 232)),
  ]);
  const expected = [
    "ping ?",
    "pong",
    "message grüße",
    `message ${"x".repeat(70_000)}`,
    "message undefined",
    "close",
  ];
  for (const size of [1, 2, 7, 4096, input.length]) {
    const reader = new FrameReader(70_000);
    const events: string[] = [];
    for (let at = 0; at < input.length; at += size) {
      events.push(...read(reader, input.subarray(at, at + size)));
    }
    assertEquals(events, expected, `in pieces of ${size}`);
  }
});

Deno.test("FrameReader.push() refuses what no client may send", () => {
  const rows: [string, number[], number][] = [
    ["not masked", [...encodeFrame(OPCODE.text, bytes("x"))], 1002],
    ["reserved bit", [0xc1, 0x80, 0, 0, 0, 0], 1002],
    ["unknown opcode", [...maskedFrame(3, bytes(""))], 1002],
    ["unknown control opcode", [...maskedFrame(11, bytes(""))], 1002],
    ["continuation of nothing", [...maskedFrame(OPCODE.continuation, bytes("x"))], 1002],
    ["a message within another", [
      ...maskedFrame(OPCODE.text, bytes("x"), { final: false }),
      ...maskedFrame(OPCODE.text, bytes("x")),
    ], 1002],
    ["a control frame in fragments", [...maskedFrame(OPCODE.ping, bytes(""), { final: false })], 1002],
    ["a long control frame", [...maskedFrame(OPCODE.ping, new Uint8Array(126))], 1002],
    ["one byte too many", [...maskedFrame(OPCODE.text, new Uint8Array(101)).slice(0, 8)], 1009],
    ["a length of 2^63", [0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1009],
    ["too much in fragments", [
      ...maskedFrame(OPCODE.text, new Uint8Array(60), { final: false }),
      ...maskedFrame(OPCODE.continuation, new Uint8Array(60)),
    ], 1009],
    ["endless fragments", [
      ...maskedFrame(OPCODE.text, bytes(""), { final: false }),
      ...Array.from({ length: 200 }, () => [...maskedFrame(OPCODE.continuation, bytes(""), { final: false })])
        .flat(),
    ], 1002],
  ];
  for (const [description, input, code] of rows) {
    let fault: unknown;
    try {
      read(new FrameReader(100), Uint8Array.from(input));
    } catch (error) {
      fault = error;
    }
    assertTrue(fault instanceof FrameFault && fault.closeCode === code, `${description}: ${fault}`);
  }
});

Deno.test("FrameReader.push() gives events or a FrameFault for arbitrary bytes", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 30 }), (pieces) => {
      const reader = new FrameReader(50);
      try {
        for (const piece of pieces) {
          for (const event of reader.push(piece)) {
            if (event.type === "message") assertTrue((event.text?.length ?? 0) <= 50);
          }
        }
      } catch (error) {
        if (!(error instanceof FrameFault)) throw error;
      }
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("encodeFrame() writes each kind of length", () => {
  const rows: [number, number[]][] = [
    [125, [0x81, 125]],
    [126, [0x81, 126, 0, 126]],
    [65_536, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]],
  ];
  for (const [length, head] of rows) {
    const frame = encodeFrame(OPCODE.text, new Uint8Array(length));
    assertEquals([...frame.subarray(0, head.length)], head);
    assertEquals(frame.length, head.length + length);
  }
});

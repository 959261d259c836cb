import fc from "fast-check";
import { assertEquals, assertThrows } from "../base/testing.ts";
import { readAcknowledgement, writeAcknowledgement } from "./acknowledgement.ts";
import { MAX_STREAM_NUMBERS } from "./limits.ts";

const NOTHING = { time: 0, streams: [], links: [] };

Deno.test("readAcknowledgement() gives what writeAcknowledgement() took", () => {
  const any = fc.record({
    time: fc.maxSafeNat(),
    streams: fc.array(fc.tuple(fc.nat(MAX_STREAM_NUMBERS - 1), fc.nat(0xffffffff)), { maxLength: 50 }),
    links: fc.array(fc.maxSafeNat(), { maxLength: 8 }),
  });
  fc.assert(
    fc.property(any, (one) => assertEquals(readAcknowledgement(writeAcknowledgement(one)), { ...one })),
  );
});

Deno.test("readAcknowledgement() refuses what cannot be", () => {
  const message = writeAcknowledgement({ ...NOTHING, streams: [[1, 2]] });
  assertThrows(() => readAcknowledgement({ ...message, frames: new Uint8Array() }), "PROTOCOL");
  assertThrows(() => readAcknowledgement({ ...message, streams: new Uint8Array(4).fill(255) }), "PROTOCOL");
  assertThrows(() => readAcknowledgement({ ...message, links: new Uint8Array(8).fill(255) }), "PROTOCOL");
});

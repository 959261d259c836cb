import { assertEquals, assertThrows } from "../base/testing.ts";
import type { ErrorCode } from "../base/errors.ts";
import {
  decodeConfirmation,
  decodePake,
  decodeVersion,
  encodeJson,
  encodePake,
  encodeVersion,
} from "./phases.ts";

const text = (body: string) => new TextEncoder().encode(body);
const versionOf = (own: unknown) => {
  const { app_versions } = JSON.parse(new TextDecoder().decode(encodeVersion(VERSION)));
  return encodeJson({ app_versions: { [Object.keys(app_versions)[0]!]: own } });
};

const VERSION = { introduction: Uint8Array.of(1, 2, 3), confirms: true };

Deno.test("phases are decoded as they were encoded", () => {
  const pake = new Uint8Array(33).fill(7);
  assertEquals(decodePake(encodePake(pake)), pake);
  assertEquals(decodeVersion(encodeVersion(VERSION)), VERSION);
  assertEquals(decodeVersion(encodeVersion({ ...VERSION, confirms: false })).confirms, false);
  assertEquals(decodeVersion(versionOf({ introduction: "AQ==", confirms: "yes" })).confirms, false);
  assertEquals(decodeConfirmation(encodeJson({ confirmed: false, more: 1 })), false);
});

Deno.test("a phase that is malformed, too long or of another program is refused", () => {
  const rows: [string, () => unknown, ErrorCode][] = [
    ["no JSON", () => decodePake(text("x")), "PROTOCOL"],
    ["no UTF-8", () => decodePake(Uint8Array.of(0x22, 0xff, 0x22)), "PROTOCOL"],
    ["a list", () => decodePake(text("[]")), "PROTOCOL"],
    ["a megabyte", () => decodePake(text(`{"pake_v1":"${"0".repeat(1024 * 1024)}"}`)), "PROTOCOL"],
    ["a PAKE message that is a number", () => decodePake(encodeJson({ pake_v1: 1 })), "PROTOCOL"],
    ["one that is short", () => decodePake(encodePake(new Uint8Array(32))), "PROTOCOL"],
    ["one that is no hex", () => decodePake(encodeJson({ pake_v1: "zz".repeat(33) })), "PROTOCOL"],
    ["another program", () => decodeVersion(encodeJson({ app_versions: {} })), "VERSION_UNSUPPORTED"],
    [
      "versions that are a text",
      () => decodeVersion(encodeJson({ app_versions: "x" })),
      "VERSION_UNSUPPORTED",
    ],
    ["no introduction", () => decodeVersion(versionOf({})), "PROTOCOL"],
    ["one that is no base64", () => decodeVersion(versionOf({ introduction: "?" })), "PROTOCOL"],
    [
      "one that is too long",
      () => decodeVersion(versionOf({ introduction: "A".repeat(24_000) })),
      "PROTOCOL",
    ],
    ["a confirmation that is a number", () => decodeConfirmation(encodeJson({ confirmed: 1 })), "PROTOCOL"],
    ["no confirmation", () => decodeConfirmation(encodeJson({})), "PROTOCOL"],
  ];
  for (const [what, decode, code] of rows) {
    const error = assertThrows(decode, code);
    assertEquals(error.message.startsWith("Cannot pair: "), true, what);
  }
  assertThrows(
    () => encodeVersion({ ...VERSION, introduction: new Uint8Array(100_000) }),
    "INVALID_ARGUMENT",
  );
});

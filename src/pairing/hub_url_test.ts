import { assertEquals, assertThrows } from "../base/testing.ts";
import { parseHubUrl, parsePeerAddress } from "./hub_url.ts";

Deno.test("parseHubUrl() completes addresses", () => {
  const rows = [
    ["wss://hub.example.org/v1", "wss://hub.example.org/v1"],
    ["https://hub.example.org", "wss://hub.example.org/v1"],
    ["http://127.0.0.1:4000/", "ws://127.0.0.1:4000/v1"],
    ["hub.example.org", "wss://hub.example.org/v1"],
    ["hub.example.org:4000", "ws://hub.example.org:4000/v1"],
    ["[::1]:4000", "ws://[::1]:4000/v1"],
    ["[2001:db8::1]", "wss://[2001:db8::1]/v1"],
    [" ws://hub.example.org/other#x ", "ws://hub.example.org/other"],
  ] as const;
  for (const [text, url] of rows) assertEquals(parseHubUrl(text).href, url, text);
  for (const text of ["", "ftp://x", "ws://", "ws://a b", "wss://me:secret@host"]) {
    assertThrows(() => parseHubUrl(text), "INVALID_ARGUMENT");
  }
});

Deno.test("parsePeerAddress() wants host and port", () => {
  assertEquals(parsePeerAddress("192.168.1.7:40123").href, "ws://192.168.1.7:40123/v1");
  assertEquals(parsePeerAddress("[fd00::7]:40123").href, "ws://[fd00::7]:40123/v1");
  assertEquals(parsePeerAddress("laptop.local:40123").href, "ws://laptop.local:40123/v1");
  for (const text of ["", "laptop", "laptop:0", "laptop:70000", "http://x:1", "a:b:1", "x@y:1"]) {
    assertThrows(() => parsePeerAddress(text), "INVALID_ARGUMENT", "host:port");
  }
});

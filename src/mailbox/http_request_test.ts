import fc from "fast-check";
import { assertEquals, assertThrows } from "../base/testing.ts";
import { isWormholeError } from "../base/errors.ts";
import { encodeAnswer, headEnd, parseRequest, webSocketKey } from "./http_request.ts";

const head = (...lines: string[]) => new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n");
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

Deno.test("parseRequest() reads a head", () => {
  const { method, path, headers } = parseRequest(
    head(
      "GET /v1?x=1 HTTP/1.1",
      "Host: a",
      "X-Forwarded-For: 1.1.1.1",
      "x-forwarded-for:\t2.2.2.2 ",
      "Empty:",
    ),
  );
  assertEquals([method, path], ["GET", "/v1"]);
  assertEquals([...headers], [["host", "a"], ["x-forwarded-for", "1.1.1.1, 2.2.2.2"], ["empty", ""]]);
});

Deno.test("parseRequest() refuses what is no head", () => {
  const rows: [string, string[]][] = [
    ["HTTP/1.0", ["GET / HTTP/1.0"]],
    ["a whole URL", ["GET http://x/ HTTP/1.1"]],
    ["no method", ["/ HTTP/1.1"]],
    ["a folded field", ["GET / HTTP/1.1", "a: b", " c"]],
    ["space before the colon", ["GET / HTTP/1.1", "a : b"]],
    ["a control in a value", ["GET / HTTP/1.1", "a: \u0001"]],
    ["nothing", [""]],
  ];
  for (const [description, lines] of rows) {
    assertThrows(() => parseRequest(head(...lines)), "PROTOCOL", undefined);
    assertEquals(description.length > 0, true);
  }
});

Deno.test("parseRequest() throws nothing but PROTOCOL for arbitrary bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    try {
      parseRequest(bytes);
    } catch (error) {
      if (!isWormholeError(error, "PROTOCOL")) throw error;
    }
  }));
});

Deno.test("headEnd() finds the empty line only when it is whole", () => {
  const bytes = new TextEncoder().encode("GET / HTTP/1.1\r\na: b\r\n\r\nrest");
  assertEquals(headEnd(bytes), bytes.length - 4);
  for (let length = 0; length < bytes.length - 4; length++) {
    assertEquals(headEnd(bytes.subarray(0, length)), -1);
  }
});

Deno.test("webSocketKey() gives the key of a proper opening only", () => {
  const good = {
    upgrade: "WebSocket",
    connection: "keep-alive, Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": KEY,
  };
  const key = (fields: Record<string, string>, method = "GET") =>
    webSocketKey({ method, path: "/v1", headers: new Map(Object.entries(fields)) });
  assertEquals(key(good), KEY);
  assertEquals(key(good, "POST"), undefined);
  for (const name of Object.keys(good)) {
    assertEquals(key(Object.fromEntries(Object.entries(good).filter(([each]) => each !== name))), undefined);
    assertEquals(key({ ...good, [name]: "x" }), undefined);
  }
});

Deno.test("encodeAnswer() writes an answer that ends the connection", () => {
  const text = new TextDecoder().decode(encodeAnswer({ status: 404, body: "ü\n" }));
  assertEquals(text.startsWith("HTTP/1.1 404 Not Found\r\n"), true, text);
  assertEquals(text.includes("content-length: 3\r\nconnection: close\r\n\r\nü\n"), true, text);
});

import { ed25519Public, hkdf, KEY_BYTES, open, random, seal, SpakeExchange } from "./pairing.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import hkdfVectors from "../../tests/vectors/hkdf.json" with { type: "json" };

const text = (value: string) => new TextEncoder().encode(value);
const unhex = (value: string) => Uint8Array.from(value.match(/../g) ?? [], (pair) => parseInt(pair, 16));

Deno.test("SpakeExchange.finish() gives both sides one key for one password", () => {
  const pair = (left: string, right: string) => {
    using a = new SpakeExchange(text(left), text("app"));
    using b = new SpakeExchange(text(right), text("app"));
    assertEquals(a.message.length, 33);
    return [a.finish(b.message), b.finish(a.message)] as const;
  };
  const [a, b] = pair("7-guitar-zebra", "7-guitar-zebra");
  assertEquals(a, b);
  const [c, d] = pair("7-guitar-zebra", "7-guitar-zulu");
  assertTrue(c.join() !== d.join());
});

Deno.test("SpakeExchange.finish() refuses bad messages and a second use", () => {
  const start = () => new SpakeExchange(text("p"), text(""));
  assertThrows(() => start().finish(new Uint8Array()), "PROTOCOL");
  const exchange = start();
  assertThrows(() => exchange.finish(exchange.message), "PROTOCOL");
  assertThrows(() => exchange.finish(start().message), "CLOSED");
});

Deno.test("hkdf() matches RFC 5869", () => {
  for (const { key, salt, info, output } of hkdfVectors.hkdf_sha256.filter(({ salt }) => salt === "")) {
    assertEquals(hkdf(unhex(key), unhex(info), output.length / 2), unhex(output), salt);
  }
});

Deno.test("open() gives back what seal() hid, for the same key only", () => {
  const key = random(KEY_BYTES);
  for (const message of [text(""), text("hello"), random(70_000)]) {
    const sealed = seal(key, message);
    assertEquals(sealed.length, message.length + 40);
    assertEquals(open(key, sealed), message);
    assertThrows(() => open(random(KEY_BYTES), sealed), "CORRUPT");
    sealed[30]! ^= 1;
    assertThrows(() => open(key, sealed), "CORRUPT");
  }
  assertThrows(() => open(key, new Uint8Array(3)), "CORRUPT");
  assertThrows(() => seal(new Uint8Array(31), text("x")), "RangeError" as never);
});

Deno.test("ed25519Public() matches RFC 8032", () => {
  assertEquals(
    ed25519Public(unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")),
    unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
  );
});

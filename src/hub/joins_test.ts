import { assertEquals } from "../base/testing.ts";
import { joinAnswer, parseJoin } from "./joins.ts";

const KEY = "ab".repeat(32);
const GOOD = { upgrade: "wormhole-join", authorization: "Bearer a.b", "wormhole-join": `${KEY} 1` };

function parsed(headers: Record<string, string>) {
  return parseJoin({ headers: new Map(Object.entries(headers)) });
}

Deno.test("parseJoin() reads what a side asks for", () => {
  assertEquals(parsed(GOOD), { token: "a.b", key: KEY, side: 1 });
  const other = { ...GOOD, upgrade: "h2c, Wormhole-Join", "wormhole-join": `${KEY} 0`, "x-new": "1" };
  assertEquals(parsed(other), { token: "a.b", key: KEY, side: 0 });
});

const BAD: [string, Record<string, string>][] = [
  ["nothing", {}],
  ["another upgrade", { ...GOOD, upgrade: "websocket" }],
  ["no token", { ...GOOD, authorization: "" }],
  ["another login", { ...GOOD, authorization: "Basic a.b" }],
  ["a long token", { ...GOOD, authorization: `Bearer ${"a".repeat(257)}` }],
  ["a short key", { ...GOOD, "wormhole-join": `${KEY.slice(2)} 1` }],
  ["a key in capitals", { ...GOOD, "wormhole-join": `${KEY.toUpperCase()} 1` }],
  ["a third side", { ...GOOD, "wormhole-join": `${KEY} 2` }],
  ["no side", { ...GOOD, "wormhole-join": KEY }],
  ["two fields in one", { ...GOOD, "wormhole-join": `${KEY} 0, ${KEY} 1` }],
];
for (const [description, headers] of BAD) {
  Deno.test(`parseJoin() does not take ${description}`, () => assertEquals(parsed(headers), undefined));
}

Deno.test("joinAnswer() tells tokens, room and nonsense apart", () => {
  assertEquals([undefined, "token", "lonely"].map((why) => joinAnswer(why).status), [400, 403, 503]);
});

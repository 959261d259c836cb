import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { GuessGate } from "./guesses.ts";

/** Lets whatever can go on go on. */
async function settled(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

Deno.test("GuessGate lets no more in than could still be wrong", async () => {
  const gate = new GuessGate({ limit: 3 });
  const [a, b, c] = await Promise.all([gate.enter(), gate.enter(), gate.enter()]);
  let fourth = false;
  const waiting = gate.enter().then((guess) => {
    fourth = true;
    return guess;
  });
  await settled();
  assertEquals(fourth, false);
  a.right();
  const d = await waiting;
  b[Symbol.dispose]();
  c[Symbol.dispose]();
  c[Symbol.dispose]();
  assertEquals([gate.wrong, gate.dead.aborted], [2, false]);
  d.right();
  d[Symbol.dispose]();
  a[Symbol.dispose]();
  assertEquals(gate.wrong, 2);
  const e = await gate.enter();
  const late = assertRejects(() => gate.enter(), "CODE_WRONG", "3 wrong codes were tried");
  await settled();
  e[Symbol.dispose]();
  await late;
  assertTrue(gate.dead.aborted);
  await assertRejects(() => gate.enter(), "CODE_WRONG");
});

Deno.test("GuessGate stops waiting when told, and the turn goes to the next", async () => {
  const gate = new GuessGate({ limit: 1 });
  const first = await gate.enter();
  const stop = new AbortController();
  const given = assertRejects(() => gate.enter({ signal: stop.signal }), undefined, "enough");
  const next = gate.enter();
  stop.abort(new Error("enough"));
  await given;
  first.right();
  (await next).right();
  assertEquals(gate.wrong, 0);
});

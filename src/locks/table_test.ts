import fc from "fast-check";
import {
  type LockRequest,
  LockTable,
  MAX_MACHINE_LOCKS,
  MAX_MACHINE_PATH_BYTES,
  MAX_MACHINE_WAITING,
  overlaps,
  WAITER_SILENCE_MS,
} from "./table.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";

function request(key: string, path: string, extra: Partial<LockRequest> = {}): LockRequest {
  return { key, path, isShared: false, owner: key, ttlMs: 10_000, ...extra };
}

const clash = (a: LockRequest, b: LockRequest) => !(a.isShared && b.isShared) && overlaps(a.path, b.path);

Deno.test("overlaps() goes by whole names", () => {
  const rows: [string, string, boolean][] = [
    ["/a", "/a", true],
    ["/a", "/a/b/c", true],
    ["/a/b", "/a", true],
    ["/a", "/ab", false],
    ["/a/b", "/a/c", false],
    ["/", "/x", true],
    ["/", "/", true],
  ];
  for (const [a, b, wanted] of rows) {
    assertEquals([overlaps(a, b), overlaps(b, a)], [wanted, wanted], `${a} ${b}`);
  }
});

Deno.test("LockTable gives each its turn, and lets nobody pass who is in the way", () => {
  const table = new LockTable();
  const ask = (key: string, path: string, extra: Partial<LockRequest> = {}) =>
    table.request(request(key, path, extra), { now: 0, waits: true }).is;
  assertEquals(ask("file", "/d/x"), "held");
  assertEquals(ask("folder", "/d"), "waiting");
  assertEquals(ask("late", "/d/y"), "waiting", "it would pass the folder");
  assertEquals(ask("elsewhere", "/e"), "held");
  assertEquals(table.request(request("hasty", "/d/y"), { now: 0, waits: false }).is, "refused");
  table.release("file", 1);
  assertEquals([table.ask("folder", 1)?.is, table.ask("late", 1)?.is], ["held", "waiting"]);
  table.release("folder", 2);
  assertEquals(table.ask("late", 2)?.is, "held");
  const shared = { isShared: true };
  assertEquals([ask("r1", "/s", shared), ask("r2", "/s/x", shared), ask("w", "/s/x")], [
    "held",
    "held",
    "waiting",
  ]);
  assertEquals(ask("r3", "/s", shared), "waiting", "readers do not keep a writer from its turn");
});

Deno.test("LockTable frees what crashed: a holder by its TTL, somebody who waits by silence", () => {
  const table = new LockTable();
  table.request(request("crashed", "/x"), { now: 0, waits: false });
  table.request(request("silent", "/x"), { now: 0, waits: true });
  table.request(request("alive", "/x"), { now: 0, waits: true });
  for (let now = 1000; now < 10_000; now += 1000) assertEquals(table.ask("alive", now)?.is, "waiting");
  assertEquals(table.ask("alive", 10_000)?.is, "held");
  assertEquals(table.ask("silent", 10_000), undefined);
  assertEquals(table.renew("crashed", { now: 10_000, ttlMs: 5000 }), undefined);
  assertEquals(table.renew("alive", { now: 19_999, ttlMs: 5000 })?.expiresMs, 24_999);
  table.advance(24_998);
  assertEquals(table.state.held.length, 1);
  table.advance(24_999);
  assertEquals(table.state.held.length, 0);
});

Deno.test("LockTable makes no lock longer when the clock is put back", () => {
  const table = new LockTable();
  table.request(request("a", "/x"), { now: 1e9, waits: false });
  table.advance(0);
  assertEquals(table.state.held[0]!.expiresMs, 10_000);
});

Deno.test("LockTable refuses what is no path and no TTL", () => {
  const table = new LockTable();
  const bad: Partial<LockRequest>[] = [
    { path: "x" },
    { path: "" },
    { path: "/a/../b" },
    { path: "/a//b" },
    { path: "/a/" },
    { path: "/a\0" },
    { ttlMs: 0 },
    { ttlMs: 999 },
    { ttlMs: NaN },
    { ttlMs: 86_400_001 },
  ];
  for (const extra of bad) {
    const ask = () => table.request({ ...request("a", "/x"), ...extra }, { now: 0, waits: true });
    assertThrows(ask, "INVALID_ARGUMENT");
  }
  table.request(request("root", "/"), { now: 0, waits: false });
});

Deno.test("LockTable keeps so much of another machine and no more, whatever others have", () => {
  const table = new LockTable();
  const ask = (path: string, extra: Partial<LockRequest> = {}) =>
    table.request(request(crypto.randomUUID(), path, { machine: "m", ...extra }), { now: 0, waits: true }).is;
  assertEquals(ask("/line"), "held");
  for (let i = 0; i < MAX_MACHINE_WAITING; i++) assertEquals(ask("/line"), "waiting");
  assertThrows(() => ask("/line"), "LIMIT_EXCEEDED", "that machine");
  assertEquals([ask("/line", { machine: "n" }), ask("/line", { machine: undefined })], [
    "waiting",
    "waiting",
  ]);
  for (let i = 1 + MAX_MACHINE_WAITING; i < MAX_MACHINE_LOCKS; i++) assertEquals(ask(`/${i}`), "held");
  assertThrows(() => ask("/more"), "LIMIT_EXCEEDED", "that machine");
  assertEquals(ask("/here", { machine: undefined }), "held");
  const long = `/${"é".repeat(2000)}`;
  for (let i = 0; i < Math.floor(MAX_MACHINE_PATH_BYTES / 4003); i++) {
    assertEquals(ask(`${long}-${i % 10}`, { machine: "o", isShared: true }), "held");
  }
  assertThrows(() => ask(long, { machine: "o" }), "LIMIT_EXCEEDED", "that machine");
  const kept = table.state.held.filter(({ machine }) => machine === "o");
  assertEquals(kept.length, Math.floor(MAX_MACHINE_PATH_BYTES / 4003));
});

type Step =
  | { do: "request"; key: number; path: string; isShared: boolean; ttlMs: number; waits: boolean }
  | { do: "ask" | "renew" | "release"; key: number }
  | { do: "pass"; ms: number }
  | { do: "restart" };

const key = fc.integer({ min: 0, max: 9 });
const path = fc.array(fc.constantFrom("a", "b"), { maxLength: 3 }).map((names) => `/${names.join("/")}`);
const steps = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant("request" as const),
      key,
      path,
      isShared: fc.boolean(),
      ttlMs: fc.integer({ min: 1000, max: 8000 }),
      waits: fc.boolean(),
    }),
    fc.record({ do: fc.constantFrom("ask" as const, "renew" as const, "release" as const), key }),
    fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 6000 }) }),
    fc.record({ do: fc.constant("restart" as const) }),
  ) as fc.Arbitrary<Step>,
  { maxLength: 60 },
);

Deno.test("LockTable never has two in each other's way, nor passes anybody, whatever happens", () => {
  fc.assert(
    fc.property(steps, (steps) => {
      let table = new LockTable();
      let now = 0, count = 0;
      const keys = new Map<number, string>();
      for (const step of steps) {
        const before = table.state;
        if (step.do === "pass") table.advance(now += step.ms);
        else if (step.do === "restart") table = new LockTable(JSON.parse(JSON.stringify(table.state)));
        else if (step.do === "request") {
          const name = `${step.key}-${count++}`;
          keys.set(step.key, name);
          const { path, isShared, ttlMs, waits } = step;
          table.request({ key: name, path, isShared, owner: name, ttlMs }, { now, waits });
        } else {
          const name = keys.get(step.key) ?? "nobody";
          if (step.do === "ask") table.ask(name, now);
          else if (step.do === "release") table.release(name, now);
          else table.renew(name, { now, ttlMs: 3000 });
        }
        const { held, waiting } = table.state;
        for (const [at, lock] of held.entries()) {
          assertTrue(
            lock.expiresMs > now && lock.expiresMs - now <= lock.ttlMs,
            "it has expired, or lasts too long",
          );
          for (const other of held.slice(at + 1)) {
            assertTrue(!clash(lock, other), "two are in each other's way");
          }
        }
        for (const [at, one] of waiting.entries()) {
          const isBlocked = [...held, ...waiting.slice(0, at)].some((other) => clash(one, other));
          assertTrue(isBlocked, "it waits for nobody");
        }
        // Whoever holds a lock now and did not before has passed nobody who was there before and still waits.
        const newly = held.filter(({ key }) => !before.held.some((lock) => lock.key === key));
        for (const lock of newly) {
          const ticket = before.waiting.find(({ key }) => key === lock.key)?.ticket ?? Infinity;
          for (const one of waiting) assertTrue(one.ticket > ticket || !clash(one, lock), "it was passed");
        }
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("LockTable serves everybody who keeps asking, however many others come", () => {
  const request = fc.record({ path, isShared: fc.boolean(), ttlMs: fc.integer({ min: 1000, max: 4000 }) });
  fc.assert(
    fc.property(
      fc.array(request, { minLength: 1, maxLength: 12 }),
      fc.array(request, { maxLength: 200 }),
      (first, others) => {
        const table = new LockTable();
        const keys = first.map((_, at) => `first-${at}`);
        for (const [at, one] of first.entries()) {
          table.request({ ...one, key: keys[at]!, owner: "" }, { now: 0, waits: true });
        }
        const served = new Set<string>();
        // Holders crash all the time and others keep coming; nobody waits longer than all that was before them lasts.
        const end = 12 * 4000 + WAITER_SILENCE_MS;
        for (let now = 0, at = 0; now <= end; now += 500) {
          for (const key of keys) if (!served.has(key) && table.ask(key, now)?.is === "held") served.add(key);
          const other = others[at++ % Math.max(1, others.length)];
          if (other !== undefined) {
            table.request({ ...other, key: `other-${at}`, owner: "" }, {
              now,
              waits: true,
            });
          }
        }
        assertEquals(served.size, first.length);
      },
    ),
    { numRuns: 300 },
  );
});

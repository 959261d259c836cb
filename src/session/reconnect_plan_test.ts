import fc from "fast-check";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { ATTEMPT_MS, MAX_PAUSE_MS, type PlanAction, ReconnectPlan } from "./reconnect_plan.ts";

const LIMIT_MS = 600_000;

/** Lets every attempt take `attemptMs` and fail; gives when each began and when all was given up. */
function failing(
  plan: ReconnectPlan,
  { from = 0, attemptMs = ATTEMPT_MS, moved = true }: { from?: number; attemptMs?: number; moved?: boolean } =
    {},
) {
  const begun: number[] = [];
  let now = from;
  let actions: PlanAction[] = plan.handle({ type: "lost", moved }, now);
  for (;;) {
    if (actions.some(({ type }) => type === "give_up")) return { begun, gaveUp: now };
    if (actions.some(({ type }) => type === "try")) {
      begun.push(now);
      const ends = now + attemptMs;
      if (plan.deadline <= ends) {
        now = plan.deadline;
        actions = plan.handle({ type: "tick" }, now);
      } else {
        now = ends;
        actions = plan.handle({ type: "failed" }, now);
      }
    } else {
      assertTrue(Number.isFinite(plan.deadline), "nothing will ever happen");
      now = plan.deadline;
      actions = plan.handle({ type: "tick" }, now);
    }
  }
}

Deno.test("ReconnectPlan tries within 15 s of whatever moment the network comes back", () => {
  fc.assert(
    fc.property(fc.noShrink(fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true }))), (numbers) => {
      // An attempt that fails at once, as where the network is unreachable, or only when its time is up.
      for (const attemptMs of [0, ATTEMPT_MS]) {
        const { begun } = failing(
          new ReconnectPlan({
            limitMs: LIMIT_MS,
            random: () => numbers.next().value,
          }),
          { attemptMs },
        );
        for (const [i, at] of begun.slice(1).entries()) {
          const idle = at - begun[i]! - attemptMs;
          assertTrue(idle >= 0 && idle <= MAX_PAUSE_MS, `${idle} ms between two attempts`);
          assertTrue(at - begun[i]! < 15_000, `${at - begun[i]!} ms from one attempt to the next`);
        }
      }
    }),
    { numRuns: 50 },
  );
});

Deno.test("ReconnectPlan pauses longer and longer, and never all sides at once", () => {
  const pauses = (random: number) => {
    const plan = new ReconnectPlan({ limitMs: LIMIT_MS, random: () => random });
    const { begun } = failing(plan, { attemptMs: 0 });
    return begun.slice(0, 6).map((at, i) => at - (begun[i - 1] ?? 0));
  };
  assertEquals(pauses(0), [0, 500, 1000, 2000, 3000, 3000]);
  assertEquals(pauses(0.5), [150, 750, 1500, 3000, 4500, 4500]);
});

Deno.test("ReconnectPlan gives up when the time is up, also in the middle of an attempt", () => {
  for (const limitMs of [1000, 5000, LIMIT_MS]) {
    for (const random of [0, 0.7]) {
      const { gaveUp } = failing(new ReconnectPlan({ limitMs, random: () => random }), { from: 77 });
      assertEquals(gaveUp, 77 + limitMs);
    }
  }
  const plan = new ReconnectPlan({ limitMs: 1000, random: () => 0 });
  failing(plan);
  assertEquals(plan.handle({ type: "lost", moved: true }, 5000), []);
  assertEquals(plan.deadline, Infinity);
});

Deno.test("ReconnectPlan tells the attempt, its pause and the time that is left", () => {
  const plan = new ReconnectPlan({ limitMs: 10_000, random: () => 0.5 });
  assertEquals(plan.handle({ type: "lost", moved: false }, 100), [
    { type: "wait", attempt: 1, waitMs: 150, leftMs: 10_000 },
  ]);
  assertEquals(plan.handle({ type: "tick" }, 200), []);
  assertEquals(plan.handle({ type: "tick" }, 250), [{ type: "try", attempt: 1 }]);
  assertEquals(plan.handle({ type: "failed" }, 1100), [
    { type: "wait", attempt: 2, waitMs: 750, leftMs: 9000 },
  ]);
});

Deno.test("ReconnectPlan begins anew after a link that moved something, and only then", () => {
  const plan = new ReconnectPlan({ limitMs: 10_000, random: () => 0 });
  plan.handle({ type: "lost", moved: true }, 0);
  plan.handle({ type: "tick" }, 0);
  plan.handle({ type: "connected" }, 100);
  assertEquals(plan.deadline, Infinity);
  assertEquals(plan.handle({ type: "lost", moved: false }, 4000), [
    { type: "wait", attempt: 2, waitMs: 500, leftMs: 6000 },
  ]);
  plan.handle({ type: "connected" }, 4100);
  assertEquals(plan.handle({ type: "lost", moved: true }, 9000), [
    { type: "wait", attempt: 1, waitMs: 0, leftMs: 10_000 },
  ]);
});

Deno.test("ReconnectPlan ends a peer that connects and breaks for ever", () => {
  const plan = new ReconnectPlan({ limitMs: 10_000, random: () => 0 });
  let now = 0;
  let tries = 0;
  for (; tries < 1000; tries++) {
    if (plan.handle({ type: "lost", moved: tries === 0 }, now).some(({ type }) => type === "give_up")) break;
    now = plan.deadline;
    if (plan.handle({ type: "tick" }, now).some(({ type }) => type === "give_up")) break;
    plan.handle({ type: "connected" }, now);
  }
  assertEquals(now, 10_000);
  assertTrue(tries < 10, `${tries} links in 10 s`);
});

Deno.test("ReconnectPlan tries soon when this machine's network changes, and pauses little again", () => {
  const plan = new ReconnectPlan({ limitMs: LIMIT_MS, random: () => 0.5 });
  plan.handle({ type: "lost", moved: true }, 0);
  let now = 0;
  for (let i = 0; i < 8; i++) {
    now = plan.deadline;
    plan.handle({ type: "tick" }, now);
    plan.handle({ type: "failed" }, now);
  }
  assertEquals(plan.deadline - now, 4500);
  assertEquals(plan.handle({ type: "network_changed" }, now), [
    { type: "wait", attempt: 9, waitMs: 150, leftMs: LIMIT_MS - now },
  ]);
  plan.handle({ type: "tick" }, now + 150);
  assertEquals(plan.handle({ type: "network_changed" }, now + 160), []);
  assertEquals(plan.handle({ type: "failed" }, now + 200), [
    { type: "wait", attempt: 10, waitMs: 750, leftMs: LIMIT_MS - now - 200 },
  ]);
});

Deno.test("ReconnectPlan gives up an attempt of a second and more when the network changes, and tries anew", () => {
  const plan = new ReconnectPlan({ limitMs: LIMIT_MS, random: () => 0.5 });
  plan.handle({ type: "lost", moved: true }, 0);
  plan.handle({ type: "tick" }, 150);
  assertEquals(plan.handle({ type: "network_changed" }, 1149), []);
  assertEquals(plan.handle({ type: "network_changed" }, 1150), [
    { type: "abandon" },
    { type: "wait", attempt: 2, waitMs: 150, leftMs: LIMIT_MS - 1150 },
  ]);
  assertEquals(plan.handle({ type: "tick" }, 1300), [{ type: "try", attempt: 2 }]);
});

Deno.test("ReconnectPlan tries anew at once when the peer is found elsewhere", () => {
  const plan = new ReconnectPlan({ limitMs: LIMIT_MS, random: () => 0.5 });
  plan.handle({ type: "lost", moved: true }, 0);
  plan.handle({ type: "tick" }, 150);
  assertEquals(plan.handle({ type: "found" }, 160), [
    { type: "abandon" },
    { type: "wait", attempt: 2, waitMs: 150, leftMs: LIMIT_MS - 160 },
  ]);
});

Deno.test("ReconnectPlan does nothing while there is a link", () => {
  const plan = new ReconnectPlan({ limitMs: LIMIT_MS, random: () => 0 });
  assertEquals(plan.handle({ type: "tick" }, 5), []);
  assertEquals(plan.handle({ type: "network_changed" }, 6), []);
  assertEquals(plan.handle({ type: "failed" }, 7), []);
  assertEquals(plan.deadline, Infinity);
});

import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import type { TransferOutcome } from "../transfer/mod.ts";
import { crowdFailure, type CrowdResult, poolShare, serveComers, serveEach, TimeUp } from "./crowd.ts";

const DONE: TransferOutcome = {
  kind: "files",
  files: 1,
  directories: 0,
  symlinks: 0,
  bytes: 1,
  bytesFound: 0,
  bytesWire: 1,
  skipped: 0,
  failed: [],
  failedCount: 0,
  durationMs: 1,
};
const LOST = new WormholeError("CONNECTION_LOST", "lost");
const LATE = new WormholeError("TIMEOUT", "late");

/** Those who come, when the test says so. */
class Door {
  readonly #waiting: string[] = [];
  #wake = Promise.withResolvers<void>();
  readonly closing = new AbortController();
  closed = 0;

  comes(...who: string[]): void {
    this.#waiting.push(...who);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async next({ signal }: { signal: AbortSignal }): Promise<string> {
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => {});
    signal.addEventListener("abort", () => aborted.reject(signal.reason), { once: true });
    while (this.#waiting.length === 0) await Promise.race([this.#wake.promise, aborted.promise]);
    return this.#waiting.shift()!;
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

Deno.test("serveEach() serves all at once, and one that fails ends nobody else", async () => {
  const gates = [1, 2, 3].map(() => Promise.withResolvers<TransferOutcome>());
  const told: number[] = [];
  const serving = serveEach(3, {
    serve: (receiver) => gates[receiver - 1]!.promise,
    onEnd: ({ receiver }) => told.push(receiver),
  });
  gates[1]!.reject(LOST);
  await settled();
  gates[2]!.resolve(DONE);
  await settled();
  gates[0]!.resolve(DONE);
  const { ends } = await serving;
  assertEquals(told, [2, 3, 1]);
  assertEquals(ends, [{ receiver: 1, outcome: DONE }, { receiver: 2, error: LOST }, {
    receiver: 3,
    outcome: DONE,
  }]);
});

Deno.test("serveComers() numbers those who know the code, and lets them finish when it closes", async () => {
  const door = new Door();
  const gates = new Map<string, PromiseWithResolvers<TransferOutcome>>();
  const gone: unknown[] = [];
  const aborted: string[] = [];
  const serving = serveComers<string>({
    next: (about) => door.next(about),
    serve: async (who, { paired, signal }) => {
      signal.addEventListener("abort", () => {
        aborted.push(who);
        gates.get(who)?.reject(signal.reason);
      });
      if (who === "stranger") throw LOST;
      if (who !== "silent") paired();
      const gate = Promise.withResolvers<TransferOutcome>();
      gates.set(who, gate);
      return await gate.promise;
    },
    close: () => Promise.resolve(void door.closed++),
    until: door.closing.signal,
    atOnce: 10,
    onGone: (error) => gone.push(error),
  });
  door.comes("a", "stranger", "b", "silent");
  await settled();
  gates.get("b")!.reject(LOST);
  await settled();
  const reason = new TimeUp(1000);
  door.closing.abort(reason);
  await settled();
  assertEquals([aborted, door.closed], [["silent"], 1]);
  gates.get("a")!.resolve(DONE);
  const { ends, cause } = await serving;
  assertEquals(ends, [{ receiver: 1, outcome: DONE }, { receiver: 2, error: LOST }]);
  assertTrue(cause === reason);
  assertEquals(gone, [LOST, reason]);
});

Deno.test("serveComers() lets no more in than it may at once", async () => {
  const door = new Door();
  const gates: PromiseWithResolvers<TransferOutcome>[] = [];
  const serving = serveComers<string>({
    next: (about) => door.next(about),
    serve: async (_, { paired }) => {
      paired();
      const gate = Promise.withResolvers<TransferOutcome>();
      gates.push(gate);
      return await gate.promise;
    },
    close: () => Promise.resolve(),
    until: door.closing.signal,
    atOnce: 2,
  });
  door.comes("a", "b", "c");
  await settled();
  assertEquals(gates.length, 2);
  gates[1]!.resolve(DONE);
  await settled();
  assertEquals(gates.length, 3);
  for (const gate of gates) gate.resolve(DONE);
  await settled();
  door.closing.abort(new TimeUp(1));
  assertEquals((await serving).ends.map(({ receiver }) => receiver), [1, 2, 3]);
});

Deno.test("crowdFailure() says what the whole comes to", () => {
  const good = (receiver: number) => ({ receiver, outcome: DONE });
  const bad = (receiver: number, error: unknown = LOST) => ({ receiver, error });
  const partial = { receiver: 1, outcome: { ...DONE, failedCount: 1 } };
  const differs = {
    receiver: 1,
    outcome: { ...DONE, receipt: { hash: "", state: "differs" as const } },
  };
  const dead = new WormholeError("CODE_WRONG", "dead");
  const table: [what: string, result: CrowdResult, code: string | undefined][] = [
    ["all got it", { ends: [good(1), good(2)] }, undefined],
    ["one failed", { ends: [good(1), bad(2)] }, "PARTIAL"],
    ["all failed alike", { ends: [bad(1), bad(2)] }, "CONNECTION_LOST"],
    ["all failed, each in another way", { ends: [bad(1), bad(2, LATE)] }, "PARTIAL"],
    ["nobody came to any code", { ends: [bad(1, LATE), bad(2, LATE)] }, "TIMEOUT"],
    ["entries failed", { ends: [partial, good(2)] }, "PARTIAL"],
    ["a receipt differs", { ends: [differs, good(2)] }, "PARTIAL"],
    ["the time is up after some came", { ends: [good(1)], cause: new TimeUp(1) }, undefined],
    ["the time is up and one failed", { ends: [good(1), bad(2)], cause: new TimeUp(1) }, "PARTIAL"],
    ["the time is up and nobody came", { ends: [], cause: new TimeUp(1) }, "TIMEOUT"],
    ["the code was guessed at too often", { ends: [good(1)], cause: dead }, "CODE_WRONG"],
  ];
  for (const [what, result, code] of table) {
    assertEquals((crowdFailure(result) as WormholeError | undefined)?.code, code as never, what);
  }
});

Deno.test("poolShare() divides the memory and leaves enough to work with", () => {
  const chunkBytes = 4;
  assertEquals(poolShare(256, { receivers: 4, chunkBytes }), 64);
  assertEquals(poolShare(256, { receivers: 64, chunkBytes }), 8);
});

import { setImmediate } from "node:timers";
import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import type { Link } from "./connection.ts";
import { dialFirst } from "./dial.ts";
import { type DialTarget, type Hint, hintText, type RelayHint } from "./hints.ts";

/** How one address behaves: it links or fails `at` ms after its dial began; without `at` it never answers. */
interface Behaviour {
  at?: number;
  fails?: WormholeError;
  rttMs?: number;
}

/** A network and its clock: everything happens in order of its simulated time. */
class Simulation {
  now = 0;
  readonly log: string[] = [];
  readonly #timers: { at: number; fire: () => void }[] = [];
  readonly #behaviours: Record<string, Behaviour>;

  constructor(behaviours: Record<string, Behaviour>) {
    this.#behaviours = behaviours;
  }

  readonly clock = {
    sleep: (ms: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> =>
      new Promise((resolve, reject) => {
        this.#timers.push({ at: this.now + ms, fire: resolve });
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      }),
  };

  dial = async (hint: DialTarget, { signal }: { signal: AbortSignal }): Promise<Link> => {
    const name = hintText(hint);
    const { at = Infinity, fails, rttMs = 50 } = this.#behaviours[name] ?? {};
    this.#say(`dial ${name}`);
    signal.addEventListener("abort", () => this.#say(`cancel ${name}`), { once: true });
    await this.clock.sleep(at, { signal });
    if (fails) throw fails;
    return {
      kind: hint.transport,
      remote: name,
      stats: () => Promise.resolve({ rttMs, bytesSent: 0, bytesReceived: 0, remote: name }),
      close: () => (this.#say(`close ${name}`), Promise.resolve()),
    } as unknown as Link;
  };

  /** Runs until `promise` settles. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    promise.catch(() => {}).finally(() => settled = true);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (settled) return promise;
      this.#timers.sort((a, b) => a.at - b.at);
      const timer = this.#timers.shift();
      if (!timer || timer.at === Infinity) throw new Error("the simulation stands still");
      this.now = timer.at;
      timer.fire();
    }
  }

  #say(what: string): void {
    this.log.push(`${this.now}: ${what}`);
  }
}

function hints(...texts: string[]): Hint[] {
  return texts.map((text) => {
    const [transport, address] = text.split(" ") as ["tcp" | "quic", string];
    const [host, port] = address.split(":") as [string, string];
    return { transport, host, port: Number(port) };
  });
}

const REFUSED = new WormholeError(
  "CONNECT_FAILED",
  "Cannot connect to 10.0.0.1:1 over tcp: connection refused",
);
const BOTH = ["quic 10.0.0.1:1", "tcp 10.0.0.1:1"];

Deno.test("dialFirst() dials all transports at once and cancels the rest when the best answers", async () => {
  const simulation = new Simulation({ "quic 10.0.0.1:1": { at: 40 }, "tcp 10.0.0.1:1": { at: 90 } });
  const link = await simulation.run(dialFirst(hints(...BOTH), simulation));
  assertEquals(link.remote, "quic 10.0.0.1:1");
  assertEquals(simulation.log, [
    "0: dial quic 10.0.0.1:1",
    "0: dial tcp 10.0.0.1:1",
    "40: cancel quic 10.0.0.1:1",
    "40: cancel tcp 10.0.0.1:1",
  ]);
});

Deno.test("dialFirst() prefers TCP on a LAN when it answers within the grace", async () => {
  const simulation = new Simulation({
    "quic 10.0.0.1:1": { at: 2, rttMs: 1 },
    "tcp 10.0.0.1:1": { at: 4, rttMs: 1 },
  });
  const link = await simulation.run(dialFirst(hints(...BOTH), simulation));
  assertEquals([link.kind, simulation.now], ["tcp", 4]);
  assertEquals(simulation.log.includes("4: close quic 10.0.0.1:1"), true);
});

Deno.test("dialFirst() takes the first link when the better transport stays silent", async () => {
  const simulation = new Simulation({ "quic 10.0.0.1:1": { at: 2, rttMs: 1 } });
  const link = await simulation.run(dialFirst(hints(...BOTH), simulation));
  assertEquals([link.kind, simulation.now], ["quic", 52]);
});

Deno.test("dialFirst() takes the first link at once when the better transport has failed", async () => {
  const simulation = new Simulation({
    "quic 10.0.0.1:1": { at: 3, rttMs: 1 },
    "tcp 10.0.0.1:1": { at: 1, fails: REFUSED },
  });
  const link = await simulation.run(dialFirst(hints(...BOTH), simulation));
  assertEquals([link.kind, simulation.now], ["quic", 3]);
});

Deno.test("dialFirst() uses TCP where UDP is blocked", async () => {
  const simulation = new Simulation({ "tcp 10.0.0.1:1": { at: 60 } });
  const link = await simulation.run(dialFirst(hints(...BOTH), simulation));
  assertEquals([link.kind, simulation.now], ["tcp", 110]);
});

Deno.test("dialFirst() starts the next address after 150 ms, or at once after a failure", async () => {
  const simulation = new Simulation({
    "tcp 10.0.0.2:1": { at: 10, fails: REFUSED },
    "tcp 10.0.0.3:1": { at: 20 },
  });
  const link = await simulation.run(
    dialFirst(hints("tcp 10.0.0.1:1", "tcp 10.0.0.2:1", "tcp 10.0.0.3:1"), simulation),
  );
  assertEquals(link.remote, "tcp 10.0.0.3:1");
  assertEquals(simulation.log.slice(0, 3), [
    "0: dial tcp 10.0.0.1:1",
    "150: dial tcp 10.0.0.2:1",
    "160: dial tcp 10.0.0.3:1",
  ]);
});

Deno.test("dialFirst() names what was tried when nothing answers", async () => {
  const simulation = new Simulation({
    "quic 10.0.0.1:1": {
      at: 9,
      fails: new WormholeError(
        "TIMEOUT",
        "Cannot connect to 10.0.0.1:1 over quic: no answer within 15000 ms",
      ),
    },
    "tcp 10.0.0.1:1": { at: 1, fails: REFUSED },
  });
  const error = await assertRejects(
    () => simulation.run(dialFirst(hints(...BOTH), simulation)),
    "CONNECT_FAILED",
  );
  assertEquals(
    error.message,
    "Cannot connect to the other machine: none of its addresses answered; " +
      "tried tcp 10.0.0.1:1 (connection refused), quic 10.0.0.1:1 (no answer)",
  );
});

const RELAY: RelayHint = {
  transport: "relay",
  relay: new Uint8Array(16),
  key: new Uint8Array(32),
  proof: new Uint8Array(64),
};

Deno.test("dialFirst() gives addresses half a second before the relay", async () => {
  const simulation = new Simulation({ "the hub's relay": { at: 100 } });
  const link = await simulation.run(dialFirst([...hints(...BOTH), RELAY], simulation));
  assertEquals([link.remote, simulation.now], ["the hub's relay", 600]);
  assertEquals(simulation.log.slice(0, 3), [
    "0: dial quic 10.0.0.1:1",
    "0: dial tcp 10.0.0.1:1",
    "500: dial the hub's relay",
  ]);
});

Deno.test("dialFirst() does not ask the relay when an address answers", async () => {
  const simulation = new Simulation({ "tcp 10.0.0.1:1": { at: 440 } });
  const link = await simulation.run(dialFirst([...hints(...BOTH), RELAY], simulation));
  assertEquals([link.kind, simulation.now], ["tcp", 490]);
  assertTrue(!simulation.log.some((line) => line.includes("relay")));
});

Deno.test("dialFirst() dials the relay at once when no address is left", async () => {
  const refused = { at: 5, fails: REFUSED };
  const simulation = new Simulation({
    "quic 10.0.0.1:1": refused,
    "tcp 10.0.0.1:1": refused,
    "the hub's relay": { at: 10 },
  });
  assertEquals(
    (await simulation.run(dialFirst([...hints(...BOTH), RELAY], simulation))).remote,
    "the hub's relay",
  );
  assertEquals(simulation.now, 15);
  const alone = new Simulation({ "the hub's relay": { at: 10 } });
  assertEquals((await alone.run(dialFirst([RELAY], alone))).remote, "the hub's relay");
  assertEquals(alone.now, 10);
});

Deno.test("dialFirst() drops the relay for an address that answered while it was dialled", async () => {
  const simulation = new Simulation({
    "quic 10.0.0.1:1": { at: 590, rttMs: 1 },
    "the hub's relay": { at: 100 },
  });
  const link = await simulation.run(dialFirst([...hints(...BOTH), RELAY], simulation));
  assertEquals(link.remote, "quic 10.0.0.1:1");
  assertTrue(simulation.log.includes("600: close the hub's relay"), simulation.log.join("; "));
});

Deno.test("dialFirst() goes on with the addresses when the relay fails", async () => {
  const simulation = new Simulation({
    "tcp 10.0.0.1:1": { at: 900 },
    "the hub's relay": { at: 10, fails: REFUSED },
  });
  const link = await simulation.run(dialFirst([...hints(...BOTH), RELAY], simulation));
  assertEquals([link.kind, simulation.now], ["tcp", 950]);
});

Deno.test("dialFirst() says so when there is nothing to dial", () =>
  assertRejects(() => dialFirst([], new Simulation({})), "CONNECT_FAILED", "no address").then(() => {}));

Deno.test("dialFirst() cancels and closes everything when aborted", async () => {
  const controller = new AbortController();
  const simulation = new Simulation({ "quic 10.0.0.1:1": { at: 2, rttMs: 1 } });
  const dialling = dialFirst(hints(...BOTH), {
    ...simulation,
    clock: {
      sleep: (ms, options) => {
        if (ms === 50) controller.abort(new Error("enough"));
        return simulation.clock.sleep(ms, options);
      },
    },
    signal: controller.signal,
  });
  await assertRejects(() => simulation.run(dialling), undefined, "enough");
  assertEquals(simulation.log.slice(2), [
    "2: cancel quic 10.0.0.1:1",
    "2: cancel tcp 10.0.0.1:1",
    "2: close quic 10.0.0.1:1",
  ]);
});

Deno.test("dialFirst() closes a link that answers after the race is over", async () => {
  let answer!: (link: Link) => void;
  const closed = Promise.withResolvers<void>();
  const late = { close: () => (closed.resolve(), Promise.resolve()), stats: () => Promise.reject(REFUSED) };
  const simulation = new Simulation({ "quic 10.0.0.1:1": { at: 1 } });
  const link = await simulation.run(dialFirst(hints(...BOTH), {
    clock: simulation.clock,
    dial: (hint, options) =>
      hint.transport === "quic" ? simulation.dial(hint, options) : new Promise((resolve) => answer = resolve),
  }));
  assertEquals(link.kind, "quic");
  answer(late as unknown as Link);
  await closed.promise;
});

Deno.test("dialFirst() tries proxies 1 s after the last direct address, or once all have failed", async () => {
  const proxy = { kind: "socks5", host: "proxy", port: 1080 } as const;
  const direct = hints("quic 192.0.2.1:1", "tcp 192.0.2.1:1", "tcp 192.0.2.2:1");
  const all = [...direct, ...hints("tcp 192.0.2.1:1", "tcp 192.0.2.2:1").map((hint) => ({ ...hint, proxy }))];
  const dials = (simulation: Simulation) => simulation.log.filter((line) => line.includes("dial"));
  const through = "tcp 192.0.2.1:1 through the proxy at proxy:1080";
  const silent = new Simulation({ "tcp 192.0.2.2:1": { at: 5, fails: REFUSED }, [through]: { at: 80 } });
  const link = await silent.run(dialFirst(all, silent));
  assertEquals([link.remote, silent.now], [through, 1280]);
  assertEquals(dials(silent), [
    "0: dial quic 192.0.2.1:1",
    "0: dial tcp 192.0.2.1:1",
    "150: dial tcp 192.0.2.2:1",
    `1150: dial ${through}`,
  ]);
  const fails = { at: 10, fails: REFUSED };
  const refused = new Simulation({
    "quic 192.0.2.1:1": fails,
    "tcp 192.0.2.1:1": fails,
    "tcp 192.0.2.2:1": { at: 30, fails: REFUSED },
    [through]: { at: 80 },
  });
  await refused.run(dialFirst(all, refused));
  assertEquals(dials(refused).at(3), `40: dial ${through}`);
  const slow = new Simulation({ "tcp 192.0.2.2:1": { at: 900, rttMs: 300 } });
  assertEquals((await slow.run(dialFirst(all, slow))).remote, "tcp 192.0.2.2:1");
  assertEquals(dials(slow).length, 3, "no proxy where a direct address answers within a second");
});

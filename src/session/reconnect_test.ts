import { SimulatedClock } from "../base/clock.ts";
import { type ErrorCode, WormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import type { PeerConnection, Renewal } from "../transport/connection.ts";
import { acrossLinks, type AcrossLinksOptions, type ReconnectEvent } from "./reconnect.ts";
import { branded, ScriptedLink } from "./testing.ts";

function failure(code: ErrorCode = "CONNECTION_LOST"): WormholeError {
  return new WormholeError(code, `Cannot go on: ${code}`);
}

/** A network of one peer, as a test wants it. */
class Network implements Renewal {
  /** What dialling does now. */
  dials: (signal: AbortSignal) => Promise<PeerConnection> = () => Promise.reject(failure("CONNECT_FAILED"));
  own = ["192.0.2.9"];
  /** When it was dialled, in ms. */
  readonly dialled: number[] = [];
  readonly links: ScriptedLink[] = [];
  readonly clock = new SimulatedClock();
  readonly events: ReconnectEvent[] = [];
  lostAtArrival: boolean | undefined;
  /** Tells that the peer was found on this network; only there while it is sought. */
  found: (() => void) | undefined;
  #arrived = Promise.withResolvers<PeerConnection>();

  link(): PeerConnection {
    const link = new ScriptedLink("tcp", { remote: `192.0.2.1:${4000 + this.links.length}` });
    this.links.push(link);
    return branded(link, { renewal: this });
  }

  dial({ signal }: { signal: AbortSignal }): Promise<PeerConnection> {
    this.dialled.push(this.clock.monotonic());
    return this.dials(signal);
  }

  async arrival(
    { isLost, signal }: { isLost: () => boolean; signal: AbortSignal },
  ): Promise<PeerConnection> {
    const aborted = new Promise<never>((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason), { once: true })
    );
    const link = await Promise.race([this.#arrived.promise, aborted]);
    this.lostAtArrival = isLost();
    return link;
  }

  /** The peer comes by itself. */
  arrive(link: PeerConnection): void {
    const arrived = this.#arrived;
    this.#arrived = Promise.withResolvers();
    arrived.resolve(link);
  }

  addresses(): Promise<readonly string[]> {
    return Promise.resolve(this.own);
  }

  async seek({ onFound, signal }: { onFound: () => void; signal: AbortSignal }): Promise<void> {
    this.found = onFound;
    if (signal.aborted) return;
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    this.found = undefined;
  }

  /** Runs it with `uses`, one for each link. */
  run(
    uses: ((connection: PeerConnection, moved: () => void) => Promise<string>)[],
    more: Partial<AcrossLinksOptions<string>> = {},
  ): Promise<string> {
    const left = [...uses];
    return acrossLinks({
      connection: this.link(),
      limitMs: 60_000,
      run: (connection, moved) => left.shift()!(connection, moved),
      onEvent: (event) => void this.events.push(event),
      clock: this.clock,
      random: () => 0,
      ...more,
    });
  }
}

const dies = (code?: ErrorCode) => () => Promise.reject(failure(code));
const works = () => Promise.resolve("done");

for (const code of ["CONNECTION_LOST", "PEER_FROZEN", "TIMEOUT", "CONNECT_FAILED"] as const) {
  Deno.test(`acrossLinks() goes on over a new link after ${code}`, async () => {
    const network = new Network();
    network.dials = () => Promise.resolve(network.link());
    const used: string[] = [];
    const lost: string[] = [];
    const running = network.run([
      (connection, moved) => {
        moved();
        used.push(connection.remote);
        return dies(code)();
      },
      (connection) => {
        used.push(connection.remote);
        return works();
      },
    ], { onLost: (error) => void lost.push(error.code) });
    await network.clock.advance(1000);
    assertEquals(await running, "done");
    assertEquals(used, ["192.0.2.1:4000", "192.0.2.1:4001"]);
    assertEquals(lost, [code]);
    assertEquals(network.events, [
      { type: "waiting", attempt: 1, waitMs: 0, leftMs: 60_000 },
      { type: "connected", kind: "tcp", remote: "192.0.2.1:4001", direct: true },
    ]);
    assertEquals(network.links.map(({ closed }) => closed), [true, true]);
    assertEquals(network.clock.pending, 0);
  });
}

for (
  const code of [
    "REFUSED",
    "NO_SPACE",
    "PROTOCOL",
    "CANCELLED",
    "CLOSED",
    "INTERNAL",
    "SOURCE_CHANGED",
  ] as const
) {
  Deno.test(`acrossLinks() ends with ${code}, which is not of the link`, async () => {
    const network = new Network();
    await assertRejects(() => network.run([dies(code)]), code);
    assertEquals([network.dialled, network.events], [[], []]);
  });
}

Deno.test("acrossLinks() ends with the first loss when it may not reconnect, or cannot", async () => {
  const network = new Network();
  await assertRejects(() => network.run([dies()], { limitMs: 0 }), "CONNECTION_LOST");
  const connection = branded(new ScriptedLink("tcp"));
  await assertRejects(() => network.run([dies()], { connection }), "CONNECTION_LOST");
  assertEquals(network.dialled, []);
});

Deno.test("acrossLinks() ends with what onLost throws", async () => {
  const network = new Network();
  const onLost = () => {
    throw new WormholeError("CONNECTION_LOST", "Cannot send: it is a stream");
  };
  await assertRejects(() => network.run([dies()], { onLost }), "CONNECTION_LOST", "it is a stream");
  assertEquals(network.dialled, []);
});

Deno.test("acrossLinks() gives up in time, with the loss as the cause", async () => {
  const network = new Network();
  const gaveUp = assertRejects(() => network.run([dies("PEER_FROZEN")]), "CONNECTION_LOST", "within 60 s");
  await network.clock.advance(59_999);
  const tries = network.dialled.length;
  assertTrue(tries > 8 && tries < 25, `${tries} attempts`);
  await network.clock.advance(1);
  const error = await gaveUp;
  assertEquals((error.cause as WormholeError).code, "PEER_FROZEN");
  await network.clock.advance(60_000);
  assertEquals(network.dialled.length, tries);
  assertEquals(network.clock.pending, 0);
});

Deno.test("acrossLinks() dials within 15 s of the network's return, though nothing answered before", async () => {
  const network = new Network();
  network.dials = (signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
  const running = network.run([dies(), works], { random: () => 0.999, limitMs: 600_000 });
  await network.clock.advance(123_456);
  network.dials = () => Promise.resolve(network.link());
  await network.clock.advance(15_000);
  assertEquals(await running, "done");
});

Deno.test("acrossLinks() dials soon after this machine got another address", async () => {
  const network = new Network();
  const running = network.run([dies(), works], { random: () => 0.999, limitMs: 600_000 });
  await network.clock.advance(60_000);
  const tries = network.dialled.length;
  while (network.dialled.length === tries) await network.clock.advance(100);
  network.own = ["198.51.100.4"];
  network.dials = () => Promise.resolve(network.link());
  await network.clock.advance(1500);
  assertEquals(await running, "done");
});

Deno.test("acrossLinks() gives up a link whose own address this machine has no more", async () => {
  const network = new Network();
  network.dials = () => Promise.resolve(network.link());
  const first = network.link() as PeerConnection & ScriptedLink;
  first.stats = () =>
    Promise.resolve({ rttMs: 1, bytesSent: 0, bytesReceived: 0, remote: first.remote, local: "192.0.2.9" });
  const untilClosed = async () => {
    while (!first.closed) await network.clock.sleep(10);
    throw failure("CLOSED");
  };
  const running = network.run([untilClosed, works], { connection: first });
  await network.clock.advance(20_000);
  assertEquals([first.closed, network.dialled], [false, []]);
  network.own = ["192.0.2.10"];
  await network.clock.advance(1000);
  assertEquals(await running, "done");
  assertEquals(network.clock.pending, 0);
});

Deno.test("acrossLinks() does not wait for a dial in a network that is gone", async () => {
  const network = new Network();
  const running = network.run([dies(), works]);
  const ends: unknown[] = [];
  network.dials = (signal) =>
    new Promise((_, reject) =>
      signal.addEventListener("abort", () => {
        ends.push(network.clock.monotonic());
        reject(signal.reason);
      })
    );
  await network.clock.advance(2000);
  network.dials = () => Promise.resolve(network.link());
  network.own = ["198.51.100.4"];
  await network.clock.advance(600);
  assertEquals(await running, "done");
  assertEquals([ends.length, network.dialled.length], [1, 2]);
  assertEquals(network.clock.pending, 0);
});

Deno.test("acrossLinks() dials soon after the other machine was found on this network", async () => {
  const network = new Network();
  const running = network.run([dies(), works], { random: () => 0.999, limitMs: 600_000 });
  await network.clock.advance(60_000);
  const tries = network.dialled.length;
  while (network.dialled.length === tries) await network.clock.advance(100);
  network.dials = () => Promise.resolve(network.link());
  network.found!();
  await network.clock.advance(300);
  assertEquals(await running, "done");
  assertEquals(network.found, undefined);
});

Deno.test("acrossLinks() takes the other machine's link while it waits, and stops dialling", async () => {
  const network = new Network();
  const running = network.run([dies(), works]);
  await network.clock.advance(5000);
  const link = network.link();
  network.arrive(link);
  assertEquals(await running, "done");
  assertEquals(network.lostAtArrival, true);
  const tries = network.dialled.length;
  await network.clock.advance(60_000);
  assertEquals(network.dialled.length, tries);
});

Deno.test("acrossLinks() closes a link that its own dial made too late", async () => {
  const network = new Network();
  const dialled = Promise.withResolvers<PeerConnection>();
  network.dials = () => dialled.promise;
  const second = Promise.withResolvers<string>();
  const running = network.run([dies(), () => second.promise]);
  await network.clock.advance(1000);
  const arrived = network.link();
  network.arrive(arrived);
  await network.clock.advance(0);
  dialled.resolve(network.link());
  await network.clock.advance(0);
  second.resolve("done");
  assertEquals(await running, "done");
  assertTrue(network.links.every(({ closed }) => closed));
});

Deno.test("acrossLinks() gives up a link that seems to work when the other machine comes over a new one", async () => {
  const network = new Network();
  const next = network.link();
  const running = network.run([
    async (connection) => {
      network.arrive(next);
      while (!(connection as unknown as ScriptedLink).closed) await network.clock.advance(1);
      throw new WormholeError("CLOSED", "Cannot receive: the connection is closed");
    },
    (connection) => Promise.resolve(connection.remote),
  ]);
  assertEquals(await running, next.remote);
  assertEquals(network.lostAtArrival, false);
  assertEquals(network.dialled, []);
});

Deno.test("acrossLinks() lets what is settled end well though the other machine comes again", async () => {
  const network = new Network();
  const next = network.link();
  const result = await network.run([
    async () => {
      network.arrive(next);
      await network.clock.advance(1);
      return "done";
    },
  ]);
  assertEquals(result, "done");
  assertTrue((next as unknown as ScriptedLink).closed);
});

Deno.test("acrossLinks() ends at once with its signal, while it waits and while it dials", async () => {
  for (const dials of ["fails", "hangs"]) {
    const network = new Network();
    const stop = new AbortController();
    if (dials === "hangs") {
      network.dials = (signal) =>
        new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason), { once: true })
        );
    }
    const ended = assertRejects(
      () => network.run([dies()], { signal: stop.signal }),
      "INTERRUPTED",
    );
    await network.clock.advance(1000);
    stop.abort(new WormholeError("INTERRUPTED", "interrupted"));
    await ended;
    assertEquals(network.clock.pending, 0);
  }
});

Deno.test("acrossLinks() ends a peer whose links carry nothing", async () => {
  const network = new Network();
  network.dials = () => Promise.resolve(network.link());
  let uses = 0;
  const ended = assertRejects(() =>
    network.run([], {
      run: () => {
        uses++;
        return Promise.reject(failure());
      },
    }), "CONNECTION_LOST");
  await network.clock.advance(60_000);
  await ended;
  assertTrue(uses > 8 && uses < 25, `${uses} links`);
});

Deno.test("acrossLinks() ends a peer that comes over and over with links that carry nothing", async () => {
  const network = new Network();
  let uses = 0;
  const ended = assertRejects(
    () =>
      network.run([], {
        run: async (connection) => {
          uses++;
          await network.clock.sleep(100);
          network.arrive(network.link());
          while (!(connection as unknown as ScriptedLink).closed) await Promise.resolve();
          throw failure("CLOSED");
        },
      }),
    "CONNECTION_LOST",
    "within 60 s",
  );
  await network.clock.advance(70_000);
  await ended;
  assertEquals([uses, network.dialled.length], [601, 0]);
  assertTrue(network.links.every(({ closed }) => closed));
});

import { WormholeError } from "../base/errors.ts";
import { assertEquals } from "../base/testing.ts";
import type { LinkStats } from "../transport/connection.ts";
import { watchPath } from "./path_watch.ts";
import { ScriptedLink } from "./testing.ts";

/** A clock whose timers fire one after the other, when told to. */
class Steps {
  #waiting: (() => unknown)[] = [];

  timer(_ms: number, fire: () => unknown) {
    this.#waiting.push(fire);
    return { cancel: () => void (this.#waiting = []), [Symbol.dispose]() {} };
  }

  /** Fires what waits; tells whether anything did. */
  async step(): Promise<boolean> {
    const [fire] = this.#waiting.splice(0);
    await fire?.();
    return fire !== undefined;
  }
}

/** A QUIC link that was made at `remote` and then goes over `paths`, one for each look. */
function link(remote: string, paths: string[]) {
  const scripted = new ScriptedLink("quic", { remote });
  return Object.assign(scripted, {
    stats: (): Promise<LinkStats> => {
      const now = paths.shift();
      if (now === undefined) return Promise.reject(new WormholeError("CLOSED", "gone"));
      const relayed = now.startsWith("relay ");
      return Promise.resolve({ rttMs: 1, bytesSent: 0, bytesReceived: 0, remote: now, relayed });
    },
  });
}

async function told(remote: string, paths: string[]): Promise<string[]> {
  const clock = new Steps();
  const events: string[] = [];
  using _ = watchPath(link(remote, paths), {
    clock,
    onChange: ({ direct, remote }) => events.push(`${direct ? "direct" : "relayed"} ${remote}`),
  });
  while (await clock.step());
  return events;
}

Deno.test("watchPath() tells when the relay is left, and when it is needed again", async () => {
  const paths = ["relay hub:1", "relay hub:1", "192.0.2.1:5", "192.0.2.1:6", "relay hub:1"];
  assertEquals(await told("relay hub:1", paths), ["direct 192.0.2.1:5", "relayed relay hub:1"]);
});

Deno.test("watchPath() tells nothing of a link that stays direct, or has left the relay only before", async () => {
  assertEquals(await told("192.0.2.1:5", ["192.0.2.1:5", "192.0.2.1:7"]), []);
  assertEquals(await told("relay hub:1", ["192.0.2.1:5", "192.0.2.1:5"]), ["direct 192.0.2.1:5"]);
});

Deno.test("watchPath() does not look at TCP, nor after its end", async () => {
  const clock = new Steps();
  using _ = watchPath(new ScriptedLink("tcp"), { clock, onChange: () => {} });
  assertEquals(await clock.step(), false);
  const watching = watchPath(link("192.0.2.1:5", ["192.0.2.1:5"]), { clock, onChange: () => {} });
  watching[Symbol.dispose]();
  assertEquals(await clock.step(), false);
});

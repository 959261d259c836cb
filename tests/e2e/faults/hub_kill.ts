import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { HubClient } from "./hub_client.ts";
import { generator } from "./hub_frames.ts";
import { HubProcess } from "./hub_process.ts";
import type { Scenario, Tally } from "./scenario.ts";

/** Kills of one run. */
export const HUB_KILLS_PER_RUN = 8;

/** Clients that make codes meanwhile. */
const CLIENTS = 4;

/** A hub that nobody slows down. */
const LIMITS = {
  claimBurst: 1e6,
  connectionBurst: 1e6,
  messageBurst: 1e6,
  mailboxesPerAddress: 1e6,
  nameplateBurst: 1e6,
};

/** What a hub has confirmed about one code. */
interface Code {
  readonly side: string;
  readonly nameplate: string;
  readonly mailbox: string;
  readonly bodies: string[];
  /** closing: asked for, not confirmed. */
  state: "open" | "closing" | "closed";
}

/** kill -9 of a hub with a database, at any instant of its work. */
export const HUB_KILL: Scenario = {
  name: "hub-kill",
  about: "a hub that is killed comes back with every code and message that it has confirmed",
  lanes: 1,
  async run(seed, tally) {
    const folder = await Deno.makeTempDir();
    try {
      const random = generator(seed);
      const database = `${folder}/hub.sqlite`;
      const codes: Code[] = [];
      for (let kills = 0; kills < HUB_KILLS_PER_RUN; kills++) {
        await using hub = await HubProcess.start({ database, limits: LIMITS });
        await check(hub.url, codes.splice(0), tally);
        const names = `${seed}-${kills}`;
        const working = Array.from(
          { length: CLIENTS },
          (_, i) => work(hub.url, { codes, names: `${names}-${i}`, tally }),
        );
        const { promise, resolve } = Promise.withResolvers<void>();
        setTimeout(resolve, random() * 250);
        await promise;
        await hub.kill();
        await Promise.all(working);
        tally.add("kills");
      }
      await using hub = await HubProcess.start({ database, limits: LIMITS });
      await check(hub.url, codes, tally);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
};

/** Makes codes and uses them, and writes down what is confirmed, until the hub is gone. */
async function work(
  url: URL,
  { codes, names, tally }: { codes: Code[]; names: string; tally: Tally },
): Promise<void> {
  try {
    for (let count = 0;; count++) {
      const side = `${names}-${count}`;
      using client = await HubClient.connect(url, side);
      const { nameplate } = await client.ask({ type: "allocate" }, "allocated");
      const { mailbox } = await client.ask({ type: "claim", nameplate }, "claimed");
      const code: Code = {
        side,
        nameplate: String(nameplate),
        mailbox: String(mailbox),
        bodies: [],
        state: "open",
      };
      codes.push(code);
      client.say({ type: "open", mailbox });
      for (let messages = 0; messages < count % 4; messages++) {
        const body = `0${messages}`;
        await client.ask({ type: "add", phase: `p${messages}`, body }, "message");
        code.bodies.push(body);
      }
      if (count % 3 !== 0) continue;
      code.state = "closing";
      await client.ask({ type: "release" }, "released");
      await client.ask({ type: "close", mood: "happy" }, "closed");
      code.state = "closed";
    }
  } catch (error) {
    if (!(error instanceof Error) || error.message !== "the hub is gone") throw error;
    tally.add("clients cut off");
  }
}

/** Comes back under each side that has a code, and ends it. */
async function check(url: URL, codes: readonly Code[], tally: Tally): Promise<void> {
  for (const { side, nameplate, mailbox, bodies, state } of codes) {
    using client = await HubClient.connect(url, side);
    const claimed = await client.ask({ type: "claim", nameplate, must_exist: true }, "claimed");
    if (state === "closed") {
      assertEquals(claimed.code, "CODE_USED", `a closed code came back: ${JSON.stringify(claimed)}`);
      tally.add("closed codes");
      continue;
    }
    if (state === "closing" && claimed.type === "error") {
      assertEquals(claimed.code, "CODE_USED");
      continue;
    }
    assertEquals([claimed.type, claimed.mailbox], ["claimed", mailbox], JSON.stringify(claimed));
    client.say({ type: "open", mailbox });
    await client.ask({ type: "ping", ping: 1 }, "pong");
    const kept = client.told.filter(({ type }) => type === "message").map(({ body }) => String(body));
    // The one under way may have been kept without its confirmation.
    assertEquals(kept.slice(0, bodies.length), bodies);
    assertTrue(kept.length <= bodies.length + 1, `${kept} for ${bodies}`);
    tally.add("open codes");
    await client.ask({ type: "release" }, "released");
    await client.ask({ type: "close" }, "closed");
  }
}

/** Two machines behind routers of all kinds get through to each other, by the real commands and one hub. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { Sandbox } from "../sandbox.ts";
import { noise } from "../trees.ts";
import { cross, type Crossing, startHubOn } from "./crossing.ts";
import { HARD } from "./hard_networks.ts";
import { inLab, inLanes } from "./in_lab.ts";
import { crossMatrix, told, TRIES } from "./matrix.ts";
import { crossByProxy } from "./proxied.ts";

const MIB = 1024 * 1024;

/** Two of these, of which one is symmetric, meet at the relay alone. */
const NARROW: readonly string[] = ["symmetric", "port-restricted"];

/** Pairs at a time: two processes each, beside the hub. */
const LANES = 3;

// Slow enough that a transfer which begins on the relay may move to a direct path before it ends.
inLab("between any two kinds of NAT a file gets through, and directly in 13 of 16 pairs", async (lab) => {
  const cells = await crossMatrix(lab, {
    content: noise(4 * MIB),
    lanes: LANES,
    mbits: 30,
    isEnough: ({ path, sender, receiver }) => {
      const kinds = [sender, receiver];
      return path === "direct" ||
        path === "relay" && kinds.includes("symmetric") && kinds.every((kind) => NARROW.includes(kind));
    },
  });
  const lines = cells.map((cell) => `${cell.sender} -> ${cell.receiver}: ${told(cell)}`).join("\n");
  const count = (path: string) => cells.filter((cell) => cell.path === path).length;
  assertEquals(count("failed"), 0, lines);
  assertTrue(count("direct") >= 13, lines);
});

inLab("where hardly anything gets through, a hub at port 443 still does", async (lab) => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHubOn(await lab.site("hub"), sandbox, { port: 443 });
  const content = noise(2 * MIB);
  // Enough for a link that the hub joins.
  const much = noise(96 * MIB);
  const hard = HARD.map(({ what, sender, receiver, path }, at) => async () => {
    const from = await lab.site(`sender${at}`, sender);
    const to = await lab.site(`receiver${at}`, receiver);
    const crossing = await cross({ from, to, hub: hub.url, content });
    assertEquals(crossing.path, path, `${what}: ${told(crossing)}`);
  });
  const proxied = (["http", "socks5"] as const).map((kind) => async () => {
    const host = new URL(hub.url).host;
    let asked = 0;
    // The mailbox, the relay, and what the hub joins: a link, and its streams. A machine that is very busy does without the last.
    for (let tries = 0; tries < TRIES && asked < 4; tries++) {
      const crossing = await crossByProxy(lab, {
        kind,
        name: `${kind}${tries}`,
        hub: hub.url,
        content: much,
      });
      assertEquals(
        crossing.path,
        "relay",
        `${kind} proxy, and nothing else, for the sender: ${told(crossing)}`,
      );
      asked = crossing.asked.filter((place) => place === host).length;
    }
    assertTrue(asked >= 4, `${kind}: ${asked}`);
  });
  await inLanes([...hard, ...proxied], { lanes: LANES, work: (crossing) => crossing() });
});

inLab("two machines behind two NATs each get through directly where the outer ones let them", async (lab) => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHubOn(await lab.site("hub"), sandbox);
  const [left, right] = [
    await lab.router("carrier-a", { nat: "port-restricted" }),
    await lab.router("carrier-b", { nat: "full-cone" }),
  ];
  const from = await lab.site("sender", { nat: "port-restricted", behind: left });
  const to = await lab.site("receiver", { nat: "restricted", behind: right });
  const crossing = await crossDirectly({ from, to, hub: hub.url, content: noise(2 * MIB) });
  assertEquals(crossing.path, "direct", told(crossing));
});

inLab("two machines on an internet of IPv6 alone get through directly", async (lab) => {
  await using sandbox = await Sandbox.create();
  const hubHost = await lab.site("hub", { ip: 6, open: true });
  await using hub = await startHubOn(hubHost, sandbox);
  const [from, to] = [await lab.site("sender", { ip: 6 }), await lab.site("receiver", { ip: 6 })];
  const crossing = await crossDirectly({ from, to, hub: hub.url, content: noise(2 * MIB) });
  assertEquals(crossing.path, "direct", told(crossing));
});

/** Crosses until the path is direct, a few times. */
async function crossDirectly(options: Parameters<typeof cross>[0]): Promise<Crossing> {
  let crossing = await cross(options);
  for (let tries = 1; tries < TRIES && crossing.path === "relay"; tries++) crossing = await cross(options);
  return crossing;
}

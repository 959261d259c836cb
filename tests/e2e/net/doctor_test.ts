/** What `wormhole doctor --network` says behind routers of all kinds. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { run } from "../command.ts";
import { Sandbox } from "../sandbox.ts";
import { startHubOn } from "./crossing.ts";
import { inLab, inLanes } from "./in_lab.ts";
import type { Host, Router, RouterOptions } from "./lab.ts";

/** Programs at a time. */
const LANES = 3;

/** What is to be found out, and the first words about it. */
const ROWS: readonly {
  readonly what: string;
  readonly router: RouterOptions;
  readonly nat: string;
  readonly filtering: string;
  readonly udp?: boolean;
  readonly says: RegExp;
  readonly reach: string;
}[] = [
  {
    what: "none",
    router: {},
    nat: "none",
    filtering: "port-independent",
    says: /^none: .*everybody can dial it$/,
    reach: "direct",
  },
  ...(["full-cone", "restricted"] as const).map((nat) => ({
    what: nat,
    router: { nat },
    nat: "endpoint-independent",
    filtering: "port-independent",
    says: /^full or restricted cone: .* routers of any kind$/,
    reach: "punching",
  })),
  {
    what: "port-restricted",
    router: { nat: "port-restricted" },
    nat: "endpoint-independent",
    filtering: "port-dependent",
    says: /^port-restricted cone: .* symmetric NAT: those need the relay$/,
    reach: "punching",
  },
  {
    what: "symmetric",
    router: { nat: "symmetric" },
    nat: "symmetric",
    filtering: "port-dependent",
    says: /^symmetric: .*two machines behind such routers need the relay$/,
    reach: "relay",
  },
  {
    what: "walled",
    router: { nat: "port-restricted", udp: false },
    nat: "unknown",
    filtering: "unknown",
    udp: false,
    says: /^the hub cannot be reached over UDP: no answer from UDP port 4000$/,
    reach: "relay",
  },
];

inLab("doctor --network knows every kind of NAT, and what each means for a transfer", async (lab) => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHubOn(await lab.site("hub"), sandbox);
  const places: { row: typeof ROWS[number]; router: Router; host: Host }[] = [];
  for (const row of ROWS) {
    const router = await lab.router(`${row.what}-router`, row.router);
    const host = await lab.host(row.what);
    await host.join(router);
    places.push({ row, router, host });
  }
  const look = async ({ row, router, host }: typeof places[number]) => {
    const person = await sandbox.person(row.what);
    const args = ["doctor", "--network", "--json", "--hub", hub.url];
    const { code, events, stderr } = await run(args, { person, prefix: host.prefix });
    const told = events.find(({ event }) => event === "network");
    const text = events.find(({ event, name }) => event === "check" && name === "NAT")?.text;
    const all = `${row.what}: ${text}\n${JSON.stringify(told)}\n${stderr}`;
    assertEquals(code, 0, all);
    const { udp = true, nat, filtering, reach } = row;
    assertEquals([told!.nat, told!.filtering, told!.udp, told!.reach], [nat, filtering, udp, reach], all);
    const seenAt = row.what === "none" ? host.address : router.outside;
    assertEquals(told!.seen.map((seen: string) => seen.replace(/:\d+$/, "")), udp ? [seenAt] : [], all);
    assertTrue(row.says.test(text), all);
  };
  await inLanes(places, { lanes: LANES, work: look });
});

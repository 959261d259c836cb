/**
 * How two machines reach each other through NATs of every kind, how long the first byte takes, and how long a change of network
 * stops a transfer. Prints a section for RESULTS.md: `deno run -A bench/nat_matrix.ts [matrix] [networks] [moves] [--runs N]`.
 * Linux, with what tests/e2e/net/lab.ts needs.
 */
import type { RunningHub } from "../tests/e2e/harness.ts";
import { cross, type Crossing, startHubOn } from "../tests/e2e/net/crossing.ts";
import { HARD } from "../tests/e2e/net/hard_networks.ts";
import { type Host, Lab } from "../tests/e2e/net/lab.ts";
import { type Cell, crossMatrix, told as inWords } from "../tests/e2e/net/matrix.ts";
import { MOVES } from "../tests/e2e/net/moves.ts";
import { NAT_KINDS } from "../tests/e2e/net/nat.ts";
import { roam, type Roamed } from "../tests/e2e/net/roaming.ts";
import { Sandbox } from "../tests/e2e/sandbox.ts";
import { noise } from "../tests/e2e/trees.ts";

const MIB = 1024 * 1024;
const MBITS = 400;

const at = Deno.args.indexOf("--runs");
const runs = at < 0 ? 3 : Number(Deno.args[at + 1]);
const named = Deno.args.filter((argument) => /^[a-z]/.test(argument));
for (const [name, part] of Object.entries({ matrix, networks, moves })) {
  if (named.length === 0 || named.includes(name)) await part();
}

/** Each run has a network of its own, in which nothing is left of the one before. */
async function* labs(): AsyncGenerator<Lab, void, undefined> {
  for (let run = 0; run < runs; run++) {
    const lab = await Lab.open();
    if (typeof lab === "string") throw new Error(`Cannot measure: ${lab}`);
    await using _ = lab;
    yield lab;
  }
}

async function matrix(): Promise<void> {
  const cells: Cell[] = [];
  for await (const lab of labs()) {
    cells.push(...await crossMatrix(lab, { content: noise(4 * MIB), lanes: 1, mbits: MBITS }));
  }
  console.log(`| sender \\ receiver | ${NAT_KINDS.join(" | ")} |\n|---|${"---|".repeat(NAT_KINDS.length)}`);
  for (const sender of NAT_KINDS) {
    const row = NAT_KINDS.map((receiver) =>
      told(cells.filter((each) => each.sender === sender && each.receiver === receiver))
    );
    console.log(`| ${sender} | ${row.join(" | ")} |`);
  }
}

async function networks(): Promise<void> {
  const content = noise(4 * MIB);
  const crossings = new Map<string, Crossing[]>();
  for await (const lab of labs()) {
    await using sandbox = await Sandbox.create();
    await using hub = await startHubOn(await lab.site("hub"), sandbox, { port: 443 });
    const measure = async (
      what: string,
      { from, to, at = hub }: { from: Host; to: Host; at?: RunningHub },
    ) => {
      const crossing = await cross({ from, to, hub: at.url, content });
      crossings.set(what, [...crossings.get(what) ?? [], crossing]);
    };
    for (const [number, { what, sender, receiver }] of HARD.entries()) {
      const from = await lab.site(`sender${number}`, { mbits: MBITS, ...sender });
      const to = await lab.site(`receiver${number}`, { mbits: MBITS, ...receiver });
      await measure(what, { from, to });
    }
    const carriers = {
      a: await lab.router("carrier-a", { nat: "port-restricted" }),
      b: await lab.router("carrier-b", { nat: "full-cone" }),
    };
    await measure("two NATs at both ends", {
      from: await lab.site("behind-a", { nat: "port-restricted", behind: carriers.a }),
      to: await lab.site("behind-b", { nat: "restricted", behind: carriers.b }),
    });
    await using own = await Sandbox.create();
    await using at = await startHubOn(await lab.site("hub6", { ip: 6, open: true }), own);
    const [from, to] = [await lab.site("six-a", { ip: 6 }), await lab.site("six-b", { ip: 6 })];
    await measure("IPv6 alone, and what nobody asked for kept out", { from, to, at });
  }
  console.log("| between | path, first byte |\n|---|---|");
  for (const [what, all] of crossings) console.log(`| ${what} | ${told(all)} |`);
}

async function moves(): Promise<void> {
  const content = noise(24 * MIB);
  const roamed = new Map<string, Roamed[]>();
  for await (const lab of labs()) {
    await using sandbox = await Sandbox.create();
    await using hub = await startHubOn(await lab.site("hub"), sandbox);
    for (const { what, both = [], withoutHub, sites } of MOVES) {
      const move = { ...await sites(lab), both, hub: withoutHub ? "" : hub.url, content };
      roamed.set(what, [...roamed.get(what) ?? [], await roam(move)]);
    }
  }
  console.log("| what happens | stall, ms | came twice, MiB |\n|---|---:|---:|");
  for (const [what, all] of roamed) {
    const stalls = all.map(({ stallMs }) => Math.round(stallMs)).join(", ");
    const extra = Math.max(...all.map(({ extraBytes }) => extraBytes)) / MIB;
    console.log(`| ${what} | ${stalls} | ${extra.toFixed(1)} |`);
  }
}

/** Gives the path of all of them and the median of the times; a failure is told in full. */
function told(crossings: readonly Crossing[]): string {
  for (const crossing of crossings) if (crossing.path === "failed") console.error(inWords(crossing));
  const paths = [...new Set(crossings.map(({ path }) => path))].join(" or ");
  const times = crossings.map(({ firstByteMs }) => firstByteMs).sort((a, b) => a - b);
  return `${paths}, ${Math.round(times[times.length >> 1]!)} ms`;
}

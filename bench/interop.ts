/**
 * Every pairing of other people's clients with ours, as a table: `deno run -A bench/interop.ts` prints it and writes
 * docs/interop.md. Linux; needs what `scripts/bench-peers magic-wormhole wormhole-william` installs, and what tests/e2e/net
 * needs. With arguments only the pairings that have all of them: `bench/interop.ts wormhole-william "our relay"`.
 */
import { fromFileUrl } from "../src/base/paths.ts";
import {
  CLIENTS,
  DIRECTIONS,
  everyPairing,
  Interop,
  KINDS,
  missingClients,
  type Pairing,
  SERVERS,
  TRANSITS,
} from "../tests/e2e/interop.ts";
import { PYTHON_CLIENT, WORMHOLE_WILLIAM } from "../tests/e2e/magic_wormhole.ts";
import { Lab } from "../tests/e2e/net/lab.ts";

const missing = missingClients();
const lab = missing ?? await Lab.open();
if (typeof lab === "string") {
  console.log(`skipped: ${lab}`);
  Deno.exit(0);
}

/** Texts between two of other people's clients, to see what is theirs alone. */
const CONTROLS = 40;

const results = new Map<string, string>();
let told = "";
const wanted = everyPairing().filter((pairing) =>
  Deno.args.every((word) => (Object.values(pairing) as string[]).includes(word))
);
{
  await using _ = lab;
  await using interop = await Interop.start(lab);
  for (const pairing of wanted) {
    const began = performance.now();
    const result = await interop.exchange(pairing).then(() => "yes", (error) => {
      console.error(`${JSON.stringify(pairing)}: ${error instanceof Error ? error.message : error}`);
      return "**no**";
    });
    results.set(JSON.stringify(pairing), result);
    console.error(
      Object.values(pairing).join(", "),
      result,
      `${((performance.now() - began) / 1_000).toFixed(1)} s`,
    );
  }
  if (wanted.length === everyPairing().length) {
    const { exchanges, otherKey } = interop.william;
    const theirs = await interop.otherKeysBetweenThem(CONTROLS);
    told = `
In one of 256 exchanges wormhole-william derives another key than any other program, as after a wrong code: its SPAKE2 library (gospake2
0.2.1, \`AffinePoint.Compress\`) leaves a zero at the end of the shared point's 32 bytes out, and its transcript is another then. Of 4,000
exchanges between that library and itself with the zero kept, 13 gave two keys; of 4,000 with it kept at both ends, none; of 500 with
Python's spake2, 2. Nothing that a peer sends can prevent it. Here: ${otherKey} of ${exchanges} exchanges with this program, which were run again, and ${theirs} of ${CONTROLS} texts that
it sent to the Python client.
`;
  }
}

const text = await page();
console.log(text);
if (wanted.length === everyPairing().length) {
  await Deno.writeTextFile(fromFileUrl(new URL("../docs/interop.md", import.meta.url)), text);
}
Deno.exit([...results.values()].every((result) => result === "yes") ? 0 : 1);

async function page(): Promise<string> {
  const columns = SERVERS.flatMap((server) => TRANSITS.map((transit) => ({ server, transit })));
  const rows = CLIENTS.flatMap((client) =>
    DIRECTIONS.flatMap((direction) =>
      KINDS.map((kind) => [
        `${client} ${direction} a ${kind}`,
        ...columns.map((column) => cell({ client, direction, kind, ...column })),
      ])
    )
  );
  const head = ["", ...columns.map(({ server, transit }) => `${server}, ${transit}`)];
  return `# Other people's clients

Made by \`deno run -A bench/interop.ts\`, which runs every pairing: ${await versions()}, against this program's
\`send --compat\` and \`recv --compat\`, each a process of its own on a network of namespaces. "Direct": both on one network. Relay: each
behind a NAT of its own, so that no TCP connection comes about; ours says that it went through the relay. "yes": both
ended with 0, and what arrived is byte for byte what was sent. A text needs no transit. ${
    [...results.values()].filter((result) => result === "yes").length
  } of ${everyPairing().length} pairings, ${new Date().toISOString().slice(0, 10)}.

${[head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n")}

The mailbox server and the relay of others are magic-wormhole-mailbox-server and magic-wormhole-transit-relay from PyPI; ours are
\`wormhole hub --transit-listen\`. At our hub with our relay this program is not told where the relay is: the hub does that.
wormhole-william takes no address of a relay: the name that is built into it leads to the one of the test.
${told}`;
}

function cell(pairing: Pairing): string {
  if (pairing.kind === "text" && pairing.transit !== "direct") return "";
  return results.get(JSON.stringify(pairing)) ?? "not run";
}

async function versions(): Promise<string> {
  const of = async (program: string, ...args: string[]) => {
    const { stdout, stderr } = await new Deno.Command(program, { args }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    return /\d+\.\d+\.\d+\S*/.exec(said)?.[0] ?? "of an unknown version";
  };
  const python = await of(PYTHON_CLIENT, "--version");
  const william = await of(WORMHOLE_WILLIAM!, "--version");
  return `magic-wormhole ${python} (Python) and wormhole-william ${william} (Go)`;
}

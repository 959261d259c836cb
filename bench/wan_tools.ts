/** Tools as they run at the two ends of an emulated link. */
import type { Input } from "./inputs.ts";
import { found, output } from "./process.ts";
import type { Sample } from "./results.ts";
import { receiverTimes } from "./timeline.ts";
import type { ServedMaker } from "./tools/served.ts";
import { compare, type Place, sampleOf } from "./tools/tool.ts";
import { Homes, wormholeCommand } from "./tools/wormhole.ts";
import { LEFT, overLink, type Profile } from "./wan_link.ts";

/** One run over a link. */
export interface LinkMove {
  /** wan-run. */
  readonly program: string;
  readonly profile: Pick<Profile, "options">;
  readonly input: Input;
  readonly into: string;
  readonly scratch: string;
  readonly patience: number;
}

/** A tool that can be run over a link. */
export interface LinkTool {
  readonly name: string;
  readonly note: string;
  readonly version?: string;
  /** Gives the numbers of one move; `rate` (bits/s) where the tool itself measures. */
  run(move: LinkMove): Promise<Sample>;
}

/** Namespaces of their own: any port is free. */
const PORT = 9000;

/** Ours: the sender on the left, which the receiver on the right names by address. */
export async function oursOverLink(
  name: string,
  send: readonly string[],
  { scratch }: Place,
  env: Readonly<Record<string, string>> = {},
): Promise<LinkTool> {
  const command = wormholeCommand();
  const code = "7-guitarist-zulu";
  return {
    name,
    note: `send --port ${PORT} ${
      send.join(" ")
    } and recv --peer, one after the other, with a code that is agreed on`
      .replaceAll("  ", " "),
    version: await output([...command, "version"]),
    async run({ program, profile, input, into, patience }) {
      const [homes, other] = [new Homes(`${scratch}/left`), new Homes(`${scratch}/right`)];
      await homes.clear();
      await other.clear();
      const under = (settings: Record<string, string>) => [
        "env",
        ...Object.entries({ ...settings, ...env }).map(([key, value]) => `${key}=${value}`),
        ...command,
      ];
      const { left, right } = await overLink(program, profile, {
        left: [
          ...under(await homes.env("sender")),
          "send",
          "--json",
          "--code",
          code,
          "--port",
          String(PORT),
          ...send,
          input.path,
        ],
        right: [
          ...under(await other.env("receiver")),
          "recv",
          "--json",
          "--yes",
          "--peer",
          `${LEFT}:${PORT}`,
          "-o",
          into,
          code,
        ],
        listen: PORT,
        scratch,
        patience,
      });
      await compare(input.path, into);
      // The sender waits for its receiver; what counts begins with that one.
      const move = { sender: { ...left, start: right.start, end: right.end }, receiver: right };
      return { ...sampleOf(move, input.bytes), ...receiverTimes(right) };
    },
  };
}

/** Another tool with a server, which stands on the left and receives. */
export async function peerOverLink(make: ServedMaker, place: Place): Promise<LinkTool | { missing: string }> {
  const served = await make(place);
  if ("missing" in served) return served;
  return {
    name: served.name,
    note: served.note,
    version: served.version,
    async run({ program, profile, input, into, scratch, patience }) {
      const { server, client, serverEnds = false } = await served.ends(input, into, {
        host: LEFT,
        port: PORT,
      });
      const { left, right } = await overLink(program, profile, {
        left: server,
        right: client,
        listen: PORT,
        leftServes: !serverEnds,
        scratch,
        patience,
      });
      await compare(input.path, into);
      const sample = sampleOf({ sender: right }, input.bytes);
      return {
        ...sample,
        ...Number.isFinite(left.cpu) && { cpu_receiver: left.cpu, rss_receiver: left.peakRss },
      };
    },
  };
}

/** What TCP itself gets, from memory to memory. */
export async function iperf(options: readonly string[]): Promise<LinkTool | { missing: string }> {
  const program = await found("iperf3");
  if (!program) return { missing: "iperf3 is not installed (scripts/bench-peers)" };
  const control = await Deno.readTextFile("/proc/sys/net/ipv4/tcp_congestion_control").catch(() => "unknown");
  return {
    name: `iperf3 ${options.join(" ")}`,
    note:
      `TCP with ${control.trim()}, 10 s, from memory to memory without encryption; the rate is what arrived`,
    version: (await output([program, "--version"])).split("\n")[0]!,
    async run({ program: wan, profile, scratch, patience }) {
      const { left, right } = await overLink(wan, profile, {
        left: [program, "-s", "-1", "-p", String(PORT)],
        right: [program, "-c", LEFT, "-p", String(PORT), "-t", "10", "-J", ...options],
        listen: PORT,
        scratch,
        patience,
      });
      const { end } = JSON.parse(right.lines.map(([, line]) => line).join("\n"));
      const { bytes, seconds, bits_per_second: rate } = end.sum_received;
      return { bytes, wall: seconds, rate, cpu_sender: right.cpu, cpu_receiver: left.cpu };
    },
  };
}

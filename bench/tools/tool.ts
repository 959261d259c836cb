/** What a measured tool is: something that moves a path into a folder by whole commands. */
import type { Case } from "../bench.ts";
import type { Input } from "../inputs.ts";
import type { Cost, Measured } from "../measured.ts";
import { output } from "../process.ts";
import type { Sample } from "../results.ts";

/** What both ends of one move cost; the receiver is absent for tools with one process. */
export interface Move {
  readonly sender: Cost;
  readonly receiver?: Cost;
}

/** Where a tool may write while it runs. */
export interface Place {
  /** Folder for homes, logs and results. */
  readonly scratch: string;
}

/** One tool that is ready to run. */
export interface Tool extends Partial<AsyncDisposable> {
  readonly name: string;
  /** How it was run, and what its numbers do not contain. */
  readonly note: string;
  /** Version as the tool says it. */
  readonly version: string;
  /** Ours: its failure ends the bench. */
  readonly ours?: boolean;
  /** Moves `input` into the empty folder `into`. */
  move(input: Input, into: string): Promise<Move>;
}

/** Makes a tool, or tells why it cannot run here. */
export type Maker = (place: Place) => Promise<Tool | { readonly missing: string }>;

/** Gives the numbers of a move. */
export function sampleOf(move: Move, bytes: number): Sample {
  const { sender, receiver } = move;
  return {
    bytes,
    wall: wallSeconds(move),
    cpu_sender: sender.cpu,
    rss_sender: sender.peakRss,
    ...receiver && { cpu_receiver: receiver.cpu, rss_receiver: receiver.peakRss },
  };
}

/** Makes the case of one tool with one input; what arrives is compared with the source. */
export function moveCase(
  tool: Tool,
  { job, input, scratch, measure = sampleOf }: {
    job: string;
    input: () => Promise<Input>;
    scratch: string;
    /** More numbers than {@linkcode sampleOf} gives. */
    measure?: (move: Move, bytes: number) => Sample;
  },
): Case {
  const { name, note, version, ours = false } = tool;
  return {
    job,
    tool: name,
    note,
    version,
    ours,
    run: async () => {
      const source = await input();
      const into = await Deno.makeTempDir({ dir: scratch, prefix: "into-" });
      try {
        const move = await tool.move(source, into);
        await compare(source.path, into);
        return measure(move, source.bytes);
      } finally {
        await Deno.remove(into, { recursive: true });
      }
    },
  };
}

/** Compares what arrived below `into` with its source. @throws {Error} when they differ. */
export async function compare(source: string, into: string): Promise<void> {
  const arrived = `${into}/${source.slice(source.lastIndexOf("/") + 1)}`;
  await output(["diff", "-rq", source, arrived]);
}

/** Seconds from the first start to the last end. */
export function wallSeconds({ sender, receiver }: Move): number {
  return Math.max(sender.end, receiver?.end ?? 0) - Math.min(sender.start, receiver?.start ?? Infinity);
}

/** Waits for both ends; when one fails, the other is ended too. */
export async function bothCosts(
  sender: Measured,
  receiver: Measured,
  sent: Promise<Cost> = sender.cost(),
): Promise<Move> {
  try {
    const [senderCost, receiverCost] = await Promise.all([sent, receiver.cost()]);
    return { sender: senderCost, receiver: receiverCost };
  } catch (error) {
    for (const { child } of [sender, receiver]) {
      try {
        child.kill("SIGTERM");
      } catch {
        // it has ended
      }
    }
    throw error;
  }
}

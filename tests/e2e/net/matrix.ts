/** Every pair of NATs, one behind which somebody sends and one behind which somebody receives. */
import { Sandbox } from "../sandbox.ts";
import { cross, type Crossing, startHubOn } from "./crossing.ts";
import { inLanes } from "./in_lab.ts";
import type { Host, Lab } from "./lab.ts";
import { NAT_KINDS, type NatKind } from "./nat.ts";

/** A very busy machine may make a hole later than a link over the relay waits for it; with some other work none of 174 crossings did. */
export const TRIES = 5;

/** One cell of the matrix. */
export interface Cell extends Crossing {
  readonly sender: NatKind;
  readonly receiver: NatKind;
}

/** Options of {@linkcode crossMatrix}. */
export interface MatrixOptions {
  readonly content: Uint8Array;
  /** Pairs that run at the same time. */
  readonly lanes: number;
  /** Each way, of every line, in Mbit/s. */
  readonly mbits: number;
  readonly onCell?: (cell: Cell) => void;
  /** Tells whether a pair need not try again, up to {@linkcode TRIES} times. */
  readonly isEnough?: (cell: Cell) => boolean;
}

/** Sends through a hub from behind every kind of NAT to behind every kind. */
export async function crossMatrix(
  lab: Lab,
  { content, lanes, mbits, onCell, isEnough = () => true }: MatrixOptions,
): Promise<Cell[]> {
  await using sandbox = await Sandbox.create();
  await using hub = await startHubOn(await lab.site("hub"), sandbox);
  const [senders, receivers] = [new Map<NatKind, Host>(), new Map<NatKind, Host>()];
  for (const nat of NAT_KINDS) {
    senders.set(nat, await lab.site(`${nat}-s`, { nat, mbits }));
    receivers.set(nat, await lab.site(`${nat}-r`, { nat, mbits }));
  }
  const pairs = NAT_KINDS.flatMap((sender) => NAT_KINDS.map((receiver) => ({ sender, receiver })));
  return await inLanes(pairs, {
    lanes,
    work: async ({ sender, receiver }) => {
      const [from, to] = [senders.get(sender)!, receivers.get(receiver)!];
      const once = async () => ({ sender, receiver, ...await cross({ from, to, hub: hub.url, content }) });
      let cell = await once();
      for (let tries = 1; tries < TRIES && !isEnough(cell); tries++) cell = await once();
      onCell?.(cell);
      return cell;
    },
  });
}

/** Gives a crossing in one line, with what was wrong. */
export function told({ path, firstByteMs, totalMs, ways, error }: Crossing): string {
  const times = `first byte ${Math.round(firstByteMs)} ms, all ${Math.round(totalMs)} ms`;
  const wrong = error === undefined ? "" : `: ${error instanceof Error ? error.message : error}`;
  return `${path}, ${times} (${ways.join("; ")})${wrong}`;
}

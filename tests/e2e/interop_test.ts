/** A part of `bench/interop.ts`: every client, direction and kind once, each server and each way of transit several times. */
import { everyPairing, Interop, missingClients, type Pairing } from "./interop.ts";
import { inLab } from "./net/in_lab.ts";

inLab(
  "other people's clients and ours exchange everything both ways, directly and through relays",
  async (lab) => {
    const missing = missingClients();
    if (missing !== undefined) return console.log(`skipped: ${missing}`);
    await using interop = await Interop.start(lab);
    const failed: string[] = [];
    for (const pairing of some()) {
      await interop.exchange(pairing).catch((error) => failed.push(`${JSON.stringify(pairing)}: ${error}`));
    }
    if (failed.length > 0) throw new Error(failed.join("\n"));
  },
);

/** One pairing for each client, direction and kind: another server and transit each time. */
function some(): Pairing[] {
  const groups = Object.values(
    Object.groupBy(everyPairing(), ({ client, direction, kind }) => `${client} ${direction} ${kind}`),
  );
  return groups.map((group, at) => group![(at * 5) % group!.length]!);
}

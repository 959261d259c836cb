/** Tests that need the emulated internet, and are passed over with one sentence where there can be none. */
import { Lab } from "./lab.ts";

/** Runs a test with a network of its own. */
export function inLab(what: string, run: (lab: Lab) => Promise<void>): void {
  Deno.test(what, async () => {
    const lab = await Lab.open();
    if (typeof lab === "string") return console.log(`skipped: ${lab}`);
    await using _ = lab;
    await run(lab);
  });
}

/** Runs `work` for each item, at most `lanes` at a time; gives what it gave, in the order of the items. */
export async function inLanes<T, R>(
  items: readonly T[],
  { lanes, work }: { lanes: number; work: (item: T) => Promise<R> },
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const at = next++;
      results[at] = await work(items[at]!);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}

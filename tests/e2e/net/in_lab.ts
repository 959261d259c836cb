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

import { diagnose } from "../../doctor/mod.ts";
import type { Context } from "../context.ts";
import type { DoctorArgs } from "../table.ts";
import { VERSION } from "../version.ts";

/** Says what works on this machine and what does not. */
export async function run({ output, settings, settingsProblem, signal }: Context<DoctorArgs>): Promise<void> {
  const surroundings = { settings, settingsProblem, signal, version: VERSION, folder: Deno.cwd() };
  for await (const { name, status, text, advice } of diagnose(surroundings)) {
    output.emit({ event: "check", name, status, text, advice: advice ?? null });
  }
}

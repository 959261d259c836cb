/** Making tools: those that are wanted and can run here. */
import type { Plan } from "../bench.ts";
import type { Maker, Tool } from "./tool.ts";

/** Tools that are ready; disposing ends what they keep running. */
export interface Tools extends AsyncDisposable {
  readonly tools: readonly Tool[];
  readonly missing: readonly string[];
}

/** Makes those of `makers` that the plan wants; the keys are what `--tool` names. */
export async function makeTools(makers: Readonly<Record<string, Maker>>, plan: Plan): Promise<Tools> {
  const tools: Tool[] = [];
  const missing: string[] = [];
  const dispose = async () => {
    for (const tool of tools) await tool[Symbol.asyncDispose]?.();
  };
  try {
    for (const [name, make] of Object.entries(makers)) {
      if (!plan.tool(name)) continue;
      const made = await make({ scratch: plan.scratch });
      if ("missing" in made) missing.push(made.missing);
      else tools.push(made);
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return { tools, missing, [Symbol.asyncDispose]: dispose };
}

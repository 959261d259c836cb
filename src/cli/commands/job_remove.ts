import { carryOut, isRunning, JobLog, removalPlan, system } from "../../job/mod.ts";
import type { Context } from "../context.ts";
import type { JobRemoveArgs } from "../table.ts";
import { jobBook, jobDir, planEvent, schedulerPlaces } from "./job.ts";

/**
 * Runs `wormhole job remove`.
 *
 * @throws {WormholeError} NOT_FOUND; UNSUPPORTED when the scheduler is missing; what the disk says.
 */
export async function run(context: Context<JobRemoveArgs>): Promise<void> {
  const { args, output } = context;
  const book = jobBook(context);
  const job = await book.find(args.name);
  const plan = removalPlan(job, schedulerPlaces(context));
  if (!args.dryRun) {
    await book.remove(job.name, { unschedule: () => carryOut(plan, system) });
    // A run under way still writes there.
    if (!await isRunning(job.name, jobDir(context))) await new JobLog(jobDir(context), job.name).clear();
  }
  output.emit(planEvent([plan], { action: "remove", nextMs: undefined, dryRun: args.dryRun }));
}

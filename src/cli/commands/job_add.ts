import { WormholeError } from "../../base/errors.ts";
import {
  carryOut,
  installPlan,
  type Job,
  nextRun,
  parseJobName,
  parseSchedule,
  type Places,
  type Plan,
  presentScheduler,
  removalPlan,
  type SchedulerName,
  system,
} from "../../job/mod.ts";
import type { Context } from "../context.ts";
import type { JobAddArgs } from "../table.ts";
import { jobBook, jobCommand, launchOf, planEvent, schedulerPlaces } from "./job.ts";

/**
 * Runs `wormhole job add`.
 *
 * @throws {WormholeError} INVALID_ARGUMENT for a name or schedule that is none; USAGE for a command that is no job;
 * ALREADY_EXISTS; UNSUPPORTED when the scheduler is missing or refuses; what the disk says.
 */
export async function run(context: Context<JobAddArgs>): Promise<void> {
  const { args, clock, env, output } = context;
  const name = parseJobName(args.name);
  const { words } = jobCommand(name, args.command);
  const schedule = args.schedule === undefined ? undefined : parseSchedule(args.schedule);
  if (schedule === undefined && args.with !== undefined && args.with !== "none") {
    throw new WormholeError(
      "USAGE",
      `Cannot have ${args.with} run the job "${name}": say when, with --schedule`,
    );
  }
  const by: SchedulerName = schedule === undefined ? "none" : args.with ?? await presentScheduler(system);
  const job: Job = {
    name,
    command: words,
    folder: Deno.cwd(),
    with: by,
    addedMs: clock.now(),
    ...args.schedule !== undefined && { schedule: args.schedule },
  };
  const places = schedulerPlaces(context);
  const plan: Plan = schedule === undefined
    ? { name, with: "none", parts: [], notes: [] }
    : installPlan(job, { schedule, launch: launchOf(env), places });
  const nextMs = schedule === undefined || by === "none" ? undefined : nextRun(schedule, clock.now());
  const show = (before: readonly Plan[]) =>
    output.emit(planEvent([...before, plan], { action: "add", nextMs, dryRun: args.dryRun }));
  if (args.dryRun) return show([]);
  await jobBook(context).keep(job, {
    replaces: args.replace,
    async schedule(before) {
      // Another scheduler must not run it as well.
      const old = before === undefined || before.with === by ? [] : [removalPlan(before, places)];
      for (const each of old) await carryOut(each, system);
      try {
        await carryOut(plan, system);
      } catch (error) {
        // What failed comes first: of what was written before it nothing may start a job that is not there.
        await carryOut(removalPlan(job, places), system).catch(() => {});
        if (before !== undefined) await bringBack(before, places, context);
        throw error;
      }
      show(old);
    },
  });
}

/** Has the scheduler run a job again that could not be replaced. */
async function bringBack(job: Job, places: Places, { env, output }: Context<JobAddArgs>): Promise<void> {
  if (job.schedule === undefined) return;
  const plan = installPlan(job, { schedule: parseSchedule(job.schedule), launch: launchOf(env), places });
  try {
    await carryOut(plan, system);
  } catch (error) {
    const state = error instanceof Error ? error.message : String(error);
    output.emit({
      event: "warning",
      message: `Nothing starts the job "${job.name}" any more: ${state}; add it again with --replace`,
    });
  }
}

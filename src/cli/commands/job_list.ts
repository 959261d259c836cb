import { isRunning, JobLog, nextRun, parseSchedule } from "../../job/mod.ts";
import type { Context } from "../context.ts";
import type { JobListArgs } from "../table.ts";
import { jobBook, jobDir } from "./job.ts";

/** Runs `wormhole job list`. @throws {WormholeError} CONFIG_INVALID when `jobs.toml` is damaged; what the disk says. */
export async function run(context: Context<JobListArgs>): Promise<void> {
  const dir = jobDir(context);
  for (const job of await jobBook(context).list()) {
    const { name, command, folder, schedule, with: by } = job;
    const [last] = await new JobLog(dir, name).last(1);
    const nextMs = schedule === undefined || by === "none"
      ? undefined
      : nextRun(parseSchedule(schedule), context.clock.now());
    context.output.emit({
      event: "job",
      name,
      command,
      folder,
      schedule: schedule ?? null,
      with: by,
      next_at: nextMs === undefined ? null : new Date(nextMs).toISOString(),
      running: await isRunning(name, dir),
      last: last === undefined
        ? null
        : { started_at: last.started_at, exit: last.exit, message: last.message },
    });
  }
}

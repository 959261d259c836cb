import { JobLog } from "../../job/mod.ts";
import type { Context } from "../context.ts";
import type { JobLogArgs } from "../table.ts";
import { jobBook, jobDir } from "./job.ts";

/** Runs `wormhole job log`. @throws {WormholeError} NOT_FOUND; CONFIG_INVALID; what the disk says. */
export async function run(context: Context<JobLogArgs>): Promise<void> {
  const { args, output } = context;
  const book = jobBook(context);
  const jobs = args.name === undefined ? await book.list() : [await book.find(args.name)];
  for (const { name } of jobs) {
    const records = await new JobLog(jobDir(context), name).last(args.failed ? Infinity : args.lines);
    const wanted = args.failed ? records.filter(({ exit }) => exit !== 0).slice(-args.lines) : records;
    for (const record of wanted) output.emit({ event: "job_run", ...record });
  }
}

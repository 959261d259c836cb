import { WormholeError } from "../../base/errors.ts";
import { loadConfig } from "../../config/config.ts";
import { beginRun, type Job, JobReport } from "../../job/mod.ts";
import type { Context } from "../context.ts";
import type { Output, OutputEvent } from "../events.ts";
import { asFailure, exitCode } from "../exit.ts";
import type { CommandName, JobRunArgs } from "../table.ts";
import { WIRING } from "../wiring.ts";
import { jobBook, jobCommand, jobDir } from "./job.ts";

/**
 * Runs `wormhole job run`.
 *
 * @throws {WormholeError} NOT_FOUND when there is no such job, or its folder is gone; BUSY while it runs; what its command
 * throws.
 */
export async function run(context: Context<JobRunArgs>): Promise<void> {
  const { args, clock, log } = context;
  const job = await jobBook(context).find(args.name);
  using running = await beginRun(job.name, { dir: jobDir(context), clock });
  const report = new JobReport();
  try {
    await runCommand(job, context, report);
  } catch (error) {
    const { code, message } = asFailure(error);
    // What went wrong counts more than that it cannot be written down.
    await running.end({ exit: exitCode(error), code, message }, report).catch((more) =>
      log.error(String(more))
    );
    throw error;
  }
  await running.end({ exit: 0, code: null, message: null }, report);
}

async function runCommand(job: Job, context: Context<JobRunArgs>, report: JobReport): Promise<void> {
  const { parsed } = jobCommand(job.name, job.command);
  try {
    Deno.chdir(job.folder);
  } catch (cause) {
    throw new WormholeError(
      "NOT_FOUND",
      `Cannot run the job "${job.name}": its folder "${job.folder}" is not there`,
      {
        cause,
      },
    );
  }
  const settings = await loadConfig({ flags: parsed.config });
  const { json, quiet, verbose } = context.args;
  const { run } = await WIRING[parsed.command.name as CommandName].load();
  await run({
    ...context,
    // With json it tells everything and asks nothing.
    args: { ...parsed.args, json: true, quiet, verbose },
    config: settings.config,
    settings,
    output: noting(report, context.output, (event) => json || isForPeople(event, context)),
  });
}

/** Passes on what `shows` says, and takes note of everything but how far it is. */
function noting(report: JobReport, output: Output, shows: (event: OutputEvent) => boolean): Output {
  return {
    emit(event) {
      if (event.event !== "progress") {
        report.take(event, { isReport: event.event === "synced" || event.event === "copied" });
      }
      if (shows(event)) output.emit(event);
    },
    print: (text) => output.print(text),
    pause: () => output.pause(),
    resume: () => output.resume(),
    close: () => output.close(),
  };
}

/** As the command itself would do without --json: single changes only when asked for, nothing where nothing happened. */
function isForPeople(event: OutputEvent, { args, terminal }: Context<JobRunArgs>): boolean {
  if (event.event === "sync_change" || event.event === "change") return args.verbose > 0;
  if (event.event === "synced") {
    const { alpha, beta, conflicts, failed, postponed, locked } = event;
    return terminal.interactive || alpha.changes + beta.changes + conflicts + failed + postponed + locked > 0;
  }
  if (event.event === "copied") {
    return terminal.interactive || event.files + event.directories + event.deleted + event.failed > 0;
  }
  return true;
}

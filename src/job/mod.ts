/**
 * Named jobs: command lines that are kept (`jobs.toml`), run by the scheduler that this machine has (systemd, cron, launchd,
 * Windows), never twice at a time, and remembered in a bounded log.
 *
 * What a scheduler is given is made by pure functions, one file for each, and names nothing but this program and the job:
 * folders and flags stay in `jobs.toml`, so that no scheduler's quoting ever meets them. This room never runs a job's command
 * itself (the command line does) and never prints. Design: docs/design/jobs.md.
 */
export { JobBook } from "./book.ts";
export { type Job, parseJobName } from "./job.ts";
export { installPlan, type Launch, type Part, type Places, type Plan, removalPlan } from "./plan.ts";
export { JobLog, type JobRecord } from "./log.ts";
export { beginRun, isRunning, JobReport, type RunningJob } from "./run.ts";
export { nextRun, parseSchedule, type Schedule } from "./schedule.ts";
export { carryOut, presentScheduler, type SchedulerName, SCHEDULERS, system } from "./scheduler.ts";

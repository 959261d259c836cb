/** What `wormhole job` and its subcommands tell; see {@link ./events.ts}. */
import type { JobRecord } from "../job/mod.ts";

/** A job; `wormhole job list`. */
export interface JobEvent {
  readonly event: "job";
  readonly name: string;
  /** Words after `wormhole`. */
  readonly command: readonly string[];
  /** What relative paths in it mean. */
  readonly folder: string;
  /** As it was given; null: it runs only when told to. */
  readonly schedule: string | null;
  readonly with: string;
  /** ISO 8601; null: not known. */
  readonly next_at: string | null;
  readonly running: boolean;
  readonly last: {
    readonly started_at: string;
    readonly exit: number | null;
    readonly message: string | null;
  } | null;
}

/** What is done, or with --dry-run would be, to have a scheduler run a job or no longer. */
export interface JobPlanEvent {
  readonly event: "job_plan";
  readonly name: string;
  readonly action: "add" | "remove";
  readonly with: string;
  readonly writes: readonly { readonly path: string; readonly text: string }[];
  readonly removes: readonly string[];
  /** Line of the crontab: added, or null. */
  readonly crontab: string | null;
  /** Commands of the system. */
  readonly runs: readonly (readonly string[])[];
  /** What to know about it. */
  readonly notes: readonly string[];
  /** First run, ISO 8601; null: not known. */
  readonly next_at: string | null;
  readonly dry_run: boolean;
}

/** A run of a job; `wormhole job log`. */
export interface JobRunEvent extends JobRecord {
  readonly event: "job_run";
}

/** The text of `jobs.toml`. */
import { WormholeError } from "../base/errors.ts";
import { parseToml } from "../config/config.ts";
import { isSameJob, type Job, parseJobName } from "./job.ts";
import { SCHEDULERS } from "./scheduler.ts";
import { parseSchedule } from "./schedule.ts";

/** Caps the file, in bytes: thousands of jobs have less. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;

const HEAD = "# Jobs of this machine; written by wormhole job add and wormhole job remove.\n";

const KNOWN = ["name", "command", "folder", "schedule", "with", "added"];

/** Writes the file anew. */
export async function formatJobs(jobs: readonly Job[]): Promise<string> {
  if (jobs.length === 0) return HEAD;
  const { stringify } = await import("smol-toml");
  const tables = jobs.map(({ name, command, folder, schedule, with: by, addedMs }) => ({
    name,
    command: [...command],
    folder,
    ...schedule !== undefined && { schedule },
    with: by,
    added: new Date(addedMs).toISOString(),
  }));
  return `${HEAD}\n${stringify({ job: tables })}\n`;
}

/**
 * Reads the file; unknown keys are an error, since writing it would lose them.
 *
 * @throws {WormholeError} CONFIG_INVALID naming what is wrong.
 */
export async function parseJobs(text: string, path: string): Promise<Job[]> {
  const { job = [], ...others } = await parseToml(text, path);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw damaged(path, `it has an unknown key ${JSON.stringify(unknown)}`);
  if (!Array.isArray(job)) throw damaged(path, '"job" is no list of tables');
  const jobs = job.map((table, at) => parseJob(table, (state) => damaged(path, `job ${at + 1}: ${state}`)));
  for (const [at, { name }] of jobs.entries()) {
    if (jobs.slice(0, at).some((other) => isSameJob(other.name, name))) {
      throw damaged(path, `two jobs are called ${JSON.stringify(name)}`);
    }
  }
  return jobs;
}

function parseJob(table: unknown, wrong: (state: string) => WormholeError): Job {
  if (typeof table !== "object" || table === null) throw wrong("it is no table");
  const fields = table as Record<string, unknown>;
  const unknown = Object.keys(fields).find((key) => !KNOWN.includes(key));
  if (unknown !== undefined) throw wrong(`it has an unknown key ${JSON.stringify(unknown)}`);
  const { name, command, folder, schedule, with: by, added } = fields;
  if (typeof name !== "string") throw wrong('"name" is no text');
  if (!Array.isArray(command) || command.length === 0 || !command.every((word) => typeof word === "string")) {
    throw wrong('"command" is no list of words');
  }
  if (typeof folder !== "string" || !/^(\/|[A-Za-z]:[\\/])/.test(folder)) {
    throw wrong('"folder" is no absolute path');
  }
  if (schedule !== undefined && typeof schedule !== "string") throw wrong('"schedule" is no text');
  if (!SCHEDULERS.some((one) => one === by)) throw wrong(`"with" is none of ${SCHEDULERS.join(", ")}`);
  const addedMs = typeof added === "string" ? Date.parse(added) : NaN;
  if (Number.isNaN(addedMs)) throw wrong('"added" is no time');
  try {
    parseJobName(name);
    if (schedule !== undefined) parseSchedule(schedule);
  } catch (error) {
    throw wrong((error as Error).message);
  }
  return { name, command, folder, with: by as string, addedMs, ...schedule !== undefined && { schedule } };
}

function damaged(path: string, state: string): WormholeError {
  return new WormholeError("CONFIG_INVALID", `Cannot use the list of jobs "${path}": ${state}`);
}

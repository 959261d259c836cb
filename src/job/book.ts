import { isWormholeError, WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import { replaceFile } from "../config/edit.ts";
import { formatJobs, MAX_FILE_BYTES, parseJobs } from "./file.ts";
import { isSameJob, type Job } from "./job.ts";

const FILE_NAME = "jobs.toml";

/** The jobs of this person on this machine. Processes may use it at the same time. */
export class JobBook {
  /** Path of the file, whether it exists or not. */
  readonly path: string;
  readonly #dir: string;

  /** Uses the file in `dir`, which is made when the first job is. */
  constructor(dir: string) {
    this.#dir = dir;
    this.path = join(dir, FILE_NAME);
  }

  /** Gives all jobs, by name. @throws {WormholeError} CONFIG_INVALID when the file is damaged; what the disk says. */
  async list(): Promise<Job[]> {
    let text: string;
    try {
      using file = await Deno.open(this.path, { read: true });
      if ((await file.stat()).size > MAX_FILE_BYTES) {
        throw new WormholeError(
          "CONFIG_INVALID",
          `Cannot use the list of jobs "${this.path}": it is too large`,
        );
      }
      text = await new Response(file.readable).text();
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return [];
      throw diskError(cause, "read", this.path);
    }
    return (await parseJobs(text, this.path)).toSorted((a, b) => a.name < b.name ? -1 : 1);
  }

  /** Gives the job called `name`. @throws {WormholeError} NOT_FOUND; as {@linkcode JobBook.list}. */
  async find(name: string): Promise<Job> {
    const jobs = await this.list();
    const found = jobs.find((job) => isSameJob(job.name, name));
    if (found !== undefined) return found;
    const known = jobs.length === 0
      ? "there are none"
      : `there are ${jobs.map((job) => job.name).join(", ")}`;
    throw new WormholeError("NOT_FOUND", `Cannot find the job ${JSON.stringify(name)}: ${known}`);
  }

  /**
   * Keeps `job` and calls `schedule` while no other process changes anything; when that fails, everything is as before.
   * `schedule` gets the job of the same name that it takes the place of.
   *
   * @throws {WormholeError} ALREADY_EXISTS when there is one of that name and `replaces` is not set; what `schedule`
   * throws; as {@linkcode JobBook.list}.
   */
  async keep(
    job: Job,
    { replaces, schedule }: { replaces: boolean; schedule: (before: Job | undefined) => Promise<void> },
  ): Promise<void> {
    await this.#locked(async () => {
      const jobs = await this.list();
      const before = jobs.find((other) => isSameJob(other.name, job.name));
      if (before !== undefined && !replaces) {
        throw new WormholeError(
          "ALREADY_EXISTS",
          `Cannot add the job "${job.name}": there is one of that name`,
        );
      }
      // Before the scheduler knows of it: a job that is known and not scheduled does less harm than the reverse.
      await this.#write([...jobs.filter((other) => other !== before), job]);
      try {
        await schedule(before);
      } catch (error) {
        await this.#write(jobs);
        throw error;
      }
    });
  }

  /** Calls `unschedule`, then forgets the job. @throws {WormholeError} NOT_FOUND; what `unschedule` throws. */
  async remove(name: string, { unschedule }: { unschedule: (job: Job) => Promise<void> }): Promise<void> {
    await this.#locked(async () => {
      const job = await this.find(name);
      await unschedule(job);
      await this.#write((await this.list()).filter((other) => other.name !== job.name));
    });
  }

  async #write(jobs: readonly Job[]): Promise<void> {
    await replaceFile(this.path, await formatJobs(jobs), { mode: 0o600 });
  }

  async #locked<T>(run: () => Promise<T>): Promise<T> {
    try {
      await Deno.mkdir(this.#dir, { recursive: true, mode: 0o700 });
      // The file itself is replaced, so that a lock on it would be one on what it was.
      using lock = await Deno.open(`${this.path}.lock`, { write: true, create: true, mode: 0o600 });
      await lock.lock(true);
      return await run();
    } catch (cause) {
      throw diskError(cause, "write", this.path);
    }
  }
}

function diskError(cause: unknown, verb: string, path: string): unknown {
  if (isWormholeError(cause) || !(cause instanceof Error)) return cause;
  const code = cause instanceof Deno.errors.PermissionDenied ? "PERMISSION_DENIED" : "IO";
  return new WormholeError(code, `Cannot ${verb} the list of jobs "${path}": ${cause.message}`, { cause });
}

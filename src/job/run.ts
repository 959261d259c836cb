/** One run of a job: nobody else runs it meanwhile, and what became of it is remembered. */
import type { Clock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import { FileLock } from "../native/file_lock.ts";
import { JobLog, type JobRecord } from "./log.ts";

/** Events of a run that are kept, and their characters: a first run may tell of millions of changes. */
const MAX_EVENTS = 500;
const MAX_EVENT_CHARACTERS = 256 * 1024;

/** A run that has begun. Dispose it to let the next one begin. */
export interface RunningJob extends Disposable {
  /** Notes how it ended. @throws {WormholeError} what the disk says. */
  end(end: Pick<JobRecord, "exit" | "code" | "message">, report: JobReport): Promise<void>;
}

/**
 * Begins a run of the job `name`, whose lock and log are in `dir`. A run before it that was cut off (by a power cut, or
 * kill -9) is noted first.
 *
 * @throws {WormholeError} BUSY while it runs already; what the disk says.
 */
export async function beginRun(
  name: string,
  { dir, clock }: { dir: string; clock: Clock },
): Promise<RunningJob> {
  await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
  const lock = await locked(name, { dir, clock });
  if (lock === undefined) {
    throw new WormholeError("BUSY", `Cannot run the job "${name}": it is running already`);
  }
  try {
    const log = new JobLog(dir, name);
    const before = await startOf(dir, name);
    if (before !== "") await log.add({ ...NOTHING, name, started_at: before, code: "INTERRUPTED" });
    const started = { at: new Date(clock.now()).toISOString(), ms: clock.monotonic() };
    await Deno.writeTextFile(startPath(dir, name), started.at, { mode: 0o600 });
    return {
      async end(end, report) {
        const duration_ms = Math.round(clock.monotonic() - started.ms);
        await log.add({ ...NOTHING, name, started_at: started.at, duration_ms, ...end, ...report.record() });
        await Deno.writeTextFile(startPath(dir, name), "");
      },
      [Symbol.dispose]: () => lock[Symbol.dispose](),
    };
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** Between two tries to lock, in ms, and how many there are. */
const LOCK_STEP_MS = 20, LOCK_TRIES = 10;

/** Locks a job unless a run has it: whoever only asks whether one has lets go of it at once. */
async function locked(
  name: string,
  { dir, clock }: { dir: string; clock: Clock },
): Promise<FileLock | undefined> {
  for (let tries = 1;; tries++) {
    const lock = FileLock.try(lockPath(dir, name));
    // A run writes down when it began.
    if (lock !== undefined || tries === LOCK_TRIES || await startOf(dir, name) !== "") return lock;
    await clock.sleep(LOCK_STEP_MS);
  }
}

/** Tells whether a job runs just now, wherever it was started. */
export async function isRunning(name: string, dir: string): Promise<boolean> {
  try {
    await Deno.lstat(lockPath(dir, name));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  using lock = FileLock.try(lockPath(dir, name));
  return lock === undefined;
}

const NOTHING = {
  duration_ms: 0,
  exit: null,
  code: null,
  message: null,
  report: null,
  events: [],
  omitted: 0,
};

/** Collects what a command tells. */
export class JobReport {
  #report: unknown = null;
  readonly #events: unknown[] = [];
  #characters = 0;
  #omitted = 0;

  /** Takes an event; `isReport`: it sums the run up. */
  take(event: unknown, { isReport }: { isReport: boolean }): void {
    if (isReport) {
      this.#report = event;
      return;
    }
    const { length } = JSON.stringify(event);
    if (this.#events.length >= MAX_EVENTS || this.#characters + length > MAX_EVENT_CHARACTERS) {
      this.#omitted++;
    } else {
      this.#events.push(event);
      this.#characters += length;
    }
  }

  /** Gives what was taken. */
  record(): Pick<JobRecord, "report" | "events" | "omitted"> {
    return { report: this.#report, events: this.#events, omitted: this.#omitted };
  }
}

function lockPath(dir: string, name: string): string {
  return join(dir, `${name}.lock`);
}

function startPath(dir: string, name: string): string {
  return join(dir, `${name}.started`);
}

/** When a run began that has not ended; empty when there is none. */
async function startOf(dir: string, name: string): Promise<string> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(startPath(dir, name));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
  using opened = file;
  // A time, and no more, whatever somebody wrote there.
  const bytes = new Uint8Array(64);
  return new TextDecoder().decode(bytes.subarray(0, await opened.read(bytes) ?? 0)).trim();
}

/** One run of a job: nobody else runs it meanwhile, and what became of it is remembered. */
import type { Clock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
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
  const lock = await Deno.open(lockPath(dir, name), { read: true, write: true, create: true, mode: 0o600 });
  try {
    if (!await locked(lock, clock)) {
      throw new WormholeError("BUSY", `Cannot run the job "${name}": it is running already`);
    }
    const log = new JobLog(dir, name);
    const before = await new Response(await readAll(lock)).text();
    if (before !== "") await log.add({ ...NOTHING, name, started_at: before.trim(), code: "INTERRUPTED" });
    const started = { at: new Date(clock.now()).toISOString(), ms: clock.monotonic() };
    await rewrite(lock, started.at);
    return {
      async end(end, report) {
        const duration_ms = Math.round(clock.monotonic() - started.ms);
        await log.add({ ...NOTHING, name, started_at: started.at, duration_ms, ...end, ...report.record() });
        await rewrite(lock, "");
      },
      [Symbol.dispose]: () => lock.close(),
    };
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Between two tries to lock, in ms, and how many there are. */
const LOCK_STEP_MS = 20, LOCK_TRIES = 10;

/** Locks a file unless a run has it: whoever only asks whether one has lets go of it at once. */
async function locked(lock: Deno.FsFile, clock: Clock): Promise<boolean> {
  for (let tries = 1; !lock.tryLockSync(true); tries++) {
    // A run writes down when it began.
    if (tries === LOCK_TRIES || (await readAll(lock)).length > 0) return false;
    await clock.sleep(LOCK_STEP_MS);
  }
  return true;
}

/** Tells whether a job runs just now, wherever it was started. */
export async function isRunning(name: string, dir: string): Promise<boolean> {
  try {
    using lock = await Deno.open(lockPath(dir, name), { read: true, write: true });
    return !lock.tryLockSync(true);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
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

async function readAll(file: Deno.FsFile): Promise<Uint8Array<ArrayBuffer>> {
  // A time, and no more, whatever somebody wrote there.
  const bytes = new Uint8Array(64);
  await file.seek(0, Deno.SeekMode.Start);
  return bytes.slice(0, await file.read(bytes) ?? 0);
}

async function rewrite(file: Deno.FsFile, text: string): Promise<void> {
  await file.truncate(0);
  await file.seek(0, Deno.SeekMode.Start);
  await file.write(new TextEncoder().encode(text));
}

/** What became of each run of a job: one line of JSON each, in a file that does not grow for ever. */
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";

/** What is remembered of a run. */
export interface JobRecord {
  readonly name: string;
  /** ISO 8601. */
  readonly started_at: string;
  readonly duration_ms: number;
  /** Exit code; null: it was cut off. */
  readonly exit: number | null;
  /** Error code and sentence; null when it worked. */
  readonly code: string | null;
  readonly message: string | null;
  /** The last event of the command, such as `synced`; null: there was none. */
  readonly report: unknown;
  /** What it told before, as far as there was room. */
  readonly events: readonly unknown[];
  /** How many of them were left out. */
  readonly omitted: number;
}

/** A file that is larger becomes the older one of two; the one before it goes. */
const MAX_FILE_BYTES = 1024 * 1024;

/** Longest line that is read: see `run.ts` for what is written. */
const MAX_LINE_CHARACTERS = 1024 * 1024;

/** The log of one job. One process at a time may add to it. */
export class JobLog {
  readonly #path: string;

  /** `dir` is made when the first run ends. */
  constructor(dir: string, name: string) {
    this.#path = join(dir, `${name}.ndjson`);
  }

  /** Adds a run. @throws {WormholeError} what the disk says. */
  async add(record: JobRecord): Promise<void> {
    try {
      const size = await Deno.stat(this.#path).then((stat) => stat.size, () => 0);
      if (size > MAX_FILE_BYTES) await Deno.rename(this.#path, `${this.#path}.1`);
      using file = await Deno.open(this.#path, { read: true, write: true, create: true, mode: 0o600 });
      const end = await file.seek(0, Deno.SeekMode.End);
      // A line that a power cut left half must not spoil the next one.
      const start = end > 0 && !await endsLine(file, end) ? "\n" : "";
      await file.seek(0, Deno.SeekMode.End);
      const bytes = new TextEncoder().encode(`${start}${JSON.stringify(record)}\n`);
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    } catch (cause) {
      throw diskError(cause, "write", this.#path);
    }
  }

  /** Gives the last `limit` runs, the newest last. @throws {WormholeError} what the disk says. */
  async last(limit: number): Promise<JobRecord[]> {
    const newer = await this.#read(this.#path);
    if (newer.length >= limit) return newer.slice(newer.length - limit);
    const older = await this.#read(`${this.#path}.1`);
    return [...older, ...newer].slice(-limit);
  }

  /** Forgets all runs. */
  async clear(): Promise<void> {
    for (const path of [this.#path, `${this.#path}.1`]) {
      await Deno.remove(path).catch((cause) => {
        if (!(cause instanceof Deno.errors.NotFound)) throw diskError(cause, "remove", path);
      });
    }
  }

  async #read(path: string): Promise<JobRecord[]> {
    let text: string;
    try {
      text = await Deno.readTextFile(path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return [];
      throw diskError(cause, "read", path);
    }
    return text.split("\n").flatMap((line) => parseRecord(line) ?? []);
  }
}

/** What is no record is left out: it is half of one, or somebody's edit. */
function parseRecord(line: string): JobRecord | undefined {
  if (line === "" || line.length > MAX_LINE_CHARACTERS) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { name, started_at, duration_ms, exit, code, message, report, events, omitted } = value as Record<
    string,
    unknown
  >;
  if (typeof name !== "string" || typeof started_at !== "string" || typeof duration_ms !== "number") {
    return undefined;
  }
  return {
    name,
    started_at,
    duration_ms,
    exit: typeof exit === "number" ? exit : null,
    code: typeof code === "string" ? code : null,
    message: typeof message === "string" ? message : null,
    report: report ?? null,
    events: Array.isArray(events) ? events : [],
    omitted: typeof omitted === "number" ? omitted : 0,
  };
}

async function endsLine(file: Deno.FsFile, end: number): Promise<boolean> {
  await file.seek(end - 1, Deno.SeekMode.Start);
  const last = new Uint8Array(1);
  await file.read(last);
  return last[0] === 0x0a;
}

function diskError(cause: unknown, verb: string, path: string): unknown {
  if (isWormholeError(cause) || !(cause instanceof Error)) return cause;
  const code = cause instanceof Deno.errors.PermissionDenied ? "PERMISSION_DENIED" : "IO";
  return new WormholeError(code, `Cannot ${verb} the log "${path}": ${cause.message}`, { cause });
}

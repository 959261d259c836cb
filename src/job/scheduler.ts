/** The schedulers of this machine: which there is, and carrying out a plan. */
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { decodeName, encodeName } from "../base/names.ts";
import { dirname } from "../base/paths.ts";
import { replaceFile } from "../config/edit.ts";
import { withJob, withoutJob } from "./crontab.ts";
import type { Part, Plan } from "./plan.ts";

/** What can start a job. */
export const SCHEDULERS = ["systemd", "cron", "launchd", "windows", "none"] as const;

/** One of {@linkcode SCHEDULERS}. */
export type SchedulerName = typeof SCHEDULERS[number];

/** How a command of the system ended. */
export interface CommandEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What is asked of the system. */
export interface System {
  readonly os: typeof Deno.build.os;
  /** Runs a command; undefined when there is none of that name. `stdin`: given to its standard input. */
  run(words: readonly string[], stdin?: string): Promise<CommandEnd | undefined>;
}

/** This machine. */
export const system: System = { os: Deno.build.os, run };

/** Gives what would start a job here: systemd where this person has a manager, else cron, and so on. */
export async function presentScheduler({ os, run }: System): Promise<SchedulerName> {
  if (os === "darwin") return "launchd";
  if (os === "windows") return "windows";
  if ((await run(["systemctl", "--user", "show-environment"]))?.code === 0) return "systemd";
  return await readCrontab(run).then(() => "cron" as const, () => "none" as const);
}

/**
 * Does what a plan says, one thing after the other.
 *
 * @throws {WormholeError} UNSUPPORTED when a command is missing or fails; what the disk says. What came before is done.
 */
export async function carryOut({ name, parts }: Plan, { run }: System): Promise<void> {
  for (const part of parts) await carryOutPart(name, part, run);
}

async function carryOutPart(name: string, part: Part, run: System["run"]): Promise<void> {
  switch (part.do) {
    case "write":
      return await write(part);
    case "remove":
      return await Deno.remove(part.path).catch((cause) => {
        if (!(cause instanceof Deno.errors.NotFound)) throw diskError(cause, "remove", part.path);
      });
    case "crontab": {
      const before = await readCrontab(run);
      const after = part.line === undefined ? withoutJob(before, name) : withJob(before, name, part.line);
      if (after !== before) await must(run, ["crontab", "-"], after);
      return;
    }
    case "run":
      if (part.mayFail) await run(part.words);
      else await must(run, part.words);
  }
}

/** Gives this person's crontab; what cannot be read must not be replaced. */
async function readCrontab(run: System["run"]): Promise<string> {
  const ended = await run(["crontab", "-l"]);
  if (ended?.code === 0) return ended.stdout;
  if (ended !== undefined && /no crontab for/i.test(ended.stderr)) return "";
  throw new WormholeError(
    "UNSUPPORTED",
    `Cannot read the crontab: ${ended?.stderr.trim() || "there is no cron here"}`,
  );
}

async function must(run: System["run"], words: readonly string[], stdin?: string): Promise<void> {
  const ended = await run(words, stdin);
  if (ended?.code === 0) return;
  const said = ended?.stderr.trim().split("\n").at(-1);
  const state = ended === undefined ? "it is not installed" : said || `it ended with ${ended.code}`;
  throw new WormholeError("UNSUPPORTED", `Cannot run "${words.join(" ")}": ${state}`);
}

async function write({ path, text, utf16 }: Part & { do: "write" }): Promise<void> {
  try {
    if (!utf16) return await replaceFile(path, text, { mode: 0o644 });
    const units = Uint16Array.from(`\ufeff${text}`, (unit) => unit.charCodeAt(0));
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeFile(`${path}.new`, new Uint8Array(units.buffer));
    await Deno.rename(`${path}.new`, path);
  } catch (cause) {
    throw diskError(cause, "write", path);
  }
}

function diskError(cause: unknown, verb: string, path: string): unknown {
  if (isWormholeError(cause) || !(cause instanceof Error)) return cause;
  const code = cause instanceof Deno.errors.PermissionDenied ? "PERMISSION_DENIED" : "IO";
  return new WormholeError(code, `Cannot ${verb} "${path}": ${cause.message}`, { cause });
}

async function run(words: readonly string[], stdin?: string): Promise<CommandEnd | undefined> {
  const [program, ...args] = words;
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program!, {
      args,
      stdin: stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      // Its sentences are read.
      env: { LC_ALL: "C" },
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const fed = stdin === undefined ? undefined : feed(child.stdin, stdin);
  const { code, stdout, stderr } = await child.output();
  await fed;
  // A crontab that is not UTF-8 comes back as it was.
  return { code, stdout: decodeName(stdout), stderr: decodeName(stderr) };
}

async function feed(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  try {
    const writer = stdin.getWriter();
    await writer.write(encodeName(text));
    await writer.close();
  } catch {
    // it ended without reading; how it ended says why
  }
}

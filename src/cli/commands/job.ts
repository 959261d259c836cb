/** What the commands about jobs have in common. */
import { WormholeError } from "../../base/errors.ts";
import { fromFileUrl, join } from "../../base/paths.ts";
import type { Environment } from "../../config/paths.ts";
import { JobBook, type Launch, type Places, type Plan } from "../../job/mod.ts";
import type { Context } from "../context.ts";
import type { JobPlanEvent } from "../events_job.ts";
import { parse, type Parsed } from "../parser.ts";
import { visibleCommands } from "../table.ts";

/** Commands that a job may be. */
const COMMANDS: readonly string[] = ["sync", "copy"];

/** Without these a job would look for its settings, or from a checkout for its code, elsewhere. */
const VARIABLES = ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"];
const CHECKOUT_VARIABLES = ["DENO_DIR", "WORMHOLE_LIBRARY"];

/** Gives this person's list of jobs. */
export function jobBook({ settings }: Context<unknown>): JobBook {
  return new JobBook(settings.folders.configDir);
}

/** Gives the folder of locks and logs of jobs. */
export function jobDir({ settings }: Context<unknown>): string {
  return join(settings.folders.stateDir, "jobs");
}

/**
 * Reads the words of a job as its command line; `sync` may be left out.
 *
 * @throws {WormholeError} USAGE when they are none that a job can be.
 */
export function jobCommand(
  name: string,
  words: readonly string[],
): { words: string[]; parsed: Extract<Parsed, { kind: "run" }> } {
  const refused = (state: string) =>
    new WormholeError("USAGE", `Cannot use that as the job "${name}": ${state}`);
  if (words.length === 0) throw refused("say what it does, such as: sync ALPHA BETA");
  const isNamed = COMMANDS.includes(words[0]!);
  if (!isNamed && visibleCommands().some(({ name }) => name.split(" ")[0] === words[0])) {
    throw refused(`a job is a sync or copy; a folder of that name is written ./${words[0]}`);
  }
  const whole = isNamed ? [...words] : ["sync", ...words];
  if (whole.some((word) => /[\ud800-\udfff]/u.test(word))) throw refused("it has bytes that are no text");
  const parsed = parse(whole, () => undefined);
  if (parsed.kind !== "run" || !COMMANDS.includes(parsed.command.name)) {
    throw refused("a job is a sync or copy");
  }
  if (parsed.args.watch === true) throw refused("with --watch it would never end");
  return { words: whole, parsed };
}

/** Gives how a scheduler, which has nothing of this shell, starts this program. */
export function launchOf(env: Environment): Launch {
  const { standalone } = Deno.build;
  const main = standalone
    ? []
    : ["run", "-A", "--quiet", "--no-prompt", fromFileUrl(new URL(Deno.mainModule))];
  const names = standalone ? VARIABLES : [...VARIABLES, ...CHECKOUT_VARIABLES];
  return {
    program: [Deno.execPath(), ...main],
    variables: names.flatMap((name) => {
      const value = env(name);
      return value ? [[name, value] as const] : [];
    }),
  };
}

/** Gives where this person's schedulers look. */
export function schedulerPlaces({ env, settings }: Pick<Context<unknown>, "env" | "settings">): Places {
  const home = env("HOME") || "/";
  const given = env("XDG_CONFIG_HOME");
  return {
    units: join(given?.startsWith("/") ? given : join(home, ".config"), "systemd/user"),
    agents: join(home, "Library/LaunchAgents"),
    tasks: join(settings.folders.stateDir, "jobs"),
    uid: Deno.uid() ?? 0,
  };
}

/** Gives a plan as people and scripts see it. */
export function planEvent(
  plans: readonly Plan[],
  { action, nextMs, dryRun }: { action: JobPlanEvent["action"]; nextMs: number | undefined; dryRun: boolean },
): JobPlanEvent {
  const parts = plans.flatMap((plan) => plan.parts);
  const last = plans.at(-1)!;
  return {
    event: "job_plan",
    name: last.name,
    action,
    with: last.with,
    writes: parts.flatMap((part) => part.do === "write" ? [{ path: part.path, text: part.text }] : []),
    removes: parts.flatMap((part) => part.do === "remove" ? [part.path] : []),
    crontab: parts.flatMap((part) => part.do === "crontab" ? [part.line] : []).at(-1) ?? null,
    runs: parts.flatMap((part) => part.do === "run" ? [part.words] : []),
    notes: last.notes,
    next_at: nextMs === undefined ? null : new Date(nextMs).toISOString(),
    dry_run: dryRun,
  };
}

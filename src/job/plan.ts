/** What it takes to have a scheduler run a job, or no longer, as a list that can be shown before it is done; pure. */
import { join } from "../base/paths.ts";
import { crontabLine } from "./crontab.ts";
import type { Job } from "./job.ts";
import { launchLabel, launchPlist } from "./launchd.ts";
import type { Schedule } from "./schedule.ts";
import type { SchedulerName } from "./scheduler.ts";
import { serviceUnit, timerUnit, unitName } from "./systemd.ts";
import { taskName, taskXml } from "./windows_task.ts";

/** How this program is started by somebody who knows nothing of this shell. */
export interface Launch {
  /** Absolute path of the program, and words that come before the command's. */
  readonly program: readonly string[];
  /** Variables without which it would look for `jobs.toml` elsewhere. */
  readonly variables: readonly (readonly [string, string])[];
}

/** Where a person's schedulers look. */
export interface Places {
  /** Folder of systemd's units for this person. */
  readonly units: string;
  /** Folder of launchd's property lists for this person. */
  readonly agents: string;
  /** Where the text of a Windows task is kept. */
  readonly tasks: string;
  /** Number of this person, for launchd. */
  readonly uid: number;
}

/** One thing to do. */
export type Part =
  /** Written in full or not at all. `utf16`: little endian with its mark, as Windows reads it. */
  | { readonly do: "write"; readonly path: string; readonly text: string; readonly utf16?: boolean }
  | { readonly do: "remove"; readonly path: string }
  /** A line of this person's crontab; absent: it goes. */
  | { readonly do: "crontab"; readonly line?: string }
  /** What may fail is undone already, or was never done. */
  | { readonly do: "run"; readonly words: readonly string[]; readonly mayFail?: boolean };

/** What is to be done, in order. */
export interface Plan {
  readonly name: string;
  readonly with: SchedulerName;
  readonly parts: readonly Part[];
  /** What the person should know. */
  readonly notes: readonly string[];
}

/**
 * Gives what makes a scheduler run `job`.
 *
 * @throws {WormholeError} UNSUPPORTED when that scheduler cannot be told so.
 */
export function installPlan(
  { name, with: by }: Pick<Job, "name" | "with">,
  { schedule, launch, places }: { schedule: Schedule; launch: Launch; places: Places },
): Plan {
  const plan = (parts: readonly Part[], ...notes: string[]): Plan => (
    { name, with: by as SchedulerName, parts, notes }
  );
  switch (by as SchedulerName) {
    case "systemd": {
      const unit = join(places.units, unitName(name));
      return plan([
        { do: "write", path: `${unit}.service`, text: serviceUnit(name, launch) },
        { do: "write", path: `${unit}.timer`, text: timerUnit(name, schedule) },
        { do: "run", words: ["systemctl", "--user", "daemon-reload"] },
        { do: "run", words: ["systemctl", "--user", "enable", "--now", `${unitName(name)}.timer`] },
      ], "systemd runs it while you are logged in; with loginctl enable-linger always.");
    }
    case "cron":
      return plan(
        [{ do: "crontab", line: crontabLine(name, schedule, launch) }],
        "Cron does not make up for what it sleeps through.",
      );
    case "launchd": {
      const path = join(places.agents, `${launchLabel(name)}.plist`);
      return plan([
        { do: "write", path, text: launchPlist(name, schedule, launch) },
        {
          do: "run",
          words: ["launchctl", "bootout", `gui/${places.uid}/${launchLabel(name)}`],
          mayFail: true,
        },
        { do: "run", words: ["launchctl", "bootstrap", `gui/${places.uid}`, path] },
      ]);
    }
    case "windows": {
      const path = join(places.tasks, `${name}.xml`);
      return plan([
        { do: "write", path, text: taskXml(name, schedule, launch), utf16: true },
        { do: "run", words: ["schtasks", "/Create", "/F", "/TN", taskName(name), "/XML", path] },
      ]);
    }
    case "none":
      return plan([], `Nothing starts it by itself: have something run wormhole job run ${name}.`);
  }
}

/** Gives what makes a scheduler forget a job, whether it knows it or not. */
export function removalPlan({ name, with: by }: Pick<Job, "name" | "with">, places: Places): Plan {
  return { name, with: by as SchedulerName, parts: removal(name, by as SchedulerName, places), notes: [] };
}

function removal(name: string, by: SchedulerName, places: Places): Part[] {
  switch (by) {
    case "systemd": {
      const unit = join(places.units, unitName(name));
      return [
        {
          do: "run",
          words: ["systemctl", "--user", "disable", "--now", `${unitName(name)}.timer`],
          mayFail: true,
        },
        { do: "remove", path: `${unit}.timer` },
        { do: "remove", path: `${unit}.service` },
        { do: "run", words: ["systemctl", "--user", "daemon-reload"], mayFail: true },
      ];
    }
    case "cron":
      return [{ do: "crontab" }];
    case "launchd":
      return [
        {
          do: "run",
          words: ["launchctl", "bootout", `gui/${places.uid}/${launchLabel(name)}`],
          mayFail: true,
        },
        { do: "remove", path: join(places.agents, `${launchLabel(name)}.plist`) },
      ];
    case "windows":
      return [
        { do: "run", words: ["schtasks", "/Delete", "/F", "/TN", taskName(name)], mayFail: true },
        { do: "remove", path: join(places.tasks, `${name}.xml`) },
      ];
    case "none":
      return [];
  }
}

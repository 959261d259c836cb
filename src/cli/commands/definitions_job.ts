import { text, type ValueType, wholeNumber } from "../../config/values.ts";
import { oneOf } from "../../config/values.ts";
import { SCHEDULERS } from "../../job/scheduler.ts";
import { command, maybe, one, option, rest, toggle } from "../definition.ts";

const WHEN = "When it runs";
const HOW = "How";

const jobName: ValueType<string> = {
  ...text("NAME"),
  wanted: "give a name of letters, digits, - and _",
};

/** `wormhole job add`. */
export const JOB_ADD = command({
  name: "job add",
  summary: "keep a sync or copy under a name, and have it run again and again",
  description:
    "Keeps COMMAND, which is a wormhole sync or wormhole copy with its flags (without the word it is a sync), as the job NAME in " +
    "jobs.toml beside config.toml, and tells this machine's scheduler to run it: a timer of systemd for this person, a line of the " +
    "crontab, launchd or the Windows task scheduler, whichever there is. It says what it writes. What is written there names " +
    "only this program and the job; relative paths in COMMAND mean the folder in which the job was added.\n\n" +
    "Flags of job add stand before COMMAND. A schedule is one of: every 15m (what divides an hour or a day), hourly, " +
    "daily [02:00], weekdays 08:30, weekends 10:00, weekly, mon,thu 03:00, monthly [1 04:00], or five fields as in crontab, in local " +
    "time. What a sleeping machine missed systemd, launchd and Windows do once when it wakes; cron does not.\n\n" +
    "The job runs with the settings of config.toml, not with WORMHOLE_ variables of this shell.",
  positionals: {
    name: one(jobName, { help: "What the job is called." }),
    command: rest(text("COMMAND"), { help: "What it does: a sync or copy, with its flags." }),
  },
  flags: {
    schedule: option(text("WHEN"), {
      short: "s",
      group: WHEN,
      help: "When it runs, such as 'every 15m' or 'daily 02:00'; without it only when job run says so.",
    }),
    with: option(oneOf(SCHEDULERS, "WHAT"), {
      group: WHEN,
      help: "What starts it: systemd, cron, launchd, windows or none; otherwise what is there.",
    }),
    dryRun: toggle({ short: "n", group: HOW, help: "Say what would be written, and write nothing." }),
    replace: toggle({ group: HOW, help: "Take the place of a job of that name." }),
  },
  examples: [
    {
      line: "wormhole job add notes --schedule 'every 15m' sync ~/notes /media/stick/notes",
      help: "Keep two folders the same, every quarter of an hour",
    },
    {
      line:
        "wormhole job add photos --schedule 'daily 02:00' sync --mode one-way-replica ~/photos /backup/photos",
      help: "Keep an exact copy, every night",
    },
    {
      line: "wormhole job add notes --dry-run --with systemd --schedule hourly sync ~/notes /srv/notes",
      help: "See first what would be written",
    },
  ],
});

/** `wormhole job list`. */
export const JOB_LIST = command({
  name: "job list",
  summary: "list the jobs: what they do, when they run, how the last run went",
  description: "Times are this machine's.",
  positionals: {},
  flags: {},
  examples: [{ line: "wormhole job list", help: "See what there is" }],
});

/** `wormhole job run`. */
export const JOB_RUN = command({
  name: "job run",
  summary: "run a job now",
  description:
    "Does what the job's command does, with its exit codes, and notes how it went (wormhole job log). A run in which nothing " +
    "happened prints nothing when nobody is at a terminal. A job never runs twice at a time: the second run ends with exit " +
    "code 10. It never asks: what would need a yes stops with exit code 10.",
  positionals: { name: one(jobName, { help: "A job." }) },
  flags: {},
  examples: [{ line: "wormhole job run notes", help: "Run it now" }],
});

/** `wormhole job remove`. */
export const JOB_REMOVE = command({
  name: "job remove",
  summary: "forget a job, and take it from the scheduler",
  description: "Its log goes too. A run under way goes on to its end.",
  positionals: { name: one(jobName, { help: "A job." }) },
  flags: {
    dryRun: toggle({ short: "n", group: HOW, help: "Say what would be done, and do nothing." }),
  },
  examples: [{ line: "wormhole job remove notes", help: "Run it no more" }],
});

/** `wormhole job log`. */
export const JOB_LOG = command({
  name: "job log",
  summary: "show how the last runs of a job went",
  description:
    "The newest run is the last line. With --json each run is one object with the report of the command and what it told; " +
    "the log keeps the last megabyte or two.",
  positionals: { name: maybe(jobName, { help: "A job; all of them when left out." }) },
  flags: {
    lines: option(wholeNumber(1, 100_000), {
      group: HOW,
      help: "How many runs of each job.",
      fallback: 20,
    }),
    failed: toggle({ group: HOW, help: "Only runs that did not work." }),
  },
  examples: [
    { line: "wormhole job log notes", help: "See the last runs" },
    { line: "wormhole job log --failed --json", help: "Everything about what failed, for a script" },
  ],
});

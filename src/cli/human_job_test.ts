import { assertEquals } from "../base/testing.ts";
import type { JobEvent, JobPlanEvent, JobRunEvent } from "./events_job.ts";
import { humanText } from "./human.ts";
import { styles } from "./terminal.ts";

const PLAIN = styles(false);

/** Without a zone it is local time, as what is shown. */
const THEN = "2026-11-21T18:05:00";

Deno.test("humanText() of a job says when it runs, what, and how it went last", () => {
  const job: JobEvent = {
    event: "job",
    name: "photos",
    command: ["sync", "my photos", "it's", "/b"],
    folder: "/",
    schedule: "every 15m",
    with: "systemd",
    next_at: THEN,
    running: false,
    last: null,
  };
  const words = "wormhole sync 'my photos' 'it'\\''s' /b";
  const rows: [Partial<JobEvent>, string][] = [
    [{}, `photos  every 15m (systemd), next 2026-11-21 18:05\n  ${words}\n  never ran`],
    [
      { schedule: null, with: "none", next_at: null, running: true },
      `photos  when told to\n  ${words}\n  running now`,
    ],
    [{ with: "none", next_at: "soon" }, `photos  every 15m (by nobody), next soon\n  ${words}\n  never ran`],
    [
      { next_at: null, last: { started_at: THEN, exit: 0, message: null } },
      `photos  every 15m (systemd)\n  ${words}\n  last 2026-11-21 18:05: ok`,
    ],
    [
      { next_at: null, last: { started_at: THEN, exit: null, message: null } },
      `photos  every 15m (systemd)\n  ${words}\n  last 2026-11-21 18:05: cut off`,
    ],
    [
      { next_at: null, last: { started_at: THEN, exit: 6, message: "no \x1b[1mroom" } },
      `photos  every 15m (systemd)\n  ${words}\n  last 2026-11-21 18:05: exit 6 no \\x1b[1mroom`,
    ],
  ];
  for (const [part, text] of rows) assertEquals(humanText({ ...job, ...part }, PLAIN), text);
});

Deno.test("humanText() of a job's plan shows every file, command and line of the crontab", () => {
  const plan: JobPlanEvent = {
    event: "job_plan",
    name: "photos",
    action: "add",
    with: "systemd",
    writes: [],
    removes: [],
    crontab: null,
    runs: [],
    notes: [],
    next_at: null,
    dry_run: false,
  };
  const rows: [Partial<JobPlanEvent>, string][] = [
    [
      {
        writes: [{ path: "/u/w.timer", text: "[Timer]\r\nA=1\n" }],
        runs: [["systemctl", "--user", "enable", "w.timer"]],
        notes: ["It runs while you are logged in."],
        next_at: THEN,
      },
      "write /u/w.timer\n  [Timer]\n  A=1\nrun systemctl --user enable w.timer\n" +
      "It runs while you are logged in.\nAdded photos. First run: 2026-11-21 18:05.",
    ],
    [
      { with: "cron", crontab: "5 * * * * wormhole", dry_run: true, next_at: THEN },
      "crontab\n  5 * * * * wormhole\nNothing was done: --dry-run.",
    ],
    [
      { action: "remove", with: "cron", removes: ["/jobs/photos"] },
      "remove /jobs/photos\ntake its line out of the crontab\nRemoved photos.",
    ],
  ];
  for (const [part, text] of rows) assertEquals(humanText({ ...plan, ...part }, PLAIN), text);
});

Deno.test("humanText() of a run counts what it changed and says how it ended", () => {
  const run: JobRunEvent = {
    event: "job_run",
    name: "photos",
    started_at: THEN,
    duration_ms: 1500,
    exit: 0,
    message: null,
    report: null,
  } as JobRunEvent;
  const rows: [Partial<JobRunEvent>, string][] = [
    [{}, "ok (2s)"],
    [{ duration_ms: 20, report: { alpha: { changes: 1 }, beta: { changes: 2 } } }, "3 changes, ok (20ms)"],
    [{ duration_ms: 20, report: { files: 1 } }, "1 file, ok (20ms)"],
    [{ duration_ms: 20, report: { files: 0 } }, "ok (20ms)"],
    [{ exit: null }, "cut off"],
    [{ exit: 4, message: "no answer" }, "exit 4 no answer (2s)"],
  ];
  for (const [part, text] of rows) {
    assertEquals(humanText({ ...run, ...part }, PLAIN), `2026-11-21 18:05  photos: ${text}`);
  }
});

import { assertEquals, assertRejects } from "../base/testing.ts";
import { formatJobs, parseJobs } from "./file.ts";
import type { Job } from "./job.ts";

const JOB: Job = {
  name: "notes",
  command: ["sync", "/a", "/b"],
  folder: "/home/me",
  schedule: "every 15m",
  with: "cron",
  addedMs: Date.UTC(2026, 10, 21),
};

Deno.test("parseJobs() reads what formatJobs() wrote", async () => {
  const { schedule: _, ...byHand } = JOB;
  for (const jobs of [[], [JOB], [JOB, { ...byHand, name: "other", with: "none" }]]) {
    assertEquals(await parseJobs(await formatJobs(jobs), "jobs.toml"), jobs);
  }
});

Deno.test("parseJobs() names what somebody's edit has made wrong", async () => {
  const good = await formatJobs([JOB]);
  const rows: [string, string, string][] = [
    ["a key of another version", `later = 1\n${good}`, 'it has an unknown key "later"'],
    ["a list that is a text", 'job = "x"', '"job" is no list of tables'],
    ["a job that is a number", "job = [1]", "job 1: it is no table"],
    ["an unknown key of a job", `${good}\nlater = 1`, 'job 1: it has an unknown key "later"'],
    ["a name that is a number", good.replace('"notes"', "1"), 'job 1: "name" is no text'],
    ["a name that climbs", good.replace('"notes"', '"../notes"'), "job 1: Cannot "],
    ["no command", good.replace(/command = .*/, "command = []"), '"command" is no list of words'],
    ["a command of numbers", good.replace(/command = .*/, "command = [1]"), '"command" is no list of words'],
    ["a relative folder", good.replace('"/home/me"', '"me"'), '"folder" is no absolute path'],
    ["a schedule that is a number", good.replace('"every 15m"', "15"), '"schedule" is no text'],
    ["a schedule that is none", good.replace("every 15m", "often"), "job 1: Cannot "],
    ["a scheduler that is none", good.replace('"cron"', '"at"'), '"with" is none of '],
    ["a time that is none", good.replace(/added = .*/, 'added = "then"'), '"added" is no time'],
    [
      "two of one name",
      `${good}${good.replace(/^#.*\n/, "").replace("notes", "NOTES")}`,
      "two jobs are called",
    ],
  ];
  for (const [what, text, words] of rows) {
    const { message } = await assertRejects(() => parseJobs(text, "/c/jobs.toml"), "CONFIG_INVALID", words);
    assertEquals(message.includes("/c/jobs.toml"), true, what);
  }
});

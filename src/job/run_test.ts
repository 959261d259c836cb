import { SimulatedClock } from "../base/clock.ts";
import { FileLock } from "../native/file_lock.ts";
import { JobLog, type JobRecord } from "./log.ts";
import { beginRun, isRunning, JobReport } from "./run.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";

async function withDir(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const OK = { exit: 0, code: null, message: null };

Deno.test("beginRun() lets nobody else begin, and notes how the run ended", () =>
  withDir(async (dir) => {
    const clock = new SimulatedClock();
    assertEquals(await isRunning("notes", dir), false);
    const report = new JobReport();
    {
      using run = await beginRun("notes", { dir, clock });
      assertEquals(await isRunning("notes", dir), true);
      await assertRejects(() => beginRun("notes", { dir, clock }), "BUSY", "notes");
      using _other = await beginRun("other", { dir, clock });
      await clock.advance(1500);
      report.take({ event: "sync_change", name: "x" }, { isReport: false });
      report.take({ event: "synced" }, { isReport: true });
      await run.end(OK, report);
    }
    assertEquals(await isRunning("notes", dir), false);
    assertEquals(await new JobLog(dir, "notes").last(9), [{
      name: "notes",
      started_at: "2025-01-01T00:00:00.000Z",
      duration_ms: 1500,
      ...OK,
      report: { event: "synced" },
      events: [{ event: "sync_change", name: "x" }],
      omitted: 0,
    }]);
  }));

Deno.test("beginRun() begins though somebody looks just then whether it runs", () =>
  withDir(async (dir) => {
    const clock = new SimulatedClock();
    (await beginRun("notes", { dir, clock }))[Symbol.dispose]();
    await Deno.remove(`${dir}/notes.started`);
    const looking = FileLock.try(`${dir}/notes.lock`);
    assertTrue(looking !== undefined);
    const beginning = beginRun("notes", { dir, clock });
    while (clock.pending === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    looking[Symbol.dispose]();
    await clock.advance(20);
    using run = await beginning;
    assertEquals(await isRunning("notes", dir), true);
    await run.end(OK, new JobReport());
  }));

Deno.test("beginRun() notes a run before it that was cut off", () =>
  withDir(async (dir) => {
    const clock = new SimulatedClock();
    (await beginRun("notes", { dir, clock }))[Symbol.dispose](); // as kill -9 leaves it
    await clock.advance(60_000);
    using run = await beginRun("notes", { dir, clock });
    await run.end(OK, new JobReport());
    const records = await new JobLog(dir, "notes").last(9);
    assertEquals(records.map(({ started_at, exit, code }) => [started_at, exit, code]), [
      ["2025-01-01T00:00:00.000Z", null, "INTERRUPTED"],
      ["2025-01-01T00:01:00.000Z", 0, null],
    ]);
  }));

Deno.test("JobReport keeps so many events and counts the others", () => {
  const report = new JobReport();
  for (let at = 0; at < 1000; at++) report.take({ at }, { isReport: false });
  assertEquals([report.record().events.length, report.record().omitted], [500, 500]);
  const long = new JobReport();
  for (let at = 0; at < 10; at++) long.take("x".repeat(100_000), { isReport: false });
  assertEquals([long.record().events.length, long.record().omitted], [2, 8]);
});

function record(at: number, extra: Partial<JobRecord> = {}): JobRecord {
  return {
    name: "notes",
    started_at: new Date(at * 1000).toISOString(),
    duration_ms: 1,
    ...OK,
    report: null,
    events: [],
    omitted: 0,
    ...extra,
  };
}

Deno.test("JobLog stays small, and gives the last runs over both of its files", () =>
  withDir(async (dir) => {
    const log = new JobLog(dir, "notes");
    const events = ["x".repeat(100_000)];
    for (let at = 0; at < 60; at++) await log.add(record(at, { events }));
    let bytes = 0;
    for await (const { name } of Deno.readDir(dir)) bytes += (await Deno.stat(`${dir}/${name}`)).size;
    assertTrue(bytes < 2.5 * 1024 * 1024, `${bytes} bytes`);
    const times = (await log.last(15)).map(({ started_at }) => Date.parse(started_at) / 1000);
    assertEquals(times, Array.from({ length: 15 }, (_, at) => 45 + at));
    await log.clear();
    assertEquals(await log.last(15), []);
  }));

Deno.test("JobLog leaves out lines that are none", () =>
  withDir(async (dir) => {
    const log = new JobLog(dir, "notes");
    await log.add(record(1));
    const path = `${dir}/notes.ndjson`;
    const whole = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, `${whole}not json\n{"name":5}\nnull\n${whole.slice(0, 30)}`);
    await log.add(record(2));
    assertEquals((await log.last(9)).map(({ started_at }) => started_at), [
      record(1).started_at,
      record(2).started_at,
    ]);
  }));

Deno.test("JobLog says which file the disk refuses", () =>
  withDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "");
    const nowhere = new JobLog(`${dir}/file/logs`, "notes");
    await assertRejects(
      () => nowhere.add(record(1)),
      "IO",
      `Cannot write the log "${dir}/file/logs/notes.ndjson"`,
    );
    await Deno.mkdir(`${dir}/notes.ndjson/in`, { recursive: true });
    const blocked = new JobLog(dir, "notes");
    await assertRejects(() => blocked.last(1), "IO", `Cannot read the log "${dir}/notes.ndjson"`);
    await assertRejects(() => blocked.clear(), "IO", `Cannot remove the log "${dir}/notes.ndjson"`);
  }));

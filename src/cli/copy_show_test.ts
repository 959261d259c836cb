import { SimulatedClock } from "../base/clock.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import type { CopyProgress } from "../copy/mod.ts";
import { CopyShow } from "./copy_show.ts";
import type { OutputEvent } from "./events.ts";
import type { ChangeEvent, CopiedEvent } from "./events_copy.ts";
import { changeText, copiedText, deletionsText } from "./human_copy.ts";
import { progressText } from "./progress_line.ts";
import { styles, type Terminal } from "./terminal.ts";

const PLAIN = styles(false);
const MIB = 1024 ** 2;

function progress(changes: Partial<CopyProgress> = {}): CopyProgress {
  return {
    files: 0,
    directories: 0,
    symlinks: 0,
    specials: 0,
    hardlinks: 0,
    bytes: 0,
    unchanged: 0,
    unchangedBytes: 0,
    deleted: 0,
    failed: 0,
    totalFiles: 1000,
    totalBytes: 100 * MIB,
    counted: true,
    ...changes,
  } as CopyProgress;
}

function shown(
  { json = false, redraw = false, progress }: { json?: boolean; redraw?: boolean; progress?: boolean } = {},
) {
  const events: OutputEvent[] = [];
  const written: string[] = [];
  const clock = new SimulatedClock();
  const terminal: Terminal = {
    interactive: false,
    canRedraw: redraw,
    stdoutIsTerminal: false,
    styles: PLAIN,
    columns: () => 80,
    write: (text) => void written.push(text),
  };
  const output = {
    emit: (event: OutputEvent) => void events.push(event),
    print() {},
    pause() {},
    resume() {},
    close() {},
  };
  const show = new CopyShow({ args: { json, quiet: false }, output, clock, terminal }, {
    dryRun: false,
    progress,
  });
  return { show, events, written, clock };
}

Deno.test("CopyShow.progress() tells of both speeds, and lets the slower one say what is left", async () => {
  const { show, events, clock } = shown();
  for (let step = 0; step <= 20; step++) {
    show.progress(progress({ bytes: step * MIB, files: step * 2, unchanged: step * 3 }));
    await clock.advance(100);
  }
  const last = events.at(-1)!;
  assertTrue(last.event === "progress");
  assertEquals([last.files, last.files_total, last.unchanged], [100, 1000, 60]);
  assertEquals([last.bytes_per_second, last.files_per_second], [10 * MIB, 50]);
  // 900 files at 50/s take longer than 80 MiB at 10 MiB/s.
  assertEquals(last.eta_ms, 18_000);
  assertEquals(
    progressText(last, 200).replace(/[█░]+ {2}/, ""),
    " 20%  20.0 MiB/100 MiB  100/1000 files  10.0 MiB/s  50 files/s  ETA 18s",
  );
});

Deno.test("CopyShow.progress() counts every name, and no bytes of what stays", async () => {
  const { show, events, clock } = shown();
  for (let step = 0; step <= 10; step++) {
    const names = { files: step, symlinks: step, specials: step, hardlinks: step };
    show.progress(progress({ ...names, unchanged: 960, unchangedBytes: 90 * MIB, bytes: step * MIB }));
    await clock.advance(100);
  }
  const last = events.at(-1)!;
  assertTrue(last.event === "progress");
  assertEquals([last.files, last.files_total], [1000, 1000]);
  assertEquals([last.bytes, last.bytes_total, last.eta_ms], [10 * MIB, 10 * MIB, 0]);
});

Deno.test("CopyShow.showsProgress says whether counting ahead is worth it", () => {
  for (
    const [options, shows] of [
      [{}, false],
      [{ redraw: true }, true],
      [{ json: true }, true],
      [{ progress: true }, true],
      [{ redraw: true, progress: false }, false],
    ] as const
  ) assertEquals(shown(options).show.showsProgress, shows, JSON.stringify(options));
});

Deno.test("CopyShow.progress() knows no total before all is counted, and says nothing of short copies", async () => {
  const { show, events, clock } = shown();
  show.progress(progress({ counted: false }));
  await clock.advance(400);
  show.progress(progress({ counted: false }));
  assertEquals(events, []);
  await clock.advance(200);
  show.progress(progress({ counted: false, bytes: MIB }));
  const [event] = events;
  assertTrue(event?.event === "progress");
  assertEquals([event.bytes_total, event.files_total, event.eta_ms], [null, null, null]);
});

Deno.test("--progress writes lines where nothing can be drawn over, --no-progress shows none anywhere", async () => {
  const counts = async (options: Parameters<typeof shown>[0]) => {
    const { show, events, written, clock } = shown(options);
    for (let step = 0; step <= 120; step++) {
      show.progress(progress({ bytes: step * MIB }));
      await clock.advance(100);
    }
    return [events.length > 0, written.length];
  };
  assertEquals(await counts({}), [true, 0]);
  assertEquals(await counts({ progress: true }), [true, 2]);
  assertEquals(await counts({ progress: true, redraw: true }), [true, 0]);
  assertEquals(await counts({ progress: true, json: true }), [true, 0]);
  assertEquals(await counts({ progress: false }), [false, 0]);
});

Deno.test("CopyShow.problem() shows people 50 failures and the number of the others, scripts all", () => {
  for (const json of [false, true]) {
    const { show, events } = shown({ json });
    for (let at = 0; at < 60; at++) {
      show.problem({ path: `${at}`, code: "IO", message: `Cannot copy "${at}": no` });
    }
    show.end({ attributesLeft: 0 });
    const kinds = (kind: string) => events.filter(({ event }) => event === kind).length;
    assertEquals([kinds("file_failed"), kinds("warning")], json ? [60, 0] : [50, 1]);
    const last = events.at(-1)!;
    if (!json) assertEquals(last.event === "warning" && last.message, "10 more entries failed");
  }
});

Deno.test("changeText(), deletionsText() and copiedText() read as they should", () => {
  const change: ChangeEvent = {
    event: "change",
    path: "to/a\x1b[2J",
    what: "new",
    kind: "file",
    bytes: 3 * MIB,
    method: null,
    dry_run: true,
  };
  const rows: [Partial<ChangeEvent>, string][] = [
    [{}, "new        file      to/a\\x1b[2J  (3.00 MiB)"],
    [{ what: "content", method: "reflink" }, "changed    file      to/a\\x1b[2J  (3.00 MiB, reflink)"],
    [{ what: "attributes" }, "attributes file      to/a\\x1b[2J"],
    [{ what: "kind", kind: "symlink" }, "replaced   link      to/a\\x1b[2J"],
    [{ what: "delete", kind: "directory" }, "delete     folder    to/a\\x1b[2J"],
    [{ what: "delete", dry_run: false }, "deleted    file      to/a\\x1b[2J"],
  ];
  for (const [changes, text] of rows) assertEquals(changeText({ ...change, ...changes }, PLAIN), text);
  const deletions = { event: "deletions", entries: 6, directories: 0, of: 10, reason: null } as const;
  assertEquals(deletionsText(deletions), "To delete: 6 entries of 10.");
  assertEquals(
    deletionsText({ ...deletions, entries: 1, directories: 1, reason: "that is more than half" }),
    "To delete: 1 entry of 10, 1 folder among them: that is more than half.",
  );
  const copied: CopiedEvent = {
    event: "copied",
    files: 3,
    directories: 1,
    symlinks: 0,
    specials: 0,
    hardlinks: 2,
    bytes: 20 * MIB,
    unchanged: 0,
    deleted: 0,
    failed: 0,
    duration_ms: 2000,
    methods: {},
    dry_run: false,
    interrupted: false,
  };
  assertEquals(copiedText(copied), "Copied 3 files, 1 folder, 2 hard links, 20.0 MiB in 2s, 10.0 MiB/s.");
  assertEquals(
    copiedText({ ...copied, unchanged: 5, deleted: 4, failed: 1 }),
    "Copied 3 files, 1 folder, 2 hard links, 20.0 MiB in 2s, 10.0 MiB/s. Unchanged: 5. Deleted: 4. Failed: 1.",
  );
  assertEquals(
    copiedText({ ...copied, dry_run: true, deleted: 4 }),
    "Would copy 3 files, 1 folder, 2 hard links, 20.0 MiB in 2s. To delete: 4.",
  );
  assertTrue(
    /^Stopped after 3 files.*\n.*--resume goes on/.test(copiedText({ ...copied, interrupted: true })),
  );
});

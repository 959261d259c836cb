import { assertEquals } from "../base/testing.ts";
import type { Progress, TransferOutcome } from "./outcome.ts";
import { Tally } from "./tally.ts";

const OUTCOME: TransferOutcome = {
  kind: "files",
  files: 1,
  directories: 0,
  symlinks: 0,
  bytes: 100,
  bytesFound: 75,
  bytesWire: 30,
  skipped: 0,
  failed: [],
  failedCount: 0,
  durationMs: 5,
};

function progress(bytesDone: number, more: Partial<Progress> = {}): Progress {
  return {
    phase: "transferring",
    bytesDone,
    bytesFound: 0,
    bytesTotal: 100,
    filesDone: 0,
    filesTotal: 1,
    bytesWire: bytesDone,
    failedCount: 0,
    ...more,
  };
}

Deno.test("a receiver's tally holds its mark while earlier links' bytes are found again", () => {
  const tally = new Tally({ finds: true });
  assertEquals(tally.progress(progress(70)).bytesDone, 70);
  tally.renew(1000);
  const first = tally.progress(progress(0, { bytesWire: 0 }));
  assertEquals([first.bytesDone, first.bytesWire], [70, 70]);
  const next = tally.progress(progress(80, { bytesWire: 10 }));
  assertEquals([next.bytesDone, next.bytesWire], [80, 80]);
  const { bytesWire, durationMs } = tally.outcome(OUTCOME);
  assertEquals([bytesWire, durationMs], [100, 1005]);
});

Deno.test("a receiver's tally does not take what came over an earlier link for what was here before", () => {
  const tally = new Tally({ finds: true });
  assertEquals(tally.progress(progress(70, { bytesFound: 20 })).bytesFound, 20);
  tally.renew(1000);
  assertEquals(tally.progress(progress(0)).bytesFound, 20);
  assertEquals(tally.progress(progress(75, { bytesFound: 75 })).bytesFound, 25);
  assertEquals(tally.outcome(OUTCOME).bytesFound, 25);
});

Deno.test("a sender's tally adds its links, never beyond the whole, and ends with what there is", () => {
  const tally = new Tally({ finds: false });
  tally.progress(progress(70));
  tally.renew(10);
  assertEquals(tally.progress(progress(20)).bytesDone, 90);
  assertEquals(tally.progress(progress(35)).bytesDone, 100);
  assertEquals(tally.progress(progress(99, { phase: "done", bytesTotal: 99 })).bytesDone, 99);
});

Deno.test("a link that brought no progress changes nothing", () => {
  const tally = new Tally({ finds: false });
  tally.progress(progress(70));
  tally.renew(10);
  tally.renew(10);
  assertEquals(tally.progress(progress(5)).bytesDone, 75);
  assertEquals(tally.outcome(OUTCOME).durationMs, 25);
});

import { SimulatedClock, systemClock } from "../base/clock.ts";
import { assertEquals, assertRejects } from "../base/testing.ts";
import { FolderWatch } from "./watch.ts";

const signal = () => new AbortController().signal;

Deno.test("FolderWatch.next() resolves after the interval when nothing changes", async () => {
  const clock = new SimulatedClock();
  const root = await Deno.makeTempDir();
  using watch = FolderWatch.open({ roots: [root], intervalMs: 60_000, clock });
  let looks = 0;
  const next = watch.next(signal()).then(() => looks++);
  await clock.advance(59_999);
  assertEquals(looks, 0);
  await clock.advance(1);
  await next;
  assertEquals(looks, 1);
  await Deno.remove(root);
});

Deno.test("FolderWatch.next() waits for quiet, but not for ever", async () => {
  const clock = new SimulatedClock();
  using watch = FolderWatch.open({ roots: [], intervalMs: 60_000, clock, onWarning: () => {} });
  watch.touch();
  let looks = 0;
  const next = watch.next(signal()).then(() => looks++);
  for (let ms = 0; ms < 1000; ms += 200) {
    assertEquals(looks, 0, `after ${ms} ms`);
    await clock.advance(200);
    watch.touch();
  }
  await clock.advance(300);
  await next;
  assertEquals([looks, clock.monotonic() <= 1600], [1, true]);
});

Deno.test("FolderWatch sees a change deep in a folder, and rejects when it is told to end", async () => {
  const root = await Deno.makeTempDir();
  await Deno.mkdir(`${root}/d/e`, { recursive: true });
  using watch = FolderWatch.open({ roots: [root], intervalMs: 600_000, clock: systemClock });
  const next = watch.next(signal());
  await Deno.writeTextFile(`${root}/d/e/file`, "text");
  await next;
  const controller = new AbortController();
  const ended = assertRejects(() => watch.next(controller.signal).then(() => watch.next(controller.signal)));
  controller.abort(new Error("ended"));
  await ended;
  await Deno.remove(root, { recursive: true });
});

Deno.test("FolderWatch goes on by the interval where nothing can be watched", async () => {
  const clock = new SimulatedClock();
  const warnings: string[] = [];
  using watch = FolderWatch.open({
    roots: ["/nowhere/at/all"],
    intervalMs: 5000,
    clock,
    onWarning: (sentence) => warnings.push(sentence),
  });
  const next = watch.next(signal());
  await clock.advance(5000);
  await next;
  assertEquals([warnings.length, warnings[0]?.includes("every 5 s")], [1, true]);
});

import { type Clock, systemClock } from "../../base/clock.ts";
import { assertEquals, assertRejects, assertTrue } from "../../base/testing.ts";
import { NativeQueue } from "../../native/queue.ts";
import { memoryPair } from "../../transport/memory.ts";
import { encodeSyncMessage } from "../../wire/mod.ts";
import { Sandbox } from "../../../tests/e2e/sandbox.ts";
import { SyncChannel } from "./channel.ts";
import { OpenFolders } from "./open_folders.ts";
import { findServed } from "./served_folders.ts";

const ABOUT = { type: "begin", one_file_system: false, skip_symlinks: false, dry_run: false } as const;

/** Where whoever is waited for never answers it is soon too late, else never: a busy machine takes its time. */
function clockFor({ answers }: { answers: boolean }): Clock {
  return { ...systemClock, timer: (ms, run) => systemClock.timer(answers ? 1000 * ms : ms / 100, run) };
}

Deno.test("OpenFolders keeps a folder for a machine that answers and takes it from one that does not", async () => {
  await using stack = new AsyncDisposableStack();
  const sandbox = stack.use(await Sandbox.create());
  const queue = stack.use(NativeQueue.open());
  const root = await Deno.realPath(await sandbox.folder("root"));
  await sandbox.folder("root/within");
  const session = async ({ answers, path = root }: { answers: boolean; path?: string }) => {
    const [near, far] = await memoryPair(queue);
    stack.defer(async () => void await Promise.all([near.close(), far.close()]));
    const options = { agent: "test", clock: systemClock };
    const nonce = crypto.getRandomValues(new Uint8Array(16));
    const hello = { type: "hello", version: { major: 1, minor: 0 }, agent: "test", nonce } as const;
    const [channel] = await Promise.all([
      SyncChannel.open(near, options),
      // One whose machine is gone greets, and is silent from then on.
      answers ? SyncChannel.open(far, options) : far.send(encodeSyncMessage(hello)),
    ]);
    const served = await findServed(path, {
      allowed: [{ path: root, way: "both" }],
      home: "/",
      stateDir: sandbox.path("state"),
      queue,
      trashMs: 0,
      now: Date.now,
    });
    return { channel, served };
  };
  let clock = clockFor({ answers: false });
  const open = new OpenFolders({ ...systemClock, timer: (ms, run) => clock.timer(ms, run) });
  const begin = ({ channel, served }: Awaited<ReturnType<typeof session>>) =>
    open.begin(served, ABOUT, { channel, signal: channel.signal });

  const silent = await session({ answers: false });
  const first = await begin(silent);
  // What has the folder lets go of it once its session is over.
  const over = new Promise<void>((resolve) =>
    silent.channel.signal.addEventListener("abort", () => first[Symbol.asyncDispose]().then(resolve), {
      once: true,
    })
  );
  const lively = await session({ answers: true });
  const second = await begin(lively);
  await over;
  assertTrue(silent.channel.signal.aborted);

  clock = clockFor({ answers: true });
  const third = await session({ answers: true });
  await assertRejects(() => begin(third), "BUSY");
  // Who changes a folder could lead one in it elsewhere.
  const within = await session({ answers: true, path: `${root}/within` });
  await assertRejects(() => begin(within), "BUSY");
  assertTrue(!lively.channel.signal.aborted);
  await second[Symbol.asyncDispose]();
  const again = await begin(third);
  assertEquals(again.isDryRun, false);
  await again[Symbol.asyncDispose]();

  // As that one may have left it meanwhile.
  await Deno.remove(`${root}/within`);
  await Deno.symlink(await sandbox.folder("elsewhere"), `${root}/within`);
  await assertRejects(() => begin(within), "REFUSED");
  assertEquals(await Array.fromAsync(Deno.readDir(sandbox.path("elsewhere"))), []);
});

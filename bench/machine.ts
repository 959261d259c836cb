/** Where and of what something is measured. */
import { fromFileUrl } from "../src/base/paths.ts";

/** This checkout. */
export const ROOT: string = fromFileUrl(new URL("..", import.meta.url)).replace(/\/$/, "");

/** Folder of the tools that `scripts/bench-peers` installs. */
export const PEERS: string = Deno.env.get("WORMHOLE_BENCH_PEERS") ?? `${ROOT}/build/peers`;

/** Describes this machine in one phrase. */
export async function describeMachine(): Promise<string> {
  const cpu = (await Deno.readTextFile("/proc/cpuinfo").catch(() => "")).match(/model name\s*: (.*)/)?.[1];
  const memory = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  const cores = navigator.hardwareConcurrency;
  return `${cpu ?? Deno.build.arch}, ${cores} cores, ${memory} GiB, ${Deno.build.os} ${Deno.osRelease()}, ` +
    `Deno ${Deno.version.deno}`;
}

/** Gives the commit that is checked out, with `-dirty` when files differ from it. */
export async function describeCommit(): Promise<string> {
  const command = new Deno.Command("git", { args: ["describe", "--always", "--dirty"], cwd: ROOT });
  const { stdout } = await command.output().catch(() => ({ stdout: new Uint8Array() }));
  return new TextDecoder().decode(stdout).trim() || "unknown";
}

/** Folder in memory for inputs and results, so that no disk is measured; removed when disposed of or interrupted. */
export async function scratchFolder(): Promise<{ path: string } & AsyncDisposable> {
  const dir = Deno.env.get("WORMHOLE_BENCH_DIR") ?? "/dev/shm";
  const path = await Deno.makeTempDir({ dir, prefix: "wormhole-bench-" });
  const interrupted = () => {
    Deno.removeSync(path, { recursive: true });
    Deno.exit(130);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, interrupted);
  return {
    path,
    async [Symbol.asyncDispose]() {
      for (const signal of signals) Deno.removeSignalListener(signal, interrupted);
      await Deno.remove(path, { recursive: true });
    },
  };
}

import type { IoBackend } from "../config/settings.ts";
import { fileBackends } from "../native/files.ts";
import { NativeQueue } from "../native/queue.ts";
import type { Finding, Surroundings } from "./mod.ts";

/** What each way to read and write files is, in plain words. */
const WORDS: Readonly<Record<string, string>> = {
  "linux+uring": "system calls; io_uring reads many small files",
  linux: "system calls",
  uring: "io_uring wherever it can do it",
  macos: "system calls of macOS",
  windows: "overlapped reads and writes",
  std: "plain reads and writes",
};

/** Reports the operating system. */
export function checkKernel(): Finding[] {
  return [{ name: "kernel", status: "ok", text: `${Deno.build.os} ${Deno.osRelease()}` }];
}

/** Reports how files are read and written, and why not through io_uring where that cannot be. */
export async function checkFileAccess({ settings, signal }: Surroundings): Promise<Finding[]> {
  await using queue = NativeQueue.open();
  const probed = await fileBackends(queue, signal ? { signal } : {});
  return describeFileAccess(probed, {
    forced: settings.config.debugIo,
    ioUringDisabled: await textOf("/proc/sys/kernel/io_uring_disabled"),
  });
}

/** Puts the probed ways into words; `ioUringDisabled` is `/proc/sys/kernel/io_uring_disabled` (kernel 6.6 and newer). */
export function describeFileAccess(
  { backends, used }: Awaited<ReturnType<typeof fileBackends>>,
  { forced, ioUringDisabled }: { forced: IoBackend; ioUringDisabled?: string },
): Finding[] {
  const problemOf = (name: string) => backends.find((backend) => backend.name === name)?.problem ?? null;
  const findings: Finding[] = [];
  if (forced === "auto") findings.push({ name: "file access", status: "ok", text: WORDS[used] ?? used });
  else {
    const known = backends.some(({ name }) => name === forced);
    const problem = known ? problemOf(forced) : "this system does not have it";
    findings.push(
      problem === null
        ? { name: "file access", status: "note", text: `debug_io forces ${forced}: ${WORDS[forced]}` }
        : {
          name: "file access",
          status: "problem",
          text: `debug_io forces ${forced}, which cannot run: ${problem}`,
          advice: "Remove debug_io (WORMHOLE_DEBUG_IO).",
        },
    );
  }
  const why = problemOf("uring");
  if (why === null) return findings;
  const disabled = ioUringDisabled?.trim() ?? "0";
  const bySwitch = disabled !== "0";
  findings.push({
    name: "io_uring",
    status: "note",
    text: bySwitch ? `switched off (kernel.io_uring_disabled is ${disabled})` : why,
    ...bySwitch &&
      { advice: "For faster reading of many small files: sudo sysctl kernel.io_uring_disabled=0" },
  });
  return findings;
}

/** Reports whether the kernel could encrypt TLS, which Wormhole does itself (docs/design/data-path.md says why). */
export async function checkKernelTls(): Promise<Finding[]> {
  const name = "kernel TLS";
  if (Deno.build.os !== "linux") return [{ name, status: "note", text: "looked for on Linux only" }];
  return [{ name, ...describeKernelTls(await textOf("/proc/sys/net/ipv4/tcp_available_ulp")) }];
}

/** Explains `/proc/sys/net/ipv4/tcp_available_ulp`; undefined: no such file. */
export function describeKernelTls(protocols: string | undefined): Pick<Finding, "status" | "text"> {
  const offered = protocols?.split(/\s+/).includes("tls") ?? false;
  return {
    status: "ok",
    text: offered ? "offered by the kernel; not needed" : "not offered by the kernel; not needed",
  };
}

/** Reports whether folders could be mounted. */
export async function checkFuse(): Promise<Finding[]> {
  if (Deno.build.os !== "linux") return [{ name: "FUSE", status: "note", text: "looked for on Linux only" }];
  try {
    using _device = await Deno.open("/dev/fuse", { read: true, write: true });
    return [{ name: "FUSE", status: "ok", text: "/dev/fuse can be opened" }];
  } catch (error) {
    const missing = error instanceof Deno.errors.NotFound;
    return [{
      name: "FUSE",
      status: "note",
      text: missing ? "there is no /dev/fuse; nothing can be mounted" : "/dev/fuse cannot be opened by you",
      advice: missing
        ? "Only mounting needs it: sudo modprobe fuse, or start the container with --device /dev/fuse."
        : undefined,
    }];
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

import type { Finding } from "./mod.ts";

/** Oldest kernel whose io_uring has what large transfers use (5.11: descriptors of any kind, no registration). */
const IO_URING_KERNEL = [5, 11] as const;

/** Reports the operating system. */
export function checkKernel(): Finding[] {
  return [{ name: "kernel", status: "ok", text: `${Deno.build.os} ${Deno.osRelease()}` }];
}

/** Reports whether files can be read and written through io_uring. */
export async function checkIoUring(): Promise<Finding[]> {
  if (Deno.build.os !== "linux") {
    return [{ name: "io_uring", status: "note", text: "only Linux has it; plain reads and writes are used" }];
  }
  const [major = 0, minor = 0] = Deno.osRelease().split(/[.-]/).map(Number);
  if (major < IO_URING_KERNEL[0] || (major === IO_URING_KERNEL[0] && minor < IO_URING_KERNEL[1])) {
    return [{
      name: "io_uring",
      status: "note",
      text: "this kernel is too old for it; plain reads and writes are used",
    }];
  }
  const finding = describeIoUring(await textOf("/proc/sys/kernel/io_uring_disabled"));
  return [{ name: "io_uring", ...finding }];
}

/** Explains the number in `/proc/sys/kernel/io_uring_disabled` (kernel 6.6 and newer); undefined: no such file. */
export function describeIoUring(disabled: string | undefined): Pick<Finding, "status" | "text" | "advice"> {
  switch (disabled?.trim()) {
    case undefined:
    case "0":
      return { status: "ok", text: "allowed by the kernel; a container may still forbid it" };
    case "1":
      return {
        status: "note",
        text: "only for a privileged group (kernel.io_uring_disabled is 1); plain reads and writes are used",
        advice: "For more speed: sudo sysctl kernel.io_uring_disabled=0",
      };
    default:
      return {
        status: "note",
        text: `switched off (kernel.io_uring_disabled is ${
          disabled!.trim()
        }); plain reads and writes are used`,
        advice: "For more speed: sudo sysctl kernel.io_uring_disabled=0",
      };
  }
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

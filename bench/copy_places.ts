/** File systems to copy on: memory, the machine's disk, and others on loop devices. */
import { type CopyInput, type MadeInput, makeInput } from "./copy_inputs.ts";
import { ROOT } from "./machine.ts";
import { output } from "./process.ts";

/** One file system, with the inputs on it. */
export interface Place {
  readonly kind: "tmpfs" | "ext4" | "journal" | "xfs" | "btrfs";
  readonly path: string;
  /** Makes an input there, once. */
  input(input: CopyInput, part: number): Promise<MadeInput>;
  /** Brings everything to the disk and, as root, forgets what is cached of it. */
  settle(): Promise<void>;
}

/** Places that are there when they are first asked for; disposing takes them away. */
export interface Places extends AsyncDisposable {
  open(kind: Place["kind"]): Promise<Place>;
}

/** How a file system of a loop device is made; "journal" is ext4 anew, where the machine's disk may have no journal. */
const MAKE: Readonly<Record<string, readonly string[]>> = {
  journal: ["/usr/sbin/mkfs.ext4", "-q", "-F", "-O", "has_journal"],
  xfs: ["/usr/sbin/mkfs.xfs", "-q"],
  btrfs: ["/usr/sbin/mkfs.btrfs", "-q"],
};

/** Room of a loop device: twice what is copied and more. */
const IMAGE = "7G";

/** Gives the places; `scratch` is a folder in memory. */
export function places(scratch: string): Places {
  const open = new Map<Place["kind"], Promise<Place>>();
  const endings: (() => Promise<unknown>)[] = [];
  return {
    open(kind) {
      const there = open.get(kind) ?? make(kind, { scratch, endings });
      open.set(kind, there);
      return there;
    },
    async [Symbol.asyncDispose]() {
      for (const end of endings.reverse()) await end();
    },
  };
}

async function make(
  kind: Place["kind"],
  { scratch, endings }: { scratch: string; endings: (() => Promise<unknown>)[] },
): Promise<Place> {
  const path = await folderOf(kind, { scratch, endings });
  const made = new Map<CopyInput, Promise<MadeInput>>();
  return {
    kind,
    path,
    input(input, part) {
      const there = made.get(input) ?? makeInput(input, { path: `${path}/from-${made.size}`, part });
      made.set(input, there);
      return there;
    },
    async settle() {
      if (kind === "tmpfs") return;
      await output(["sync", "-f", path]);
      // 3: pages, and what names and inodes are known. Others have to read theirs again; nothing is lost.
      if (Deno.uid() === 0) await Deno.writeTextFile("/proc/sys/vm/drop_caches", "3");
    },
  };
}

async function folderOf(
  kind: Place["kind"],
  { scratch, endings }: { scratch: string; endings: (() => Promise<unknown>)[] },
): Promise<string> {
  if (kind === "tmpfs") {
    await Deno.mkdir(`${scratch}/tmpfs`, { recursive: true });
    return `${scratch}/tmpfs`;
  }
  if (kind === "ext4") {
    await Deno.mkdir(`${ROOT}/build`, { recursive: true });
    const path = await Deno.makeTempDir({ dir: `${ROOT}/build`, prefix: "bench-copy-" });
    endings.push(() => output(["rm", "-rf", path]));
    return path;
  }
  const [image, path] = [`${scratch}/${kind}.image`, `${scratch}/${kind}`];
  await output(["truncate", "-s", IMAGE, image]);
  await output([...MAKE[kind]!, image]);
  await Deno.mkdir(path);
  await output(["mount", "-o", "loop", image, path]);
  endings.push(() => output(["umount", "-l", path]));
  return path;
}

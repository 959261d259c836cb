/** File systems of other kinds, made in a file of the sandbox. */
import { type Sandbox, succeeds } from "../sandbox.ts";

/** One of the kinds that can be made. */
export type FileSystem = "xfs" | "btrfs" | "ext4";

const MIB = 1024 * 1024;

/** Sizes below which mkfs refuses, or keeps data twice. */
const SMALLEST = { xfs: 320 * MIB, btrfs: 256 * MIB, ext4: 64 * MIB } as const;

/** Makes a file system and mounts it at the folder `name`; gives its path, or why that is impossible here. */
export async function makeDisk(
  sandbox: Sandbox,
  name: string,
  { kind, bytes = SMALLEST[kind] }: { kind: FileSystem; bytes?: number },
): Promise<{ readonly path: string } | { readonly missing: string }> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return { missing: "loop devices need root on Linux" };
  const image = sandbox.path(`${name}.image`);
  await Deno.writeFile(image, new Uint8Array());
  await Deno.truncate(image, Math.max(bytes, SMALLEST[kind]));
  const mkfs = [`/usr/sbin/mkfs.${kind}`, "-q", ...kind === "ext4" ? ["-F"] : [], image];
  if (!await succeeds(mkfs[0]!, mkfs.slice(1))) return { missing: `there is no mkfs.${kind}` };
  const path = await sandbox.folder(name);
  if (!await succeeds("mount", ["-o", "loop", image, path])) {
    return { missing: `${kind} cannot be mounted here` };
  }
  sandbox.defer(() => succeeds("umount", ["-l", path]));
  return { path };
}

/** Where sync keeps what is its own inside a folder, and how it names things. */
import { encodeName } from "../base/names.ts";
import { MAX_NAME_BYTES } from "../wire/limits.ts";

/**
 * The folder below each root; never synchronized, also not that of a root within another: whoever could write there would say
 * where that root's run stages, trashes and cleans up. It lies there so that a rename is enough to keep something.
 */
export const OWN_FOLDER = ".wormhole-sync";

/** Copies that are not in place yet; whatever is in it is also elsewhere. */
export const STAGING = `${OWN_FOLDER}/staging`;

/** What came from another machine and is not in place yet, under the hex of its content; it outlives a run that was cut off. */
export const ARRIVED = `${OWN_FOLDER}/arrived`;

/** Gives the root of the folder of arrivals that `path` is; undefined when it is none. */
export function rootOfArrived(path: string): string | undefined {
  if (!path.endsWith(`/${ARRIVED}`)) return undefined;
  return path.slice(0, -ARRIVED.length - 1) || "/";
}

/** What was displaced: a folder for each run, named for its time, with the paths in it. */
export const TRASH = `${OWN_FOLDER}/trash`;

/** What a walk for sync leaves out, in gitignore syntax: sync's own, and what transfers have under way. */
export const OWN_EXCLUDES: readonly string[] = [OWN_FOLDER, ".wormhole-*.part"];

const CONFLICT = /^(.+)\.conflict-([A-Za-z0-9_]+)-(\d{8}T\d{6}Z)(~\d+)?$/;

/** Gives the name of a time in the trash: sorts by time, and every file system takes it. */
export function trashName(ms: number): string {
  return new Date(ms).toISOString().replaceAll(":", ".");
}

/** Gives the time, ms since 1970, of a folder in the trash; undefined when it is none. */
export function trashTime(name: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z$/.test(name)) return undefined;
  const [day, time] = [name.slice(0, 11), name.slice(11).split(".")];
  const ms = Date.parse(`${day}${time[0]}:${time[1]}:${time[2]}.${time[3]}`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** Gives where the other version of a conflict at `path` goes: `name.conflict-<machine>-<time>`, shortened to fit. */
export function conflictName(path: string, { machine, ms }: { machine: string; ms: number }): string {
  const time = new Date(ms).toISOString().replace(/\.\d+Z$/, "Z").replaceAll(/[-:]/g, "");
  const suffix = `.conflict-${machine.replaceAll(/[^A-Za-z0-9_]+/g, "_").slice(0, 32) || "machine"}-${time}`;
  const cut = path.lastIndexOf("/") + 1;
  let name = path.slice(cut);
  while (encodeName(name).length + suffix.length > MAX_NAME_BYTES) name = name.slice(0, -1);
  // Half of a pair would be another character.
  if (/[\ud800-\udbff]$/.test(name)) name = name.slice(0, -1);
  return path.slice(0, cut) + name + suffix;
}

/** What the name of a conflict copy says; undefined when it is none. */
export function parseConflictName(
  name: string,
): { name: string; machine: string; time: string } | undefined {
  const [, original, machine, time] = CONFLICT.exec(name) ?? [];
  return original === undefined ? undefined : { name: original, machine: machine!, time: time! };
}

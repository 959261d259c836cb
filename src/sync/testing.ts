/** Snapshots and plans as text, for tests. */
import type { Change, Plan } from "./plan.ts";
import { ALL_ABILITIES, type Policy } from "./policy.ts";
import { DIRECTORY, FILE, OPAQUE, Snapshot, SnapshotBuilder, SYMLINK } from "./snapshot.ts";

/** The policy of most tests. */
export const POLICY: Policy = {
  mode: "two-way-safe",
  prefer: "alpha",
  permissions: "all",
  abilities: ALL_ABILITIES,
  conflictName: (path) => `${path}.conflict`,
};

/**
 * Gives the snapshot that `text` describes, one word for each entry: `a=1` a file, `a/b=2` one in a folder (which is made),
 * `d/` a folder, `l->x` a symlink, `s=?` something opaque; `!600` after it gives permissions, `@5` a time. The content of a
 * file is a number.
 */
export function snapshotOf(text: string, { ends = 1 }: { ends?: number } = {}): Snapshot {
  const entries = new Map<string, { kind: number; content: number; mode: number; mtime: number }>();
  for (const word of text.split(" ").filter((word) => word !== "")) {
    const [, path, what = "/", mode, mtime] = /^([^=>!@]+?)(\/|=\d+|=\?|->\w+)?(?:!(\d+))?(?:@(\d+))?$/.exec(
      word,
    )!;
    const names = path!.split("/");
    for (let depth = 1; depth < names.length; depth++) {
      const above = names.slice(0, depth).join("/");
      if (!entries.has(above)) entries.set(above, { kind: DIRECTORY, content: 0, mode: 0o755, mtime: 0 });
    }
    const kind = what === "/" ? DIRECTORY : what === "=?" ? OPAQUE : what.startsWith("=") ? FILE : SYMLINK;
    const content = kind === FILE ? Number(what.slice(1)) : kind === SYMLINK ? what.charCodeAt(2) : 0;
    const usual = kind === DIRECTORY ? 0o755 : 0o644;
    entries.set(path!, {
      kind,
      content,
      mode: mode === undefined ? usual : parseInt(mode, 8),
      mtime: Number(mtime ?? 0),
    });
  }
  const builder = new SnapshotBuilder({ ends });
  const order = (path: string) => path.replaceAll("/", "\0");
  for (const path of [...entries.keys()].sort((a, b) => order(a) < order(b) ? -1 : 1)) {
    const { kind, content, mode, mtime } = entries.get(path)!;
    const names = path.split("/");
    const bytes = new Uint8Array(32);
    bytes[0] = content;
    const stamp = new Uint8Array(40);
    stamp[16] = content;
    builder.add({
      kind,
      depth: names.length - 1,
      name: new TextEncoder().encode(names.at(-1)!),
      mode,
      size: kind === DIRECTORY ? 0 : content,
      mtime: BigInt(mtime),
      content: bytes,
      stamps: Array.from({ length: ends }, () => stamp),
      settled: ends === 2 ? 3 : 1,
    });
  }
  return builder.finish();
}

/** Gives the changes of a plan, each as `a: put x`, sorted; and the conflicts as `conflict: edit x`. */
export function planText(plan: Plan): string[] {
  const changes = [0, 1].flatMap((side) =>
    plan.changes[side as 0 | 1].filter((change) => change.do !== "away")
      .map((change) => `${"ab"[side]}: ${changeText(change)}`)
  );
  const conflicts = plan.conflicts.map(({ kind, path, winner }) =>
    `conflict: ${kind} ${path}${winner === undefined ? "" : ` ${"ab"[winner]}`}`
  );
  return [...changes, ...conflicts].sort();
}

function changeText(change: Change): string {
  switch (change.do) {
    case "move":
      return `move ${change.from} to ${change.path}`;
    case "put":
      return `${change.was < 0 ? "put" : "replace"} ${change.path}${
        change.keep ? ` keeping ${change.keep}` : ""
      }`;
    case "mode":
      return `mode ${change.path} ${change.mode.toString(8)}`;
    default:
      return `${change.do} ${change.path}`;
  }
}

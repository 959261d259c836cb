import { assertEquals } from "../base/testing.ts";
import type { OutputEvent } from "./events.ts";
import type { SyncConflictEvent, SyncedEvent, SyncStatusEvent } from "./events_sync.ts";
import { humanText } from "./human.ts";
import { styles } from "./terminal.ts";

const PLAIN = styles(false);

function assertReads(rows: readonly [OutputEvent, string][]): void {
  for (const [event, text] of rows) assertEquals(humanText(event, PLAIN), text);
}

Deno.test("humanText() of a change points at the end that is changed", () => {
  const change = { event: "sync_change", side: "beta", action: "create", name: "a/b", from: null } as const;
  assertReads([
    [change, "-> create      a/b"],
    [{ ...change, side: "alpha", action: "trash" }, "<- trash       a/b"],
    [{ ...change, action: "move", from: "old\x1b[2J" }, "-> move        a/b (was old\\x1b[2J)"],
    [{ ...change, action: "permissions" }, "-> permissions a/b"],
    [{ event: "sync_merged", name: "a/b" }, "merged: a/b"],
  ]);
});

Deno.test("humanText() of a conflict says what became of both versions", () => {
  const conflict = { event: "sync_conflict", name: "x", kind: "edit", winner: "alpha", copy: null } as const;
  const rows: [Partial<SyncConflictEvent>, string][] = [
    [{ copy: "x (conflict)" }, "conflict: x: both have changed it; the other version is x (conflict)."],
    [
      { winner: "beta" },
      "conflict: x: both have changed it; beta's wins, the other one is in the trash.",
    ],
    [{ kind: "delete" }, "x: beta deleted what alpha has changed; alpha's wins."],
    [{ kind: "delete", winner: "beta" }, "x: alpha deleted what beta has changed; beta's wins."],
    [
      { kind: "name", winner: null },
      "conflict: x: its name is the same as another one's where case or Unicode forms do not count; it is left alone.",
    ],
    [
      { kind: "blocked", winner: null },
      "conflict: x: it cannot be replaced, since something that is ignored is in it; both are left alone.",
    ],
  ];
  assertReads(rows.map(([part, text]) => [{ ...conflict, ...part }, text]));
});

Deno.test("humanText() of the end of a sync counts what happened, and only that", () => {
  const none = { changes: 0, trashed: 0, bytes: 0 };
  const synced: SyncedEvent = {
    event: "synced",
    alpha: none,
    beta: none,
    conflicts: 0,
    merged: 0,
    failed: 0,
    skipped: 0,
    postponed: 0,
    locked: 0,
    entries: 1,
    dry_run: false,
    duration_ms: 12.4,
  };
  const beta = { changes: 3, trashed: 2, bytes: 2048 };
  const rows: [Partial<SyncedEvent>, string][] = [
    [{}, "In sync: 1 entry (12ms)."],
    [{ entries: 2, duration_ms: 61_000 }, "In sync: 2 entries (1m 01s)."],
    [{ dry_run: true }, "Nothing to do."],
    [{ beta }, "Made 3 changes at beta (2.00 KiB, 2 to the trash) in 12ms."],
    [
      { alpha: { ...none, changes: 1 }, beta, dry_run: true },
      "Would make 1 change at alpha (0 B) and 3 changes at beta (2.00 KiB, 2 to the trash) in 12ms.",
    ],
    [{ locked: 1 }, "Nothing was changed (12ms)."],
    [
      { conflicts: 1, postponed: 2, failed: 3 },
      "Nothing was changed (12ms). Conflicts: 1. Changed meanwhile, left for the next run: 2. Failed: 3.",
    ],
  ];
  assertReads(rows.map(([part, text]) => [{ ...synced, ...part }, text]));
});

Deno.test("humanText() of a sync that goes on says where it stands", () => {
  const status: SyncStatusEvent = {
    event: "sync_status",
    alpha: "/a",
    beta: "/b",
    mode: "two-way-safe",
    state: "waiting",
    pid: 7,
    socket: null,
    started_at: "2026-11-21T18:00:01.250Z",
    runs: 0,
    last: null,
  };
  const last = {
    ended_at: "2026-11-21T18:02:03.000Z",
    changes: 1,
    conflicts: 0,
    merged: 0,
    failed: 0,
    postponed: 0,
    locked: 0,
    entries: 40,
    error: null,
  };
  const head = "/a <-> /b  waiting, since 2026-11-21 18:00:01 UTC (process 7)\n";
  const ended = "the last one at 2026-11-21 18:02:03 UTC";
  assertReads([
    [status, `${head}  no run has ended yet`],
    [{ ...status, runs: 1, last }, `${head}  1 run, ${ended}: 1 change, 40 entries`],
    [
      { ...status, runs: 2, last: { ...last, error: "no\nroom" }, socket: "/run/s" },
      `${head}  2 runs, ${ended}: no\\nroom\n  events: /run/s`,
    ],
  ]);
});

Deno.test("humanText() of sync serve names who may what, who came and why somebody left", () => {
  const serving = { event: "sync_serving", name: "desk", folders: ["/a", "/b", "/c"] } as const;
  const session = {
    event: "sync_session",
    name: "desk",
    state: "left",
    remote: null,
    message: null,
  } as const;
  assertReads([
    [
      { ...serving, read_only: ["/b"], write_only: ["/c"] },
      "Waiting for desk, which may synchronize /a, /b (read only), /c (write only).",
    ],
    [{ ...session, state: "connected", remote: "10.0.0.2:7" }, "desk has come from 10.0.0.2:7."],
    [session, "desk has gone."],
    [{ ...session, message: "Cannot go on" }, "desk has gone: Cannot go on"],
  ]);
});

Deno.test("humanText() of conflicts and versions that are kept says from when they are", () => {
  const copy = {
    event: "conflict_copy",
    name: "x",
    copy: "x (desk)",
    machine: "desk",
    time: "2026-11-21T18:00:01.250Z",
    kept: null,
  } as const;
  const version = {
    event: "version",
    name: "x",
    displaced_at: "2026-11-21T18:00:01Z",
    kind: "file",
    bytes: 1,
    restored: false,
  } as const;
  assertReads([
    [copy, "x\n  x (desk) (from desk, 2026-11-21 18:00 UTC)"],
    [{ ...copy, kept: "both" }, "x\n  x (desk) (settled, kept: both)"],
    [version, "x@2026-11-21T18:00:01Z (1 B)"],
    [{ ...version, kind: "directory" }, "x@2026-11-21T18:00:01Z (a folder)"],
    [{ ...version, kind: "symlink", restored: true }, "Restored: x@2026-11-21T18:00:01Z (a symlink)"],
  ]);
});

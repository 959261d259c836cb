/**
 * Decides what becomes of two folders: a pure function of what both had in common, what each has now, and the policy.
 *
 * Who differs from the ancestor has changed; a change of one side goes to the other; where both have changed it is a
 * conflict. Nothing is ever decided for what is opaque at either end. Rules: docs/design/sync.md §3.
 */
import { sameBytes } from "../base/bytes.ts";
import type { MergedFile } from "./merge.ts";
import { joint, type JointNode, NOTHING, ROOT } from "./joint.ts";
import {
  AgreedRows,
  ALPHA,
  BETA,
  type Change,
  type Conflict,
  type ConflictKind,
  type Plan,
  type Side,
} from "./plan.ts";
import { modeMask, type Policy } from "./policy.ts";
import { DIRECTORY, FILE, OPAQUE, type Snapshot, SYMLINK } from "./snapshot.ts";
import { withMoves } from "./moves.ts";

/** What is compared. `ancestor` has stamps of both ends, each of the others one's own. */
export interface Reconciled {
  readonly ancestor: Snapshot;
  readonly alpha: Snapshot;
  readonly beta: Snapshot;
  readonly policy: Policy;
}

/** Gives what to change at both ends so that they agree. */
export function reconcile(given: Reconciled): Plan {
  const reconciler = new Reconciler(given);
  reconciler.directory(joint(given, ROOT, ROOT, ROOT), "");
  const { changes, conflicts, agreed, isNews } = reconciler;
  return { changes: withMoves(changes, given), conflicts, agreed, isNews };
}

/** Which ends have something at a path when all is done. */
type Left = number;
const NOWHERE = 0, AT_ALPHA = 1, AT_BETA = 2, EVERYWHERE = 3;

class Reconciler {
  readonly changes: [Change[], Change[]] = [[], []];
  readonly conflicts: Conflict[] = [];
  readonly agreed = new AgreedRows();
  isNews = false;
  readonly #ancestor: Snapshot;
  readonly #sides: readonly [Snapshot, Snapshot];
  readonly #given: Reconciled;
  readonly #mask: number;

  constructor(given: Reconciled) {
    this.#given = given;
    this.#ancestor = given.ancestor;
    this.#sides = [given.alpha, given.beta];
    this.#mask = modeMask(given.policy);
  }

  /** Decides for everything in a directory; gives which ends have something in it afterwards. */
  directory(nodes: Iterable<JointNode>, above: string): Left {
    let left: Left = NOWHERE;
    for (const node of nodes) {
      // Names of what did not change are never made into strings.
      if (this.#isQuiet(node)) left |= EVERYWHERE;
      else left |= this.#node(node, above === "" ? node.name : `${above}/${node.name}`);
    }
    return left;
  }

  /** Takes note of a file that is everywhere the same; tells whether it was one. */
  #isQuiet({ ancestor, rows: [alpha, beta], clash }: JointNode): boolean {
    if (ancestor < 0 || alpha < 0 || beta < 0 || clash || this.#kind(ALPHA, alpha) !== FILE) return false;
    const [a, b] = this.#sides;
    if (!a.same(alpha, b, beta) || ((a.mode(alpha) ^ b.mode(beta)) & this.#mask) !== 0) return false;
    this.agreed.add({ ancestor, alpha, beta });
    this.#noteAgreed(ancestor, alpha, beta, a.mode(alpha));
    return true;
  }

  #node(node: JointNode, path: string): Left {
    const { rows: [alpha, beta] } = node;
    if (node.clash) return this.#leave(node, path, "name");
    const kinds = [this.#kind(ALPHA, alpha), this.#kind(BETA, beta)];
    if (kinds[ALPHA] === OPAQUE || kinds[BETA] === OPAQUE) return this.#leave(node, path);
    if (alpha < 0 && beta < 0) {
      this.isNews = true; // both have deleted it
      return NOWHERE;
    }
    if (alpha >= 0 && beta >= 0) {
      if (kinds[ALPHA] === DIRECTORY && kinds[BETA] === DIRECTORY) return this.#bothDirectories(node, path);
      if (this.#sides[ALPHA].same(alpha, this.#sides[BETA], beta)) return this.#agree(node, path);
      return this.#different(node, path);
    }
    const side = alpha >= 0 ? ALPHA : BETA;
    return kinds[side] === DIRECTORY ? this.#oneDirectory(node, path, side) : this.#onlyOne(node, path, side);
  }

  /** Both have the same there, but perhaps not the same permissions. */
  #agree({ ancestor, rows: [alpha, beta] }: JointNode, path: string): Left {
    const mode = this.#mergedMode(ancestor, alpha, beta);
    const first = this.#setMode(ALPHA, alpha, path, mode), second = this.#setMode(BETA, beta, path, mode);
    this.agreed.add({ ancestor, alpha, beta, first, second, mode });
    this.#noteAgreed(ancestor, alpha, beta, mode);
    return EVERYWHERE;
  }

  #bothDirectories(node: JointNode, path: string): Left {
    this.#agree(node, path);
    const { ancestor, rows: [alpha, beta] } = node;
    this.directory(joint(this.#given, this.#below(ancestor), alpha, beta), path);
    return EVERYWHERE;
  }

  /** Both have something else there. */
  #different(node: JointNode, path: string): Left {
    const { ancestor, rows } = node;
    const news = [this.#hasNews(ALPHA, rows[ALPHA], ancestor), this.#hasNews(BETA, rows[BETA], ancestor)];
    const { mode } = this.#given.policy;
    if (mode === "one-way-replica") return this.#replace(node, path, ALPHA);
    if (mode === "one-way-safe" && !news[BETA]) return this.#replace(node, path, ALPHA);
    if (mode !== "one-way-safe" && !(news[ALPHA] && news[BETA])) {
      return this.#replace(node, path, news[ALPHA] ? ALPHA : BETA);
    }
    const areDirectories = rows.some((row, side) => this.#kind(side as Side, row) === DIRECTORY);
    const kind = areDirectories || this.#kind(ALPHA, rows[ALPHA]) !== this.#kind(BETA, rows[BETA])
      ? "type"
      : "edit";
    return this.#settle(node, path, kind);
  }

  /** A conflict of two versions: one gets the name, the other one is kept elsewhere. */
  #settle(node: JointNode, path: string, kind: ConflictKind): Left {
    const { policy } = this.#given;
    const merged = policy.merged?.get(path);
    if (merged !== undefined) return this.#placeMerged(node, path, merged);
    if (policy.mode === "two-way-resolved") {
      const winner = this.#preferred(node);
      if (!this.#canReplace(node, other(winner))) return this.#leave(node, path, "blocked");
      this.conflicts.push({ path, kind, winner });
      return this.#replace(node, path, winner);
    }
    const copy = policy.conflictName(path);
    this.conflicts.push({ path, kind, winner: ALPHA, copy });
    const { ancestor, rows: [alpha, beta] } = node;
    if (this.#kind(ALPHA, alpha) === DIRECTORY || this.#kind(BETA, beta) === DIRECTORY) {
      // The whole of beta's version steps aside; what alpha has comes to where nothing is.
      this.#change(BETA, { do: "move", path: copy, from: path, was: beta, source: -1 });
      return this.#create(alone(node, ALPHA), path, ALPHA);
    }
    const mode = this.#mergedMode(ancestor, alpha, -1);
    const first = this.#change(BETA, { do: "put", path, was: beta, source: alpha, mode, keep: copy });
    this.agreed.add({ ancestor, alpha, beta: -1, first });
    this.isNews = true;
    return EVERYWHERE;
  }

  /** What both wrote, in one, comes to both. It is agreed in the next round, which finds the same at both ends. */
  #placeMerged({ ancestor, rows }: JointNode, path: string, merged: MergedFile): Left {
    this.conflicts.push({ path, kind: "edit", isMerged: true });
    const mode = this.#mergedMode(ancestor, rows[ALPHA], rows[BETA]);
    for (const side of [ALPHA, BETA] as const) {
      const snapshot = this.#sides[side], row = rows[side];
      if (sameBytes(snapshot.content(row), merged.content)) this.#setMode(side, row, path, mode);
      else {
        const placed = snapshot.mode(row) & ~this.#mask | mode & this.#mask;
        this.#change(side, { do: "put", path, was: row, source: -1, mode: placed, merged });
      }
    }
    this.agreed.add({ ancestor, alpha: -1, beta: -1 });
    return EVERYWHERE;
  }

  #preferred({ rows: [alpha, beta] }: JointNode): Side {
    const { prefer } = this.#given.policy;
    const [a, b] = this.#sides;
    if (prefer === "newer") return b.mtime(beta) > a.mtime(alpha) ? BETA : ALPHA;
    if (prefer === "larger") return this.#bytes(BETA, beta) > this.#bytes(ALPHA, alpha) ? BETA : ALPHA;
    return prefer === "beta" ? BETA : ALPHA;
  }

  #bytes(side: Side, row: number): number {
    const snapshot = this.#sides[side];
    let bytes = 0;
    for (let at = row; at < snapshot.ends[row]!; at++) bytes += snapshot.size(at);
    return bytes;
  }

  /** What `winner` has comes to the place of what the other one has. */
  #replace(node: JointNode, path: string, winner: Side): Left {
    const { ancestor, rows } = node;
    const loser = other(winner);
    const [mine, theirs] = [rows[winner], rows[loser]];
    if (this.#kind(winner, mine) !== DIRECTORY && this.#kind(loser, theirs) !== DIRECTORY) {
      const mode = this.#mergedMode(ancestor, rows[ALPHA], rows[BETA], winner);
      // What need not agree stays as it is there.
      const kept = this.#kind(loser, theirs) === FILE ? this.#sides[loser].mode(theirs) : mode;
      const placed = kept & ~this.#mask | mode & this.#mask;
      const first = this.#change(loser, { do: "put", path, was: theirs, source: mine, mode: placed });
      const second = this.#setMode(winner, mine, path, mode);
      this.agreed.add({ ancestor, ...only(winner, mine), first, second, mode });
      this.isNews = true;
      return EVERYWHERE;
    }
    if (!this.#canReplace(node, loser)) return this.#leave(node, path, "blocked");
    const second = this.#removeAll(loser, theirs, path);
    return this.#create(alone(node, winner), path, winner, second);
  }

  /** Tells whether everything at a place may go: nothing in it is opaque. */
  #canReplace({ rows }: JointNode, side: Side): boolean {
    const snapshot = this.#sides[side], row = rows[side];
    for (let at = row; at < snapshot.ends[row]!; at++) if (this.#kind(side, at) === OPAQUE) return false;
    return true;
  }

  /** Removes what is at a place, with all that is in it; gives the reference of the last change. */
  #removeAll(side: Side, row: number, path: string): number {
    const snapshot = this.#sides[side];
    if (snapshot.kind(row) !== DIRECTORY) return this.#change(side, { do: "take", path, was: row });
    for (let at = row + 1; at < snapshot.ends[row]!; at = snapshot.ends[at]!) {
      this.#removeAll(side, at, `${path}/${snapshot.name(at)}`);
    }
    return this.#change(side, { do: "drop", path, was: row });
  }

  /** What only `side` has comes to the other end, with everything in it; `second` is what has to go for it. */
  #create(node: JointNode, path: string, side: Side, second?: number): Left {
    const { ancestor, rows } = node;
    const row = rows[side], snapshot = this.#sides[side], to = other(side);
    const mode = snapshot.mode(row);
    const first = snapshot.kind(row) === DIRECTORY
      ? this.#change(to, { do: "make", path, mode, source: row })
      : this.#change(to, { do: "put", path, was: -1, source: row, mode });
    this.agreed.add({ ancestor, ...only(side, row), first, ...second !== undefined && { second } });
    this.isNews = true;
    if (snapshot.kind(row) !== DIRECTORY) return EVERYWHERE;
    for (const child of this.#inside(node, side)) {
      const childRow = child.rows[side];
      if (childRow < 0) continue;
      const childPath = `${path}/${child.name}`;
      if (child.clash) this.#leave(child, childPath, "name");
      else if (this.#kind(side, childRow) === OPAQUE) this.#leave(child, childPath);
      else this.#create(child, childPath, side);
    }
    return EVERYWHERE;
  }

  /** A directory that only `side` has: new there, or deleted at the other end. */
  #oneDirectory(node: JointNode, path: string, side: Side): Left {
    const { ancestor, rows } = node;
    const { mode } = this.#given.policy;
    const wasThere = ancestor >= 0 && this.#ancestor.kind(ancestor) === DIRECTORY;
    const toOther = mode === "two-way-safe" || mode === "two-way-resolved" || side === ALPHA;
    if (toOther && (!wasThere || (side === ALPHA && mode.startsWith("one-way")))) {
      const isConflict = ancestor >= 0 && !wasThere && mode.startsWith("two-way");
      if (isConflict && !this.#deletionYields(node, path, side)) return NOWHERE;
      return this.#create(node, path, side);
    }
    if (mode === "one-way-safe" && !wasThere) return this.#keepHere(node, side);
    // Deleted at the other end: what is left in it decides whether it goes here too.
    const at = this.agreed.count;
    const row = rows[side];
    this.agreed.add({ ancestor, alpha: -1, beta: -1, gone: true });
    const left = this.directory(this.#inside(node, side), path);
    this.isNews = true;
    if (left === NOWHERE) {
      const first = this.#change(side, { do: "drop", path, was: row });
      this.agreed.set(at, { ancestor, alpha: -1, beta: -1, first, gone: true });
      return NOWHERE;
    }
    if ((left & bit(other(side))) === 0 && mode !== "two-way-safe" && mode !== "two-way-resolved") {
      // One way: what stays in it at beta only is beta's own.
      this.agreed.set(at, { ancestor: -1, ...only(side, row), gone: true });
      return bit(side);
    }
    // Something in it stays, so it does.
    const permissions = this.#sides[side].mode(row);
    const first = this.#change(other(side), { do: "make", path, mode: permissions, source: row });
    this.agreed.set(at, { ancestor, ...only(side, row), first });
    return EVERYWHERE;
  }

  /** A file or symlink that only `side` has: new there, or deleted at the other end. */
  #onlyOne(node: JointNode, path: string, side: Side): Left {
    const { ancestor, rows } = node;
    const { mode } = this.#given.policy;
    const isNew = ancestor < 0;
    const isEdited = !isNew && this.#hasNews(side, rows[side], ancestor);
    if (side === ALPHA && mode.startsWith("one-way")) return this.#create(node, path, side);
    if (mode === "one-way-safe" && (isNew || isEdited)) return this.#keepHere(node, side);
    if (mode !== "one-way-replica") {
      if (isNew) return this.#create(node, path, side);
      if (isEdited && this.#deletionYields(node, path, side)) return this.#create(node, path, side);
    }
    const first = this.#change(side, { do: "take", path, was: rows[side] });
    this.agreed.add({ ancestor, alpha: -1, beta: -1, first, gone: true });
    this.isNews = true;
    return NOWHERE;
  }

  /** `side` has changed what the other end has deleted: tells whether the change wins, and notes the conflict. */
  #deletionYields(node: JointNode, path: string, side: Side): boolean {
    const { mode, prefer } = this.#given.policy;
    const isPreferred = mode !== "two-way-resolved" || prefer === "newer" || prefer === "larger" ||
      (prefer === "alpha") === (side === ALPHA);
    this.conflicts.push({ path, kind: "delete", winner: isPreferred ? side : other(side) });
    if (isPreferred) return true;
    if (this.#kind(side, node.rows[side]) === DIRECTORY) {
      if (!this.#canReplace(node, side)) return true;
      this.#removeAll(side, node.rows[side], path);
      this.agreed.add({ ancestor: node.ancestor, alpha: -1, beta: -1, gone: true });
      this.isNews = true;
    }
    return false;
  }

  /** It is not agreed on, and stays where it is. */
  #keepHere({ ancestor }: JointNode, side: Side): Left {
    if (ancestor >= 0) this.isNews = true;
    return bit(side);
  }

  /** Nothing is done about it, whatever it is; what was agreed before stays so. */
  #leave({ ancestor, rows: [alpha, beta] }: JointNode, path: string, kind?: ConflictKind): Left {
    if (kind !== undefined) this.conflicts.push({ path, kind });
    if (ancestor >= 0) {
      for (let row = ancestor; row < this.#ancestor.ends[ancestor]!; row++) {
        this.agreed.add({ ancestor: row, alpha: -1, beta: -1 });
      }
    }
    return (alpha >= 0 ? AT_ALPHA : 0) | (beta >= 0 ? AT_BETA : 0);
  }

  /** Tells whether a side has something there that the ancestor has not; less is no news. */
  #hasNews(side: Side, row: number, ancestor: number): boolean {
    const snapshot = this.#sides[side];
    if (ancestor < 0 || !snapshot.same(row, this.#ancestor, ancestor)) return true;
    if (snapshot.kind(row) !== DIRECTORY) return false;
    for (const child of this.#inside({ ancestor, rows: [row, row] }, side)) {
      const mine = child.rows[side];
      if (mine >= 0 && (child.clash || this.#hasNews(side, mine, child.ancestor))) return true;
    }
    return false;
  }

  #mergedMode(ancestor: number, alpha: number, beta: number, winner: Side = ALPHA): number {
    const [a, b] = this.#sides;
    if (alpha < 0) return b.mode(beta);
    if (beta < 0) return a.mode(alpha);
    // A symlink has no permissions to agree on, and a file that takes its place brings its own.
    if (a.kind(alpha) === SYMLINK || b.kind(beta) === SYMLINK) {
      return winner === ALPHA ? a.mode(alpha) : b.mode(beta);
    }
    const isOneWay = this.#given.policy.mode.startsWith("one-way");
    const differs = (mode: number) => ((mode ^ this.#ancestor.mode(ancestor)) & this.#mask) !== 0;
    if (isOneWay || ((a.mode(alpha) ^ b.mode(beta)) & this.#mask) === 0) return a.mode(alpha);
    if (ancestor < 0) return winner === ALPHA ? a.mode(alpha) : b.mode(beta);
    if (!differs(a.mode(alpha))) return b.mode(beta);
    if (!differs(b.mode(beta))) return a.mode(alpha);
    return winner === ALPHA ? a.mode(alpha) : b.mode(beta);
  }

  /** Plans that a row gets the permissions `mode`; -1 when it has them. */
  #setMode(side: Side, row: number, path: string, mode: number): number {
    const snapshot = this.#sides[side];
    const kind = snapshot.kind(row);
    if ((kind !== FILE && kind !== DIRECTORY) || ((snapshot.mode(row) ^ mode) & this.#mask) === 0) return -1;
    const wanted = snapshot.mode(row) & ~this.#mask | mode & this.#mask;
    return this.#change(side, { do: "mode", path, was: row, mode: wanted });
  }

  #noteAgreed(ancestor: number, alpha: number, beta: number, mode: number): void {
    if (this.isNews) return;
    this.isNews = ancestor < 0 || !this.#sides[ALPHA].same(alpha, this.#ancestor, ancestor) ||
      ((this.#ancestor.mode(ancestor) ^ mode) & this.#mask) !== 0;
    if (this.isNews || this.#ancestor.kind(ancestor) === DIRECTORY) return;
    this.isNews = !sameStamp(this.#ancestor.stamp(ancestor, ALPHA), this.#sides[ALPHA].stamp(alpha)) ||
      !sameStamp(this.#ancestor.stamp(ancestor, BETA), this.#sides[BETA].stamp(beta)) ||
      this.#ancestor.columns.settled[ancestor] !==
        (this.#sides[ALPHA].columns.settled[alpha]! | this.#sides[BETA].columns.settled[beta]! << 1);
  }

  #kind(side: Side, row: number): number {
    if (row < 0) return 0;
    const kind = this.#sides[side].kind(row);
    return kind === SYMLINK && !this.#given.policy.abilities.symlinks ? OPAQUE : kind;
  }

  /** The ancestor's row, if there can be something below it. */
  #below(ancestor: number): number {
    return ancestor >= 0 && this.#ancestor.kind(ancestor) === DIRECTORY ? ancestor : NOTHING;
  }

  #change(side: Side, change: Change): number {
    return this.changes[side].push(change) - 1 << 1 | side;
  }

  /** What is in a directory that only `side` has. */
  #inside({ ancestor, rows }: Pick<JointNode, "ancestor" | "rows">, side: Side): Iterable<JointNode> {
    const below = this.#below(ancestor);
    return side === ALPHA
      ? joint(this.#given, below, rows[ALPHA], NOTHING)
      : joint(this.#given, below, NOTHING, rows[BETA]);
  }
}

function other(side: Side): Side {
  return side === ALPHA ? BETA : ALPHA;
}

function bit(side: Side): Left {
  return side === ALPHA ? AT_ALPHA : AT_BETA;
}

function only(side: Side, row: number): { alpha: number; beta: number } {
  return side === ALPHA ? { alpha: row, beta: -1 } : { alpha: -1, beta: row };
}

/** A node as if only `side` had something there. */
function alone({ name, ancestor, rows, clash }: JointNode, side: Side): JointNode {
  return { name, ancestor, clash, rows: side === ALPHA ? [rows[ALPHA], NOTHING] : [NOTHING, rows[BETA]] };
}

function sameStamp(a: Uint8Array, b: Uint8Array): boolean {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

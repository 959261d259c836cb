/** What a person decides about a pair of folders, and what the folders themselves can do. */

import type { MergedFile } from "./merge.ts";

/** How changes travel. */
export const MODES = ["two-way-safe", "two-way-resolved", "one-way-safe", "one-way-replica"] as const;

/** One of {@linkcode MODES}. */
export type Mode = typeof MODES[number];

/** Who wins a conflict in two-way-resolved. */
export const PREFERENCES = ["alpha", "beta", "newer", "larger"] as const;

/** One of {@linkcode PREFERENCES}. */
export type Preference = typeof PREFERENCES[number];

/** Which permissions are kept the same. */
export const PERMISSIONS = ["all", "executable", "none"] as const;

/** One of {@linkcode PERMISSIONS}. */
export type Permissions = typeof PERMISSIONS[number];

/** What the file system of a folder can do. */
export interface Abilities {
  /** `a` and `A` are one name. */
  readonly foldsCase: boolean;
  /** Different ways to write the same Unicode text are one name. */
  readonly normalizes: boolean;
  /** It holds the nine permission bits. */
  readonly permissions: boolean;
  readonly symlinks: boolean;
}

/** What Linux and most file systems on it can do. */
export const ALL_ABILITIES: Abilities = {
  foldsCase: false,
  normalizes: false,
  permissions: true,
  symlinks: true,
};

/** How two folders are reconciled. */
export interface Policy {
  readonly mode: Mode;
  readonly prefer: Preference;
  readonly permissions: Permissions;
  /** Of both ends together: a folder that cannot do something binds both. */
  readonly abilities: Abilities;
  /** Gives the name under which beta's version of the conflict at `path` is kept beside alpha's. */
  conflictName(path: string): string;
  /** What came of merging what both have edited, by path. */
  readonly merged?: ReadonlyMap<string, MergedFile>;
}

/** Gives what both of two folders can do; names clash when they do in either. */
export function sharedAbilities(a: Abilities, b: Abilities): Abilities {
  return {
    foldsCase: a.foldsCase || b.foldsCase,
    normalizes: a.normalizes || b.normalizes,
    permissions: a.permissions && b.permissions,
    symlinks: a.symlinks && b.symlinks,
  };
}

/** Gives the permission bits that must agree. */
export function modeMask({ permissions, abilities }: Pick<Policy, "permissions" | "abilities">): number {
  if (!abilities.permissions || permissions === "none") return 0;
  return permissions === "executable" ? 0o100 : 0o777;
}

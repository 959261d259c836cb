/** Finds a place in the destination for each root: its own name, a free one, or none. */
import { encodeName } from "../base/names.ts";
import type { RootPlan } from "../native/receive.ts";
import { type EntryName, parseName, printable } from "../tree/mod.ts";
import { MAX_NAME_BYTES } from "../wire/mod.ts";
import type { RefusedRoot } from "./getter.ts";
import type { ManifestRoot } from "./manifest_reader.ts";

/** What becomes of a root whose name exists; undefined: it is not received. */
export type ExistingPolicy = "overwrite" | "rename" | "skip";

/** Gives those of `names` that the destination holds. */
export type Exists = (names: readonly Uint8Array[]) => Promise<ReadonlySet<number>>;

/** Names that are tried for one renamed root. */
const MAX_TRIES = 10_000;

/** Places the roots of one transfer; names that it gave are not given again. */
export class Placement {
  readonly #exists: Exists;
  readonly #existing: ExistingPolicy | undefined;
  readonly #given = new Set<string>();

  constructor({ exists, existing }: { exists: Exists; existing: ExistingPolicy | undefined }) {
    this.#exists = exists;
    this.#existing = existing;
  }

  /** Gives a plan for each root, or why there is none. */
  async plan(roots: readonly ManifestRoot[]): Promise<{ plans: RootPlan[]; refused: RefusedRoot[] }> {
    const plans: RootPlan[] = [];
    const refused: RefusedRoot[] = [];
    const present = roots.length === 0
      ? new Set()
      : await this.#exists(roots.map(({ name }) => encodeName(name)));
    for (const [i, root] of roots.entries()) {
      const { entry, name } = root;
      const twice = this.#given.has(name);
      if (this.#existing === "rename" && (present.has(i) || twice)) {
        plans.push({ entry, final_name: encodeName(await this.#freeName(root)), policy: "fresh" });
        continue;
      }
      if (twice) {
        refused.push(refuse(root, "ALREADY_EXISTS", "another root of this transfer has the same name"));
      } else if (this.#existing === "overwrite" || this.#existing === "skip" && present.has(i)) {
        // Whoever overwrites does so too with what another program puts there until the end.
        plans.push({ entry, final_name: encodeName(name), policy: this.#existing });
      } else if (!present.has(i)) {
        plans.push({ entry, final_name: encodeName(name), policy: "fresh" });
      } else refused.push(refuse(root, "DESTINATION_EXISTS", "it exists already"));
      this.#given.add(name);
    }
    return { plans, refused };
  }

  async #freeName({ name, kind }: ManifestRoot): Promise<EntryName> {
    for (let number = 2; number < MAX_TRIES; number++) {
      const tried = numbered(name, { number, isDirectory: kind === "directory" });
      if (this.#given.has(tried)) continue;
      if ((await this.#exists([encodeName(tried)])).size > 0) continue;
      this.#given.add(tried);
      return tried;
    }
    // The engine refuses it then, and says which name is taken.
    return name;
  }
}

/** Gives `notes (2).txt` for `notes.txt`, shortened where it would be too long for a name. */
export function numbered(
  name: EntryName,
  { number, isDirectory }: { number: number; isDirectory: boolean },
): EntryName {
  const dot = isDirectory ? -1 : name.lastIndexOf(".");
  let stem = dot > 0 ? name.slice(0, dot) : name as string;
  let tail = ` (${number})${dot > 0 ? name.slice(dot) : ""}`;
  if (encodeName(tail).length > MAX_NAME_BYTES / 2) tail = ` (${number})`;
  while (encodeName(stem + tail).length > MAX_NAME_BYTES) stem = [...stem].slice(0, -1).join("");
  return parseName(stem + tail);
}

function refuse({ entry, name }: ManifestRoot, code: RefusedRoot["code"], state: string): RefusedRoot {
  return { entry, path: name, code, message: `Cannot receive "${printable(name)}": ${state}` };
}

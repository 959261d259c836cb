/** From what the person said to the policy that crosses to the native library once; pure. */

/** Ways to move a file's bytes; `auto` takes the fastest that the two file systems allow. */
export const METHODS = [
  "auto",
  "reflink",
  "copy_file_range",
  "splice",
  "io_uring",
  "read_write",
  "direct",
  "mmap",
] as const;

/** One of {@linkcode METHODS}. */
export type Method = typeof METHODS[number];

/** What of a file is kept besides its bytes. */
export const ATTRIBUTES = [
  "mode",
  "owner",
  "times",
  "xattrs",
  "acl",
  "hardlinks",
  "specials",
  "flags",
] as const;

/** One of {@linkcode ATTRIBUTES}. */
export type Attribute = typeof ATTRIBUTES[number];

/** Which attributes are kept. */
export type Preserve = Readonly<Record<Attribute, boolean>> & {
  /** What cannot be kept is a failure. */
  readonly required: boolean;
};

/** Other words for them: `cp`'s. */
const SYNONYMS: ReadonlyMap<string, readonly Attribute[]> = new Map([
  ["all", ATTRIBUTES],
  ["none", []],
  ["ownership", ["owner"]],
  ["timestamps", ["times"]],
  ["links", ["hardlinks"]],
  ["xattr", ["xattrs"]],
  ["acls", ["acl"]],
  ["context", ["xattrs"]],
  ...ATTRIBUTES.map((attribute) => [attribute, [attribute]] as [string, Attribute[]]),
] as [string, readonly Attribute[]][]);

/** Words that `--preserve` takes. */
export const PRESERVE_WORDS: readonly string[] = [...SYNONYMS.keys()];

/** Reads `mode,owner,…`; undefined when a word is none of {@linkcode PRESERVE_WORDS}. */
export function parsePreserve(text: string): readonly Attribute[] | undefined {
  const lists = text.split(",").map((word) => SYNONYMS.get(word.trim().toLowerCase()));
  return lists.every((list) => list !== undefined) ? [...new Set(lists.flat())] : undefined;
}

/** What the person said about attributes. */
export interface PreserveWishes {
  /** `--preserve`. */
  readonly only?: readonly Attribute[] | undefined;
  /** `--preserve-hardlinks` and the like. */
  readonly also?: readonly Attribute[];
  /** `--no-owner` and the like. */
  readonly not?: readonly Attribute[];
}

/** Gives what is kept: everything that may be kept, unless less was asked for. Only root may give files away. */
export function preserveOf(
  { only, also = [], not = [] }: PreserveWishes,
  { isRoot }: { isRoot: boolean },
): Preserve {
  const wanted = new Set(only ?? ATTRIBUTES.filter((attribute) => isRoot || attribute !== "owner"));
  for (const attribute of also) wanted.add(attribute);
  for (const attribute of not) wanted.delete(attribute);
  return {
    ...Object.fromEntries(ATTRIBUTES.map((attribute) => [attribute, wanted.has(attribute)])) as Record<
      Attribute,
      boolean
    >,
    // Who names attributes wants to hear when one is lost.
    required: only !== undefined || also.length > 0,
  };
}

/** What happens to files that are there. */
export type Existing =
  /** They are replaced, as `cp` does. */
  | "replace"
  /** They stay. */
  | "skip"
  /** Those that are older are replaced. */
  | "newer"
  /** Those that differ in size or mtime, or with `checksum` in content, are replaced. */
  | "differs";

/** Gives `existing` and `compare` of the native policy. `resume` is a run that goes on: what is there in full stays. */
export function existingOf(
  { existing, checksum, resume }: { existing: Existing; checksum: boolean; resume: boolean },
): { existing: "replace" | "skip" | "update"; compare: "size_mtime" | "checksum" | "newer" } {
  if (existing === "skip") return { existing: "skip", compare: "size_mtime" };
  if (existing === "newer") return { existing: "update", compare: "newer" };
  if (existing === "replace" && !resume) return { existing: "replace", compare: "size_mtime" };
  return { existing: "update", compare: checksum ? "checksum" : "size_mtime" };
}

/**
 * Globs over entry paths, in time proportional to pattern times path: `*` and `?` within a name, `[a-z]` and `[!a-z]`
 * classes, `**` for any directories. Pure.
 */

type Test = (character: string) => boolean;
/** One name's pattern: tests of one character each, undefined for `*`. */
type Name = readonly (Test | undefined)[];

/** A compiled glob. */
export interface Glob {
  /** The pattern has no slash: it is about the last name, wherever it is. */
  readonly anywhere: boolean;
  /** Tells whether the path (names from the root down) matches. */
  matches(path: readonly string[]): boolean;
}

/** Compiles a pattern; a leading or trailing slash says nothing but that it is about whole paths. */
export function compileGlob(pattern: string): Glob {
  const parts = pattern.split("/").filter((part) => part !== "" && part !== ".");
  const names = parts.map((part) => part === "**" ? undefined : compileName(part));
  const anywhere = !pattern.replace(/\/+$/, "").includes("/") && parts[0] !== "**";
  return {
    anywhere,
    matches: (path) => anywhere ? matchesAnywhere(names[0], path) : matchesPath(names, path),
  };
}

function matchesAnywhere(name: Name | undefined, path: readonly string[]): boolean {
  return name !== undefined && path.length > 0 && matchesName(name, [...path.at(-1)!]);
}

/** Row by row: which beginnings of the path the pattern's beginning matches. */
function matchesPath(names: readonly (Name | undefined)[], path: readonly string[]): boolean {
  let reached = [true, ...path.map(() => false)];
  for (const name of names) {
    const next = reached.map(() => false);
    for (let i = 0; i <= path.length; i++) {
      if (name === undefined) next[i] = reached[i]! || (i > 0 && next[i - 1]!);
      else if (i > 0 && reached[i - 1]!) next[i] = matchesName(name, [...path[i - 1]!]);
    }
    reached = next;
  }
  return reached[path.length]!;
}

/** The usual walk with one return point: the last `*`. */
function matchesName(name: Name, characters: readonly string[]): boolean {
  let at = 0;
  let star = -1;
  let starAt = 0;
  for (let i = 0; i < characters.length;) {
    const test = name[at];
    if (at < name.length && test === undefined) {
      star = at++;
      starAt = i;
    } else if (test !== undefined && test(characters[i]!)) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++starAt;
    } else return false;
  }
  while (at < name.length && name[at] === undefined) at++;
  return at === name.length;
}

function compileName(part: string): Name {
  const tests: (Test | undefined)[] = [];
  const characters = [...part];
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i]!;
    if (character === "*") {
      if (tests.length === 0 || tests.at(-1) !== undefined) tests.push(undefined);
    } else if (character === "?") tests.push(() => true);
    else if (character === "[" && classEnd(characters, i) > 0) {
      const end = classEnd(characters, i);
      tests.push(compileClass(characters.slice(i + 1, end)));
      i = end;
    } else {
      const literal = character === "\\" && i + 1 < characters.length ? characters[++i]! : character;
      tests.push((given) => given === literal);
    }
  }
  return tests;
}

/** Index of the `]` that ends the class at `start`; -1 when there is none and `[` stands for itself. */
function classEnd(characters: readonly string[], start: number): number {
  const first = characters[start + 1] === "!" || characters[start + 1] === "^" ? start + 2 : start + 1;
  return characters.indexOf("]", first + 1);
}

function compileClass(members: readonly string[]): Test {
  const negated = members[0] === "!" || members[0] === "^";
  const list = negated ? members.slice(1) : members;
  const ranges: [string, string][] = [];
  for (let i = 0; i < list.length; i++) {
    if (list[i + 1] === "-" && i + 2 < list.length) {
      ranges.push([list[i]!, list[i + 2]!]);
      i += 2;
    } else ranges.push([list[i]!, list[i]!]);
  }
  const inside = (code: number) =>
    ranges.some(([low, high]) => code >= low.codePointAt(0)! && code <= high.codePointAt(0)!);
  return (character) => inside(character.codePointAt(0)!) !== negated;
}

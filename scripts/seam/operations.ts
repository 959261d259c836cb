import { withoutComments } from "./symbols.ts";

/** An operation's name and the file that names it. */
export interface Named {
  name: string;
  file: string;
}

const TABLE = /\bOPERATIONS\s*:\s*&\[\(&str,\s*Op\)\]\s*=\s*&\[([\s\S]*?)\];/g;
const OPERATION = /^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$/;

/** Gives the names in the `OPERATIONS` table of the Rust source `text`. */
export function parseOperations(text: string, file: string): Named[] {
  return [...withoutComments(text).matchAll(TABLE)].flatMap(([, table]) =>
    [...table!.matchAll(/\(\s*"([^"]+)"/g)].map(([, name]) => ({ name: name!, file }))
  );
}

/**
 * Gives the operations that the TypeScript source `text` names: the first argument of each `.call(…)`,
 * and every other string constant whose module part is one of `known`'s (`"net.dial"` but not `"a.dll"`).
 */
export function parseCalls(text: string, file: string, known: Named[]): Named[] {
  const modules = new Set(known.map(({ name }) => name.slice(0, name.indexOf("."))));
  const code = text.replace(/\/\*[\s\S]*?\*\//g, " ").replace(/^\s*\/\/.*$/gm, " ");
  const names = new Set<string>();
  for (const [, name] of code.matchAll(/\.call\s*(?:<[^()]*>)?\(\s*"([^"]*)"/g)) names.add(name!);
  for (const [, name] of code.matchAll(/"([^"\n]*)"/g)) {
    if (OPERATION.test(name!) && modules.has(name!.slice(0, name!.indexOf(".")))) names.add(name!);
  }
  return [...names].map((name) => ({ name, file }));
}

/** Gives one line for each call without an operation and each operation that is named twice. */
export function compareOperations(operations: Named[], calls: Named[]): string[] {
  const problems: string[] = [];
  const known = new Set<string>();
  for (const { name, file } of operations) {
    if (known.has(name)) problems.push(`${name}: in two OPERATIONS tables or twice in one, ${file}`);
    if (!OPERATION.test(name)) problems.push(`${name}: an operation is named "module.verb" (${file})`);
    known.add(name);
  }
  for (const { name, file } of calls) {
    if (!known.has(name)) problems.push(`${name}: called in src/native/${file}, in no OPERATIONS table`);
  }
  return problems;
}

/** Gives one line for each export file whose table `mod.rs` forgets. */
export function untabledModules(files: { name: string; text: string }[]): string[] {
  const root = withoutComments(files.find(({ name }) => name === "mod.rs")?.text ?? "");
  return files.flatMap(({ name, text }) => {
    const module = name.replace(/\.rs$/, "");
    if (module === "mod" || parseOperations(text, name).length === 0) return [];
    return new RegExp(`\\b${module}::OPERATIONS\\b`).test(root)
      ? []
      : [`${name}: its OPERATIONS table is missing from ffi/src/export/mod.rs`];
  });
}

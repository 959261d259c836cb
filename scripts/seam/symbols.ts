/** One `extern "C"` function as Rust declares it, in the words of `Deno.ForeignFunction`. */
export interface Export {
  name: string;
  parameters: string[];
  result: string;
  file: string;
}

const FUNCTION = /pub\s+(?:unsafe\s+)?extern\s+"C"\s+fn\s+(\w+)\s*\(([^)]*)\)\s*(?:->\s*([^{]+?))?\s*\{/g;

/** Types that mean the same on both sides; a Rust pointer is checked by {@linkcode sameType}. */
const NUMBERS = new Set("u8 i8 u16 i16 u32 i32 u64 i64 usize isize f32 f64 bool".split(" "));

/** Gives the exported functions in the Rust source `text`. */
export function parseExports(text: string, file: string): Export[] {
  return [...withoutComments(text).matchAll(FUNCTION)].map(([, name, parameters, result]) => ({
    name: name!,
    parameters: parameters!.split(",").map((one) => one.trim()).filter(Boolean).map((one) =>
      typeName(one.slice(one.indexOf(":") + 1))
    ),
    result: result === undefined ? "void" : typeName(result),
    file,
  }));
}

/** Gives one line for each difference between `symbols` and `exported`. */
export function compareSymbols(symbols: Deno.ForeignLibraryInterface, exported: Export[]): string[] {
  const problems: string[] = [];
  const byName = new Map<string, Export>();
  for (const one of exported) {
    if (byName.has(one.name)) problems.push(`${one.name}: defined twice, in ${one.file} too`);
    byName.set(one.name, one);
    if (!(one.name in symbols)) problems.push(`${one.name}: in ${one.file}, not in src/native/symbols.ts`);
  }
  for (const [name, symbol] of Object.entries(symbols)) {
    const found = byName.get(name);
    if (!("parameters" in symbol)) problems.push(`${name}: symbols.ts does not declare it as a function`);
    else if (!found) problems.push(`${name}: in src/native/symbols.ts, not in ffi/src/export`);
    else problems.push(...compareOne(symbol, found));
  }
  return problems;
}

function compareOne(symbol: Deno.ForeignFunction, found: Export): string[] {
  const where = `${found.name} (${found.file})`;
  const { parameters, result } = symbol;
  if (parameters.length !== found.parameters.length) {
    return [
      `${where}: Rust takes ${found.parameters.length} parameters, TypeScript gives ${parameters.length}`,
    ];
  }
  const problems = parameters.flatMap((type, at) =>
    sameType(type, found.parameters[at]!)
      ? []
      : [`${where}: parameter ${at + 1} is ${found.parameters[at]} in Rust, ${describe(type)} in TypeScript`]
  );
  if (!sameType(result, found.result)) {
    problems.push(`${where}: the result is ${found.result} in Rust, ${describe(result)} in TypeScript`);
  }
  return problems;
}

function sameType(typescript: Deno.NativeResultType, rust: string): boolean {
  if (typeof typescript === "object") return false;
  if (rust === "pointer") return typescript === "buffer" || typescript === "pointer";
  return typescript === rust;
}

function describe(type: Deno.NativeResultType): string {
  return typeof type === "string" ? type : JSON.stringify(type);
}

function typeName(rust: string): string {
  const type = rust.trim();
  if (/^\*(const|mut)\b/.test(type)) return "pointer";
  if (/^(Option\s*<\s*)?(unsafe\s+)?extern\b/.test(type)) return "function";
  if (type === "()") return "void";
  return NUMBERS.has(type) ? type : `unknown type ${type}`;
}

/** Gives Rust source without its comments, so that examples in them are not taken for code. */
export function withoutComments(text: string): string {
  return text.replace(
    /"(?:[^"\\]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (part) => part[0] === "/" ? " " : part,
  );
}

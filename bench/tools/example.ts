/** The yardsticks in `ffi/examples`: bare pipelines that do what must be done and nothing else. */
import { ROOT } from "../machine.ts";
import { output } from "../process.ts";

const built = new Set<string>();

/** Tells whether this checkout has the example `name`. */
export async function hasExample(name: string): Promise<boolean> {
  return (await Deno.stat(`${ROOT}/ffi/examples/${name}.rs`).catch(() => undefined))?.isFile === true;
}

/** Runs an example, which is built first, and gives what it wrote. */
export async function runExample(name: string, args: readonly string[]): Promise<string> {
  if (!built.has(name)) {
    await output([
      "cargo",
      "build",
      "--quiet",
      "--release",
      "--locked",
      "--manifest-path",
      `${ROOT}/ffi/Cargo.toml`,
      "--example",
      name,
    ]);
    built.add(name);
  }
  return await output([
    `${Deno.env.get("CARGO_TARGET_DIR") ?? `${ROOT}/ffi/target`}/release/examples/${name}`,
    ...args,
  ]);
}

/** Runs an example that writes one JSON object per line. */
export async function runExampleLines(
  name: string,
  args: readonly string[],
): Promise<Record<string, number>[]> {
  const lines = (await runExample(name, args)).split("\n");
  return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
}

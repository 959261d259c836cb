/**
 * Says how many lines of `ffi/src/` the Rust tests, and the unit tests that load the library
 * themselves, execute: `deno run -A scripts/testing/rust_coverage.ts`.
 *
 * Needs the tools `cov` and `profparser`, which read rustc's counters without LLVM's own tools, of the same LLVM
 * version, at hand: `cargo install llvm_profparser --version 0.14.0 --features cli --locked`. Builds in
 * `build/coverage`, the first time every crate.
 */
import { fromFileUrl, join } from "../../src/base/paths.ts";
import { coverageLines, type Lines } from "./counts.ts";
import { denoTest } from "./suites.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url)).replace(/[\\/]$/, "");
const FOLDER = join(ROOT, "build/coverage");
const SOURCES = join(ROOT, "ffi/src/");
const CARGO = [
  "--release",
  "--locked",
  "--manifest-path",
  join(ROOT, "ffi/Cargo.toml"),
  "--target-dir",
  FOLDER,
];

if (import.meta.main) await main();

async function main(): Promise<void> {
  const profiles = join(FOLDER, "profiles");
  await Deno.remove(profiles, { recursive: true }).catch(() => {});
  const env = {
    RUSTC_WORKSPACE_WRAPPER: join(ROOT, "scripts/testing/instrumented_rustc"),
    LLVM_PROFILE_FILE: join(profiles, "%p-%m.profraw"),
  };
  const tests = await output("cargo", ["test", ...CARGO, "--no-run", "--message-format=json"], env);
  await run("cargo", ["test", ...CARGO], env);
  await run("cargo", ["build", ...CARGO, "--lib"], env);
  const library = await findLibrary();
  await run(Deno.execPath(), [...denoTest(undefined).slice(1), "src", "tests/pairing", "tests/compliance"], {
    ...env,
    WORMHOLE_LIBRARY: library,
  });
  const shown = [...executables(tests), library].map((path) => `--object=${path}`);
  for (const path of await wholeProfiles(profiles)) shown.push(`--instr-profile=${path}`);
  report(coverageLines(await output("cov", ["show", ...shown])));
}

async function findLibrary(): Promise<string> {
  const folder = join(FOLDER, "release");
  for await (const { name } of Deno.readDir(folder)) {
    if (/^(?:lib)?wormhole_ffi\.(?:so|dylib|dll)$/.test(name)) return join(folder, name);
  }
  throw new Error(`Cannot measure: there is no library in "${folder}"`);
}

/** Gives the paths of the profiles in `folder` but for those that a killed process left unfinished; says how many. */
export async function wholeProfiles(folder: string): Promise<string[]> {
  const whole: string[] = [];
  let unfinished = 0;
  for await (const { name } of Deno.readDir(folder)) {
    const path = join(folder, name);
    // It takes an empty one for a profile without a function.
    if ((await Deno.stat(path)).size > 0 && await succeeds("profparser", ["show", "--input", path])) {
      whole.push(path);
    } else unfinished++;
  }
  if (unfinished > 0) {
    console.log(
      `Left out ${unfinished} of ${whole.length + unfinished} profiles: their processes were killed`,
    );
  }
  return whole;
}

/** Gives the test programs that cargo names in its messages, one JSON object a line. */
function executables(messages: string): string[] {
  const found = messages.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  return found.flatMap(({ executable }) => executable ?? []);
}

function report(files: ReadonlyMap<string, Lines>): void {
  const total: Lines = { counted: 0, reached: 0 };
  for (const [path, lines] of [...files].sort()) {
    // Test code reaches itself.
    if (!path.startsWith(SOURCES) || /(?:_test|tests?|testing)(?:\.rs$|\/)/.test(path)) continue;
    total.counted += lines.counted;
    total.reached += lines.reached;
    console.log(`${percent(lines)}  ${path.slice(SOURCES.length)}`);
  }
  console.log(`${percent(total)}  lines of ffi/src/ (${total.reached} of ${total.counted})`);
}

function percent({ counted, reached }: Lines): string {
  return `${(counted === 0 ? 100 : 100 * reached / counted).toFixed(1).padStart(5)} %`;
}

async function run(command: string, args: string[], env: Record<string, string>): Promise<void> {
  const { success } = await new Deno.Command(command, { args, env, cwd: ROOT }).spawn().status;
  if (!success) throw new Error(`Cannot measure: ${command} failed as shown above`);
}

async function succeeds(command: string, args: string[]): Promise<boolean> {
  return (await ended(command, { args, stdout: "null", stderr: "null" })).success;
}

async function output(command: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout } = await ended(command, { args, env, stdout: "piped", stderr: "inherit" });
  if (!success) throw new Error(`Cannot measure: ${command} failed as shown above`);
  return new TextDecoder().decode(stdout);
}

async function ended(command: string, options: Deno.CommandOptions): Promise<Deno.CommandOutput> {
  try {
    return await new Deno.Command(command, options).output();
  } catch (cause) {
    throw new Error(`Cannot run ${command}: is it installed? See the top of this script`, { cause });
  }
}

/** Runs the test suites that the arguments name, all by default; see `scripts/test`. */
import type { Counts } from "./counts.ts";
import { removeUnfinished } from "./profiles.ts";
import { type Suite, SUITES } from "./suites.ts";

/** Where every process of a run with --coverage, the commands that tests start too, leaves what it executed. */
const COVERAGE_FOLDER = `${Deno.cwd()}/coverage`;

/** glibc gives large buffers back when they are freed, so that tests that bound memory see leaks, not fragments. */
const MALLOC = { MALLOC_ARENA_MAX: "2", MALLOC_MMAP_THRESHOLD_: "65536", MALLOC_TRIM_THRESHOLD_: "131072" };

/** Files that `deno test --parallel` runs at once. */
const JOBS = { DENO_JOBS: String(navigator.hardwareConcurrency + 1) };

const coverage = Deno.args.includes("--coverage");
const [name, filter, ...rest] = Deno.args.filter((argument) => argument !== "--coverage");
const suites = SUITES.filter((suite) => name === undefined || suite.name === name);
if (suites.length === 0 || rest.length > 0) {
  console.error(`usage: scripts/test [${SUITES.map((suite) => suite.name).join("|")} [WORD]] [--coverage]`);
  Deno.exit(2);
}

if (coverage) await Deno.remove(COVERAGE_FOLDER, { recursive: true }).catch(() => {});
const total: Counts = { passed: 0, failed: 0 };
const complaints: string[] = [];
for (const suite of suites) {
  console.log(`\n== ${suite.name}`);
  const counts = await runSuite(suite);
  total.passed += counts.passed;
  total.failed += counts.failed;
}
if (coverage) await reportCoverage();
console.log();
for (const complaint of complaints) console.log(complaint);
console.log(`${total.passed} passed, ${total.failed} failed`);
Deno.exit(total.failed === 0 ? 0 : 1);

/** Runs one suite; what ends badly without a failed test (a type error, no test at all) counts as one. */
async function runSuite(suite: Suite): Promise<Counts> {
  const [command, ...args] = suite.command(filter, { coverage: coverage ? COVERAGE_FOLDER : undefined });
  const { code, output } = await runShown(
    command!,
    args,
    coverage ? { DENO_COVERAGE_DIR: COVERAGE_FOLDER } : {},
  );
  const counts = suite.counts(output);
  if (counts.failed === 0 && code !== 0) {
    complaints.push(`${suite.name}: ended with exit code ${code}, see above`);
    counts.failed = 1;
  } else if (counts.passed + counts.failed === 0) {
    complaints.push(`${suite.name}: no test ran`);
    counts.failed = 1;
  }
  return counts;
}

/** Runs a command and gives what it wrote to stdout, which is also shown as it comes. */
async function runShown(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; output: string }> {
  const options = {
    args,
    env: { ...MALLOC, ...JOBS, ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  } as const;
  const child = new Deno.Command(command, options).spawn();
  const decoder = new TextDecoder();
  let output = "";
  for await (const part of child.stdout) {
    output += decoder.decode(part, { stream: true });
    for (let at = 0; at < part.length;) at += Deno.stdout.writeSync(part.subarray(at));
  }
  const { code } = await child.status;
  return { code, output };
}

/** Shows how much of `src/` the tests and the commands that they started reached, and writes `coverage/lcov.info`. */
async function reportCoverage(): Promise<void> {
  const lcov = `${COVERAGE_FOLDER}/lcov.info`;
  const only = ["--include=/src/", "--exclude=(?:_test|testing)\\.ts$"];
  await runShown(Deno.execPath(), [
    "run",
    "-A",
    `--coverage=${COVERAGE_FOLDER}`,
    "scripts/testing/load_all.ts",
  ]);
  const unfinished = await removeUnfinished(COVERAGE_FOLDER);
  if (unfinished > 0) console.log(`Left out ${unfinished} profiles: their processes were killed`);
  await runShown(Deno.execPath(), ["coverage", ...only, COVERAGE_FOLDER]);
  await runShown(Deno.execPath(), ["coverage", ...only, "--lcov", `--output=${lcov}`, COVERAGE_FOLDER]);
  console.log("Of ffi/src/ tells: deno run -A scripts/testing/rust_coverage.ts");
}

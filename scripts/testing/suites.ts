import { cargoCounts, type Counts, denoCounts } from "./counts.ts";

/** One kind of test: the command that runs it and how to read its counts. */
export interface Suite {
  name: string;
  command(filter: string | undefined, options: { coverage?: string }): string[];
  counts(output: string): Counts;
}

/** Every suite in the order in which they run. */
export const SUITES: readonly Suite[] = [
  {
    name: "rust",
    command: (filter) => [
      "cargo",
      "test",
      "--release",
      "--locked",
      "--no-fail-fast",
      "--manifest-path",
      "ffi/Cargo.toml",
      "--target-dir",
      Deno.env.get("CARGO_TARGET_DIR") ?? "ffi/target",
      ...(filter === undefined ? [] : ["--", filter]),
    ],
    counts: cargoCounts,
  },
  {
    name: "unit",
    command: (filter, { coverage }) => [
      ...denoTest(filter, coverage),
      "src",
      "scripts",
      "bench",
      ...testFolders().filter((folder) => folder !== "tests/e2e"),
    ],
    counts: denoCounts,
  },
  // These wait more than they compute, each in folders, ports and namespaces of its own.
  {
    name: "e2e",
    command: (filter, { coverage }) => [...denoTest(filter, coverage), "--parallel", "tests/e2e"],
    counts: denoCounts,
  },
];

/** Named one by one, since Deno heeds `--ignore` in the first of several folders only (2.6 and 2.9). */
function testFolders(): string[] {
  const entries = [...Deno.readDirSync(new URL("../../tests", import.meta.url))];
  return entries.filter((entry) => entry.isDirectory).map(({ name }) => `tests/${name}`).sort();
}

/** Gives the command of `deno test` without its folders; what it executes is noted in `coverage`. */
export function denoTest(filter: string | undefined, coverage?: string): string[] {
  return [
    Deno.execPath(),
    "test",
    "-A",
    "--no-prompt",
    "--permit-no-files",
    "--preload=scripts/testing/preload.ts",
    ...(coverage === undefined ? [] : [`--coverage=${coverage}`, "--coverage-raw-data-only"]),
    ...(filter === undefined ? [] : [`--filter=${filter}`]),
  ];
}

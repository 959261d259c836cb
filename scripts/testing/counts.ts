/** How many tests of a suite held and how many did not. */
export interface Counts {
  passed: number;
  failed: number;
}

/** Sums the `test result:` lines that cargo prints, one for each test program. */
export function cargoCounts(output: string): Counts {
  return sum(output, /^test result: \w+\. (\d+) passed; (\d+) failed;/gm);
}

/** Gives the counts of `deno test`'s last line. */
export function denoCounts(output: string): Counts {
  return sum(output, /^(?:ok|FAILED) \| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed/gm);
}

/** Gives `text` without its colours. */
export function plain(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/\x1b\[[0-9;]*m/g, "");
}

function sum(output: string, line: RegExp): Counts {
  const counts = { passed: 0, failed: 0 };
  for (const [, passed, failed] of plain(output).matchAll(line)) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
  }
  return counts;
}

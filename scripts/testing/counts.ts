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

/** How many lines of a file hold code and how many of them ran. */
export interface Lines {
  counted: number;
  reached: number;
}

/** Reads `cov show`: a path, then its lines as `number|executions|text`, without a number where no code is. */
export function coverageLines(output: string): Map<string, Lines> {
  const files = new Map<string, Lines>();
  let lines: Lines | undefined;
  for (const row of output.split("\n")) {
    const executions = /^ *\d+\| *(\d*)\|/.exec(row)?.[1];
    if (executions === undefined) {
      if (row !== "") files.set(row, lines = { counted: 0, reached: 0 });
    } else if (executions !== "" && lines) {
      lines.counted++;
      if (executions !== "0") lines.reached++;
    }
  }
  return files;
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

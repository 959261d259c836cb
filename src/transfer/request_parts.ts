import { MAX_REQUEST_RUNS, type Range } from "../wire/mod.ts";

/** Part of a list: `start` up to, not including, `end`. */
export interface RequestPart {
  readonly start: number;
  readonly end: number;
}

/**
 * Cuts ranges into parts that one request holds, never within the ranges of one file (spec/chunks.md §1); one empty part
 * when there are none.
 *
 * @throws {RangeError} when one file has more ranges than a request holds: the engine gives at most 1025.
 */
export function requestParts(
  ranges: readonly Pick<Range, "entry">[],
  { most = MAX_REQUEST_RUNS }: { most?: number } = {},
): RequestPart[] {
  const parts: RequestPart[] = [];
  let start = 0;
  while (ranges.length - start > most) {
    let end = start + most;
    while (end > start && ranges[end - 1]!.entry === ranges[end]!.entry) end--;
    if (end === start) throw new RangeError("one file has too many ranges for a request");
    parts.push({ start, end });
    start = end;
  }
  parts.push({ start, end: ranges.length });
  return parts;
}

/** Counts the entries of runs, u32 pairs. */
export function entriesIn(runs: Uint8Array): number {
  const view = new DataView(runs.buffer, runs.byteOffset, runs.length);
  let count = 0;
  for (let at = 0; at < runs.length; at += 8) {
    count += view.getUint32(at + 4, true) - view.getUint32(at, true) + 1;
  }
  return count;
}

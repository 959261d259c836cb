/**
 * Gives the candidate that `word` was most likely meant to be; undefined when none is close.
 *
 * Close: at most a third of the letters differ (Damerau-Levenshtein, adjacent swaps count once), or
 * `word` is the beginning of exactly one candidate.
 */
export function similar(word: string, candidates: Iterable<string>): string | undefined {
  const given = word.toLowerCase().slice(0, MAX_COMPARED);
  let best: string | undefined;
  let fewest = Infinity;
  const starting: string[] = [];
  for (const candidate of candidates) {
    if (given.length >= 2 && candidate.startsWith(given)) starting.push(candidate);
    const edits = distance(given, candidate);
    if (edits < fewest && edits <= Math.max(1, Math.floor(candidate.length / 3))) {
      best = candidate;
      fewest = edits;
    }
  }
  return best ?? (starting.length === 1 ? starting[0] : undefined);
}

/** Letters of a word that are compared, so that a long argument costs nothing. */
const MAX_COMPARED = 40;

function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let edits = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, before[j - 2]! + 1);
      }
      row.push(edits);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}

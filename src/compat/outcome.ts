/** The outcome of a transfer that moved nothing countable, such as a text; others say what is different. */
export const NOTHING = {
  files: 0,
  directories: 0,
  symlinks: 0,
  bytes: 0,
  bytesFound: 0,
  bytesWire: 0,
  skipped: 0,
  failed: [],
  failedCount: 0,
  durationMs: 0,
} as const;

/** How bytes go over the wire. */
export type Codec = "raw" | "zstd" | "lz4";

/** What the person wants. */
export type CompressionMode = "auto" | "always" | "never";

/** A codec and its level; the level means something for zstd only. */
export interface CodecChoice {
  readonly codec: Codec;
  readonly level: number;
}

/** Bytes as they are. */
export const RAW: CodecChoice = { codec: "raw", level: 0 };

/** zstd levels that are worth telling apart: between them a step costs about twice the time. */
const ZSTD_LEVELS = [1, 3, 6, 9, 12, 15, 19];

/** Gives what may be chosen between: raw, lz4, and zstd up to `level`, as far as the receiver reads them. */
export function candidates(level: number, supported: ReadonlySet<Codec>): CodecChoice[] {
  const levels = [...ZSTD_LEVELS.filter((step) => step < level), level];
  return [
    RAW,
    ...supported.has("lz4") ? [{ codec: "lz4", level: 0 } as const] : [],
    ...supported.has("zstd") ? levels.map((level) => ({ codec: "zstd", level }) as const) : [],
  ];
}

/** Gives what `always` uses: zstd at the person's level, or what the receiver reads instead. */
export function alwaysChoice(level: number, supported: ReadonlySet<Codec>): CodecChoice {
  if (supported.has("zstd")) return { codec: "zstd", level };
  return supported.has("lz4") ? { codec: "lz4", level: 0 } : RAW;
}

/** True for the same codec at the same level. */
export function isSameChoice(one: CodecChoice, other: CodecChoice): boolean {
  return one.codec === other.codec && one.level === other.level;
}

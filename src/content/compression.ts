/**
 * Decides whether bytes are compressed and how hard, from how the link does. Pure; the
 * native library compresses.
 */

/** How bytes go over the wire. */
export type Codec = "raw" | "zstd" | "lz4";

/** What the person wants. */
export type CompressionMode = "auto" | "always" | "never";

/** What {@linkcode chooseCodec} decides from. */
export interface CompressionState {
  readonly mode: CompressionMode;
  /** zstd level that the person configured, 1 to 19. */
  readonly level: number;
  /** Codecs that the receiver reads. */
  readonly supported: ReadonlySet<Codec>;
  /** Share of the time, 0 to 1, that the sender was blocked by the link; undefined while nothing was measured. */
  readonly blockedShare?: number;
  /** What is in use now; keeps the choice from flapping. */
  readonly current?: CodecChoice;
}

/** A codec and its level; the level means something for zstd only. */
export interface CodecChoice {
  readonly codec: Codec;
  readonly level: number;
}

/** Above this share the link is the bottleneck, so CPU time is free to make bytes fewer. */
const LINK_BOUND_SHARE = 0.5;
/** Below this share the CPU or disk is the bottleneck, so compression would slow the transfer. */
const CPU_BOUND_SHARE = 0.1;

const RAW: CodecChoice = { codec: "raw", level: 0 };

/**
 * Chooses the codec for what is sent next: with `auto` nothing until the link proves to be the bottleneck, lz4 or
 * fast zstd first, then zstd at the configured level while the link still holds the sender up.
 */
export function chooseCodec(state: CompressionState): CodecChoice {
  const { mode, level, supported, blockedShare, current = RAW } = state;
  const zstd: CodecChoice | undefined = supported.has("zstd") ? { codec: "zstd", level } : undefined;
  const quick: CodecChoice | undefined = supported.has("lz4")
    ? { codec: "lz4", level: 0 }
    : zstd && { codec: "zstd", level: 1 };
  if (mode === "never") return RAW;
  if (mode === "always") return zstd ?? quick ?? RAW;
  if (blockedShare === undefined) return current;
  if (blockedShare >= LINK_BOUND_SHARE) return current.codec === "raw" ? quick ?? RAW : zstd ?? current;
  if (blockedShare <= CPU_BOUND_SHARE) return current.codec === "zstd" ? quick ?? RAW : RAW;
  return current;
}

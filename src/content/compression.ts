/**
 * Decides whether bytes are compressed and how hard, from what they look like and how the link does. Pure; the
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

/** Extensions of formats that are compressed already (lower case, without dot). */
const COMPRESSED_EXTENSIONS = new Set(
  ("7z aac apk appimage avif br bz2 cab crx deb docx dmg epub flac gif gz heic heif ipa jar jpeg jpg jxl lz lz4 lzma " +
    "m4a m4v mkv mov mp3 mp4 mpeg mpg odp ods odt ogg ogv opus parquet pdf png pptx rar rpm snap squashfs tbz2 tgz txz " +
    "vsix webm webp whl wma wmv woff woff2 xlsx xz zip zst zstd").split(" "),
);

/** First bytes of such formats, in hex, with where they begin. */
const COMPRESSED_MAGICS: readonly (readonly [offset: number, magic: string])[] = [
  [0, "1f8b"], // gzip
  [0, "28b52ffd"], // zstd
  [0, "04224d18"], // lz4 frame
  [0, "fd377a585a00"], // xz
  [0, "425a68"], // bzip2
  [0, "377abcaf271c"], // 7z
  [0, "504b0304"], // zip and what is built on it
  [0, "526172211a07"], // rar
  [0, "89504e470d0a1a0a"], // png
  [0, "ffd8ff"], // jpeg
  [0, "47494638"], // gif
  [0, "1a45dfa3"], // matroska, webm
  [0, "4f676753"], // ogg
  [0, "664c6143"], // flac
  [0, "494433"], // mp3 with tags
  [4, "66747970"], // mp4, heic, avif
  [8, "57454250"], // webp
];

/** Tells whether a file of this name, or with these first bytes, would gain nothing by compression. */
export function isIncompressible({ name, head }: { name: string; head?: Uint8Array }): boolean {
  const dot = name.lastIndexOf(".");
  if (dot > 0 && COMPRESSED_EXTENSIONS.has(name.slice(dot + 1).toLowerCase())) return true;
  return head !== undefined &&
    COMPRESSED_MAGICS.some(([offset, magic]) => startsWith(head.subarray(offset), magic));
}

function startsWith(bytes: Uint8Array, magic: string): boolean {
  if (bytes.length < magic.length / 2) return false;
  for (let i = 0; i < magic.length; i += 2) {
    if (bytes[i / 2] !== Number.parseInt(magic.slice(i, i + 2), 16)) return false;
  }
  return true;
}

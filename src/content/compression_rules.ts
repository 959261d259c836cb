/** When the native library leaves a frame as it is, without trying; `Rules` in `ffi/src/transfer/encode.rs`. */
export interface CompressionRules {
  /** Samples with at least this entropy, in bits per byte, and at most `max_repeats`, are left as they are. */
  readonly min_entropy: number;
  /** Share of a sample, 0 to 1, that was seen before in it. */
  readonly max_repeats: number;
  /** Frames of one file that are left alone after one that did not shrink: 1 at first, then doubling up to this. */
  readonly max_skipped: number;
  /** Lower-case extensions of formats that are compressed or encrypted already, by name and by magic bytes. */
  readonly extensions: readonly string[];
}

/** Formats whose bytes are coded already. Not listed, since they often shrink: pdf, psd, tiff, wav, ttf, sqlite, iso. */
const COMPRESSED_FORMATS = `
  7z age apk br bz2 bz3 cab crx deb dmg epub gpg gz jar kdbx lrz luks lz lz4 lzma lzo pack pgp rar rpm rz salted
  snappy sz tbz tbz2 tgz txz tzst war whl xz z zip zst zstd
  avif cr2 cr3 djvu gif heic heif jp2 jpeg jpg jxl jxr png webp
  3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts vob webm wmv
  aac ac3 amr ape dts flac m4a m4b mp3 mpc oga ogg opus spx wma wv
  docx odp ods odt ora pptx xlsx
  orc parquet
  woff woff2
`.trim().split(/\s+/);

/**
 * The rules. Random bytes have 8.0 bits and no repeats in a sample, as has the output of zstd; a photo has 7.95 and
 * more; text has less than 6, programs less than 7 (`ffi/examples/codecs.rs` prints some).
 */
export const COMPRESSION_RULES: CompressionRules = {
  min_entropy: 7.9,
  max_repeats: 0.02,
  max_skipped: 16,
  extensions: COMPRESSED_FORMATS,
};

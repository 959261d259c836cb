/**
 * 40 bytes that say which file was seen and in what state: device u64, inode u64, size u64, mtime i64 ns and ctime
 * i64 ns, little endian. Native code makes and compares them; here they are opaque but for the functions below.
 *
 * A file whose stamp is the same has the same bytes, unless it changed within the clock's step after it was hashed;
 * {@linkcode isSettled} tells when that is ruled out (git's "racily clean" entries, Documentation/technical/racy-git).
 */
export type FileStamp = Uint8Array<ArrayBuffer>;

/** Length of a {@linkcode FileStamp}. */
export const STAMP_BYTES = 40;

/** Leading bytes that name the file itself: device and inode. */
export const IDENTITY_BYTES = 16;

/**
 * 2 s: how much older than its hashing a file's times must be for its stamp to be proof. The coarsest clock in use is
 * FAT's; kernels step ctime by up to 10 ms.
 */
const SETTLE_NS = 2_000_000_000n;

/** Gives the size in bytes that `stamp` was made with. */
export function sizeOf(stamp: Uint8Array): number {
  return Number(view(stamp).getBigUint64(16, true));
}

/** Tells whether a file that still has `stamp` surely has the bytes that were hashed at `hashedMs` (since 1970). */
export function isSettled(stamp: Uint8Array, hashedMs: number): boolean {
  const bytes = view(stamp);
  const limit = BigInt(Math.floor(hashedMs)) * 1_000_000n - SETTLE_NS;
  return bytes.getBigInt64(24, true) < limit && bytes.getBigInt64(32, true) < limit;
}

function view(stamp: Uint8Array): DataView {
  if (stamp.length !== STAMP_BYTES) {
    throw new RangeError(`a file stamp has ${STAMP_BYTES} bytes, not ${stamp.length}`);
  }
  return new DataView(stamp.buffer, stamp.byteOffset, stamp.length);
}

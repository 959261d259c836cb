/**
 * 40 bytes that say which file was seen and in what state: device u64, inode u64, size u64, mtime i64 ns and ctime
 * i64 ns, little endian. Native code makes and compares them; here they are opaque but for the functions below.
 *
 * A file whose stamp is the same has the same bytes, unless it changed within the clock's step after it was stamped;
 * {@linkcode wasSettledWhenRead} and {@linkcode isSettledWhenPlaced} tell when that is ruled out (git's "racily clean"
 * entries, Documentation/technical/racy-git).
 */
export type FileStamp = Uint8Array<ArrayBuffer>;

/** Length of a {@linkcode FileStamp}. */
export const STAMP_BYTES = 40;

/** Leading bytes that name the file itself: device and inode. */
export const IDENTITY_BYTES = 16;

/**
 * 2 s: how much older than the look at it a file's times must be for its stamp to be proof. The coarsest clock in use is
 * FAT's; kernels step ctime by up to 10 ms.
 */
const SETTLE_NS = 2_000_000_000n;

/** Gives the size in bytes that `stamp` was made with. */
export function sizeOf(stamp: Uint8Array): number {
  return Number(view(stamp).getBigUint64(16, true));
}

/** Tells whether a file that still has `stamp` surely has the bytes that were read from `readMs` (since 1970) on. */
export function wasSettledWhenRead(stamp: Uint8Array, readMs: number): boolean {
  const bytes = view(stamp);
  const limit = nsOf(readMs) - SETTLE_NS;
  return bytes.getBigInt64(24, true) < limit && bytes.getBigInt64(32, true) < limit;
}

/**
 * Tells whether a file that still has `stamp`, made at `stampedMs` (since 1970) or before, surely has the bytes that
 * this program wrote. It set the mtime, to the sender's, before the file got its name: whoever writes to it later gives
 * it another one. The ctime is that of the renaming and may be new.
 */
export function isSettledWhenPlaced(stamp: Uint8Array, stampedMs: number): boolean {
  return view(stamp).getBigInt64(24, true) < nsOf(stampedMs) - SETTLE_NS;
}

/**
 * Tells whether the file with `stamp` is still the one that this program placed: `size` bytes, with `mtime` (ns since
 * 1970), at `placedMs` (since 1970) at the latest. Whoever writes to it later gives it another mtime, and whoever puts
 * another file in its place gives that one a later ctime.
 */
export function isAsPlaced(
  stamp: Uint8Array,
  { size, mtime, placedMs }: { readonly size: number; readonly mtime: bigint; readonly placedMs: number },
): boolean {
  if (sizeOf(stamp) !== size || view(stamp).getBigInt64(24, true) !== mtime) return false;
  // The time was cut to whole milliseconds.
  return isSettledWhenPlaced(stamp, placedMs) && view(stamp).getBigInt64(32, true) < nsOf(placedMs + 1);
}

function nsOf(ms: number): bigint {
  return BigInt(Math.floor(ms)) * 1_000_000n;
}

function view(stamp: Uint8Array): DataView {
  if (stamp.length !== STAMP_BYTES) {
    throw new RangeError(`a file stamp has ${STAMP_BYTES} bytes, not ${stamp.length}`);
  }
  return new DataView(stamp.buffer, stamp.byteOffset, stamp.length);
}

/** Which files of a page may be here already, by metadata alone, and what is to be asked about them. Pure. */
import { sameBytes } from "../../base/bytes.ts";
import type { FileStamp, KnownFile } from "../../store/mod.ts";
import type { LargeFile } from "../manifest_reader.ts";
import { type Cut, isListable } from "./list_reader.ts";

/** What is known of one file of a page. */
export interface Clues {
  readonly file: LargeFile;
  /** What was remembered as this very version, from this very sender. */
  readonly match?: KnownFile;
  /** What lies where it will be placed: a regular file. */
  readonly old?: OldFile;
  /** Some other file of that size is known. */
  readonly sizeKnown: boolean;
}

/** The file that will be replaced. */
export interface OldFile {
  readonly path: Uint8Array<ArrayBuffer>;
  readonly stamp: FileStamp;
  readonly size: number;
  /** It lies elsewhere and will stay as it is: a copy of it is wanted. */
  readonly stays?: boolean;
}

/** What becomes of a file: it stays where it is, is held back until more is known, or is asked for. */
export type Verdict =
  | { readonly type: "keep"; readonly stamp: FileStamp }
  | { readonly type: "hold"; readonly question: Cut | undefined }
  | { readonly type: "ask" };

/** Least bytes of a file that another version is cut out of. */
const MIN_OLD_BYTES = 128 * 1024;

/** Decides for one file. */
export function judge({ file, match, old, sizeKnown }: Clues): Verdict {
  if (match !== undefined) {
    const isThere = old !== undefined && !old.stays && match.settled && sameBytes(match.path, old.path) &&
      sameBytes(match.stamp, old.stamp);
    return isThere ? { type: "keep", stamp: old.stamp } : { type: "hold", question: undefined };
  }
  // The same size is most likely the same content, or changed in place: then cuts at fixed places serve as well.
  const isShifted = old !== undefined && old.size !== file.size && old.size >= MIN_OLD_BYTES;
  if (isShifted && !sizeKnown && isListable(file.size, "content")) {
    return { type: "hold", question: "content" };
  }
  const isLikely = sizeKnown || old?.size === file.size;
  if (isLikely && isListable(file.size, "fixed")) return { type: "hold", question: "fixed" };
  return { type: "ask" };
}

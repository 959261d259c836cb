import { decode } from "cborg";
import { errorCode, WormholeError } from "../base/errors.ts";

/** Size of the buffer that a synchronous export writes its error into; `ERROR_BYTES` in `ffi/src/export/mod.rs`. */
export const ERROR_BYTES = 1024;

/** Builds the error from the CBOR of `{kind, errno, text}`. */
export function decodeFailure(record: Uint8Array): WormholeError {
  const { kind, errno, text } = decode(record) as { kind: number; errno: number; text: string };
  return new WormholeError(errorCode(kind), text, { errno });
}

/**
 * Calls a synchronous export with an error buffer and gives its non-negative result.
 *
 * @throws {WormholeError} the native library's own error when the export gives -1.
 */
export function checked(call: (error: Uint8Array<ArrayBuffer>) => bigint | number): number {
  const error = new Uint8Array(ERROR_BYTES);
  const result = Number(call(error));
  if (result >= 0) return result;
  const length = new DataView(error.buffer).getUint32(0, true);
  throw length === 0
    ? new WormholeError("INTERNAL", "the native library failed without a reason")
    : decodeFailure(error.subarray(4, 4 + length));
}

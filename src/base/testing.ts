/** Assertions for tests; over `node:assert`, since the standard library's are not to be had from npm. */
import assert from "node:assert/strict";
import { type ErrorCode, WormholeError } from "./errors.ts";

/** Fails unless `actual` and `expected` are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  assert.deepStrictEqual(actual, expected, message);
}

/** Fails unless `value` is truthy. */
export function assertTrue(value: unknown, message?: string): asserts value {
  assert.ok(value, message);
}

/** Fails unless `run` throws; gives the error. `code` and `words` narrow what it must be. */
export function assertThrows(run: () => unknown, code?: ErrorCode, words?: string): Error {
  try {
    run();
  } catch (error) {
    return check(error, code, words);
  }
  throw new assert.AssertionError({ message: "expected a throw" });
}

/** Fails unless `run` rejects; gives the error. `code` and `words` narrow what it must be. */
export async function assertRejects(
  run: () => Promise<unknown>,
  code?: ErrorCode,
  words?: string,
): Promise<Error> {
  try {
    await run();
  } catch (error) {
    return check(error, code, words);
  }
  throw new assert.AssertionError({ message: "expected a rejection" });
}

function check(error: unknown, code?: ErrorCode, words?: string): Error {
  assert.ok(error instanceof Error, `expected an Error, got ${error}`);
  if (code !== undefined) {
    assert.equal(error instanceof WormholeError ? error.code : error.name, code, error.stack);
  }
  if (words !== undefined) assert.ok(error.message.includes(words), `"${error.message}" has no "${words}"`);
  return error;
}

/**
 * Loads the native library before the first test of a file. It is never unloaded, which Deno before 2.9 calls a
 * leak of the test that happens to need it first.
 */
import { loadLibrary } from "../../src/native/library.ts";

loadLibrary();

/** Memory that this process has and does not need. */
import v8 from "node:v8";
import vm from "node:vm";
import type { NativeQueue } from "./queue.ts";

let collect: (() => void) | undefined;

/**
 * Gives memory back to the system: what nothing in JavaScript refers to any more, then what is free in the heaps. A program that
 * goes on running after much work is not asked by anybody to do so: V8 collects when it allocates, and the C library keeps what
 * lies between other things. Takes some ten ms, in which nothing else runs.
 */
export async function giveMemoryBack(queue: NativeQueue): Promise<void> {
  collect ??= collector();
  collect();
  await queue.call<{ trimmed: boolean }>("memory.trim", {});
}

/** Gives V8's own function that collects all garbage: a context that is made while the flag is set has it. */
function collector(): () => void {
  v8.setFlagsFromString("--expose-gc");
  try {
    const found: unknown = vm.runInNewContext("typeof gc === 'function' ? gc : undefined");
    // Without it (Deno 2.6 has it only when the flag is set at its start) what is free in the heaps is still given back.
    return typeof found === "function" ? found as () => void : () => {};
  } finally {
    v8.setFlagsFromString("--no-expose-gc");
  }
}

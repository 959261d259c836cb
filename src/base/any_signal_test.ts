import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { anySignal } from "./any_signal.ts";
import { assertEquals, assertTrue } from "./testing.ts";

/** Has V8 forget what nobody holds. Deno 2.6 gives `gc` only with --v8-flags=--expose-gc. */
async function forget(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const gc = (globalThis as { gc?: () => void }).gc ?? runInNewContext("gc") as () => void;
  for (let round = 0; round < 2; round++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    gc();
  }
}

Deno.test("anySignal() aborts with the first of its signals, and by its reason", () => {
  const [one, other] = [new AbortController(), new AbortController()];
  const any = anySignal(one.signal, undefined, other.signal);
  assertEquals(any.aborted, false);
  other.abort("why");
  assertEquals(any.reason, "why");
  assertEquals(anySignal(one.signal, other.signal).reason, "why");
  assertTrue(anySignal(undefined, one.signal) === one.signal);
});

Deno.test("anySignal() tells its listeners, though nobody else holds it", async () => {
  const [one, other] = [new AbortController(), new AbortController()];
  const heard: string[] = [];
  const listen = (name: string, signal: AbortSignal) =>
    signal.addEventListener("abort", () => heard.push(name), { once: true });
  listen("plain", anySignal(one.signal, other.signal));
  listen("nested", anySignal(anySignal(one.signal, other.signal), new AbortController().signal));
  await forget();
  one.abort();
  assertEquals(heard, ["plain", "nested"]);
});

Deno.test("anySignal() forgets a listener that was removed, and what it held", async () => {
  const source = new AbortController();
  const refs: WeakRef<object>[] = [];
  (() => {
    for (let i = 0; i < 3; i++) {
      const any = anySignal(source.signal, new AbortController().signal);
      const held = { toString: () => "held" };
      const listener = () => void held;
      any.addEventListener("abort", listener);
      any.removeEventListener("abort", listener);
      refs.push(new WeakRef(held));
    }
  })();
  await forget();
  assertEquals(refs.map((ref) => ref.deref()), [undefined, undefined, undefined]);
  assertEquals(source.signal.aborted, false);
});

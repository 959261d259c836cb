import { NativeQueue } from "./queue.ts";
import { announce, browse, nextNeighbour, stopBrowsing, withdraw } from "./mdns.ts";
import { assertEquals, assertRejects } from "../base/testing.ts";

Deno.test("announce() and browse() start and stop", async () => {
  await using queue = NativeQueue.open();
  const service = "_wh-tstest._tcp.local.";
  const announcement = await announce(queue, {
    service,
    instance: `test ${Deno.pid}`,
    port: 4711,
    txt: { k: "v" },
  });
  const browser = await browse(queue, service);
  const waiting = nextNeighbour(queue, browser, { signal: AbortSignal.timeout(5_000) });
  // Multicast does not exist in every sandbox: found is right, and so is a search that ends with its signal.
  const found = await waiting.catch((error) =>
    error.name === "TimeoutError" ? undefined : Promise.reject(error)
  );
  if (found) assertEquals([found.port, found.txt], [4711, { k: "v" }]);
  await withdraw(queue, announcement);
  await stopBrowsing(queue, browser);
  await assertRejects(() => nextNeighbour(queue, browser), "CLOSED");
});

Deno.test("announce() refuses a bad service", async () => {
  await using queue = NativeQueue.open();
  await assertRejects(
    () => announce(queue, { service: "wormhole", instance: "x", port: 1 }),
    "INVALID_ARGUMENT",
  );
});

import { isWormholeError, WormholeError } from "../../src/base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../../src/base/testing.ts";
import { dialFirst } from "../../src/transport/dial.ts";
import { endpoints, linksAtRelay, linksBy, memoryLinks, seed } from "./pairs.ts";
import { transportCompliance } from "./transport.ts";

transportCompliance("memory", memoryLinks);
transportCompliance("tcp", () => linksBy("tcp"));
transportCompliance("quic", () => linksBy("quic"));
transportCompliance("quic", linksAtRelay, { name: "relay" });

for (const transport of ["tcp", "quic"] as const) {
  Deno.test(`${transport} endpoint refuses a key that was not allowed`, async () => {
    await using ends = await endpoints(transport);
    const { dialler, listener, hint } = ends;
    await listener.allow(seed());
    const error = await assertRejects(async () => {
      // TLS 1.3 lets the dialling side finish before the listening side has checked its key.
      const link = await dialler.dial(hint, { peerKey: listener.publicKey });
      if (await link.recv() === undefined) throw new WormholeError("CLOSED", "the link was closed");
    });
    assertTrue(isWormholeError(error), String(error));
  });

  Deno.test(`${transport} endpoint does not link to another key than the wanted one`, async () => {
    await using ends = await endpoints(transport);
    const { dialler, listener, hint } = ends;
    await listener.allow(dialler.publicKey);
    await assertRejects(() => dialler.dial(hint, { peerKey: dialler.publicKey }));
  });

  Deno.test(`${transport} endpoint loses no link when an accept is aborted`, async () => {
    await using ends = await endpoints(transport);
    const { dialler, listener, hint } = ends;
    await listener.allow(dialler.publicKey);
    const controller = new AbortController();
    const accepting = listener.accept({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await assertRejects(() => accepting, undefined, "enough");
    await using link = await dialler.dial(hint, { peerKey: listener.publicKey });
    await using accepted = await listener.accept();
    await link.send(new Uint8Array([1]));
    assertEquals(await accepted.recv(), new Uint8Array([1]));
  });
}

Deno.test("dialFirst() links over real sockets, past addresses that do not answer", async () => {
  await using ends = await endpoints("tcp");
  const { dialler, listener, hint } = ends;
  await listener.allow(dialler.publicKey);
  const refused = { ...hint, host: "127.0.0.2", port: 1 };
  const [link, accepted] = await Promise.all([
    dialFirst([refused, hint], {
      dial: (hint, { signal }) => dialler.dial(hint, { peerKey: listener.publicKey, signal }),
    }),
    listener.accept(),
  ]);
  assertEquals(link.kind, "tcp");
  await Promise.all([link.close(), accepted.close()]);
});

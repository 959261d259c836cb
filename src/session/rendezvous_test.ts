import { CuttingProxy } from "../../tests/compliance/proxy.ts";
import { SimulatedClock } from "../base/clock.ts";
import { isWormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { MemoryMailboxStore } from "../mailbox/memory_store.ts";
import { serveMailbox } from "../mailbox/serve.ts";
import { LocalRegistry } from "../pairing/local_registry.ts";
import { findOnLan } from "./find_on_lan.ts";
import { openMultiRendezvous } from "./multi_rendezvous.ts";
import { findRendezvous, openRendezvous } from "./rendezvous.ts";
import { MemoryLan } from "./testing.ts";

const APP_ID = "wormhole.test";
const HERE = { appId: APP_ID, hostname: "127.0.0.1" };

async function withRegistry(run: (registry: LocalRegistry, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(new LocalRegistry(`${folder}/rendezvous`), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("findRendezvous() finds a sender of the same person on this machine", () =>
  withRegistry(async (registry) => {
    const sender = await openRendezvous({ ...HERE, registry });
    assertTrue(/^[1-9]\d\d$/.test(sender.code.nameplate));
    {
      await using receiver = await findRendezvous({ appId: APP_ID, registry, code: sender.code });
      assertEquals(receiver.via, "local");
      receiver.mailbox.add("pake", new Uint8Array([1]));
      assertEquals((await sender.mailbox.next()).body, new Uint8Array([1]));
      await assertRejects(
        () => findRendezvous({ appId: APP_ID, registry, code: sender.code }),
        "CODE_CROWDED",
        "two others",
      );
    }
    await sender[Symbol.asyncDispose]();
    assertEquals(await registry.nameplates(), []);
    await assertRejects(
      () => findRendezvous({ appId: APP_ID, registry, code: sender.code }),
      "CODE_NOT_FOUND",
      `Cannot find the code ${sender.code.nameplate}-…: nobody on this network offers it`,
    );
  }));

Deno.test("findRendezvous() finds a sender by its address, or says that nothing is there", async () => {
  const sender = await openRendezvous(HERE);
  const peer = `127.0.0.1:${sender.port}`;
  const wrong = { nameplate: sender.code.nameplate === "100" ? "101" : "100", password: "x" };
  await assertRejects(
    () => findRendezvous({ appId: APP_ID, peer, code: wrong }),
    "CODE_NOT_FOUND",
    "nobody offers it",
  );
  {
    await using receiver = await findRendezvous({ appId: APP_ID, peer, code: sender.code });
    assertEquals(receiver.via, "peer");
  }
  await sender[Symbol.asyncDispose]();
  await assertRejects(
    () => findRendezvous({ appId: APP_ID, peer, code: sender.code }),
    "CONNECT_FAILED",
    peer,
  );
});

Deno.test("findRendezvous() finds a sender on this network", async () => {
  const lan = new MemoryLan();
  await using sender = await openRendezvous({ ...HERE, lan });
  let looked = 0;
  await using receiver = await findRendezvous({
    appId: APP_ID,
    lan,
    code: sender.code,
    onLooking: () => looked++,
  });
  assertEquals([receiver.via, looked], ["lan", 1]);
});

Deno.test("findRendezvous() does not choose between two senders of one nameplate", async () => {
  const lan = new MemoryLan();
  await using sender = await openRendezvous({ ...HERE, lan });
  lan.add({
    instance: "other",
    sign: { nameplate: sender.code.nameplate },
    port: 9,
    addresses: ["127.0.0.2"],
  });
  await assertRejects(
    () => findRendezvous({ appId: APP_ID, lan, code: sender.code }),
    "CODE_CROWDED",
    "two machines on this network",
  );
});

Deno.test("findRendezvous() asks the hub and this network, and names the graver failure", async () => {
  using store = new MemoryMailboxStore();
  const service = serveMailbox({ hostname: "127.0.0.1", port: 0, store });
  const lan = new MemoryLan();
  const hub = service.url;
  {
    await using atHub = await openRendezvous({ appId: APP_ID, hub, words: 3 });
    assertEquals([atHub.port, atHub.code.password.split("-").length], [undefined, 3]);
    await using found = await findRendezvous({ appId: APP_ID, hub, lan, code: atHub.code });
    assertEquals(found.via, "hub");
    const code = { nameplate: "123", password: "x" };
    await using onLan = await openRendezvous({ ...HERE, lan, code });
    await using other = await findRendezvous({ appId: APP_ID, hub, lan, code: onLan.code });
    assertEquals(other.via, "lan");
    await assertRejects(
      () =>
        findRendezvous({ appId: APP_ID, hub, lan, lookMs: 10, code: { nameplate: "321", password: "x" } }),
      "CODE_NOT_FOUND",
    );
  }
  await service[Symbol.asyncDispose]();
  await assertRejects(
    () => findRendezvous({ appId: APP_ID, hub, lan, lookMs: 10, code: { nameplate: "321", password: "x" } }),
    "HUB_UNREACHABLE",
  );
  await assertRejects(() => openRendezvous({ appId: APP_ID, hub }), "HUB_UNREACHABLE");
});

Deno.test("openRendezvous() says when its port or its code's number is in use", () =>
  withRegistry(async (registry) => {
    await using sender = await openRendezvous({ ...HERE, registry });
    await assertRejects(
      () => openRendezvous({ ...HERE, port: sender.port! }),
      "ADDRESS_IN_USE",
      String(sender.port),
    );
    await assertRejects(
      () => openRendezvous({ ...HERE, registry, code: sender.code }),
      "ALREADY_EXISTS",
      sender.code.nameplate,
    );
  }));

Deno.test("openRendezvous() goes on without a network to announce on", async () => {
  const lan = new MemoryLan();
  lan.announce = () => Promise.reject(new Error("no interface"));
  const warnings: string[] = [];
  await using sender = await openRendezvous({
    ...HERE,
    lan,
    onWarning: (sentence) => warnings.push(sentence),
  });
  assertTrue(sender.port);
  assertEquals(warnings.length, 1);
});

Deno.test("a sender's own mailbox serves one code only, until it expires", async () => {
  await using sender = await openRendezvous({ ...HERE, limits: { codeTtlMs: 0 } });
  const peer = `127.0.0.1:${sender.port}`;
  await assertRejects(
    () => findRendezvous({ appId: APP_ID, peer, code: sender.code }),
    "CODE_EXPIRED",
    "expired",
  );
  await assertRejects(() => sender.mailbox.next(), "CODE_EXPIRED", "expired");
});

Deno.test("findOnLan() joins one sender's addresses, passes over others and stops when told", async () => {
  const lan = new MemoryLan();
  lan.add({ instance: "a", sign: { nameplate: "123" }, port: 9, addresses: ["192.0.2.1"] });
  lan.add({ instance: "b", sign: { nameplate: "124" }, port: 9, addresses: ["192.0.2.2"] });
  lan.add({ instance: "a", sign: { nameplate: "123" }, port: 9, addresses: ["2001:db8::1"] });
  const sender = await findOnLan(lan, { nameplate: "123", ms: 1_000, settleMs: 1 });
  assertEquals(sender?.addresses, ["192.0.2.1", "2001:db8::1"]);
  assertEquals(await findOnLan(lan, { nameplate: "125", ms: 1 }), undefined);
  const controller = new AbortController();
  const looking = findOnLan(lan, { nameplate: "125", ms: 60_000, signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => looking, undefined, "enough");
});

Deno.test("openMultiRendezvous() meets everybody apart, here and at a hub, until it ends", async () => {
  await using hub = serveMailbox({ hostname: "127.0.0.1", port: 0, store: new MemoryMailboxStore() });
  for (const where of [{}, { hub: hub.url }]) {
    await using place = await openMultiRendezvous({ ...HERE, ...where });
    const { code, port } = place;
    const find = () =>
      findRendezvous({ appId: APP_ID, code, ...port ? { peer: `127.0.0.1:${port}` } : where });
    await using a = await find();
    await using b = await find();
    await using atA = await place.next();
    await using atB = await place.next();
    b.mailbox.add("pake", new Uint8Array([2]));
    a.mailbox.add("pake", new Uint8Array([1]));
    assertEquals((await atA.mailbox.next()).body, new Uint8Array([1]));
    assertEquals((await atB.mailbox.next()).body, new Uint8Array([2]));
    await place.end();
    await assertRejects(find, "CODE_USED");
    atA.mailbox.add("version", new Uint8Array([3]));
    assertEquals((await a.mailbox.next()).body, new Uint8Array([3]));
    await atB.mailbox.close("scary");
    await assertRejects(() => b.mailbox.next(), "CODE_USED");
  }
});

Deno.test("openMultiRendezvous() lets one go who says nothing", async () => {
  const clock = new SimulatedClock();
  await using place = await openMultiRendezvous({ ...HERE, clock });
  await using _silent = await findRendezvous({
    appId: APP_ID,
    code: place.code,
    peer: `127.0.0.1:${place.port}`,
  });
  await using meeting = await place.next();
  const ended = assertRejects(() => meeting.mailbox.next(), "TIMEOUT", "nothing was said");
  await clock.advance(30_000);
  await ended;
});

Deno.test("openMultiRendezvous() keeps its code when the link to the hub is lost", async () => {
  const limits = { connectionBurst: 10_000, claimBurst: 10_000, nameplateBurst: 10_000 };
  const store = new MemoryMailboxStore();
  await using hub = serveMailbox({ hostname: "127.0.0.1", port: 0, store, limits });
  await using proxy = new CuttingProxy(hub.port);
  const warnings: string[] = [];
  await using place = await openMultiRendezvous({
    ...HERE,
    hub: `ws://127.0.0.1:${proxy.port}`,
    onWarning: (each) => warnings.push(each),
  });
  const next = place.next();
  proxy.cut(0);
  // Whoever comes while the owner is away is told so, and comes again.
  for (;;) {
    try {
      await using comer = await findRendezvous({ appId: APP_ID, code: place.code, hub: hub.url });
      comer.mailbox.add("pake", new Uint8Array([1]));
      const meeting = await Promise.race([next, comer.mailbox.next()]);
      assertTrue("mailbox" in meeting);
      assertEquals((await meeting.mailbox.next()).body, new Uint8Array([1]));
      await meeting[Symbol.asyncDispose]();
      break;
    } catch (error) {
      if (!isWormholeError(error, "CODE_NOT_FOUND", "CODE_USED")) throw error;
    }
  }
  assertEquals(warnings.length, 1);
});

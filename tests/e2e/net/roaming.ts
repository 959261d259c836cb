/** A transfer by the real commands during which something happens to the network, and how long that stops it. */
import { accept, assertDone, offer } from "../harness.ts";
import { Sandbox } from "../sandbox.ts";
import type { Host } from "./lab.ts";

/** What is to happen. */
export interface RoamOptions {
  readonly from: Host;
  readonly to: Host;
  /** URL; "" for none: the two are on one network. */
  readonly hub: string;
  readonly content: Uint8Array;
  /** Further arguments of both commands. */
  readonly both?: readonly string[];
  /** Called once, under way; the network is there again when it resolves. */
  readonly change: () => Promise<void>;
}

/** What came of it. */
export interface Roamed {
  /** From the network's return until something more arrived, in ms. */
  readonly stallMs: number;
  /** How much more than the content came over the wire. */
  readonly extraBytes: number;
  /** Each `transport path remote` in turn, as the receiver told. */
  readonly ways: readonly string[];
}

/** Part of the content that is there when the change comes. */
const BEFORE = 0.15;

/** Sends and receives, and has the network changed meanwhile. @throws when the transfer fails. */
export async function roam({ from, to, hub, content, both = [], change }: RoamOptions): Promise<Roamed> {
  await using sandbox = await Sandbox.create();
  const path = await sandbox.file("from/file", content);
  const into = await sandbox.folder("into");
  const more = [...both, "--reconnect", "2m"];
  await using offered = await offer(sandbox, [path], {
    meeting: { hub },
    send: more,
    senderPrefix: from.prefix,
  });
  await using receiver = accept(offered, into, { recv: ["--yes", ...more], receiverPrefix: to.prefix });
  await receiver.event("progress", ({ bytes }) => bytes > BEFORE * content.length);
  await change();
  const back = performance.now();
  const there = Math.max(...receiver.events.map(({ event, bytes }) => event === "progress" ? bytes : 0));
  await receiver.event("progress", ({ bytes }) => bytes > there);
  const stallMs = performance.now() - back;
  const received = await receiver.ending();
  assertDone({ sender: await offered.sender.ending(), receiver: received });
  const arrived = await Deno.readFile(`${into}/file`);
  if (!arrived.every((byte, at) => byte === content[at])) throw new Error("the content is another");
  const done = received.events.find(({ event }) => event === "done")!;
  return {
    stallMs,
    extraBytes: done.bytes_on_wire - content.length,
    ways: received.events.filter(({ event }) => event === "peer")
      .map(({ transport, path, remote }) => `${transport} ${path} ${remote}`),
  };
}

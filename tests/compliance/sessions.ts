/** Sessions between two machines of this process through a network that breaks, for tests of reconnecting. */
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { NativeQueue } from "../../src/native/queue.ts";
import { authenticated } from "../../src/session/authenticated.ts";
import { behind, Door } from "../../src/session/door.ts";
import { ReceiverRenewal, type RenewalOptions, SenderRenewal } from "../../src/session/renewal.ts";
import type { Link, PeerConnection } from "../../src/transport/connection.ts";
import { Endpoint, machineAddresses } from "../../src/transport/endpoint.ts";
import type { Hint } from "../../src/transport/hints.ts";
import { ChaosProxy } from "./chaos_proxy.ts";
import { seed } from "./pairs.ts";

/** How much faster than the real one {@linkcode FAST} goes: a frozen peer is found after 1.2 s. */
const FASTER = 10;

/** A clock that makes every time-out ten times shorter; what it measures is ten times longer. */
export const FAST: Clock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic() * FASTER,
  timer: (ms, run) => systemClock.timer(ms / FASTER, run),
  sleep: (ms, options) => systemClock.sleep(ms / FASTER, options),
};

/** Two machines with one session. */
export interface Machines extends AsyncDisposable {
  readonly queue: NativeQueue;
  /** The sender's end. */
  readonly a: PeerConnection;
  /** The receiver's end. */
  readonly b: PeerConnection;
  readonly proxy: ChaosProxy;
  readonly sender: Endpoint;
}

/** Options of {@linkcode machines}. */
export interface MachinesOptions {
  /** Who may dial when the connection is lost; the receiver when left out. */
  readonly dials?: "receiver" | "sender";
  /** The secret that the receiver believes in; the sender's when left out. */
  readonly wrongSecret?: Uint8Array;
}

/** Links two machines over TCP, through a proxy. */
export async function machines(
  { dials = "receiver", wrongSecret }: MachinesOptions = {},
): Promise<Machines> {
  const queue = NativeQueue.open();
  const open = () => Endpoint.open(queue, { seed: seed(), transports: ["tcp"] });
  const [sender, receiver] = await Promise.all([open(), open()]);
  await Promise.all([sender.allow(receiver.publicKey), receiver.allow(sender.publicKey)]);
  const proxy = new ChaosProxy(await portOf(sender));
  const throughProxy: Hint = { transport: "tcp", host: "127.0.0.1", port: proxy.port };
  const straight: Hint = { transport: "tcp", host: "127.0.0.1", port: await portOf(receiver) };
  const [b, a] = await Promise.all([
    receiver.dial(throughProxy, { peerKey: sender.publicKey }),
    sender.accept(),
  ]);
  const secret = crypto.getRandomValues(new Uint8Array(16));
  const end = (
    link: Link,
    { own, peerKey, hints, secret }: {
      own: Endpoint;
      peerKey: Uint8Array;
      hints: Hint[];
      secret: Uint8Array;
    },
    Renewal: new (options: RenewalOptions) => SenderRenewal | ReceiverRenewal,
  ) => {
    const door = new Door(own, { peerKey, secret });
    const renewal = new Renewal({
      door,
      secret,
      peerKey,
      hints,
      remote: link.remote,
      dial: (hint, { signal }) => own.dial(hint, { peerKey, signal }),
      addresses: () => machineAddresses(queue),
    });
    return authenticated(link, peerKey, { endpoint: behind(door, own), renewal });
  };
  const connections = {
    a: end(a, {
      own: sender,
      peerKey: receiver.publicKey,
      hints: dials === "sender" ? [straight] : [],
      secret,
    }, SenderRenewal),
    b: end(b, {
      own: receiver,
      peerKey: sender.publicKey,
      hints: dials === "receiver" ? [throughProxy] : [],
      secret: wrongSecret ?? secret,
    }, ReceiverRenewal),
  };
  return {
    queue,
    ...connections,
    proxy,
    sender,
    async [Symbol.asyncDispose]() {
      await Promise.all([connections.a[Symbol.asyncDispose](), connections.b[Symbol.asyncDispose]()]);
      await proxy[Symbol.asyncDispose]();
      await queue.close();
    },
  };
}

async function portOf(endpoint: Endpoint): Promise<number> {
  return (await endpoint.hints()).find(({ host }) => host === "127.0.0.1")!.port;
}

import { join } from "../base/paths.ts";
import { type Identity, loadIdentity } from "../config/identity.ts";
import type { Folders } from "../config/paths.ts";
import { ed25519Public } from "../native/pairing.ts";
import { NativeQueue } from "../native/queue.ts";
import type { PairingCrypto } from "../pairing/crypto.ts";
import { type LanDiscovery, nativeLanDiscovery } from "../pairing/lan.ts";
import { LocalRegistry } from "../pairing/local_registry.ts";
import { nativeCrypto } from "../pairing/native_crypto.ts";
import { PeerBook } from "../peers/mod.ts";

/** Whose codes ours are: other programs that use the same hub do not meet us. */
export const APP_ID = "wormhole/transfer/1";

/** Async threads of the native library: they wait for sockets; bulk data has threads of its own. */
const NATIVE_THREADS = 2;

/** This machine for the length of one command: its key, the native library's queue, and who can be found here. */
export interface Machine extends AsyncDisposable {
  readonly queue: NativeQueue;
  readonly identity: Identity;
  readonly crypto: PairingCrypto;
  readonly registry: LocalRegistry;
  readonly lan: LanDiscovery;
  /** The machines that this one knows. */
  readonly peers: PeerBook;
}

/**
 * Loads the native library and the machine key, which is made at first use.
 *
 * @throws {WormholeError} NATIVE_LIBRARY; CONFIG_INVALID when the key's file is damaged or open to others.
 */
export async function openMachine(folders: Folders): Promise<Machine> {
  const queue = NativeQueue.open({ threads: NATIVE_THREADS });
  try {
    return {
      queue,
      identity: await loadIdentity(folders.configDir, { publicKey: ed25519Public }),
      crypto: nativeCrypto(),
      registry: new LocalRegistry(join(folders.runtimeDir, "rendezvous")),
      lan: nativeLanDiscovery(queue),
      peers: new PeerBook(folders.configDir),
      [Symbol.asyncDispose]: () => queue.close(),
    };
  } catch (error) {
    await queue.close();
    throw error;
  }
}

import { WormholeError } from "../base/errors.ts";
import { checked } from "./failure.ts";
import { loadLibrary } from "./library.ts";

/** Length of keys, seeds and public keys. */
export const KEY_BYTES = 32;

/** Length of a SPAKE2 message: `S` and a group element. */
export const SPAKE_MESSAGE_BYTES = 33;

/** What {@linkcode seal} adds: a 24-byte nonce in front and a 16-byte tag. */
export const SEAL_BYTES = 40;

/**
 * One SPAKE2 exchange: symmetric, Ed25519, as python-spake2 and Magic Wormhole speak it. It is used once.
 */
export class SpakeExchange implements Disposable {
  /** What the peer must get. */
  readonly message: Uint8Array<ArrayBuffer> = new Uint8Array(SPAKE_MESSAGE_BYTES);
  #handle: number | undefined;

  /** Starts an exchange over `password`; `id` binds it to an application and must be the same on both sides. */
  constructor(password: Uint8Array, id: Uint8Array) {
    const [secret, identity] = [owned(password), owned(id)];
    this.#handle = checked((error) =>
      loadLibrary().symbols.wh_pairing_start(
        secret,
        BigInt(secret.length),
        identity,
        BigInt(identity.length),
        this.message,
        error,
      )
    );
  }

  /**
   * Gives the shared key, which is the peer's only if the password and id were the same.
   *
   * @throws {WormholeError} PROTOCOL for a malformed message or our own; CLOSED when it was used before.
   */
  finish(peerMessage: Uint8Array): Uint8Array<ArrayBuffer> {
    const handle = this.#handle;
    if (handle === undefined) throw new WormholeError("CLOSED", "the exchange is over");
    this.#handle = undefined;
    const peer = owned(peerMessage);
    const key = new Uint8Array(KEY_BYTES);
    checked((error) =>
      loadLibrary().symbols.wh_pairing_finish(handle, peer, BigInt(peer.length), key, error)
    );
    return key;
  }

  [Symbol.dispose](): void {
    if (this.#handle !== undefined) loadLibrary().symbols.wh_pairing_close(this.#handle);
    this.#handle = undefined;
  }
}

/** Derives `length` bytes from `key` for the purpose `info`: HKDF-SHA256 (RFC 5869) without salt. */
export function hkdf(key: Uint8Array, info: Uint8Array, length = KEY_BYTES): Uint8Array<ArrayBuffer> {
  const [secret, purpose, output] = [owned(key), owned(info), new Uint8Array(length)];
  checked((error) =>
    loadLibrary().symbols.wh_pairing_hkdf(
      secret,
      BigInt(secret.length),
      purpose,
      BigInt(purpose.length),
      output,
      BigInt(length),
      error,
    )
  );
  return output;
}

/** Encrypts `message` with a random nonce: NaCl's secretbox (XSalsa20-Poly1305), the nonce in front. */
export function seal(key: Uint8Array, message: Uint8Array): Uint8Array<ArrayBuffer> {
  const [secret, input] = [keyOf(key), owned(message)];
  const output = new Uint8Array(input.length + SEAL_BYTES);
  checked((error) =>
    loadLibrary().symbols.wh_pairing_seal(secret, input, BigInt(input.length), output, error)
  );
  return output;
}

/**
 * Decrypts what {@linkcode seal} made.
 *
 * @throws {WormholeError} CORRUPT when it was made with another key, or was changed.
 */
export function open(key: Uint8Array, sealed: Uint8Array): Uint8Array<ArrayBuffer> {
  const [secret, input] = [keyOf(key), owned(sealed)];
  const output = new Uint8Array(input.length);
  const length = checked((error) =>
    loadLibrary().symbols.wh_pairing_open(secret, input, BigInt(input.length), output, error)
  );
  return output.slice(0, length);
}

/** Gives `length` bytes from the system's random source. */
export function random(length: number): Uint8Array<ArrayBuffer> {
  const output = new Uint8Array(length);
  checked((error) => loadLibrary().symbols.wh_pairing_random(output, BigInt(length), error));
  return output;
}

/** Gives the Ed25519 public key of a 32-byte secret key. */
export function ed25519Public(seed: Uint8Array): Uint8Array<ArrayBuffer> {
  const [secret, output] = [keyOf(seed), new Uint8Array(KEY_BYTES)];
  checked((error) => loadLibrary().symbols.wh_pairing_public(secret, output, error));
  return output;
}

/** The native side reads 32 bytes wherever a key begins, so a shorter one must not get there. */
function keyOf(key: Uint8Array): Uint8Array<ArrayBuffer> {
  if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, not ${key.length}`);
  return owned(key);
}

/** The library's type for buffers excludes shared memory, which nobody uses here. */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}

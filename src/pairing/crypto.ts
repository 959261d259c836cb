/** One side of a running SPAKE2 exchange; disposing it forgets the secret. */
export interface Spake2 extends Disposable {
  /** What the peer must get; 33 bytes. */
  readonly message: Uint8Array;
  /** Gives the 32-byte shared key; to be called once. @throws {WormholeError} when `peerMessage` is malformed. */
  finish(peerMessage: Uint8Array): Uint8Array;
}

/** The primitives that pairing is built of; {@linkcode nativeCrypto} has them from the native library. */
export interface PairingCrypto {
  /** Starts symmetric SPAKE2 (Ed25519 group, python-spake2's encoding). */
  spake2Start(password: Uint8Array, id: Uint8Array): Spake2;
  /** HKDF-SHA256 (RFC 5869) with an empty salt. */
  hkdf(key: Uint8Array, info: Uint8Array, length: number): Uint8Array;
  /** NaCl SecretBox with a random nonce: 24-byte nonce, 16-byte tag, ciphertext. */
  seal(key: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** Opens what {@linkcode PairingCrypto.seal} made. @throws {WormholeError} when it is not authentic. */
  open(key: Uint8Array, box: Uint8Array): Uint8Array;
}

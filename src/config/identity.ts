import { isWormholeError, WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";

/** This machine's key. */
export interface Identity {
  /** 32 bytes, Ed25519 seed; never leaves this process but into the native library. */
  readonly seed: Uint8Array<ArrayBuffer>;
  /** 32 bytes, Ed25519 public key. */
  readonly publicKey: Uint8Array;
}

/** Options of {@linkcode loadIdentity}. */
export interface IdentityOptions {
  /** Gives the Ed25519 public key of a seed (32 bytes each); `ed25519Public` of the native library. */
  readonly publicKey: (seed: Uint8Array<ArrayBuffer>) => Uint8Array;
  /** Gives `length` random bytes; the operating system's by default. */
  readonly random?: (length: number) => Uint8Array<ArrayBuffer>;
}

const SEED_BYTES = 32;
const FILE_NAME = "identity.key";

/**
 * Gives the machine key in `dir`, making it at first use; processes that race to make it agree on one.
 *
 * @throws {WormholeError} CONFIG_INVALID when the file is damaged or others may read it; what the disk says.
 */
export async function loadIdentity(
  dir: string,
  { publicKey, random = osRandom }: IdentityOptions,
): Promise<Identity> {
  const path = join(dir, FILE_NAME);
  const seed = await read(path) ?? await create(dir, { path, seed: random(SEED_BYTES) });
  return { seed, publicKey: publicKey(seed) };
}

/** Gives the seed, or undefined when there is no file. */
async function read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    using file = await Deno.open(path, { read: true });
    const info = await file.stat();
    if (!info.isFile) throw damaged(path, "it is no file");
    // Windows keeps the user's folders from others by itself, and has no mode.
    if (Deno.build.os !== "windows" && info.mode !== null && (info.mode & 0o077) !== 0) {
      throw new WormholeError(
        "CONFIG_INVALID",
        `Cannot use the machine key "${path}": other users may read it (run: chmod 600 "${path}")`,
      );
    }
    if (info.size !== SEED_BYTES) throw damaged(path, `it has ${info.size} bytes instead of ${SEED_BYTES}`);
    bytes = new Uint8Array(SEED_BYTES);
    for (let at = 0; at < SEED_BYTES;) {
      const count = await file.read(bytes.subarray(at));
      if (count === null) throw damaged(path, "it ends too early");
      at += count;
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw diskError(error, "read", path);
  }
  if (bytes.every((byte) => byte === 0)) throw damaged(path, "it holds only zeros");
  return bytes;
}

/** Writes the seed under a name of its own, then gives it the real name, unless another process was first. */
async function create(
  dir: string,
  { path, seed }: { path: string; seed: Uint8Array<ArrayBuffer> },
): Promise<Uint8Array<ArrayBuffer>> {
  const temporary = join(dir, `${FILE_NAME}.${crypto.randomUUID()}`);
  try {
    await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
    await writeDurably(temporary, seed);
    try {
      // Unlike a rename, a link never replaces a key that another process has made meanwhile.
      await Deno.link(temporary, path);
    } finally {
      await Deno.remove(temporary);
    }
    await syncDirectory(dir);
    return seed;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      const other = await read(path);
      if (other) return other;
    }
    throw diskError(error, "create", path);
  }
}

async function writeDurably(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  await file.sync();
}

/** Makes the new name survive a power cut; Windows cannot open a directory for it. */
async function syncDirectory(dir: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using folder = await Deno.open(dir, { read: true });
  await folder.sync();
}

function osRandom(length: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(length));
}

function damaged(path: string, state: string): WormholeError {
  return new WormholeError(
    "CONFIG_INVALID",
    `Cannot use the machine key "${path}": ${state} (remove the file to get a new key; machines that know the old one must then pair again)`,
  );
}

function diskError(cause: unknown, verb: string, path: string): Error {
  if (isWormholeError(cause) || !(cause instanceof Error)) return cause as Error;
  const message = (state: string) => `Cannot ${verb} the machine key "${path}": ${state}`;
  if (cause instanceof Deno.errors.PermissionDenied) {
    return new WormholeError("PERMISSION_DENIED", message("permission denied"), { cause });
  }
  return new WormholeError("IO", message(cause.message), { cause });
}

/**
 * Bulk bytes to and from magic-wormhole clients: transit connections, staged receiving, sending, zipped folders.
 *
 * Thin typed functions over `ffi/src/export/compat.rs`; each call that moves bytes moves many MiB. `src/compat/` decides.
 */
import { encodeName } from "../base/names.ts";
import type { CallOptions, NativeQueue } from "./queue.ts";

/** Handle of ports that this machine listens on. */
export type ListeningHandle = number & { readonly listening: unique symbol };

/** Handle of a connection to the peer, with what is being received over it. */
export type PipeHandle = number & { readonly pipe: unique symbol };

/** Handle of a file or packed folder that is to be sent. */
export type SourceHandle = number & { readonly source: unique symbol };

/** A place to dial: an address or a name, and a TCP port. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** Listens on free TCP ports; `places` is what the peer may dial. @throws {WormholeError} IO. */
export async function listen(
  queue: NativeQueue,
): Promise<{ listening: ListeningHandle; places: Place[] }> {
  const { listening, hosts, ports } = await queue.call<
    { listening: ListeningHandle; hosts: string[]; ports: number[] }
  >("compat.listen", {});
  return { listening, places: hosts.map((host, i) => ({ host, port: ports[i]! })) };
}

/** Stops listening. */
export async function deafen(queue: NativeQueue, listening: ListeningHandle): Promise<void> {
  await queue.call("compat.deafen", { listening });
}

/** Options of {@linkcode connect}. */
export interface ConnectOptions extends CallOptions {
  listening: ListeningHandle;
  /** 32 bytes that both sides derived. */
  key: Uint8Array;
  /** The sender picks the connection. */
  sender: boolean;
  direct: readonly Place[];
  relays: readonly Place[];
  timeoutMs: number;
}

/** A connection to the peer. */
export interface Connected {
  pipe: PipeHandle;
  /** `ip:port`. */
  remote: string;
  relayed: boolean;
}

/** Races every way to the peer. @throws {WormholeError} CONNECT_FAILED when none worked in time. */
export async function connect(queue: NativeQueue, options: ConnectOptions): Promise<Connected> {
  const { listening, key, sender, direct, relays, timeoutMs, signal } = options;
  const args = { listening, key, sender, direct, relays, timeout_ms: timeoutMs };
  const orphaned = (result: unknown) => void closePipe(queue, (result as Connected).pipe).catch(() => {});
  return await queue.call<Connected>("compat.connect", args, { signal, orphaned });
}

/** Prepares for `size` bytes in a staging folder of `destination`. @throws {WormholeError} what the disk fails with. */
export async function stage(
  queue: NativeQueue,
  { pipe, destination, size }: { pipe: PipeHandle; destination: string; size: number },
): Promise<void> {
  await queue.call("compat.stage", { pipe, destination: encodeName(destination), size });
}

/**
 * Receives for a moment; `sum` is SHA-256 once everything is there.
 *
 * @throws {WormholeError} PROTOCOL, CORRUPT, LIMIT_EXCEEDED, CONNECTION_LOST or PEER_FROZEN; what the disk fails with.
 */
export async function pull(
  queue: NativeQueue,
  pipe: PipeHandle,
  { signal }: CallOptions = {},
): Promise<{ received: number; sum: Uint8Array | undefined }> {
  const { received, done, sum } = await queue.call<{ received: number; done: boolean; sum: Uint8Array }>(
    "compat.pull",
    { pipe },
    { signal },
  );
  return { received, sum: done ? sum : undefined };
}

/** What an archive became. */
export interface Unpacked {
  files: number;
  directories: number;
  bytes: number;
}

/**
 * Unpacks what came, still in the staging folder.
 *
 * @throws {WormholeError} HOSTILE_NAME, LIMIT_EXCEEDED beyond what is given, CORRUPT, UNSUPPORTED.
 */
export async function unpack(
  queue: NativeQueue,
  { pipe, maxBytes, maxEntries, signal }:
    & { pipe: PipeHandle; maxBytes: number; maxEntries: number }
    & CallOptions,
): Promise<Unpacked> {
  const args = { pipe, max_bytes: maxBytes, max_entries: maxEntries };
  return await queue.call<Unpacked>("compat.unpack", args, { signal });
}

/** Moves what came to its place, once it is on the disk. @throws {WormholeError} DESTINATION_EXISTS. */
export async function place(
  queue: NativeQueue,
  { pipe, name, policy }: { pipe: PipeHandle; name: Uint8Array; policy: string },
): Promise<void> {
  await queue.call("compat.place", { pipe, name, policy });
}

/** Sends the last record. @throws {WormholeError} CONNECTION_LOST or PEER_FROZEN. */
export async function say(
  queue: NativeQueue,
  { pipe, content, signal }: { pipe: PipeHandle; content: Uint8Array } & CallOptions,
): Promise<void> {
  await queue.call("compat.say", { pipe, content }, { signal });
}

/** Opens a file to send. @throws {WormholeError} NOT_FOUND, PERMISSION_DENIED, IS_DIRECTORY, UNSUPPORTED. */
export async function openSource(
  queue: NativeQueue,
  path: string,
): Promise<{ source: SourceHandle; size: number }> {
  return await queue.call("compat.open", { path: encodeName(path) });
}

/** A packed folder. */
export interface Packed {
  source: SourceHandle;
  /** Of the archive. */
  size: number;
  files: number;
  /** Of content. */
  bytes: number;
  /** The first paths of what is neither file nor folder. */
  left_out: Uint8Array[];
  left_out_count: number;
}

/** Packs a folder, with a nameless file in `workplace`. @throws {WormholeError} what reading and writing fail with. */
export async function packFolder(
  queue: NativeQueue,
  { path, workplace, signal }: { path: string; workplace: string } & CallOptions,
): Promise<Packed> {
  const args = { path: encodeName(path), workplace: encodeName(workplace) };
  return await queue.call<Packed>("compat.pack", args, { signal });
}

/**
 * Sends for a moment; `sum` is SHA-256 once everything is sent.
 *
 * @throws {WormholeError} SOURCE_CHANGED, CONNECTION_LOST or PEER_FROZEN.
 */
export async function push(
  queue: NativeQueue,
  { pipe, source, signal }: { pipe: PipeHandle; source: SourceHandle } & CallOptions,
): Promise<{ sent: number; sum: Uint8Array | undefined }> {
  const { sent, done, sum } = await queue.call<{ sent: number; done: boolean; sum: Uint8Array }>(
    "compat.push",
    { pipe, source },
    { signal },
  );
  return { sent, sum: done ? sum : undefined };
}

/** Waits for one record. @throws {WormholeError} LIMIT_EXCEEDED, CORRUPT, CONNECTION_LOST or PEER_FROZEN. */
export async function hear(
  queue: NativeQueue,
  { pipe, maxBytes, timeoutMs, signal }:
    & { pipe: PipeHandle; maxBytes: number; timeoutMs: number }
    & CallOptions,
): Promise<Uint8Array> {
  const args = { pipe, max_bytes: maxBytes, timeout_ms: timeoutMs };
  return (await queue.call<{ content: Uint8Array }>("compat.hear", args, { signal })).content;
}

/** Ends a connection and removes what came and was not placed. */
export async function closePipe(queue: NativeQueue, pipe: PipeHandle): Promise<void> {
  await queue.call("compat.close", { pipe });
}

/** Closes what was to be sent. */
export async function forgetSource(queue: NativeQueue, source: SourceHandle): Promise<void> {
  await queue.call("compat.forget", { source });
}

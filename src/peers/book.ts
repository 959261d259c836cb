import { sameBytes } from "../base/bytes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import { replaceFile } from "../config/edit.ts";
import { formatPeers, MAX_FILE_BYTES, MAX_HOSTS, parsePeers, type Peer } from "./file.ts";
import { freeName, parsePeerName, peerNameFrom, sameName } from "./names.ts";
import { NO_RIGHTS, type Rights } from "./rights.ts";

const FILE_NAME = "peers.toml";

/** What a code has brought about another machine. */
export interface Paired {
  /** What the person calls it; what it calls itself when left out. */
  readonly name?: string;
  /** What it calls itself, in its own words. */
  readonly calledItself: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 32 bytes. */
  readonly secret: Uint8Array;
  readonly hosts: readonly string[];
}

/** The machines that this person's machine knows. Processes may use it at the same time. */
export class PeerBook {
  /** Path of the file, whether it exists or not. */
  readonly path: string;
  readonly #dir: string;
  readonly #clock: Clock;

  /** Uses the file in `dir`, which is made when the first peer is. */
  constructor(dir: string, { clock = systemClock }: { clock?: Clock } = {}) {
    this.#dir = dir;
    this.path = join(dir, FILE_NAME);
    this.#clock = clock;
  }

  /**
   * Gives all peers, by name.
   *
   * @throws {WormholeError} CONFIG_INVALID when the file is damaged or open to others; what the disk says.
   */
  async list(): Promise<Peer[]> {
    return await this.#read();
  }

  /** Gives the peer that the person calls `name`. @throws {WormholeError} NOT_FOUND; as {@linkcode PeerBook.list}. */
  async find(name: string): Promise<Peer> {
    return named(await this.#read(), name);
  }

  /** Tells whether `peer` is still known with the same key and secret, whatever it is called by now. */
  async stillKnows({ key, secret }: Pick<Peer, "key" | "secret">): Promise<boolean> {
    return (await this.#read()).some((peer) => sameBytes(peer.key, key) && sameBytes(peer.secret, secret));
  }

  /**
   * Checks, before a code is spent, that a new machine can be called `name`.
   *
   * @throws {WormholeError} INVALID_ARGUMENT for what is no name; as {@linkcode PeerBook.list}.
   */
  async assertCanName(name: string | undefined): Promise<void> {
    if (name !== undefined) parsePeerName(name);
    await this.#read();
  }

  /**
   * Keeps a machine. One whose key is known keeps its name, unless another is given, and its rights, and gets the new secret.
   *
   * @throws {WormholeError} ALREADY_EXISTS when another machine has the name that was given; as {@linkcode PeerBook.list}.
   */
  async keep({ name, calledItself, key, secret, hosts }: Paired): Promise<Peer> {
    return await this.#change((peers) => {
      const before = peers.find((peer) => sameBytes(peer.key, key));
      const others = peers.filter((peer) => peer !== before);
      const taken = others.map((other) => other.name);
      const given = name === undefined ? undefined : parsePeerName(name);
      if (given !== undefined && taken.some((other) => sameName(other, given))) throw isTaken(given);
      const now = this.#clock.now();
      const peer: Peer = {
        name: given ?? before?.name ?? freeName(peerNameFrom(calledItself), taken),
        key,
        secret,
        hosts: hosts.slice(0, MAX_HOSTS),
        rights: before?.rights ?? NO_RIGHTS,
        pairedMs: now,
        seenMs: now,
      };
      return { peers: [...others, peer], result: peer };
    });
  }

  /** Gives a peer another name. @throws {WormholeError} NOT_FOUND, ALREADY_EXISTS, INVALID_ARGUMENT; as {@linkcode PeerBook.list}. */
  async rename(name: string, to: string): Promise<Peer> {
    const wanted = parsePeerName(to);
    return await this.#replace((peers) => {
      const before = named(peers, name);
      if (peers.some((peer) => peer !== before && sameName(peer.name, wanted))) throw isTaken(wanted);
      return { before, after: { ...before, name: wanted } };
    });
  }

  /**
   * Sets what a peer may do, given what it may do until now.
   *
   * @throws {WormholeError} NOT_FOUND; what `change` throws; as {@linkcode PeerBook.list}.
   */
  async allow(name: string, change: (before: Rights) => Rights): Promise<Peer> {
    return await this.#replace((peers) => {
      const before = named(peers, name);
      return { before, after: { ...before, rights: change(before.rights) } };
    });
  }

  /** Forgets a peer; gives what was known. @throws {WormholeError} NOT_FOUND; as {@linkcode PeerBook.list}. */
  async forget(name: string): Promise<Peer> {
    return await this.#change((peers) => {
      const gone = named(peers, name);
      return { peers: peers.filter((peer) => peer !== gone), result: gone };
    });
  }

  /** Notes where a peer was met just now; nothing when it is not known any more. @throws as {@linkcode PeerBook.list}. */
  async saw(key: Uint8Array, hosts: readonly string[]): Promise<void> {
    await this.#change((peers) => ({
      peers: peers.map((peer) =>
        sameBytes(peer.key, key)
          ? { ...peer, hosts: hosts.slice(0, MAX_HOSTS), seenMs: this.#clock.now() }
          : peer
      ),
      result: undefined,
    }));
  }

  async #replace(decide: (peers: Peer[]) => { before: Peer; after: Peer }): Promise<Peer> {
    return await this.#change((peers) => {
      const { before, after } = decide(peers);
      return { peers: peers.map((peer) => peer === before ? after : peer), result: after };
    });
  }

  /** Reads, changes and writes while no other process does. */
  async #change<T>(decide: (peers: Peer[]) => { peers: Peer[]; result: T }): Promise<T> {
    try {
      await Deno.mkdir(this.#dir, { recursive: true, mode: 0o700 });
      // The file itself is replaced, so that a lock on it would be one on what it was.
      using lock = await Deno.open(`${this.path}.lock`, { write: true, create: true, mode: 0o600 });
      await lock.lock(true);
      const { peers, result } = decide(await this.#read());
      await replaceFile(this.path, await formatPeers(sorted(peers)), { mode: 0o600 });
      return result;
    } catch (cause) {
      throw diskError(cause, "write", this.path);
    }
  }

  async #read(): Promise<Peer[]> {
    let text: string;
    try {
      using file = await Deno.open(this.path, { read: true });
      const { isFile, size, mode } = await file.stat();
      if (!isFile) throw unusable(this.path, "it is no file");
      if (size > MAX_FILE_BYTES) throw unusable(this.path, `it has more than ${MAX_FILE_BYTES} bytes`);
      // Windows keeps the user's folders from others by itself, and has no mode.
      if (Deno.build.os !== "windows" && mode !== null && (mode & 0o077) !== 0) {
        throw unusable(this.path, `other users may read it (run: chmod 600 "${this.path}")`);
      }
      text = await new Response(file.readable).text();
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return [];
      throw diskError(cause, "read", this.path);
    }
    return sorted(await parsePeers(text, this.path));
  }
}

function named(peers: readonly Peer[], name: string): Peer {
  const found = peers.find((peer) => sameName(peer.name, name.trim().normalize("NFC")));
  if (found !== undefined) return found;
  const shown = name.slice(0, 80).replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, "?");
  const others = peers.length === 0
    ? "; no machine is known yet (wormhole pair)"
    : `; known are ${peers.slice(0, 8).map((peer) => peer.name).join(", ")}`;
  throw new WormholeError(
    "NOT_FOUND",
    `Cannot find the machine "${shown}": it is not known here, or was forgotten${others}`,
  );
}

function sorted(peers: readonly Peer[]): Peer[] {
  return peers.toSorted((a, b) => a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1);
}

function isTaken(name: string): WormholeError {
  const state = "another machine has that name (wormhole peers rename or forget)";
  return new WormholeError("ALREADY_EXISTS", `Cannot call a machine "${name}": ${state}`);
}

function unusable(path: string, state: string): WormholeError {
  return new WormholeError("CONFIG_INVALID", `Cannot use the list of known machines "${path}": ${state}`);
}

function diskError(cause: unknown, verb: string, path: string): unknown {
  if (isWormholeError(cause) || !(cause instanceof Error)) return cause;
  const message = (state: string) => `Cannot ${verb} the list of known machines "${path}": ${state}`;
  if (cause instanceof Deno.errors.PermissionDenied) {
    return new WormholeError("PERMISSION_DENIED", message("permission denied"), { cause });
  }
  return new WormholeError("IO", message(cause.message), { cause });
}

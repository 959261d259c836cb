/** The text of `peers.toml`; spec/known_peers.md §6. */
import { isIP } from "node:net";
import { WormholeError } from "../base/errors.ts";
import { parseToml } from "../config/config.ts";
import { parsePeerName, sameName } from "./names.ts";
import { clashing, type Rights, sharedFolders } from "./rights.ts";

/** A machine that this one knows. */
export interface Peer {
  /** What the person at this machine calls it; no other peer has it. */
  readonly name: string;
  /** 32 bytes, Ed25519 public key that its connections must prove. */
  readonly key: Uint8Array;
  /** 32 bytes that only the two machines know: by them they find each other. */
  readonly secret: Uint8Array;
  /** IP addresses at which it was last. */
  readonly hosts: readonly string[];
  readonly rights: Rights;
  /** Time of the code, in ms since 1970. */
  readonly pairedMs: number;
  /** Time of the last connection, in ms since 1970. */
  readonly seenMs: number;
}

/** Caps the file, in bytes: a thousand peers have under 1 MiB. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Folders that one peer may synchronize, of each kind of right. */
const MAX_SYNC_FOLDERS = 64;

/** Addresses that are kept of one peer. */
export const MAX_HOSTS = 8;

const KEY_BYTES = 32;

const HEAD =
  `# Machines that this one knows; written by wormhole pair and wormhole peers. Keep it private: with a secret from
# here and the machine key beside it somebody could pass for this machine.
`;

/** Writes the file anew. */
export async function formatPeers(peers: readonly Peer[]): Promise<string> {
  if (peers.length === 0) return HEAD;
  const { stringify } = await import("smol-toml");
  const tables = peers.map(({ name, key, secret, hosts, rights, pairedMs, seenMs }) => ({
    name,
    key: key.toHex(),
    secret: secret.toHex(),
    hosts: [...hosts],
    ...rights.inbox !== undefined && { inbox: rights.inbox },
    receive: rights.receive,
    ...rights.sync.length > 0 && { sync: [...rights.sync] },
    ...rights.syncReadOnly.length > 0 && { sync_read_only: [...rights.syncReadOnly] },
    ...rights.syncWriteOnly.length > 0 && { sync_write_only: [...rights.syncWriteOnly] },
    paired: new Date(pairedMs).toISOString(),
    seen: new Date(seenMs).toISOString(),
  }));
  return `${HEAD}\n${stringify({ peer: tables })}\n`;
}

/**
 * Reads the file; unknown keys are an error, since writing it would lose them.
 *
 * @throws {WormholeError} CONFIG_INVALID naming what is wrong.
 */
export async function parsePeers(text: string, path: string): Promise<Peer[]> {
  const { peer = [], ...others } = await parseToml(text, path);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw damaged(path, `it has an unknown key ${JSON.stringify(unknown)}`);
  if (!Array.isArray(peer)) throw damaged(path, '"peer" is no list of tables');
  const peers = peer.map((table, at) => parsePeer(table, path, at + 1));
  for (const [at, { name, key }] of peers.entries()) {
    const before = peers.slice(0, at);
    if (before.some((other) => sameName(other.name, name))) {
      throw damaged(path, `two peers are called ${JSON.stringify(name)}`);
    }
    if (before.some((other) => other.key.toHex() === key.toHex())) {
      throw damaged(path, `${JSON.stringify(name)} has the key of another peer`);
    }
  }
  return peers;
}

const SYNC_KEYS = ["sync", "sync_read_only", "sync_write_only"] as const;

const KNOWN = ["name", "key", "secret", "hosts", "inbox", "receive", ...SYNC_KEYS, "paired", "seen"];

function parsePeer(table: unknown, path: string, number: number): Peer {
  const wrong = (state: string) => damaged(path, `peer ${number}: ${state}`);
  if (typeof table !== "object" || table === null) throw wrong("it is no table");
  const fields = table as Record<string, unknown>;
  const unknown = Object.keys(fields).find((key) => !KNOWN.includes(key));
  if (unknown !== undefined) throw wrong(`it has an unknown key ${JSON.stringify(unknown)}`);
  const hex = (key: string) => {
    const value = fields[key];
    if (typeof value !== "string" || !/^[0-9a-f]{64}$/.test(value)) {
      throw wrong(`"${key}" is not ${KEY_BYTES} bytes in hex`);
    }
    return Uint8Array.fromHex(value);
  };
  const time = (key: string) => {
    const ms = typeof fields[key] === "string" ? Date.parse(fields[key]) : NaN;
    if (Number.isNaN(ms)) throw wrong(`"${key}" is no time`);
    return ms;
  };
  const { name, hosts, inbox, receive } = fields;
  if (typeof name !== "string") throw wrong('"name" is no text');
  if (!Array.isArray(hosts) || !hosts.every((host) => typeof host === "string" && isIP(host) !== 0)) {
    throw wrong('"hosts" is no list of addresses');
  }
  if (inbox !== undefined && !(typeof inbox === "string" && inbox.startsWith("/"))) {
    throw wrong('"inbox" is no absolute path');
  }
  if (typeof receive !== "boolean") throw wrong('"receive" is not true or false');
  const isFolder = (path: unknown) => typeof path === "string" && path.startsWith("/");
  const [sync, syncReadOnly, syncWriteOnly] = SYNC_KEYS.map((key) => {
    const folders = fields[key] ?? [];
    if (!Array.isArray(folders) || folders.length > MAX_SYNC_FOLDERS || !folders.every(isFolder)) {
      throw wrong(`"${key}" is no list of absolute paths`);
    }
    return folders as string[];
  }) as [string[], string[], string[]];
  const rights: Rights = {
    receive,
    sync,
    syncReadOnly,
    syncWriteOnly,
    ...inbox !== undefined && { inbox },
  };
  const clash = clashing(sharedFolders(rights));
  if (clash !== undefined) throw wrong(`it has two different rights to ${JSON.stringify(clash[0].path)}`);
  return {
    name: named(name, wrong),
    key: hex("key"),
    secret: hex("secret"),
    hosts: hosts.slice(0, MAX_HOSTS),
    rights,
    pairedMs: time("paired"),
    seenMs: time("seen"),
  };
}

function named(name: string, wrong: (state: string) => WormholeError): string {
  try {
    return parsePeerName(name);
  } catch (error) {
    throw wrong((error as Error).message);
  }
}

function damaged(path: string, state: string): WormholeError {
  return new WormholeError("CONFIG_INVALID", `Cannot use the list of known machines "${path}": ${state}`);
}

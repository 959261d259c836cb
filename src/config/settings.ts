import { LOG_LEVELS, type LogLevel } from "../base/log.ts";
import { boolean, duration, hubUrl, oneOf, path, size, type ValueType, wholeNumber } from "./values.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Ways to read and write files that can be forced, for finding faults. */
export const IO_BACKENDS = ["auto", "std", "linux", "uring"] as const;

/** One of {@linkcode IO_BACKENDS}. */
export type IoBackend = typeof IO_BACKENDS[number];

/** Everything that can be set, validated; see {@linkcode SETTINGS} for what each means. */
export interface Config {
  /** Local port for direct connections; 0: any free one. */
  readonly port: number;
  /** Address of the hub; "" when there is none and machines find each other directly. */
  readonly signalServer: string;
  readonly cacheDir: string;
  readonly logLevel: LogLevel;
  /** Bytes per chunk of a large file. */
  readonly bulkChunkSize: number;
  /** How long a connection that was lost may be away, in ms; 0: its loss is the end. */
  readonly reconnect: number;
  readonly maxStreams: number;
  readonly minStreams: number;
  /** Bytes of memory for file data on its way. */
  readonly bufferPoolSize: number;
  /** zstd level. */
  readonly compressionLevel: number;
  /** Chunks that the index keeps. */
  /** Look for what is received on this machine before it is asked for. */
  readonly dedup: boolean;
  readonly dedupIndexSize: number;
  /** Keep what is received in the store too. */
  readonly keepChunks: boolean;
  /** Most bytes of the store's packs. */
  readonly storeQuota: number;
  /** Use TCP only. */
  readonly forceTcp: boolean;
  readonly portMapping: boolean;
  readonly debugIo: IoBackend;
}

/** Name of one setting in TypeScript. */
export type ConfigKey = keyof Config;

/** How one setting is named, read and explained. */
export interface Setting<T> {
  /** Name in config.toml. */
  readonly name: string;
  /** Name of the environment variable. */
  readonly env: string;
  readonly type: ValueType<T>;
  /** Its value when nobody sets it; undefined: worked out at run time (`cache_dir`). */
  readonly fallback: T | undefined;
  readonly help: string;
}

/** Every setting, in the order in which it is shown. */
export const SETTINGS: { readonly [K in ConfigKey]: Setting<Config[K]> } = {
  port: setting(
    "port",
    wholeNumber(0, 65535, "PORT"),
    0,
    "Local port for direct connections; 0 takes any free one.",
  ),
  signalServer: setting(
    "signal_server",
    hubUrl,
    "",
    "Hub through which machines find each other; empty finds them on the local network.",
  ),
  cacheDir: setting(
    "cache_dir",
    path("DIR", "directory"),
    undefined,
    "Folder for what can be made again, such as the cache of file hashes.",
  ),
  logLevel: setting(
    "log_level",
    oneOf(LOG_LEVELS, "LEVEL"),
    "warn",
    "How much is logged: error, warn, info, debug or trace.",
  ),
  bulkChunkSize: setting("bulk_chunk_size", size(64 * KIB, 16 * MIB), 4 * MIB, "Chunk size for large files."),
  reconnect: setting(
    "reconnect",
    duration(0, 7 * 86_400_000),
    600_000,
    "How long a transfer whose connection was lost tries to go on by itself; 0 ends it at once.",
  ),
  maxStreams: setting("max_streams", wholeNumber(1, 256), 64, "Most parallel streams in one transfer."),
  minStreams: setting("min_streams", wholeNumber(1, 256), 4, "Parallel streams that a transfer starts with."),
  bufferPoolSize: setting(
    "buffer_pool_size",
    size(16 * MIB, 64 * GIB),
    256 * MIB,
    "Memory for file data on its way.",
  ),
  compressionLevel: setting(
    "compression_level",
    wholeNumber(1, 19),
    3,
    "zstd level from 1 (fast) to 19 (small), where compressing pays off.",
  ),
  dedup: setting(
    "dedup",
    boolean,
    true,
    "Take from this machine what it has already of what is received; recv --no-dedup or --dedup says otherwise for once.",
  ),
  dedupIndexSize: setting(
    "dedup_index_size",
    wholeNumber(1000, 1_000_000_000),
    1_000_000,
    "Chunks that the index of known content keeps, 4 MiB of a file each.",
  ),
  keepChunks: setting(
    "keep_chunks",
    boolean,
    false,
    "Also keep what is received in the store, so that it need not be received again when files change or go.",
  ),
  storeQuota: setting(
    "store_quota",
    size(0, 1024 * 1024 * GIB),
    10 * GIB,
    "Most that the store keeps besides your files; what was longest out of use goes first.",
  ),
  forceTcp: setting("force_tcp", boolean, false, "Use TCP only, never UDP; a relay is reached over TCP."),
  portMapping: setting(
    "port_mapping",
    boolean,
    true,
    "Ask the router for a UDP port (UPnP, NAT-PMP, PCP) where a hub's relay is used.",
  ),
  debugIo: setting(
    "debug_io",
    oneOf(IO_BACKENDS, "BACKEND"),
    "auto",
    "Forces how files are read and written: auto, std, linux (system calls) or uring.",
  ),
};

/** The keys of {@linkcode SETTINGS}, in order. */
export const CONFIG_KEYS = Object.keys(SETTINGS) as ConfigKey[];

/** Gives the key whose name in config.toml is `name`. */
export function keyNamed(name: string): ConfigKey | undefined {
  return CONFIG_KEYS.find((key) => SETTINGS[key].name === name);
}

function setting<T>(name: string, type: ValueType<T>, fallback: T | undefined, help: string): Setting<T> {
  return { name, env: `WORMHOLE_${name.toUpperCase()}`, type, fallback, help };
}

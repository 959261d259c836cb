import { join } from "../base/paths.ts";

/** Where Wormhole keeps things on this machine. */
export interface Folders {
  /** Settings and the machine key; small, backed up. */
  readonly configDir: string;
  /** What must survive: the store, snapshots. */
  readonly dataDir: string;
  /** What can be made again: hash cache, unpacked library. */
  readonly cacheDir: string;
  /** Journals of transfers under way, logs. */
  readonly stateDir: string;
  /** Sockets and locks; emptied when the person logs out. */
  readonly runtimeDir: string;
}

/** Gives one environment variable; undefined when it is not set. */
export type Environment = (name: string) => string | undefined;

/** Options of {@linkcode folders}; the defaults are this process's. */
export interface FoldersOptions {
  env?: Environment;
  os?: typeof Deno.build.os;
}

const NAME = "wormhole";

/**
 * Gives the folders for this person: the XDG base directories (freedesktop.org, Base Directory
 * Specification 0.8), `~/Library` on macOS, `%APPDATA%` and `%LOCALAPPDATA%` on Windows.
 *
 * None is created here. A relative XDG variable is ignored, as the specification asks.
 */
export function folders({ env = processEnvironment, os = Deno.build.os }: FoldersOptions = {}): Folders {
  if (os === "windows") return windowsFolders(env);
  const home = env("HOME") || "/";
  if (os === "darwin") return macFolders(home, env);
  const xdg = (name: string, fallback: string) => {
    const given = env(name);
    return join(given?.startsWith("/") ? given.replace(/\/+$/, "") || "/" : join(home, fallback), NAME);
  };
  const stateDir = xdg("XDG_STATE_HOME", ".local/state");
  const runtime = env("XDG_RUNTIME_DIR");
  return {
    configDir: xdg("XDG_CONFIG_HOME", ".config"),
    dataDir: xdg("XDG_DATA_HOME", ".local/share"),
    cacheDir: xdg("XDG_CACHE_HOME", ".cache"),
    stateDir,
    // Without a login session there is no runtime folder; /tmp would be a guessable name that others can take.
    runtimeDir: runtime?.startsWith("/") ? join(runtime, NAME) : join(stateDir, "run"),
  };
}

/** Gives the value of an environment variable of this process. */
export function processEnvironment(name: string): string | undefined {
  return Deno.env.get(name);
}

function macFolders(home: string, env: Environment): Folders {
  const library = join(home, "Library");
  const support = join(library, "Application Support", NAME);
  const temporary = env("TMPDIR"); // private to the person on macOS
  return {
    configDir: support,
    dataDir: join(support, "data"),
    cacheDir: join(library, "Caches", NAME),
    stateDir: join(support, "state"),
    runtimeDir: temporary ? join(temporary, NAME) : join(support, "run"),
  };
}

function windowsFolders(env: Environment): Folders {
  const home = (env("USERPROFILE") || "C:\\").replaceAll("\\", "/");
  const roaming = (env("APPDATA") ?? join(home, "AppData/Roaming")).replaceAll("\\", "/");
  const local = (env("LOCALAPPDATA") ?? join(home, "AppData/Local")).replaceAll("\\", "/");
  return {
    configDir: join(roaming, NAME),
    dataDir: join(local, NAME, "data"),
    cacheDir: join(local, NAME, "cache"),
    stateDir: join(local, NAME, "state"),
    runtimeDir: join(local, NAME, "run"),
  };
}

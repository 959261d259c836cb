import { WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import { type Environment, type Folders, folders as systemFolders, processEnvironment } from "./paths.ts";
import { type Config, CONFIG_KEYS, type ConfigKey, keyNamed, SETTINGS } from "./settings.ts";
import { similar } from "./similar.ts";

/** Where a setting's value comes from; later ones win. */
export type Source = "default" | "file" | "env" | "flag";

/** The settings in force, frozen, and how they came about. */
export interface LoadedConfig {
  readonly config: Config;
  readonly sources: Readonly<Record<ConfigKey, Source>>;
  /** Sentences about what was ignored. */
  readonly warnings: readonly string[];
  /** Path of config.toml, whether it exists or not. */
  readonly file: string;
  readonly folders: Folders;
}

/** Options of {@linkcode loadConfig}. */
export interface LoadOptions {
  env?: Environment;
  folders?: Folders;
  /** Values from the command line; undefined ones were not given. */
  flags?: Partial<Config>;
}

/**
 * Reads the settings: defaults, then config.toml, then WORMHOLE_* variables, then flags.
 *
 * @throws {WormholeError} CONFIG_INVALID naming the key when a value is not valid; PERMISSION_DENIED or IO
 * when config.toml cannot be read.
 */
export async function loadConfig(options: LoadOptions = {}): Promise<LoadedConfig> {
  const env = options.env ?? processEnvironment;
  const folders = options.folders ?? systemFolders({ env });
  const file = configFile(folders);
  const merge = new Merge(folders);
  merge.addFile(await readConfigFile(file));
  merge.addEnvironment(env);
  merge.addFlags(options.flags ?? {});
  return { ...merge.finish(), file, folders };
}

/** Gives the path of config.toml. */
export function configFile(folders: Folders): string {
  return join(folders.configDir, "config.toml");
}

/**
 * Reads one value as `key`'s type, from a TOML value or from text.
 *
 * @throws {WormholeError} CONFIG_INVALID `<origin>: <name> is "many": give …`.
 */
export function parseSetting<K extends ConfigKey>(key: K, value: unknown, origin: string): Config[K] {
  const { name, type } = SETTINGS[key];
  const scalar = typeof value === "string" || typeof value === "boolean" || typeof value === "number" ||
    typeof value === "bigint";
  const parsed = scalar ? type.parse(String(value)) : undefined;
  if (parsed !== undefined) return parsed;
  const shown = scalar ? JSON.stringify(String(value)) : "a list or table";
  throw new WormholeError("CONFIG_INVALID", `${origin}: ${name} is ${shown}: ${type.wanted}`);
}

/**
 * Gives the top-level table of a config.toml; undefined when there is none.
 *
 * @throws {WormholeError} CONFIG_INVALID when it is not TOML.
 */
export async function readConfigFile(path: string): Promise<Record<string, unknown> | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) return undefined;
    const denied = cause instanceof Deno.errors.PermissionDenied || cause instanceof Deno.errors.NotCapable;
    const reason = denied ? "permission denied" : (cause as Error).message;
    throw new WormholeError(denied ? "PERMISSION_DENIED" : "IO", `Cannot read "${path}": ${reason}`, {
      cause,
    });
  }
  return await parseToml(text, path);
}

/**
 * Parses TOML; the parser is loaded only here, most people have no config.toml.
 *
 * @throws {WormholeError} CONFIG_INVALID with the line when it is not TOML.
 */
export async function parseToml(text: string, path: string): Promise<Record<string, unknown>> {
  const { parse, TomlError } = await import("smol-toml");
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const reason = cause.message.split("\n")[0]!.replace(/^Invalid TOML document: /, "");
    throw new WormholeError(
      "CONFIG_INVALID",
      `Cannot read "${path}": line ${cause.line}, column ${cause.column}: ${reason}`,
      { cause },
    );
  }
}

/** Collects values source by source. */
class Merge {
  readonly #values: { -readonly [K in ConfigKey]?: Config[K] } = {};
  readonly #sources: Partial<Record<ConfigKey, Source>> = {};
  readonly #warnings: string[] = [];

  constructor(folders: Folders) {
    for (const key of CONFIG_KEYS) this.#set(key, SETTINGS[key].fallback, "default");
    this.#set("cacheDir", folders.cacheDir, "default");
  }

  addFile(table: Record<string, unknown> | undefined): void {
    const names = CONFIG_KEYS.map((key) => SETTINGS[key].name);
    for (const [name, value] of Object.entries(table ?? {})) {
      const key = keyNamed(name);
      if (key) this.#set(key, parseSetting(key, value, "config.toml"), "file");
      else {
        const meant = similar(name.replaceAll("-", "_"), names);
        const hint = meant ? `; did you mean "${meant}"?` : "";
        this.#warnings.push(`config.toml: there is no setting ${JSON.stringify(name)}${hint}`);
      }
    }
  }

  addEnvironment(env: Environment): void {
    for (const key of CONFIG_KEYS) {
      const { env: variable } = SETTINGS[key];
      const value = env(variable);
      if (value === undefined || value === "") continue;
      this.#set(key, parseSetting(key, value, `the environment variable ${variable}`), "env");
    }
  }

  addFlags(flags: Partial<Config>): void {
    for (const key of CONFIG_KEYS) {
      if (flags[key] !== undefined) this.#set(key, flags[key], "flag");
    }
  }

  finish(): Pick<LoadedConfig, "config" | "sources" | "warnings"> {
    const values = this.#values as { -readonly [K in ConfigKey]: Config[K] };
    const sources = this.#sources as Record<ConfigKey, Source>;
    if (values.minStreams > values.maxStreams) {
      // Whoever sets one of the two need not know the other's default.
      if (sources.minStreams === "default") values.minStreams = values.maxStreams;
      else if (sources.maxStreams === "default") values.maxStreams = values.minStreams;
      else {
        throw new WormholeError(
          "CONFIG_INVALID",
          `min_streams is ${values.minStreams} (${sources.minStreams}) and max_streams is ` +
            `${values.maxStreams} (${sources.maxStreams}): give a min_streams that is not the larger one`,
        );
      }
    }
    return { config: Object.freeze(values), sources: Object.freeze(sources), warnings: this.#warnings };
  }

  #set<K extends ConfigKey>(key: K, value: Config[K] | undefined, source: Source): void {
    if (value === undefined) return;
    this.#values[key] = value;
    this.#sources[key] = source;
  }
}

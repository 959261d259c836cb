import { statfs } from "node:fs/promises";
import { dirname, join } from "../base/paths.ts";
import type { Finding, Surroundings } from "./mod.ts";

/** Below this a transfer of any size is likely to end in "no space". */
const LITTLE_SPACE_BYTES = 1024 ** 3;

/** Name of the machine key in the config folder; `src/config/identity.ts`. */
const KEY_NAME = "identity.key";

/** Reports whether config.toml and the variables are valid. */
export function checkSettings({ settings, settingsProblem }: Surroundings): Finding[] {
  if (settingsProblem) {
    return [{
      name: "settings",
      status: "problem",
      text: settingsProblem.message,
      advice: "Correct it; wormhole config path says where the file is.",
    }];
  }
  const changed = Object.values(settings.sources).filter((source) => source !== "default").length;
  return [
    {
      name: "settings",
      status: "ok",
      text: changed === 0 ? "all are defaults" : `${changed} changed, all valid`,
    },
    ...settings.warnings.map((text): Finding => ({ name: "settings", status: "note", text })),
  ];
}

/** Reports whether the config folder can be written. */
export async function checkConfigFolder({ settings }: Surroundings): Promise<Finding[]> {
  return [await writable("config folder", settings.folders.configDir)];
}

/** Reports whether the cache folder can be written. */
export async function checkCache({ settings }: Surroundings): Promise<Finding[]> {
  return [await writable("cache folder", settings.config.cacheDir)];
}

/** Tells whether a machine key is what a crash of the system leaves of a file; one that this user may not read is not told. */
async function holdsOnlyZeros(path: string): Promise<boolean> {
  const bytes = await Deno.readFile(path).catch(() => undefined);
  return bytes !== undefined && bytes.every((byte) => byte === 0);
}

/** Reports whether the machine key is there, sound and private. */
export async function checkKey({ settings }: Surroundings): Promise<Finding[]> {
  const path = join(settings.folders.configDir, KEY_NAME);
  const name = "machine key";
  try {
    const { mode, size } = await Deno.stat(path);
    const damage = size !== 32
      ? `it has ${size} bytes instead of 32`
      : await holdsOnlyZeros(path)
      ? "it holds only zeros"
      : undefined;
    if (damage !== undefined) {
      return [{
        name,
        status: "problem",
        text: `"${path}" is damaged: ${damage}`,
        advice: "Restore it from a backup, or remove it: the next transfer makes a new one.",
      }];
    }
    if (Deno.build.os !== "windows" && mode !== null && (mode & 0o077) !== 0) {
      return [{
        name,
        status: "problem",
        text: `other users may read "${path}"`,
        advice: `Run: chmod 600 "${path}"`,
      }];
    }
    return [{ name, status: "ok", text: `there and private ("${path}")` }];
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return [{ name, status: "note", text: "none yet; the first transfer makes one" }];
  }
}

/** Reports the free space where files would be received. */
export async function checkSpace({ folder }: Surroundings): Promise<Finding[]> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const text = `${(free / 1024 ** 3).toFixed(1)} GiB free in "${folder}"`;
  if (free >= LITTLE_SPACE_BYTES) return [{ name: "space", status: "ok", text }];
  return [{ name: "space", status: "note", text, advice: "Free some, or receive elsewhere with --output." }];
}

/** Tells whether files can be made in `folder`, or in the nearest folder above it that exists. */
async function writable(name: string, folder: string): Promise<Finding> {
  const existing = await nearest(folder);
  const probe = join(existing, `.wormhole-probe-${crypto.randomUUID()}`);
  try {
    using _file = await Deno.open(probe, { write: true, createNew: true, mode: 0o600 });
  } catch (error) {
    return {
      name,
      status: "problem",
      text: `"${existing}" cannot be written: ${error instanceof Error ? error.message : error}`,
      advice: "Change its owner or permissions.",
    };
  }
  await Deno.remove(probe);
  const made = existing === folder ? "" : " (it will be made)";
  return { name, status: "ok", text: `"${folder}" can be written${made}` };
}

async function nearest(folder: string): Promise<string> {
  for (let at = folder;; at = dirname(at)) {
    try {
      if ((await Deno.stat(at)).isDirectory) return at;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    if (dirname(at) === at) return at;
  }
}

import { WormholeError } from "../base/errors.ts";
import { basename, dirname, join } from "../base/paths.ts";
import { parseSetting, parseToml } from "./config.ts";
import { type ConfigKey, keyNamed, SETTINGS } from "./settings.ts";
import { similar } from "./similar.ts";

/**
 * Sets `name` to `value` in the config.toml at `file`, which is replaced in one step; comments and other
 * settings stay as they are. Creates the file and its folder (mode 0700) when missing.
 *
 * @throws {WormholeError} USAGE for an unknown name; CONFIG_INVALID for a wrong value or a file that is not
 * TOML; PERMISSION_DENIED, READ_ONLY, NO_SPACE or IO when the file cannot be written.
 */
export async function setInFile(file: string, name: string, value: string): Promise<void> {
  const key = settingKey(name);
  const parsed = parseSetting(key, value, "the value given");
  try {
    const target = await realPath(file);
    const before = await readIfThere(target);
    await parseToml(before, target);
    const after = await edited(before, SETTINGS[key].name, parsed);
    await replaceFile(target, after);
  } catch (cause) {
    throw asWormholeError(file, cause);
  }
}

/**
 * Gives the key of a setting by its name in config.toml (`max_streams`, also `max-streams`).
 *
 * @throws {WormholeError} USAGE when there is none, with the name that was probably meant.
 */
export function settingKey(name: string): ConfigKey {
  const spelled = name.trim().toLowerCase().replaceAll("-", "_").replace(/^wormhole_/, "");
  const key = keyNamed(spelled);
  if (key) return key;
  const meant = similar(spelled, Object.values(SETTINGS).map((setting) => setting.name));
  throw new WormholeError(
    "USAGE",
    `Cannot find the setting ${JSON.stringify(name)}: there is none of that name` +
      (meant ? `; did you mean "${meant}"?` : ""),
  );
}

/** Gives the text with one top-level key changed or added. */
async function edited(text: string, name: string, value: string | number | boolean): Promise<string> {
  const written = typeof value === "string" ? JSON.stringify(value) : String(value);
  const lines = text.split("\n");
  const firstTable = lines.findIndex((line) => /^\s*\[/.test(line));
  const end = firstTable < 0 ? lines.length : firstTable;
  const pattern = new RegExp(`^(\\s*(?:${name}|"${name}"|'${name}')\\s*=\\s*)`);
  const at = lines.findIndex((line, index) => index < end && pattern.test(line));
  if (at >= 0) {
    const line = lines[at]!;
    const start = pattern.exec(line)![1]!;
    const comment = /^(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^#"']*?)(\s*#.*)?$/.exec(line.slice(start.length));
    lines[at] = start + written + (comment?.[1] ?? "");
  } else {
    let insert = end;
    while (insert > 0 && lines[insert - 1]!.trim() === "") insert--;
    lines.splice(insert, 0, `${name} = ${written}`);
    if (insert + 1 === lines.length) lines.push("");
  }
  const result = lines.join("\n");
  return await isJust(result, text, { name, value }) ? result : await rewritten(text, { name, value });
}

/** Checks that `result` reads like `before` with one key changed: odd layouts could fool the line edit. */
async function isJust(
  result: string,
  before: string,
  { name, value }: { name: string; value: unknown },
): Promise<boolean> {
  const { parse, stringify } = await import("smol-toml");
  try {
    const wanted = parse(before);
    wanted[name] = value as string;
    const sorted = (table: Record<string, unknown>) =>
      stringify(Object.fromEntries(Object.entries(table).sort(([a], [b]) => a < b ? -1 : 1)));
    return sorted(parse(result)) === sorted(wanted);
  } catch {
    return false; // the edited text is not TOML: the caller writes it from the parsed tables instead
  }
}

/** Writes the whole file from its values; keeps every setting but no comments. */
async function rewritten(text: string, { name, value }: { name: string; value: unknown }): Promise<string> {
  const { parse, stringify } = await import("smol-toml");
  return stringify({ ...parse(text), [name]: value }) + "\n";
}

/** Follows a symlinked config.toml (dotfiles are often links), so that the link survives the rename. */
async function realPath(file: string): Promise<string> {
  try {
    return await Deno.realPath(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return file;
    throw error;
  }
}

async function readIfThere(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** Writes a sibling, makes it durable and renames it over `file`; with the mode of what was there unless told otherwise. */
export async function replaceFile(
  file: string,
  text: string,
  { mode: wanted }: { mode?: number } = {},
): Promise<void> {
  const folder = dirname(file);
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const staging = join(folder, `.${basename(file)}.${crypto.randomUUID()}`);
  const mode = wanted ?? await modeOf(file);
  try {
    await writeDurably(staging, { text, mode });
    await Deno.rename(staging, file);
  } catch (error) {
    await Deno.remove(staging).catch(() => {}); // it may never have been made; the first error matters
    throw error;
  }
}

async function writeDurably(path: string, { text, mode }: { text: string; mode: number }): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true, mode });
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  await file.sync();
}

async function modeOf(file: string): Promise<number> {
  try {
    return ((await Deno.stat(file)).mode ?? 0o600) & 0o777;
  } catch {
    return 0o600; // a new file: it may name a private hub
  }
}

function asWormholeError(file: string, cause: unknown): unknown {
  if (cause instanceof WormholeError || !(cause instanceof Error)) return cause;
  const system = (cause as { code?: string }).code;
  const [code, state] = cause instanceof Deno.errors.PermissionDenied || system === "EACCES"
    ? ["PERMISSION_DENIED" as const, "permission denied"]
    : system === "EROFS"
    ? ["READ_ONLY" as const, "the disk is read-only"]
    : system === "ENOSPC"
    ? ["NO_SPACE" as const, "the disk is full"]
    : ["IO" as const, cause.message];
  return new WormholeError(code, `Cannot write "${file}": ${state}`, { cause });
}

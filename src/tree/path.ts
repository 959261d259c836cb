/**
 * The only path safety: what a peer calls a file becomes an {@linkcode EntryName} here or is refused, and what a
 * peer says reaches the terminal only through {@linkcode printable}. Spec: wire/spec/manifest.md §3.
 */
import { WormholeError } from "../base/errors.ts";
import { decodeName, encodeName } from "../base/names.ts";
import { MAX_NAME_BYTES, MAX_TARGET_BYTES } from "../wire/limits.ts";

declare const CHECKED: unique symbol;

/** One path component that names an entry of its directory and nothing else; bytes by `encodeName`. */
export type EntryName = string & { readonly [CHECKED]: true };

/** Whose rules for names apply; macOS is posix. */
export type Platform = "posix" | "windows";

/** The platform of this machine. */
export const PLATFORM: Platform = Deno.build.os === "windows" ? "windows" : "posix";

// deno-lint-ignore no-control-regex
const WINDOWS_FORBIDDEN = /[\x00-\x1f\\<>:"|?*]/;
/** Names of devices, with any extension and with the superscript digits that Windows takes for 1, 2, 3. */
const WINDOWS_DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)/i;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Everything that a terminal may act on or that hides what is shown; U+200D stays, it joins emoji. */
const UNPRINTABLE = /(?!\u200d)[\p{C}\p{Zl}\p{Zp}]/gu;

/**
 * Gives the checked name of an entry.
 *
 * @throws {WormholeError} HOSTILE_NAME when it is empty, `.` or `..`, or has `/` or NUL (no honest peer sends
 * that); NAME_TOO_LONG above 255 bytes; UNSUPPORTED when only this platform cannot hold it.
 */
export function parseName(
  given: Uint8Array | string,
  { platform = PLATFORM }: { platform?: Platform } = {},
): EntryName {
  const name = typeof given === "string" ? given : decodeName(given);
  const refuse = (state: string, code: "HOSTILE_NAME" | "NAME_TOO_LONG" | "UNSUPPORTED") => {
    throw new WormholeError(code, `Cannot accept the name "${printable(name)}": ${state}`);
  };
  if (name === "") refuse("it is empty", "HOSTILE_NAME");
  if (name === "." || name === "..") refuse("it is not a name of its own", "HOSTILE_NAME");
  if (/[/\0]/.test(name)) refuse("it has a slash or a zero byte", "HOSTILE_NAME");
  const bytes = typeof given === "string" ? encodeName(given) : given;
  if (bytes.length > MAX_NAME_BYTES) {
    refuse(`it has ${bytes.length} bytes, the limit is ${MAX_NAME_BYTES}`, "NAME_TOO_LONG");
  }
  // Strings that no byte sequence decodes to would name something else once they are bytes.
  if (typeof given === "string" && decodeName(bytes) !== name) refuse("it is not valid text", "HOSTILE_NAME");
  if (platform === "windows") {
    const why = windowsRefusal(name);
    if (why !== undefined) refuse(why, "UNSUPPORTED");
  }
  return name as EntryName;
}

function windowsRefusal(name: string): string | undefined {
  if (WINDOWS_FORBIDDEN.test(name)) return "Windows does not allow one of its characters";
  if (/[. ]$/.test(name)) return "Windows does not allow a dot or space at the end";
  if (WINDOWS_DEVICE.test(name)) return "Windows reserves it for a device";
  if (LONE_SURROGATE.test(name)) return "Windows cannot hold bytes that are not UTF-8";
  return undefined;
}

/**
 * Tells whether a symlink with `target` stays inside the tree it was sent in: relative, `..` only at the
 * beginning, and no more of them than the `depth` directories between the link and its root.
 *
 * `..` after a name is refused even where it would stay inside: the name may be another symlink, and then
 * `..` leads elsewhere.
 */
export function safeLinkTarget(
  given: Uint8Array | string,
  depth: number,
  { platform = PLATFORM }: { platform?: Platform } = {},
): boolean {
  const target = typeof given === "string" ? given : decodeName(given);
  if (target === "" || target.includes("\0") || target.startsWith("/")) return false;
  if ((typeof given === "string" ? encodeName(given) : given).length > MAX_TARGET_BYTES) return false;
  if (platform === "windows" && /^[\\]|:/.test(target)) return false;
  let climbed = 0;
  let named = false;
  for (const part of target.split(platform === "windows" ? /[/\\]/ : "/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") named = true;
    else if (named || ++climbed > depth) return false;
  }
  return true;
}

/**
 * Gives `text` as it may be shown on a terminal: control characters, escape sequences, bidirectional overrides,
 * invisible characters and bytes that are not UTF-8 become visible escapes.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0)!;
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    if (character === "\r") return "\\r";
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
    if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`;
    return `\\u{${code.toString(16)}}`;
  });
}

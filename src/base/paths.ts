/** Gives the local path of a `file:` URL (POSIX and Windows forms). */
export function fromFileUrl(url: URL): string {
  const path = decodeURIComponent(url.pathname);
  return /^\/[A-Za-z]:\//.test(path) ? path.slice(1).replaceAll("/", "\\") : path;
}

/** Joins a folder and a name with one separator; `name` is taken as it is. */
export function join(folder: string, ...names: string[]): string {
  let path = folder;
  for (const name of names) path = path === "" || path.endsWith("/") ? path + name : `${path}/${name}`;
  return path;
}

/** Gives the last component of `path`, without trailing separators; "" for a root. */
export function basename(path: string): string {
  const trimmed = path.replace(/\/+$/, "");
  return trimmed.slice(trimmed.lastIndexOf("/") + 1);
}

/** Gives everything before the last component of `path`; "." when there is nothing. */
export function dirname(path: string): string {
  const trimmed = path.replace(/\/+$/, "");
  const end = trimmed.lastIndexOf("/");
  if (end < 0) return ".";
  return end === 0 ? "/" : trimmed.slice(0, end);
}

/** Who may import whom under `src/`; `docs/architecture.md` says why. */

const BELOW_FEATURES = [
  "base",
  "config",
  "wire",
  "native",
  "content",
  "tree",
  "store",
  "transport",
  "pairing",
  "peers",
  "mailbox",
  "transfer",
  "session",
  "locks",
] as const;

const MIDDLE = ["base", "wire", "native", "content", "config"] as const;

/** Every room with the rooms it may import besides itself; a folder that is not listed is a feature. */
const ALLOWED: Record<string, readonly string[]> = {
  base: [],
  config: ["base"],
  wire: ["base"],
  native: ["base"],
  content: ["base"],
  mailbox: ["base"],
  peers: ["base", "config"],
  tree: MIDDLE,
  store: MIDDLE,
  transport: MIDDLE,
  pairing: MIDDLE,
  transfer: [...MIDDLE, "tree", "store", "transport"],
  session: ["base", "config", "wire", "native", "mailbox", "pairing", "peers", "transport"],
  locks: ["base", "native", "store"],
  hub: ["base", "config", "mailbox", "native"],
  compat: ["base", "native", "pairing", "transfer", "tree"],
};

/** This checkout's `src/`, so that a checkout below somebody's own `src` folder is no special case. */
const SOURCE = decodeURIComponent(new URL("../../src/", import.meta.url).pathname);

/** What `cli` leaves to the rooms below it. */
const HIDDEN_FROM_CLI = ["wire", "native"];

/** Where a source file belongs. */
export interface Place {
  /** First folder below `src/`; "" for a file directly in it. */
  room: string;
  /** Whether the import table does not bind it: tests reach for whatever they check. */
  test: boolean;
}

/** Gives the place of the file `path`, or undefined when it is not under this project's `src/`. */
export function placeOf(path: string): Place | undefined {
  const inside = insideSource(path);
  if (inside === undefined) return undefined;
  const slash = inside.indexOf("/");
  return {
    room: slash < 0 ? "" : inside.slice(0, slash),
    test: /(^|\/|_)(test|testing)\.ts$/.test(inside),
  };
}

/** Gives the room that `specifier`, imported by the file `path`, leads to; undefined when it leaves `src/`. */
export function importedRoom(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const target = new URL(specifier, new URL(path.replaceAll("\\", "/").replace(/^\/?/, "/"), "file:///"));
  return placeOf(decodeURIComponent(target.pathname))?.room;
}

/** Gives why `from` must not import `to`, or undefined when it may. */
export function refusal(from: string, to: string): string | undefined {
  if (from === to) return undefined;
  if (from === "cli") {
    return HIDDEN_FROM_CLI.includes(to) ? `cli must not import ${to}: the rooms below it do` : undefined;
  }
  const allowed = ALLOWED[from] ?? BELOW_FEATURES;
  if (allowed.includes(to)) return undefined;
  if (!(from in ALLOWED) && !(to in ALLOWED) && to !== "cli") {
    return `${from} must not import ${to}: features never import each other`;
  }
  return `${from} must not import ${to}: it may import ${allowed.join(", ") || "nothing of src"} only`;
}

function insideSource(path: string): string | undefined {
  const normal = path.replaceAll("\\", "/").replace(/^([A-Za-z]:)/, "/$1");
  return normal.startsWith(SOURCE) ? normal.slice(SOURCE.length) : undefined;
}

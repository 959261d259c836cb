import { assertEquals, assertThrows } from "../base/testing.ts";
import { type Disk, placesOf, type Seen, type Wanted } from "./places.ts";

/** A disk in memory: paths with what is there; `-> path` is a symlink, a trailing slash a folder, `=id` another name. */
function diskOf(lines: readonly string[]): Disk {
  const seen = new Map<string, Seen>([["/", { kind: "directory", id: "/" }]]);
  const links = new Map<string, string>();
  for (const line of lines) {
    const [path, to] = line.split(" -> ");
    const [name, id] = path!.split("=");
    const full = absolute(name!.replace(/\/$/, ""));
    if (to !== undefined) links.set(full, absolute(to));
    else seen.set(full, { kind: name!.endsWith("/") ? "directory" : "file", id: id ?? full });
  }
  const real = (path: string): string => {
    let at = "/";
    for (const part of absolute(path).split("/").filter((part) => part !== "")) {
      const next = at === "/" ? `/${part}` : `${at}/${part}`;
      at = links.has(next) ? real(links.get(next)!) : next;
    }
    return at;
  };
  return {
    at(path) {
      const full = absolute(path);
      const cut = full.lastIndexOf("/");
      const place = `${real(full.slice(0, cut) || "/")}/${full.slice(cut + 1)}`.replace("//", "/");
      if (!links.has(place)) return seen.get(place) ?? seen.get(full);
      const end = seen.get(real(place));
      return { kind: "symlink", id: `link ${place}`, ...end && { leadsTo: end } };
    },
    chain(path) {
      const start = real(path);
      if (seen.get(start)?.kind !== "directory") return undefined;
      const ids: string[] = [];
      for (let at = start;; at = at.slice(0, at.lastIndexOf("/")) || "/") {
        ids.push(seen.get(at)!.id);
        if (at === "/") return ids;
      }
    },
    real,
  };
}

function absolute(path: string): string {
  const parts: string[] = path.startsWith("/") ? [] : ["w"];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

const DISK = [
  "/w/",
  "file",
  "other",
  "tree/",
  "tree/in",
  "tree/sub/",
  "second/",
  "second/in",
  "into/",
  "into/there",
  "into/tree2/",
  "made/",
  "made/file",
  "made/tree/",
  "hard=/w/file",
  "link -> file",
  "folderlink -> tree",
  "intolink -> into",
  "dangling -> nowhere",
  "bound/",
  "bound/tree/=/w/tree",
];

interface Row {
  readonly what: string;
  readonly wanted: Wanted;
  /** `source > target`. */
  readonly roots?: readonly string[];
  readonly refused?: readonly string[];
  readonly fails?: readonly [code: Parameters<typeof assertThrows>[1], words: string];
}

const words = (line: string, more: Omit<Wanted, "paths"> = {}): Wanted => ({
  paths: line.split(" "),
  ...more,
});

const ROWS: readonly Row[] = [
  { what: "a file becomes a name", wanted: words("file new"), roots: ["file > new"] },
  { what: "a file replaces a file", wanted: words("file other"), roots: ["file > other"] },
  { what: "a file goes into a folder", wanted: words("file into"), roots: ["file > into/file"] },
  { what: "a folder with a slash is the same", wanted: words("file into/"), roots: ["file > into/file"] },
  {
    what: "a symlink to a folder is a folder",
    wanted: words("file intolink"),
    roots: ["file > intolink/file"],
  },
  {
    what: "a file into a folder that is not there",
    wanted: words("file new/"),
    fails: ["NOT_FOUND", 'Cannot copy into "new/": there is no such folder'],
  },
  { what: "a folder becomes a name", wanted: words("tree new"), roots: ["tree > new"] },
  { what: "a folder becomes a name with a slash", wanted: words("tree new/"), roots: ["tree > new"] },
  { what: "a folder goes into a folder", wanted: words("tree into"), roots: ["tree > into/tree"] },
  { what: "contents become a name", wanted: words("tree/ new"), roots: ["tree > new"] },
  { what: "contents go into a folder", wanted: words("tree/ into"), roots: ["tree > into"] },
  { what: "contents of a dot", wanted: words("tree/. into"), roots: ["tree/. > into"] },
  { what: "contents through a symlink", wanted: words("folderlink/ into"), roots: ["/w/tree > into"] },
  { what: "contents into a symlink to a folder", wanted: words("tree/ intolink"), roots: ["tree > /w/into"] },
  { what: "a symlink is copied as such", wanted: words("folderlink new"), roots: ["folderlink > new"] },
  { what: "a dangling one too", wanted: words("dangling into"), roots: ["dangling > into/dangling"] },
  {
    what: "many go into a folder",
    wanted: words("file tree into"),
    roots: ["file > into/file", "tree > into/tree"],
  },
  {
    what: "contents of one, another beside it",
    wanted: words("tree/ file into"),
    roots: ["tree > into", "file > into/file"],
  },
  { what: "many need a folder", wanted: words("file other new"), fails: ["NOT_FOUND", "no such folder"] },
  { what: "many into a file", wanted: words("tree other file"), fails: ["NOT_DIRECTORY", "not a folder"] },
  {
    what: "-t",
    wanted: words("file other", { into: "into" }),
    roots: ["file > into/file", "other > into/other"],
  },
  {
    what: "-t that is not there",
    wanted: words("file", { into: "new" }),
    fails: ["NOT_FOUND", "no such folder"],
  },
  {
    what: "-t that is a file",
    wanted: words("tree", { into: "file" }),
    fails: ["NOT_DIRECTORY", "not a folder"],
  },
  {
    what: "-T takes a folder as the name",
    wanted: words("tree into", { exactly: true }),
    roots: ["tree > into"],
  },
  {
    what: "-T and a file",
    wanted: words("file into", { exactly: true }),
    fails: ["IS_DIRECTORY", "is a folder"],
  },
  { what: "-T and many", wanted: words("file tree into", { exactly: true }), fails: ["USAGE", "-T"] },
  { what: "-T and -t", wanted: words("file", { into: "into", exactly: true }), fails: ["USAGE", "-T"] },
  { what: "nothing", wanted: { paths: [] }, fails: ["USAGE", "what to copy"] },
  { what: "one path", wanted: words("file"), fails: ["USAGE", 'where to copy "file"'] },
  {
    what: "sync of a folder into one that is there",
    wanted: words("tree into", { sync: true }),
    roots: ["tree > into"],
  },
  { what: "sync of a folder anew", wanted: words("tree new", { sync: true }), roots: ["tree > new"] },
  { what: "sync of a file", wanted: words("file into", { sync: true }), roots: ["file > into/file"] },
  {
    what: "sync of many",
    wanted: words("tree second into", { sync: true }),
    roots: ["tree > into/tree", "second > into/second"],
  },
  { what: "sync with -t", wanted: words("tree", { into: "into", sync: true }), roots: ["tree > into/tree"] },
  { what: "no such source", wanted: words("nowhere new"), fails: ["NOT_FOUND", 'Cannot copy "nowhere"'] },
  {
    what: "no such source among others",
    wanted: words("file nowhere into"),
    roots: ["file > into/file"],
    refused: ["nowhere NOT_FOUND"],
  },
  { what: "a file with a slash", wanted: words("file/ new"), fails: ["NOT_DIRECTORY", "not a folder"] },
  { what: "a folder over a file", wanted: words("tree file"), fails: ["NOT_DIRECTORY", '"file" is none'] },
  {
    what: "a file over a folder in a folder",
    wanted: words("tree/in made", { exactly: true }),
    fails: ["IS_DIRECTORY", "folder"],
  },
  {
    what: "a folder over a file in a folder",
    wanted: words("bound/tree second"),
    roots: ["bound/tree > second/tree"],
  },
  { what: "no parent", wanted: words("file nowhere/new"), fails: ["NOT_FOUND", 'no folder "nowhere"'] },
  { what: "the same file", wanted: words("file file"), fails: ["INVALID_ARGUMENT", "the same file"] },
  {
    what: "the same by another path",
    wanted: words("file tree/../file"),
    fails: ["INVALID_ARGUMENT", "the same file"],
  },
  {
    what: "the same through its folder",
    wanted: words("file ."),
    fails: ["INVALID_ARGUMENT", "the same file"],
  },
  {
    what: "the same by a hard link",
    wanted: words("file hard"),
    fails: ["INVALID_ARGUMENT", "the same file"],
  },
  { what: "the same by a symlink", wanted: words("file link"), fails: ["INVALID_ARGUMENT", "the same file"] },
  {
    what: "a symlink over its own end",
    wanted: words("link file"),
    fails: ["INVALID_ARGUMENT", "the same file"],
  },
  { what: "the same folder", wanted: words("tree/ tree"), fails: ["INVALID_ARGUMENT", "the same folder"] },
  { what: "a folder into itself", wanted: words("tree tree"), fails: ["INVALID_ARGUMENT", "inside it"] },
  {
    what: "a folder below itself",
    wanted: words("tree tree/sub/new"),
    fails: ["INVALID_ARGUMENT", "inside it"],
  },
  {
    what: "a folder below itself, through a symlink",
    wanted: words("tree folderlink/new"),
    fails: ["INVALID_ARGUMENT", "inside it"],
  },
  {
    what: "a folder below itself, mounted elsewhere",
    wanted: words("tree bound/tree/new"),
    fails: ["INVALID_ARGUMENT", "inside it"],
  },
  {
    what: "contents below themselves",
    wanted: words("tree/ tree/sub"),
    fails: ["INVALID_ARGUMENT", "inside it"],
  },
  { what: "a part over its folder", wanted: words("tree/sub/ tree"), roots: ["tree/sub > tree"] },
  {
    what: "a part over its folder with --delete",
    wanted: words("tree/sub/ tree", { sync: true, deletes: true }),
    fails: ["INVALID_ARGUMENT", "--delete would remove it"],
  },
  {
    what: "two to one place",
    wanted: words("tree/in second/in into"),
    roots: ["tree/in > into/in"],
    refused: ["second/in INVALID_ARGUMENT"],
  },
  {
    what: "the contents of two",
    wanted: words("tree/ second/ into"),
    roots: ["tree > into"],
    refused: ["second/ INVALID_ARGUMENT"],
  },
  {
    what: "one that meets what is in another",
    wanted: words("made/ file into"),
    roots: ["made > into"],
    refused: ["file INVALID_ARGUMENT"],
  },
  {
    what: "one beside contents with --delete",
    wanted: words("tree/ file into", { sync: true, deletes: true }),
    roots: ["tree > into"],
    refused: ["file INVALID_ARGUMENT"],
  },
  { what: "the folder itself", wanted: words(". /w/made", {}), fails: ["INVALID_ARGUMENT", "inside it"] },
  { what: "the folder above into one beside it", wanted: words("tree/.. /new"), roots: ["tree/.. > /new"] },
];

for (const { what, wanted, roots, refused = [], fails } of ROWS) {
  Deno.test(`placesOf(): ${what}`, () => {
    const disk = diskOf(DISK);
    if (fails) return void assertThrows(() => placesOf(wanted, disk), ...fails);
    const places = placesOf(wanted, disk);
    assertEquals(places.roots.map(({ source, target }) => `${source} > ${target}`), [...roots ?? []]);
    assertEquals(places.refused.map(({ path, code }) => `${path} ${code}`), [...refused]);
  });
}

/** What a sender sends: names on its disk, standard input, or a text. */
import { WormholeError } from "../base/errors.ts";
import { encodeName } from "../base/names.ts";
import { basename } from "../base/paths.ts";
import { NativeSend, type SendCount } from "../native/send.ts";
import type { NativeQueue } from "../native/queue.ts";
import { type EntryName, parseName, printable } from "../tree/mod.ts";
import {
  MAX_MANIFEST_ROOTS,
  MAX_OFFER_ROOTS,
  MAX_TEXT_BYTES,
  type MessageOf,
  type OfferRoot,
  type Totals,
} from "../wire/mod.ts";
import { LARGE_BYTES } from "./manifest_reader.ts";
import { numbered } from "./placement.ts";

/** What {@linkcode SendSource.open} reads from the disk. */
export interface FilesOptions {
  /** Paths of this machine; a single `-` is standard input. */
  readonly paths: readonly string[];
  /** Name that standard input gets at the receiver. */
  readonly stdinName?: string;
  readonly exclude?: readonly string[];
  readonly ignoreFiles?: boolean;
  /** Bytes of one chunk. */
  readonly chunkBytes: number;
  /** Forces how files are read; see `debug_io`. */
  readonly io?: string;
  /** 32 bytes: the secret that the versions of files are made with; without it a receiver cannot resume. */
  readonly versionKey?: Uint8Array;
}

/** What {@linkcode SendSource.ofNamed} reads from the disk. */
export interface NamedOptions extends Pick<FilesOptions, "chunkBytes" | "io" | "versionKey"> {
  /** Files and folders that were looked at already, each with the name that it gets; no name twice. */
  readonly named: readonly {
    readonly path: string;
    readonly name: EntryName;
    readonly kind: "file" | "directory";
    /** Bytes of a file. */
    readonly size: number;
  }[];
}

const NOTHING: Totals = { files: 0, directories: 0, symlinks: 0, bytes: 0 };

/** Something to send, once; counts itself in the background. */
export class SendSource implements AsyncDisposable {
  readonly kind: MessageOf<"offer">["kind"];
  /** The things that were named. */
  readonly roots: readonly OfferRoot[];
  readonly text: string | undefined;
  /** Totals and the number of things that cannot be read; rejects when the walk fails as a whole. */
  readonly counted: Promise<{ totals: Totals; problems: number }>;
  /** The engine; undefined for a text. */
  readonly engine: NativeSend | undefined;
  /** What the engine runs on. */
  readonly queue: NativeQueue | undefined;
  /** {@linkcode SendSource.counted} once it is there. */
  #totals: Totals | undefined;

  private constructor(
    { kind, roots, text, engine, queue, counted }: {
      kind: SendSource["kind"];
      roots: readonly OfferRoot[];
      text?: string;
      engine?: NativeSend;
      queue?: NativeQueue;
      counted: Promise<SendCount>;
    },
  ) {
    this.kind = kind;
    this.roots = roots;
    this.text = text;
    this.engine = engine;
    this.queue = queue;
    this.counted = counted.then(({ problems, allocated, ...counts }) => {
      const totals = allocated < counts.bytes ? { ...counts, allocated } : counts;
      this.#totals = totals;
      return { totals, problems };
    });
    // Whoever needs the totals awaits them; nobody else is to be troubled.
    this.counted.catch(() => {});
  }

  /**
   * Opens files and folders, or standard input.
   *
   * @throws {WormholeError} NOT_FOUND or PERMISSION_DENIED naming the path; UNSUPPORTED for a device or socket;
   * INVALID_ARGUMENT when standard input is named together with something else.
   */
  static async open(queue: NativeQueue, options: FilesOptions): Promise<SendSource> {
    if (options.paths.length > MAX_MANIFEST_ROOTS) {
      const state = `at most ${MAX_MANIFEST_ROOTS} can be named; send the folder that they are in`;
      throw new WormholeError("LIMIT_EXCEEDED", `Cannot send ${options.paths.length} things: ${state}`);
    }
    const isStream = options.paths.includes("-");
    if (isStream && options.paths.length > 1) {
      throw new WormholeError("INVALID_ARGUMENT", 'Cannot send "-": standard input is sent alone');
    }
    const named = isStream
      ? [{ path: "-", root: streamRoot(options.stdinName ?? "stdin") }]
      : await nameRoots(options.paths);
    const engine = await NativeSend.open(queue, {
      roots: named.map(({ path, root }) => ({ path: encodeName(path), name: root.name })),
      exclude: options.exclude ?? [],
      ignore_files: options.ignoreFiles ?? false,
      chunk_bytes: options.chunkBytes,
      ...options.io !== undefined && { io: options.io },
      remember_bytes: LARGE_BYTES,
      ...options.versionKey && { version_key: options.versionKey },
    });
    const roots = named.map(({ root }) => root);
    if (isStream) {
      const counted = Promise.resolve({ ...NOTHING, files: 1, allocated: 0, problems: 0 });
      return new SendSource({ kind: "stream", roots, engine, queue, counted });
    }
    return new SendSource({ kind: "files", roots, engine, queue, counted: engine.count() });
  }

  /** Opens things under names of their own. @throws {WormholeError} as {@linkcode SendSource.open}. */
  static async ofNamed(
    queue: NativeQueue,
    { named, chunkBytes, io, versionKey }: NamedOptions,
  ): Promise<SendSource> {
    const engine = await NativeSend.open(queue, {
      roots: named.map(({ path, name }) => ({ path: encodeName(path), name: encodeName(name) })),
      chunk_bytes: chunkBytes,
      ...io !== undefined && { io },
      remember_bytes: LARGE_BYTES,
      ...versionKey && { version_key: versionKey },
    });
    const roots = named.map(({ name, kind, size }): OfferRoot => ({
      name: encodeName(name),
      kind,
      size,
      files: kind === "file" ? 1 : 0,
    }));
    return new SendSource({ kind: "files", roots, engine, queue, counted: engine.count() });
  }

  /** Takes a text. @throws {WormholeError} INVALID_ARGUMENT when it is longer than an offer can hold. */
  static ofText(text: string): SendSource {
    const { length } = new TextEncoder().encode(text);
    if (length > MAX_TEXT_BYTES) {
      throw new WormholeError(
        "INVALID_ARGUMENT",
        `Cannot send the text: it has ${length} bytes, the limit is ${MAX_TEXT_BYTES}; send it as a file`,
      );
    }
    return new SendSource({
      kind: "text",
      roots: [],
      text,
      counted: Promise.resolve({ ...NOTHING, allocated: 0, problems: 0 }),
    });
  }

  /** Makes the offer of what is known now; `transfer` is 16 random bytes. */
  offer(transfer: Uint8Array): MessageOf<"offer"> {
    const { kind, text } = this;
    const totals = this.#totals;
    const listed = this.roots.slice(0, MAX_OFFER_ROOTS);
    const more = this.roots.length - listed.length;
    return {
      type: "offer",
      kind,
      transfer,
      // A single folder's totals are all there is; of several each is only walked together with the others.
      roots: listed.map((root) =>
        root.kind === "directory" && this.roots.length === 1 && totals !== undefined
          ? { ...root, size: totals.bytes, files: totals.files }
          : root
      ),
      totals: totals ?? NOTHING,
      counting: totals === undefined,
      ...more > 0 ? { more } : {},
      ...text === undefined ? {} : { text },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine?.close();
  }
}

function streamRoot(name: string): OfferRoot {
  return { name: encodeName(parseName(name, { platform: "posix" })), kind: "stream", size: 0, files: 1 };
}

/** Looks at each path; two of the same name get different ones. */
async function nameRoots(paths: readonly string[]): Promise<{ path: string; root: OfferRoot }[]> {
  const used = new Set<string>();
  const named: { path: string; root: OfferRoot }[] = [];
  for (const path of paths) {
    const info = await look(path);
    const isDirectory = info.isDirectory;
    const plain = await rootName(path);
    let name = plain;
    for (let number = 2; used.has(name); number++) name = numbered(plain, { number, isDirectory });
    used.add(name);
    const root: OfferRoot = isDirectory
      ? { name: encodeName(name), kind: "directory", size: 0, files: 0 }
      : { name: encodeName(name), kind: "file", size: info.size, files: 1 };
    named.push({ path, root });
  }
  return named;
}

async function rootName(path: string): Promise<EntryName> {
  const last = basename(path);
  if (last !== "" && last !== "." && last !== "..") return parseName(last, { platform: "posix" });
  const real = basename(await Deno.realPath(path));
  return parseName(real === "" ? "root" : real, { platform: "posix" });
}

async function look(path: string): Promise<Deno.FileInfo> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (cause) {
    const [code, state] = cause instanceof Deno.errors.NotFound
      ? ["NOT_FOUND", "there is no such file or folder"] as const
      : cause instanceof Deno.errors.PermissionDenied
      ? ["PERMISSION_DENIED", "permission denied"] as const
      : ["IO", cause instanceof Error ? cause.message : String(cause)] as const;
    throw new WormholeError(code, `Cannot send "${printable(path)}": ${state}`, { cause });
  }
  if (!info.isFile && !info.isDirectory) {
    const state = "it is neither a file nor a folder; pipe it into wormhole send -";
    throw new WormholeError("UNSUPPORTED", `Cannot send "${printable(path)}": ${state}`);
  }
  return info;
}

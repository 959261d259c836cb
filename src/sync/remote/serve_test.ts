/** Two machines of this process that know each other, one of which serves; by the real ways to find and reach each other. */
import { assertEquals, assertRejects, assertTrue } from "../../base/testing.ts";
import { loadIdentity } from "../../config/identity.ts";
import type { Folders } from "../../config/paths.ts";
import { ed25519Public } from "../../native/pairing.ts";
import { PeerBook, withFolders } from "../../peers/mod.ts";
import { Sandbox } from "../../../tests/e2e/sandbox.ts";
import { type ServeEvent, serveSync, type ServeSyncOptions } from "./serve.ts";
import { SyncSession, type SyncSessionSettings } from "./session.ts";

const MIB = 1024 * 1024;

/** Longest that something may take to happen, in ms; only a fault takes it. */
const PATIENCE_MS = 60_000;

async function foldersOf(sandbox: Sandbox, name: string): Promise<Folders> {
  const folder = (part: string) => sandbox.folder(name, part);
  return {
    configDir: await folder("config"),
    dataDir: await folder("data"),
    cacheDir: await folder("cache"),
    stateDir: await folder("state"),
    runtimeDir: await sandbox.folder("runtime"),
  };
}

function settings(folders: Folders, signal: AbortSignal): SyncSessionSettings {
  return {
    folders,
    signal,
    agent: "wormhole-test/0",
    hub: "",
    transport: "tcp",
    forceTcp: false,
    portMapping: false,
    minStreams: 2,
    maxStreams: 2,
    poolBytes: 32 * MIB,
    chunkBytes: 4 * MIB,
    compression: "auto",
    compressionLevel: 3,
    cacheDir: folders.cacheDir,
    maxChunks: 1000,
    dedup: true,
  };
}

/** A machine that serves one folder to another one, until the test is over. */
class Serving implements AsyncDisposable {
  readonly warnings: string[] = [];
  readonly events: ServeEvent[] = [];
  readonly #stop = new AbortController();
  readonly #stack: AsyncDisposableStack;
  readonly #near: Folders;
  readonly book: PeerBook;
  readonly shared: string;

  private constructor(
    stack: AsyncDisposableStack,
    { near, book, shared }: { near: Folders; book: PeerBook; shared: string },
  ) {
    this.#stack = stack;
    this.#near = near;
    this.book = book;
    this.shared = shared;
  }

  static async open(options: Pick<ServeSyncOptions, "maxSessions"> = {}): Promise<Serving> {
    await using stack = new AsyncDisposableStack();
    const sandbox = stack.use(await Sandbox.create());
    const [near, far] = [await foldersOf(sandbox, "near"), await foldersOf(sandbox, "far")];
    const books = [near, far].map(({ configDir }) => new PeerBook(configDir));
    const keys = await Promise.all(
      [near, far].map(({ configDir }) => loadIdentity(configDir, { publicKey: ed25519Public })),
    );
    const secret = crypto.getRandomValues(new Uint8Array(32));
    for (const [at, name] of ["far", "near"].entries()) {
      const key = keys[1 - at]!.publicKey;
      await books[at]!.keep({ name, calledItself: name, key, secret, hosts: [] });
    }
    const shared = await Deno.realPath(await sandbox.folder("shared"));
    await books[1]!.allow("near", (rights) => withFolders(rights, [{ path: shared, way: "both" }]));
    const serving = new Serving(stack.move(), { near, book: books[1]!, shared });
    serving.#serve({ ...settings(far, serving.#stop.signal), ...options });
    return serving;
  }

  #serve(options: SyncSessionSettings & Pick<ServeSyncOptions, "maxSessions">): void {
    const served = serveSync({
      ...options,
      home: this.shared,
      port: 0,
      trashMs: 1e9,
      onEvent: (event) => void this.events.push(event),
      onWarning: (sentence) => void this.warnings.push(sentence),
    });
    this.#stack.defer(async () => void await assertRejects(() => served, undefined, "the test is over"));
  }

  async connect(): Promise<SyncSession> {
    const { signal } = this.#stop;
    return await SyncSession.connect({
      ...settings(this.#near, signal),
      name: "far",
      timeoutMs: PATIENCE_MS,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the test is over"));
    await this.#stack.disposeAsync();
  }
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!await holds()) {
    assertTrue(performance.now() < end, "it does not happen");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("serveSync() goes on while the list of known machines cannot be read, says so once, and begins nothing", async () => {
  await using serving = await Serving.open();
  const { book, shared, warnings } = serving;
  await using session = await serving.connect();
  assertEquals((await session.look(shared)).place, shared);
  const good = await Deno.readTextFile(book.path);
  // As another program does that writes it in place.
  await Deno.writeTextFile(book.path, good.slice(0, good.length / 2));
  await until(() => warnings.length > 0);
  await assertRejects(() => session.look(shared), "CONFIG_INVALID", "cannot be read now");
  await Deno.writeTextFile(book.path, `${good}\nnonsense`);
  await assertRejects(() => session.look(shared), "CONFIG_INVALID");
  await Deno.writeTextFile(book.path, good);
  assertEquals((await session.look(shared)).place, shared);
  await (await serving.connect())[Symbol.asyncDispose]();
  assertEquals([warnings.length, warnings[0]!.includes("peers.toml")], [1, true], warnings.join("\n"));
  // What is taken back ends what is under way, as ever.
  await book.allow("near", (rights) => ({ ...rights, sync: [] }));
  await until(() => session.signal.aborted);
});

Deno.test("serveSync() has so many sessions with one machine, and refuses one more", async () => {
  await using serving = await Serving.open({ maxSessions: 2 });
  const first = await serving.connect();
  await using second = await serving.connect();
  await assertRejects(() => serving.connect(), "BUSY", "as many sessions there as one may have");
  assertEquals((await second.look(serving.shared)).place, serving.shared);
  const left = () => serving.events.filter((event) => event.type === "left");
  await until(() => left().length === 1);
  assertEquals(left().map(({ error }) => [error?.code, error?.message]), [
    ["BUSY", "Cannot serve one more session: the machine has 2 here already"],
  ]);
  await first[Symbol.asyncDispose]();
  await until(() => left().length === 2);
  await using _third = await serving.connect();
});

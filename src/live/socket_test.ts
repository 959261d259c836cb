import { systemClock } from "../base/clock.ts";
import { firstLines } from "./client.ts";
import { ReaderQueue } from "./queue.ts";
import { EventSocket } from "./socket.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";

const clock = systemClock;

async function withDir(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function read(path: string, lines: number): Promise<string[]> {
  return Array.fromAsync(firstLines(path, { clock, timeoutMs: 60_000, lines }));
}

/** Waits until so many read. */
async function until(socket: EventSocket, readers: number): Promise<void> {
  while (socket.readers !== readers) await new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("ReaderQueue holds so much, gives all at once, and lets take what is there at its end", async () => {
  const queue = new ReaderQueue({ maxBytes: 4 });
  const waiting = queue.next();
  assertTrue(queue.push(new Uint8Array([1])));
  assertEquals(await waiting, new Uint8Array([1]));
  queue.push(new Uint8Array([2]));
  queue.push(new Uint8Array([3, 4]));
  queue.end();
  assertEquals(queue.push(new Uint8Array([5])), false);
  assertEquals([await queue.next(), await queue.next()], [new Uint8Array([2, 3, 4]), undefined]);
  const slow = new ReaderQueue({ maxBytes: 4 });
  slow.push(new Uint8Array(3));
  assertEquals([slow.push(new Uint8Array(2)), await slow.next()], [false, undefined]);
});

Deno.test("EventSocket tells each reader where things stand, then what happens, and is nobody else's", () =>
  withDir(async (dir) => {
    let stand = 0;
    const path = `${dir}/events`;
    {
      await using socket = await EventSocket.open({ path, clock, greeting: () => [`stand ${stand}\n`] });
      assertEquals(((await Deno.lstat(path)).mode ?? 0) & 0o777, 0o600);
      assertEquals((await Array.fromAsync(Deno.readDir(dir))).length, 1);
      socket.tell("to nobody\n");
      const first = read(path, 3);
      await until(socket, 1);
      socket.tell(`${++stand}\n`);
      const second = read(path, 2);
      await until(socket, 2);
      socket.tell(`${++stand}\n`);
      assertEquals([await first, await second], [["stand 0", "1", "2"], ["stand 1", "2"]]);
      await until(socket, 0);
      // What is told just before the end arrives.
      const last = read(path, Infinity);
      await until(socket, 1);
      socket.tell("end\n");
      await socket[Symbol.asyncDispose]();
      assertEquals(await last, ["stand 2", "end"]);
    }
    assertEquals((await Array.fromAsync(Deno.readDir(dir))).length, 0);
  }));

/** Opens a socket at its first argument where there are few file descriptors, takes all, and gives them back after a line. */
const EXHAUSTED = `
  const { EventSocket } = await import(${JSON.stringify(import.meta.resolve("./socket.ts"))});
  const { systemClock: clock } = await import(${JSON.stringify(import.meta.resolve("../base/clock.ts"))});
  const socket = await EventSocket.open({ path: Deno.args[0], clock, greeting: () => ["hello\\n"] });
  const taken = [];
  try {
    for (;;) taken.push(Deno.openSync("/dev/null"));
  } catch {
    console.log("all taken");
  }
  await Deno.stdin.read(new Uint8Array(1));
  for (const file of taken) file.close();
  await Deno.stdin.read(new Uint8Array(1));
  await socket[Symbol.asyncDispose]();`;

Deno.test("EventSocket goes on when there were no file descriptors for a while", () =>
  withDir(async (dir) => {
    const path = `${dir}/events`;
    const words = [Deno.execPath(), "eval", "--no-check", EXHAUSTED, path];
    await using child = new Deno.Command("sh", {
      args: ["-c", 'ulimit -n 64; exec "$@"', "sh", ...words],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const [said, stdin] = [child.stdout.getReader(), child.stdin.getWriter()];
    assertEquals(new TextDecoder().decode((await said.read()).value), "all taken\n");
    // It cannot be taken in now.
    using first = await Deno.connect({ transport: "unix", path });
    await stdin.write(new Uint8Array(1));
    const greeting = new Uint8Array(6);
    assertEquals([await first.read(greeting), new TextDecoder().decode(greeting)], [6, "hello\n"]);
    await stdin.write(new Uint8Array(1));
    assertEquals((await child.status).success, true);
    await Promise.all([stdin.close(), said.cancel()]);
  }));

Deno.test("EventSocket drops who does not read, and waits for nobody", () =>
  withDir(async (dir) => {
    const path = `${dir}/events`;
    await using socket = await EventSocket.open({ path, clock, greeting: () => ["hello\n"] });
    using _slow = await Deno.connect({ transport: "unix", path });
    await until(socket, 1);
    const line = `${"x".repeat(49_999)}\n`;
    const good = read(path, 201);
    await until(socket, 2);
    for (let at = 0; at < 200; at++) {
      socket.tell(line);
      // Whoever reads gets to.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    assertEquals((await good).length, 201);
    await until(socket, 0);
  }));

Deno.test("EventSocket turns away more readers than it has room for", () =>
  withDir(async (dir) => {
    const path = `${dir}/events`;
    await using socket = await EventSocket.open({ path, clock, greeting: () => ["hello\n"] });
    using stack = new DisposableStack();
    for (let at = 0; at < 64; at++) stack.use(await Deno.connect({ transport: "unix", path }));
    await until(socket, 64);
    assertEquals(await read(path, 1), []);
    assertEquals(socket.readers, 64);
  }));

Deno.test("EventSocket.open() takes the place of one that was left, and of nothing else", () =>
  withDir(async (dir) => {
    const path = `${dir}/events`;
    const greeting = () => ["hello\n"];
    const left = Deno.listen({ transport: "unix", path: `${dir}/old` });
    await Deno.rename(`${dir}/old`, path);
    await assertRejects(() => EventSocket.open({ path, clock, greeting }), "ADDRESS_IN_USE");
    left.close();
    await using _socket = await EventSocket.open({ path, clock, greeting });
    assertEquals(await read(path, 1), ["hello"]);
    await Deno.writeTextFile(`${dir}/file`, "mine");
    await assertRejects(() => EventSocket.open({ path: `${dir}/file`, clock, greeting }), "ALREADY_EXISTS");
    assertEquals(await Deno.readTextFile(`${dir}/file`), "mine");
    const long = `${dir}/${"x".repeat(120)}`;
    await assertRejects(() => EventSocket.open({ path: long, clock, greeting }), "NAME_TOO_LONG");
    await assertRejects(() => EventSocket.open({ path: `${dir}/none/x`, clock, greeting }), "NOT_FOUND");
  }));

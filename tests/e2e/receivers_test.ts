/** Several receivers of one send: with a code each, or with one code for whoever has it. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import type { Running } from "./command.ts";
import { assertFailed, run, type RunningHub, Sandbox, SLOWLY, start, startHub } from "./harness.ts";
import { PrivateNetwork } from "./network.ts";
import { assertSameTree, noise, slowToPack, stagingFolders } from "./trees.ts";

const MIB = 1024 * 1024;

/** One sender and people who receive from it. */
class Scene implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly sandbox: Sandbox;
  readonly hub: RunningHub | undefined;
  sender!: Running;
  /** Put before every command. */
  prefix: readonly string[] = [];

  private constructor(sandbox: Sandbox, hub: RunningHub | undefined) {
    this.sandbox = this.#stack.use(sandbox);
    this.hub = hub && this.#stack.use(hub);
  }

  static async open({ hub = false } = {}): Promise<Scene> {
    const sandbox = await Sandbox.create();
    return new Scene(sandbox, hub ? await startHub(sandbox) : undefined);
  }

  get #find(): string[] {
    return this.hub ? ["--hub", this.hub.url] : [];
  }

  async send(...args: string[]): Promise<Running> {
    const person = await this.sandbox.person("sender", { runtime: "shared" });
    this.sender = this.#stack.use(
      start(["send", "--json", ...this.#find, ...args], { person, prefix: this.prefix }),
    );
    return this.sender;
  }

  /** Gives the code for receiver `number`, or the one for all. */
  async code(number?: number): Promise<string> {
    return (await this.sender.event("code", ({ receiver }) => receiver === number)).code;
  }

  async receive(who: string, code: string, ...more: string[]): Promise<Running> {
    const person = await this.sandbox.person(who, { runtime: "shared" });
    const into = await this.sandbox.folder(`into-${who}`);
    const args = ["recv", "--json", "--yes", ...this.#find, ...more, "-o", into, code];
    return this.#stack.use(start(args, { person, prefix: this.prefix }));
  }

  into(who: string, name: string): string {
    return this.sandbox.path(`into-${who}/${name}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

async function tree(sandbox: Sandbox): Promise<string> {
  await sandbox.file("from/tree/big", noise(9 * MIB));
  for (let i = 0; i < 30; i++) await sandbox.file(`from/tree/small/${i}`, `small ${i}`);
  return sandbox.path("from/tree");
}

/** Gives a code with the right number and wrong words. */
function wrong(code: string): string {
  const other = code.endsWith("-adroitness-aardvark") ? "adroitness-absurd" : "adroitness-aardvark";
  return `${code.split("-")[0]}-${other}`;
}

for (const hub of [false, true]) {
  Deno.test(`send --receivers 3 serves three at once, each by a code of its own${hub ? ", at a hub" : ""}`, async () => {
    await using scene = await Scene.open({ hub });
    const from = await tree(scene.sandbox);
    const sender = await scene.send("--receivers", "3", from);
    const codes = await Promise.all([1, 2, 3].map((number) => scene.code(number)));
    assertEquals(new Set(codes).size, 3);
    const names = ["anna", "ben", "cleo"];
    const receivers = await Promise.all(names.map((name, i) => scene.receive(name, codes[i]!)));
    const ends = await Promise.all(receivers.map((receiver) => receiver.ending()));
    assertEquals(ends.map(({ code }) => code), [0, 0, 0], ends.map(({ stderr }) => stderr).join());
    for (const name of names) await assertSameTree(scene.into(name, "tree"), from);
    const { code, events } = await sender.ending();
    assertEquals(code, 0);
    const done = events.filter(({ event }) => event === "done");
    assertEquals(done.map(({ receiver, files }) => [receiver, files]).sort(), [[1, 31], [2, 31], [3, 31]]);
    // The same files in the same state are the same receipt for everybody.
    const receipts = new Set(done.map(({ receipt }) => receipt));
    assertEquals([receipts.size, done.every(({ receipt_agreed }) => receipt_agreed)], [1, true]);
    const { served, failed, receivers: list } = events.find(({ event }) => event === "receivers")!;
    assertEquals([served, failed, list.length], [3, 0, 3]);
    // A link that moves to another path is told again.
    const peers = new Set(events.filter(({ event }) => event === "peer").map(({ receiver }) => receiver));
    assertEquals([...peers].sort(), [1, 2, 3]);
  });

  Deno.test(`send --receivers any serves whoever has the code, one by one and at once${hub ? ", at a hub" : ""}`, async () => {
    await using scene = await Scene.open({ hub });
    const from = await tree(scene.sandbox);
    const sender = await scene.send("--receivers", "any", "--checksum", from);
    const code = await scene.code();
    for (const name of ["anna", "ben", "cleo"]) {
      assertEquals((await (await scene.receive(name, code)).ending()).code, 0);
    }
    const names = ["dora", "emil", "fay"];
    const receivers = await Promise.all(names.map((name) => scene.receive(name, code)));
    const ends = await Promise.all(receivers.map((receiver) => receiver.ending()));
    assertEquals(ends.map(({ code }) => code), [0, 0, 0], ends.map(({ stderr }) => stderr).join());
    for (const name of ["anna", "cleo", ...names]) await assertSameTree(scene.into(name, "tree"), from);
    await sender.event("done", ({ receiver }) => receiver === 6);
    sender.signal("SIGINT");
    const ended = await sender.ending();
    assertEquals(ended.code, 130);
    const { served, failed } = ended.events.find(({ event }) => event === "receivers")!;
    assertEquals([served, failed], [6, 0]);
    const sums = ended.events.filter(({ event }) => event === "checksum");
    assertEquals(sums.length, 31, "each file once, however many had it");
  });
}

Deno.test("send --receivers any ends well when the time is up after somebody came", async () => {
  await using scene = await Scene.open();
  const file = await scene.sandbox.file("from/x", "in time");
  const sender = await scene.send("--receivers", "any", "--timeout", "8s", file);
  const code = await scene.code();
  assertEquals((await (await scene.receive("anna", code)).ending()).code, 0);
  const ended = await sender.ending();
  assertEquals([ended.code, ended.events.at(-1)?.event], [0, "receivers"], ended.stderr);
});

Deno.test("three wrong guesses end a code for many; who is being served gets everything", async () => {
  await using scene = await Scene.open();
  const file = await scene.sandbox.file("from/slow", slowToPack(16 * MIB));
  const sender = await scene.send("--receivers", "any", ...SLOWLY, file);
  const code = await scene.code();
  const served = await scene.receive("anna", code);
  await served.event("progress");
  for (const number of [1, 2, 3]) {
    const guess = await (await scene.receive(`guesser${number}`, wrong(code))).ending();
    assertFailed(guess, 3, /it was wrong/);
    const told = await sender.event("wrong_guess", ({ wrong }) => wrong === number);
    assertEquals(told.allowed, 3);
  }
  assertFailed(await (await scene.receive("late", code)).ending(), 3);
  assertEquals((await served.ending()).code, 0);
  const ended = await sender.ending();
  assertFailed(ended, 3, /3 wrong codes were tried/);
  assertEquals(ended.events.find(({ event }) => event === "receivers")?.served, 1);
  assertEquals(await Deno.readFile(scene.into("anna", "slow")), await Deno.readFile(file));
});

Deno.test("wrong guesses at once do not get more than --guesses allows", async () => {
  await using scene = await Scene.open();
  const file = await scene.sandbox.file("from/x", "x");
  const sender = await scene.send("--receivers", "any", "--guesses", "2", file);
  const code = await scene.code();
  const guessers = await Promise.all([1, 2, 3, 4].map((i) => scene.receive(`guesser${i}`, wrong(code))));
  // The sender's own mailbox goes with it: who was only about to try finds that nobody is there.
  for (const guesser of guessers) assertFailed(await guesser.ending(), [3, 4]);
  const ended = await sender.ending();
  assertFailed(ended, 3, /2 wrong codes were tried/);
  const wrongs = ended.events.filter(({ event }) => event === "wrong_guess").map(({ wrong }) => wrong);
  assertEquals(wrongs.at(-1), 2);
});

Deno.test("a receiver that was killed comes again with the same code and goes on; the others do not notice", async () => {
  await using scene = await Scene.open();
  const file = await scene.sandbox.file("from/slow", slowToPack(16 * MIB));
  const sender = await scene.send("--receivers", "any", ...SLOWLY, file);
  const code = await scene.code();
  const [victim, other] = await Promise.all([scene.receive("anna", code), scene.receive("ben", code)]);
  await victim.event("progress", ({ bytes }) => bytes >= 8 * MIB);
  victim.signal("SIGKILL");
  await sender.event("receiver_failed");
  const again = await (await scene.receive("anna", code)).ending();
  assertEquals(again.code, 0, again.stderr);
  const whole = await other.ending();
  assertEquals(whole.code, 0);
  const [rest, all] = [again, whole].map(({ events }) =>
    events.find(({ event }) => event === "done")!.bytes_on_wire
  );
  // Half had arrived, of which a chunk may come twice.
  assertTrue(rest <= 0.85 * all, `${rest} of ${all} came again`);
  for (const who of ["anna", "ben"]) {
    assertEquals(await Deno.readFile(scene.into(who, "slow")), await Deno.readFile(file));
    assertEquals(await stagingFolders(scene.sandbox.path(`into-${who}`)), []);
  }
  await sender.event("done", ({ receiver }) => receiver === 3);
  sender.signal("SIGINT");
  assertEquals((await sender.ending()).code, 130);
});

Deno.test("one receiver's failure ends nobody else and is in the exit code; a new send goes on with it", async () => {
  await using scene = await Scene.open();
  const file = await scene.sandbox.file("from/slow", slowToPack(16 * MIB));
  const sender = await scene.send("--receivers", "2", ...SLOWLY, file);
  const victim = await scene.receive("anna", await scene.code(1));
  const other = await scene.receive("ben", await scene.code(2));
  await victim.event("progress", ({ bytes }) => bytes >= 8 * MIB);
  victim.signal("SIGKILL");
  assertEquals((await other.ending()).code, 0);
  const ended = await sender.ending();
  assertFailed(ended, 7, /1 of 2 receivers failed/);
  const { receivers } = ended.events.find(({ event }) => event === "receivers")!;
  assertEquals(receivers.map(({ code }: { code: string | null }) => code === null), [false, true]);
  await scene.send("--compress", "never", file);
  const again = await (await scene.receive("anna", await scene.code())).ending();
  assertEquals(again.code, 0, again.stderr);
  const wire = again.events.find(({ event }) => event === "done")!.bytes_on_wire;
  assertTrue(wire <= 13 * MIB, `${wire} came again`);
  assertEquals(await Deno.readFile(scene.into("anna", "slow")), await Deno.readFile(file));
});

Deno.test("a text goes to several; what cannot is refused in one sentence", async () => {
  await using scene = await Scene.open();
  await scene.send("--receivers", "2", "--text", "hello all");
  const ends = await Promise.all(
    [1, 2].map(async (number) =>
      await (await scene.receive(`p${number}`, await scene.code(number))).ending()
    ),
  );
  for (const { code, events } of ends) {
    assertEquals([code, events.find(({ event }) => event === "text")?.text], [0, "hello all"]);
  }
  assertEquals((await scene.sender.ending()).code, 0);
  const person = await scene.sandbox.person("sender", { runtime: "shared" });
  const file = await scene.sandbox.file("from/x", "x");
  const refused: [args: string[], words: RegExp][] = [
    [["--receivers", "2", "-"], /standard input can be read only once/],
    [["--receivers", "any", "-"], /standard input can be read only once/],
    [["--receivers", "2", "--code", "7-guitarist-zulu", file], /a code that was agreed on serves one/],
    [["--receivers", "2", "--hub", "ws://127.0.0.1:1", "--port", "4555", file], /leave out --port/],
    [["--receivers", "1", file], /from 2 to 64, or any/],
    [["--receivers", "65", file], /from 2 to 64, or any/],
  ];
  for (const [args, words] of refused) assertFailed(await run(["send", ...args], { person }), 2, words);
});

Deno.test("receivers whose connections are lost go on by themselves, each for itself", async () => {
  await using network = await PrivateNetwork.open();
  if (network === undefined) return console.log("skipped: this user cannot make a network namespace");
  await using scene = await Scene.open();
  scene.prefix = network.prefix;
  const file = await scene.sandbox.file("from/slow", slowToPack(16 * MIB));
  const lasting = ["--reconnect", "10m", "--transport", "tcp"];
  const sender = await scene.send("--receivers", "2", ...SLOWLY, ...lasting, file);
  const receivers = await Promise.all(
    ["anna", "ben"].map(async (who, i) => await scene.receive(who, await scene.code(i + 1), ...lasting)),
  );
  for (const receiver of receivers) await receiver.event("progress", ({ bytes }) => bytes >= 4 * MIB);
  assertTrue(await network.reset(), "ss cannot reset connections");
  for (const receiver of receivers) {
    const { code, stderr } = await receiver.ending();
    assertEquals(code, 0, stderr);
  }
  const ended = await sender.ending();
  assertEquals(ended.code, 0, ended.stderr);
  const lost = ended.events.filter(({ event }) => event === "reconnecting").map(({ receiver }) => receiver);
  assertTrue(lost.length > 0 && lost.every((receiver) => receiver === 1 || receiver === 2), `${lost}`);
  for (const who of ["anna", "ben"]) {
    assertEquals(await Deno.readFile(scene.into(who, "slow")), await Deno.readFile(file));
  }
});

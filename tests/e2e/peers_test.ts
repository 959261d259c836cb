/** Machines that know each other, by the real commands: paired once, then no code. */
import { isWormholeError } from "../../src/base/errors.ts";
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import {
  assertDone,
  assertFailed,
  run,
  type RunningHub,
  Sandbox,
  SLOWLY,
  start,
  startHub,
} from "./harness.ts";
import type { Ending, Running } from "./command.ts";
import { NativeQueue } from "../../src/native/queue.ts";
import { nativeLanDiscovery } from "../../src/pairing/lan.ts";
import { PrivateNetwork } from "./network.ts";
import type { Person } from "./sandbox.ts";
import { slowToPack } from "./trees.ts";

/** How the two find each other once they are paired. */
interface Scene {
  readonly sandbox: Sandbox;
  readonly ann: Person;
  readonly ben: Person;
  /** Arguments of every command that meets the other. */
  readonly way: readonly string[];
  readonly prefix?: readonly string[];
}

/** Pairs Ann, who calls the other "ben", with Ben, who calls the other "ann". */
async function paired(scene: Scene): Promise<{ ann: Ending; ben: Ending }> {
  const { ann, ben, way, prefix } = scene;
  await using showing = start(["pair", "--json", "--yes", "--as", "ann-pc", ...way, "ben"], {
    person: ann,
    prefix,
  });
  const { code, command } = await showing.event("code");
  assertEquals(command, "pair");
  await using typing = start(["pair", "--json", "--yes", "--as", "ben-pc", ...way, code, "ann"], {
    person: ben,
    prefix,
  });
  const ends = { ann: await showing.ending(), ben: await typing.ending() };
  assertEquals([ends.ann.code, ends.ben.code], [0, 0], `${ends.ann.stderr}\n${ends.ben.stderr}`);
  return ends;
}

function event(ending: Ending, name: string) {
  const found = ending.events.find(({ event }) => event === name);
  assertTrue(found, `no ${name} in ${JSON.stringify(ending.events)} ${ending.stderr}`);
  return found;
}

function sending(
  { ann, way, prefix }: Scene,
  what: readonly string[],
  more: readonly string[] = [],
): Running {
  return start(["send", "--json", "--yes", "--to", "ben", ...way, ...more, ...what], { person: ann, prefix });
}

function receiving({ ben, way, prefix }: Scene, into: string, more: readonly string[] = ["--yes"]): Running {
  return start(["recv", "--json", "--from", "ann", ...way, ...more, "-o", into], { person: ben, prefix });
}

const WAYS: [string, { runtime: string; hub: boolean }][] = [
  ["on one machine", { runtime: "shared", hub: false }],
  ["on a network, or where they were last", { runtime: "apart", hub: false }],
  ["through a hub", { runtime: "apart", hub: true }],
];

for (const [description, { runtime, hub }] of WAYS) {
  Deno.test(`pair, then send --to and recv --from in both orders and directions, ${description}`, async () => {
    await using sandbox = await Sandbox.create();
    await using stack = new AsyncDisposableStack();
    const running: RunningHub | undefined = hub ? stack.use(await startHub(sandbox)) : undefined;
    const scene: Scene = {
      sandbox,
      ann: await sandbox.person("ann", { runtime: runtime === "shared" ? runtime : "of-ann" }),
      ben: await sandbox.person("ben", { runtime: runtime === "shared" ? runtime : "of-ben" }),
      way: running === undefined ? [] : ["--hub", running.url],
    };
    const ends = await paired(scene);
    assertEquals(event(ends.ann, "verifier").verifier, event(ends.ben, "verifier").verifier);
    assertEquals([event(ends.ann, "paired").name, event(ends.ben, "paired").name], ["ben", "ann"]);
    assertTrue(!ends.ann.events.some((each) => each.event === "warning"), JSON.stringify(ends.ann.events));

    const file = await sandbox.file("what.txt", "what is sent");
    for (const first of ["send", "recv"] as const) {
      const into = await sandbox.folder("into", first);
      let sender: Running | undefined;
      if (first === "send") {
        sender = stack.use(sending(scene, [file]));
        await sender.event("waiting");
      }
      const receiver = stack.use(receiving(scene, into));
      await receiver.event("waiting");
      sender ??= stack.use(sending(scene, [file]));
      const ended = { sender: await sender.ending(), receiver: await receiver.ending() };
      assertDone(ended);
      assertEquals(await Deno.readTextFile(`${into}/what.txt`), "what is sent");
      assertTrue(!ended.sender.events.some(({ event }) => event === "code"));
    }
    // The other direction, by the name that Ben gave.
    const back = await sandbox.folder("back");
    await using sender = start(["send", "--json", "--yes", "--to", "ann", ...scene.way, "--text", "hello"], {
      person: scene.ben,
    });
    await using receiver = start(["recv", "--json", "--yes", "--from", "ben", ...scene.way, "-o", back], {
      person: scene.ann,
    });
    assertDone({ sender: await sender.ending(), receiver: await receiver.ending() });
    assertEquals(event(await receiver.ending(), "text").text, "hello");
  });
}

Deno.test("send --to and recv --from find each other by mDNS alone", async () => {
  if (!await hasMulticast()) {
    return console.warn("skipped: no multicast between two programs on this machine");
  }
  await using sandbox = await Sandbox.create();
  const scene = await twoPeople(sandbox, { apart: true });
  await paired(scene);
  // Whoever does not know where the other was last.
  for (const { env } of [scene.ann, scene.ben]) {
    const path = `${env.XDG_CONFIG_HOME}/wormhole/peers.toml`;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replace(/^hosts = .*$/m, "hosts = []"));
  }
  const file = await sandbox.file("f", "x");
  const into = await sandbox.folder("into");
  await using receiver = receiving(scene, into);
  await receiver.event("waiting");
  await using sender = sending(scene, [file]);
  assertDone({ sender: await sender.ending(), receiver: await receiver.ending() });
  const list = await run(["peers", "list", "--json"], { person: scene.ben });
  assertTrue(event(list, "known_peer").hosts.length > 0, "where it was is known again");
});

Deno.test("a machine that was forgotten is refused, before and while it is waited for", async () => {
  await using sandbox = await Sandbox.create();
  const scene = await twoPaired(sandbox);
  const file = await sandbox.file("f", "x");
  // Ben forgets Ann while he waits for her.
  const into = await sandbox.folder("into");
  await using waiting = receiving(scene, into);
  await waiting.event("waiting");
  const forgotten = await run(["peers", "forget", "--json", "ann"], { person: scene.ben });
  assertEquals([forgotten.code, event(forgotten, "peer_forgotten").name], [0, "ann"]);
  await using sender = sending(scene, [file], ["--timeout", "40s"]);
  assertFailed(await waiting.ending(), 5, /was forgotten/);
  // She waits for a connection that does not come.
  sender.signal("SIGINT");
  assertEquals((await sender.ending()).code, 130);
  assertEquals([...Deno.readDirSync(into)], []);
  // Then Ben does not know her, and she meets nobody.
  assertFailed(
    await run(["recv", "--yes", "--from", "ann", "-o", into], { person: scene.ben }),
    6,
    /not known/,
  );
  assertFailed(
    await sending(scene, [file], ["--timeout", "2s"]).ending(),
    4,
    /has not come within 2 s/,
  );
  // Paired again, all is well, and she is called as before.
  await paired(scene);
  await using again = sending(scene, [file]);
  assertDone({ receiver: await receiving(scene, into).ending(), sender: await again.ending() });
});

Deno.test("a machine that was renamed meanwhile is the same", async () => {
  await using sandbox = await Sandbox.create();
  const scene = await twoPaired(sandbox);
  const file = await sandbox.file("f", "x");
  const into = await sandbox.folder("into");
  await using waiting = receiving(scene, into);
  await waiting.event("waiting");
  assertEquals((await run(["peers", "rename", "ann", "anna"], { person: scene.ben })).code, 0);
  await using sender = sending(scene, [file]);
  assertDone({ sender: await sender.ending(), receiver: await waiting.ending() });
  const list = await run(["peers", "list", "--json"], { person: scene.ben });
  assertEquals(list.events.map(({ name }) => name), ["anna"]);
  assertTrue(list.events[0]!.hosts.length > 0);
  assertTrue(!new TextDecoder().decode(list.stdout).includes("secret"));
});

Deno.test("rights say what a machine may do without asking", async () => {
  await using sandbox = await Sandbox.create();
  const scene = await twoPaired(sandbox);
  const file = await sandbox.file("f", "x");
  const inbox = await sandbox.folder("inbox");
  const elsewhere = await sandbox.folder("elsewhere");
  const { ann, ben } = scene;
  // Nothing, at first.
  assertFailed(await run(["send", "--to", "ben", file], { person: ann }), 2, /no right to receive/);
  await using refused = sending(scene, [file]);
  assertFailed(await receiving(scene, elsewhere, []).ending(), 2, /give --yes/);
  assertTrue((await refused.ending()).code !== 0);
  // Then a folder, and to receive.
  const given = await run(["peers", "rights", "--json", "ann", "--inbox", inbox], { person: ben });
  assertEquals(event(given, "known_peer").inbox, inbox);
  assertEquals((await run(["peers", "rights", "ben", "--receive"], { person: ann })).code, 0);
  for (const name of ["f", "f (2)"]) {
    await using sender = start(["send", "--json", "--to", "ben", file], { person: ann });
    await using receiver = start(["recv", "--json", "--from", "ann"], { person: ben, cwd: elsewhere });
    assertDone({ sender: await sender.ending(), receiver: await receiver.ending() });
    assertEquals(await Deno.readTextFile(`${inbox}/${name}`), "x");
  }
  assertEquals([...Deno.readDirSync(elsewhere)], []);
  // The right is for that folder only.
  await using other = start(["send", "--json", "--to", "ben", file], { person: ann });
  assertFailed(await receiving(scene, elsewhere, []).ending(), 2, /give --yes/);
  await other.ending();
  const none = await run(["peers", "rights", "--json", "ann", "--none"], { person: ben });
  assertEquals([event(none, "known_peer").inbox, event(none, "known_peer").receive], [null, false]);
});

Deno.test("send and recv over a code remember each other when both are told to", async () => {
  await using sandbox = await Sandbox.create();
  const scene = await twoPeople(sandbox);
  const file = await sandbox.file("f", "x");
  const one = await sandbox.folder("one");
  const offer = async (send: readonly string[], recv: readonly string[]) => {
    await using sender = start(["send", "--json", ...send, file], { person: scene.ann });
    const { code } = await sender.event("code");
    await using receiver = start(["recv", "--json", "--yes", "--overwrite", ...recv, "-o", one, code], {
      person: scene.ben,
    });
    const ended = { sender: await sender.ending(), receiver: await receiver.ending() };
    assertDone(ended);
    return ended;
  };
  const alone = await offer(["--remember", "ben"], []);
  assertTrue(/not remembered/.test(event(alone.sender, "warning").message));
  assertEquals((await run(["peers", "list", "--json"], { person: scene.ann })).events, []);
  const both = await offer(["--remember", "ben"], ["--remember", "ann"]);
  assertEquals([event(both.sender, "paired").name, event(both.receiver, "paired").name], ["ben", "ann"]);
  await using sender = sending(scene, [file]);
  const two = await sandbox.folder("two");
  assertDone({ receiver: await receiving(scene, two).ending(), sender: await sender.ending() });
});

Deno.test("pair refuses what is no other machine, and what does not pair", async () => {
  await using sandbox = await Sandbox.create();
  const { ann, ben } = await twoPeople(sandbox);
  const file = await sandbox.file("f", "x");
  for (const [command, words] of [[["send", file], /pair/], [["pair", "--yes"], /with itself/]] as const) {
    await using showing = start([command[0], "--json", ...command.slice(1)], { person: ann });
    const { code } = await showing.event("code");
    const other = command[0] === "send" ? ben : ann;
    const ended = await run(["pair", "--json", "--yes", code, "x"], { person: other });
    assertFailed(ended, command[0] === "send" ? 5 : 2, words);
    assertTrue((await showing.ending()).code !== 0);
    assertEquals((await run(["peers", "list", "--json"], { person: other })).events, []);
  }
  assertFailed(await run(["pair", "--yes", "a b"], { person: ann }), 2, /Cannot call a machine/);
  assertFailed(await run(["pair", "x"], { person: ann }), 2, /give --yes/);
});

Deno.test("a machine that was installed anew is not trusted until it is paired again", async () => {
  await using sandbox = await Sandbox.create();
  const scene = await twoPaired(sandbox);
  const file = await sandbox.file("f", "x");
  await Deno.remove(`${scene.ben.env.XDG_CONFIG_HOME}/wormhole/identity.key`);
  await using sender = sending(scene, [file], ["--timeout", "40s"]);
  await using receiver = receiving(scene, await sandbox.folder("into"), ["--yes", "--timeout", "40s"]);
  assertFailed(await sender.ending(), 8, /another machine key/);
  // It waits for the one that it knows, for as long as it is told to.
  receiver.signal("SIGINT");
  assertFailed(await receiver.ending(), 130);
});

Deno.test("a damaged list of known machines is one plain error, and stays as it is", async () => {
  await using sandbox = await Sandbox.create();
  const scene = await twoPaired(sandbox);
  const path = `${scene.ann.env.XDG_CONFIG_HOME}/wormhole/peers.toml`;
  const damaged = (await Deno.readTextFile(path)).slice(0, -40);
  await Deno.writeTextFile(path, damaged);
  const commands = [
    ["peers", "list"],
    ["send", "--to", "ben", path],
    ["peers", "forget", "ben"],
    ["pair", "--yes", "carl"],
  ];
  for (const command of commands) {
    assertFailed(
      await run(command, { person: scene.ann }),
      2,
      /list of known machines|Cannot read ".*peers\.toml"/,
    );
    assertEquals(await Deno.readTextFile(path), damaged);
  }
});

Deno.test("Ctrl-C ends waiting for a known machine, on either side", async () => {
  await using sandbox = await Sandbox.create();
  const scene = await twoPaired(sandbox);
  const file = await sandbox.file("f", "x");
  for (const command of [sending(scene, [file]), receiving(scene, sandbox.dir)]) {
    await using waiting = command;
    await waiting.event("waiting");
    waiting.signal("SIGINT");
    assertEquals((await waiting.ending(20_000)).code, 130);
  }
});

Deno.test("a sender that was killed while it waited is in nobody's way", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox);
  const apart = await twoPeople(sandbox, { apart: true });
  const scene = { ...apart, way: ["--hub", hub.url] };
  await paired(scene);
  const file = await sandbox.file("f", "x");
  const into = await sandbox.folder("into");
  await using receiver = receiving(scene, into);
  await receiver.event("waiting");
  await using lost = sending(scene, [file]);
  await lost.event("waiting");
  lost.signal("SIGKILL");
  await lost.ending();
  await using sender = sending(scene, [file]);
  const ended = await sender.ending();
  // Whoever had met the one that was killed has lost its connection; nobody else.
  const received = await receiver.ending();
  if (received.code !== 0) {
    assertEquals(received.code, 4);
    return;
  }
  assertDone({ sender: ended, receiver: received });
});

Deno.test("a transfer between known machines goes on over a new connection when one is lost", async () => {
  await using network = await PrivateNetwork.open();
  if (network === undefined) return console.warn("skipped: this user may not make a network of its own");
  await using sandbox = await Sandbox.create();
  const scene = { ...await twoPeople(sandbox), prefix: network.prefix };
  await paired(scene);
  const what = await sandbox.file("what.bin", slowToPack(24 * 1024 * 1024));
  const into = await sandbox.folder("into");
  const reconnect = ["--reconnect", "60s", "--transport", "tcp"];
  await using sender = sending(scene, [what], [...reconnect, ...SLOWLY]);
  await using receiver = receiving(scene, into, ["--yes", ...reconnect]);
  await receiver.event("progress", ({ bytes }) => bytes > 0);
  await network.reset();
  const ended = { sender: await sender.ending(), receiver: await receiver.ending() };
  assertDone(ended);
  assertTrue(ended.receiver.events.some(({ event }) => event === "reconnecting"));
  assertEquals(await Deno.readFile(`${into}/what.bin`), await Deno.readFile(what));
});

/** Tells whether what one program announces is seen by another here, by a code's number as ever. */
async function hasMulticast(): Promise<boolean> {
  const queue = NativeQueue.open();
  try {
    const lan = nativeLanDiscovery(queue);
    await using _announcement = await lan.announce({ nameplate: "987654321", port: 9 });
    for await (const { sign } of lan.browse({ signal: AbortSignal.timeout(8_000) })) {
      if ("nameplate" in sign && sign.nameplate === "987654321") return true;
    }
    return false;
  } catch (error) {
    if (isWormholeError(error, "IO")) return false;
    throw error;
  } finally {
    await queue.close();
  }
}

async function twoPeople(sandbox: Sandbox, { apart = false } = {}): Promise<Scene> {
  return {
    sandbox,
    ann: await sandbox.person("ann", apart ? { runtime: "of-ann" } : {}),
    ben: await sandbox.person("ben", apart ? { runtime: "of-ben" } : {}),
    way: [],
  };
}

async function twoPaired(sandbox: Sandbox): Promise<Scene> {
  const scene = await twoPeople(sandbox);
  await paired(scene);
  return scene;
}

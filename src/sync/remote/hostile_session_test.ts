/** Whatever a machine sends in whatever order: it is answered, or thrown out with an error that is known, and gets no further than its right. */
import fc from "fast-check";
import { isWormholeError, WormholeError } from "../../base/errors.ts";
import { encodeName } from "../../base/names.ts";
import { assertEquals, assertTrue } from "../../base/testing.ts";
import type { Way } from "../../peers/mod.ts";
import type { SyncMessage } from "../../wire/mod.ts";
import { type FarPair, farPair } from "../../../tests/compliance/sync_remote.ts";

const VECTORS = JSON.parse(
  Deno.readTextFileSync(new URL("../../../tests/vectors/sync_messages.json", import.meta.url)),
  (_, value) => typeof value?.hex === "string" ? Uint8Array.fromHex(value.hex) : value,
) as { message: SyncMessage }[];

/** A link with a transfer is for the transfer's own tests; here nobody would be at its other end. */
const MESSAGES = VECTORS.map(({ message }) => message).filter(({ type }) => type !== "go");

/** Those that are answered when their turn has come. */
const QUESTIONS = MESSAGES.filter(({ type }) => (
  /^(look|begin|scan|stage|files|change|flush|end|watch|lock|renew|unlock)$|^ask_/.test(type)
));

const LOOK: SyncMessage = { type: "look", path: new Uint8Array() };
const END: SyncMessage = { type: "end", done: true };

/** Sends them, and waits until the last is answered or the session is over. */
async function send({ channel, served }: FarPair, messages: readonly SyncMessage[]): Promise<void> {
  try {
    for (const message of messages) await channel.send(message);
    await channel.send({ type: "ask_locks", path: new Uint8Array() });
    let answers = 1 + messages.filter(({ type }) => type === "ask_locks").length;
    while (answers > 0) if ((await channel.next()).type === "locks") answers--;
  } catch (error) {
    if (!isWormholeError(error)) throw error;
    const end = await served;
    assertTrue(
      end instanceof WormholeError && end.code !== "INTERNAL",
      `${messages.map(({ type }) => type)}: ${end}`,
    );
  }
}

async function namesIn(folder: string): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  return names.filter((name) => name !== ".wormhole-sync").sort();
}

Deno.test("serveFolder() answers any messages in any order, or ends with an error that is known", async () => {
  const message = fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(...MESSAGES) },
    { weight: 6, arbitrary: fc.constantFrom(...QUESTIONS) },
    { weight: 4, arbitrary: fc.constantFrom<SyncMessage>(LOOK, END, { type: "scan", exclude: "" }) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<Way>("both", "pull", "push"),
      fc.array(message, { minLength: 1, maxLength: 6 }),
      async (right, messages) => {
        await using pair = await farPair({ right, way: right });
        const { sandbox, roots } = pair;
        for (const name of ["a", "c", "f"]) await sandbox.file(`remote/${name}`, name);
        const before = await namesIn(sandbox.dir);
        const path = encodeName(`${roots.remote}/x`);
        await send(pair, messages.map((message) => message.type === "lock" ? { ...message, path } : message));
        assertEquals(await namesIn(sandbox.dir), before, "something was made beside the folder");
        if (right === "pull") assertEquals(await namesIn(roots.remote), ["a", "c", "f"]);
        for (const { path, machine } of pair.book.list()) {
          assertTrue(right !== "pull" && machine !== undefined && path.startsWith(`${roots.remote}/`), path);
        }
      },
    ),
    { numRuns: 100 },
  );
});

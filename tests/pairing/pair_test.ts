/** The whole pairing: two sides, a real hub on loopback, the native library's crypto. */
import fc from "fast-check";
import { assertEquals, assertRejects, assertThrows, assertTrue } from "../../src/base/testing.ts";
import { WormholeError } from "../../src/base/errors.ts";
import type { Mailbox, MailboxMessage, Mood } from "../../src/pairing/mailbox_client.ts";
import { nativeCrypto } from "../../src/pairing/native_crypto.ts";
import { pair, type Pairing, type PairOptions } from "../../src/pairing/pake.ts";
import { encodePake, encodeVersion, MAX_INTRODUCTION_BYTES } from "../../src/pairing/phases.ts";
import { APP_ID, hubFor, text } from "./harness.ts";

const CODE = { nameplate: "7", password: "guitarist-zulu" };

function options(role: "sender" | "receiver", extra: Partial<PairOptions> = {}): PairOptions {
  return { code: CODE, appId: APP_ID, introduction: text(role), crypto: nativeCrypto(), role, ...extra };
}

/** Pairs two sides over a real hub; gives what each ended with. */
async function pairBoth(
  sender: Partial<PairOptions> = {},
  receiver: Partial<PairOptions> = {},
): Promise<PromiseSettledResult<Pairing>[]> {
  await using hub = await hubFor();
  await using one = await hub.client();
  await one.claim("7");
  await using two = await hub.client();
  await two.claim("7", { mustExist: true });
  const results = await Promise.allSettled([
    pair(one, options("sender", sender)),
    pair(two, options("receiver", receiver)),
  ]);
  await using third = await hub.client();
  await assertRejects(() => third.claim("7", { mustExist: true }), "CODE_USED");
  assertEquals(hub.service.counts.mailboxes, 0);
  return results;
}

function failures(results: PromiseSettledResult<Pairing>[]): [string, string][] {
  return results.map((result) => {
    assertTrue(result.status === "rejected", "both sides fail");
    return [result.reason.code ?? result.reason.name, result.reason.message];
  });
}

Deno.test("pair() swaps introductions and agrees on a key", async () => {
  const seen: string[] = [];
  const [sender, receiver] = await pairBoth({ onPeer: () => seen.push("peer") });
  assertTrue(sender?.status === "fulfilled" && receiver?.status === "fulfilled", "both sides pair");
  assertEquals(new TextDecoder().decode(sender.value.introduction), "receiver");
  assertEquals(new TextDecoder().decode(receiver.value.introduction), "sender");
  assertEquals(sender.value.verifier, receiver.value.verifier);
  assertEquals(sender.value.verifier.split("-").length, 10);
  assertEquals(sender.value.verifierHex, receiver.value.verifierHex);
  assertEquals(sender.value.derive("x", 16), receiver.value.derive("x", 16));
  assertEquals(seen, ["peer"]);
});

Deno.test("pair() tells both sides of a wrong code, in their own words", async () => {
  const [sender, receiver] = failures(
    await pairBoth({}, { code: { nameplate: "7", password: "guitarist-village" } }),
  );
  assertEquals([sender![0], receiver![0]], ["CODE_WRONG", "CODE_WRONG"]);
  assertTrue(sender![1].includes("somebody tried a wrong code") && sender![1].includes("run send again"));
  assertTrue(receiver![1].includes("it was wrong") && receiver![1].includes("ask the sender for a new one"));
});

Deno.test("pair() of other applications is a wrong code", async () => {
  assertEquals(failures(await pairBoth({}, { appId: "another" })).map(([code]) => code), [
    "CODE_WRONG",
    "CODE_WRONG",
  ]);
});

Deno.test("pair() waits for the verifier to be confirmed, by either side or both", async () => {
  const asked: string[] = [];
  const confirm = (verifier: string) => Promise.resolve(void asked.push(verifier));
  for (
    const [sender, receiver, times] of [[{ confirm }, {}, 1], [{}, { confirm }, 1], [
      { confirm },
      { confirm },
      2,
    ]] as const
  ) {
    asked.length = 0;
    const results = await pairBoth(sender, receiver);
    assertTrue(results.every(({ status }) => status === "fulfilled"));
    assertEquals([asked.length, new Set(asked).size], [times, 1]);
  }
});

Deno.test("pair() ends on both sides when the verifier is not confirmed", async () => {
  const confirm = () => Promise.reject(new WormholeError("REFUSED", "not the same"));
  const [sender, receiver] = failures(await pairBoth({ confirm }));
  assertEquals(sender, ["REFUSED", "not the same"]);
  assertEquals(receiver![0], "REFUSED");
  assertTrue(receiver![1].includes("did not confirm"));
});

Deno.test("pair() rejects with the signal's reason and gives up the mailbox", async () => {
  await using hub = await hubFor();
  await using one = await hub.client();
  await one.claim("7");
  const controller = new AbortController();
  const pairing = pair(one, options("sender", { signal: controller.signal }));
  controller.abort(new Error("enough"));
  await assertRejects(() => pairing, undefined, "enough");
  assertEquals(hub.service.counts.mailboxes, 0);
});

/** The other end of a mailbox, in a test's hands. */
class ScriptedMailbox implements Mailbox {
  readonly relay = undefined;
  readonly side = "aa";
  readonly added: { phase: string; body: Uint8Array }[] = [];
  mood: Mood | undefined;
  #script: MailboxMessage[];
  #onAdd: ((phase: string, body: Uint8Array) => MailboxMessage[]) | undefined;
  #waiting: (() => void) | undefined;
  readonly #exhausted = new AbortController();

  /** Aborts once every message was taken and more are wanted. */
  readonly exhausted = this.#exhausted.signal;

  constructor(script: MailboxMessage[], onAdd?: (phase: string, body: Uint8Array) => MailboxMessage[]) {
    this.#script = [...script];
    this.#onAdd = onAdd;
  }

  add(phase: string, body: Uint8Array): void {
    this.added.push({ phase, body });
    this.#script.push(...this.#onAdd?.(phase, body) ?? []);
    this.#waiting?.();
  }

  async next({ signal }: { signal?: AbortSignal } = {}): Promise<MailboxMessage> {
    const message = this.#script.shift();
    if (message !== undefined) return message;
    await new Promise<void>((resolve, reject) => {
      this.#waiting = resolve;
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      this.#exhausted.abort();
    });
    return this.next({ signal });
  }

  close(mood: Mood): Promise<void> {
    this.mood = mood;
    return Promise.resolve();
  }
}

const PEER_PAKE = (): Uint8Array<ArrayBuffer> => {
  using exchange = nativeCrypto().spake2Start(text("7-guitarist-zulu"), text(APP_ID));
  return encodePake(exchange.message) as Uint8Array<ArrayBuffer>;
};

Deno.test("pair() ends the code when somebody joins and goes silent", async () => {
  const mailbox = new ScriptedMailbox([{ side: "bb", phase: "pake", body: PEER_PAKE() }]);
  await assertRejects(
    () => pair(mailbox, options("sender", { answerTimeoutMs: 1 })),
    "CODE_USED",
    "went silent",
  );
  assertEquals(mailbox.mood, "scary");
});

Deno.test("pair() refuses a third side", async () => {
  const mailbox = new ScriptedMailbox([
    { side: "bb", phase: "pake", body: PEER_PAKE() },
    { side: "cc", phase: "version", body: new Uint8Array(60) },
  ]);
  await assertRejects(() => pair(mailbox, options("sender")), "CODE_CROWDED", "third side");
  assertEquals(mailbox.mood, "errory");
});

Deno.test("pair() is not fooled by its own messages sent back", async () => {
  const mailbox = new ScriptedMailbox([], (phase, body) => [{ side: "bb", phase, body: body.slice() }]);
  await assertRejects(() => pair(mailbox, options("sender")), "CODE_WRONG");
});

Deno.test("pair() refuses malformed messages", async () => {
  const rows: [string, Uint8Array<ArrayBuffer>, string][] = [
    ["no JSON", Uint8Array.of(0xff), "PROTOCOL"],
    ["no object", new Uint8Array(text("[]")), "PROTOCOL"],
    ["no PAKE", new Uint8Array(text("{}")), "PROTOCOL"],
    ["PAKE too short", new Uint8Array(text('{"pake_v1":"53"}')), "PROTOCOL"],
    // No point of Ed25519 has y = 2.
    ["PAKE of no point", new Uint8Array(text(`{"pake_v1":"5302${"00".repeat(31)}"}`)), "PROTOCOL"],
  ];
  for (const [description, body, code] of rows) {
    const mailbox = new ScriptedMailbox([{ side: "bb", phase: "pake", body }]);
    const error = await assertRejects(() => pair(mailbox, options("receiver", { answerTimeoutMs: 1 })));
    assertTrue(error instanceof WormholeError, description);
    assertEquals(error.code, code as "PROTOCOL", description);
  }
});

Deno.test("pair() ends with a WormholeError for arbitrary messages, and never pairs", async () => {
  const message = fc.record({
    side: fc.constantFrom("bb", "bb", "bb", "cc"),
    phase: fc.constantFrom("pake", "version", "0", "1", "dilate-0"),
    body: fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.json().map((json) => text(json)),
      fc.constant(null).map(PEER_PAKE),
    ),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 8 }), async (script) => {
      const mailbox = new ScriptedMailbox(script as MailboxMessage[]);
      const error = await assertRejects(() =>
        pair(mailbox, options("receiver", { answerTimeoutMs: 0, signal: mailbox.exhausted }))
      );
      assertTrue(error instanceof WormholeError || error.name === "AbortError", error.stack);
    }),
    { numRuns: 150 },
  );
});

Deno.test("encodeVersion() refuses an introduction that is too long", () => {
  encodeVersion({ introduction: new Uint8Array(MAX_INTRODUCTION_BYTES), confirms: false });
  assertThrows(
    () => encodeVersion({ introduction: new Uint8Array(MAX_INTRODUCTION_BYTES + 1), confirms: false }),
    "INVALID_ARGUMENT",
  );
});

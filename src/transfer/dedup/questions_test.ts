import fc from "fast-check";
import { assertEquals, assertThrows, assertTrue } from "../../base/testing.ts";
import { CHUNK_BYTES, MAX_LIST_CHUNKS, type Message, type MessageOf } from "../../wire/mod.ts";
import { type HeldEntry, type QuestionAction, Questions } from "./questions.ts";

/** Questions with all that they wanted. */
function script() {
  const acts: QuestionAction[] = [];
  const asked: MessageOf<"request_manifest">[] = [];
  const questions = new Questions({
    act: (action) => acts.push(action),
    send: (message: Message) => asked.push(message as MessageOf<"request_manifest">),
  });
  return {
    questions,
    acts,
    asked,
    takeActs: () => acts.splice(0).map((action) => `${action.type} ${action.entry}`),
    takeAsked: () => asked.splice(0).map(({ entry, cut }) => `${cut ?? "fixed"} ${entry}`),
  };
}

function held(entry: number, changes: Partial<HeldEntry> = {}): HeldEntry {
  return { entry, size: 10, question: "fixed", ...changes };
}

function list(entry: number, size = 10): MessageOf<"manifest_response"> {
  return {
    type: "manifest_response",
    entry,
    size,
    offsets: new Uint8Array(8),
    sizes: new Uint8Array(new Uint32Array([size]).buffer),
    hashes: new Uint8Array(32),
    last: true,
  };
}

Deno.test("Questions are asked, placed, and the page is released then", () => {
  const { questions, takeActs, takeAsked } = script();
  questions.page(5, [held(1), held(2, { question: "content" }), held(3, { question: undefined })]);
  assertEquals([takeAsked(), takeActs()], [["fixed 1", "content 2"], ["place 3"]]);
  questions.heard(list(2));
  assertEquals(questions.refused(1), true);
  assertEquals(takeActs(), ["place 2", "release 1"]);
  questions.placed(1);
  questions.placed(2);
  assertEquals([questions.takeReleased(), questions.open], [undefined, 1]);
  questions.placed(3);
  assertEquals([questions.takeReleased(), questions.open, questions.takeReleased()], [5, 0, undefined]);
});

Deno.test("Questions release no page before an earlier one", () => {
  const { questions } = script();
  questions.page(5, [held(1)]);
  questions.page(9, []);
  assertEquals(questions.takeReleased(), undefined);
  questions.heard(list(1));
  questions.placed(1);
  assertEquals(questions.takeReleased(), 9);
  questions.page(12, []);
  assertEquals(questions.takeReleased(), 12);
});

Deno.test("Questions refuse lists that were not asked for, or twice", () => {
  const { questions } = script();
  questions.page(5, [held(1), held(2, { question: undefined })]);
  assertThrows(() => questions.heard(list(2)), "PROTOCOL");
  assertThrows(() => questions.heard(list(7)), "PROTOCOL");
  assertEquals(questions.refused(7), false);
  questions.heard(list(1));
  assertThrows(() => questions.heard(list(1)), "PROTOCOL");
  assertEquals(questions.refused(1), false);
});

Deno.test("Questions keep few lists in memory, however large the files are", () => {
  const { questions, takeAsked } = script();
  const size = MAX_LIST_CHUNKS / 2 * CHUNK_BYTES;
  questions.page(9, [held(1, { size }), held(2, { size }), held(3, { size })]);
  assertEquals(takeAsked(), ["fixed 1", "fixed 2"]);
  assertEquals(questions.refused(1), true);
  assertEquals(takeAsked(), []);
  questions.placed(1);
  assertEquals(takeAsked(), ["fixed 3"]);
});

Deno.test("Questions end in every order of answers, with bounds on what is under way", () => {
  const step = fc.record({ pick: fc.nat(), refuse: fc.boolean(), place: fc.boolean() });
  const pages = fc.array(fc.array(fc.constantFrom("fixed", "content", undefined), { maxLength: 40 }), {
    maxLength: 6,
  });
  fc.assert(fc.property(pages, fc.array(step, { minLength: 1, maxLength: 20 }), (pages, steps) => {
    const { questions, acts, asked } = script();
    const placing: number[] = [];
    const waiting: number[] = [];
    const released: number[] = [];
    const seen = new Set<number>();
    let next = 0;
    const collect = () => {
      for (const { entry } of asked.splice(0)) waiting.push(entry);
      for (const { entry } of acts.splice(0)) {
        assertTrue(!seen.has(entry), `${entry} is placed twice`);
        seen.add(entry);
        placing.push(entry);
      }
      const through = questions.takeReleased();
      if (through !== undefined) released.push(through);
      assertTrue(waiting.length <= 64, `${waiting.length} lists asked for`);
    };
    const ends: number[] = [];
    for (const kinds of pages) {
      const entries = kinds.map((question) => held(next++, { question: question as HeldEntry["question"] }));
      ends.push(next++);
      questions.page(ends.at(-1)!, entries);
      collect();
    }
    for (let i = 0; waiting.length + placing.length > 0; i++) {
      const { pick, refuse, place } = steps[i % steps.length]!;
      if (placing.length > 0 && (place || waiting.length === 0)) {
        const entry = placing.splice(pick % placing.length, 1)[0]!;
        questions.placed(entry);
        for (const through of released) assertTrue(entry > through, `${entry} was released`);
      } else {
        const entry = waiting.splice(pick % waiting.length, 1)[0]!;
        if (refuse) questions.refused(entry);
        else questions.heard(list(entry));
      }
      collect();
    }
    assertEquals(questions.open, 0);
    assertEquals(seen.size, pages.reduce((sum, page) => sum + page.length, 0));
    assertEquals(released.at(-1), ends.at(-1));
    assertEquals(released, [...released].sort((a, b) => a - b));
  }));
});

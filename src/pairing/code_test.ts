import fc from "fast-check";
import { completeWord, formatCode, makePassword, parseCode } from "./code.ts";
import { EVEN_WORDS, ODD_WORDS } from "./words.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { WormholeError } from "../base/errors.ts";

Deno.test("parseCode() forgives blanks, capitals and dashes", () => {
  const rows = [
    ["plain", "7-guitarist-zulu"],
    ["capitals", "7-Guitarist-ZULU"],
    ["blanks around", "  7-guitarist-zulu\n"],
    ["blanks between", "7 guitarist  zulu"],
    ["en and em dashes", "7–guitarist—zulu"],
    ["minus sign and non-breaking hyphen", "7−guitarist\u2011zulu"],
    ["dashes with blanks", "7 - guitarist - zulu -"],
  ] as const;
  for (const [description, text] of rows) {
    assertEquals(parseCode(text), { nameplate: "7", password: "guitarist-zulu" }, description);
  }
});

Deno.test("parseCode() says what is wrong with a code", () => {
  const rows = [
    ["empty", "", "begins with a number"],
    ["no number", "guitarist-zulu", "begins with a number"],
    ["zero", "0-guitarist-zulu", "begins with a number"],
    ["too large a number", "1234567890-guitarist-zulu", "begins with a number"],
    ["number only", "7", "words after the number are missing"],
    ["number and dash", "7-", "words after the number are missing"],
    ["swapped", "7-zulu-guitarist", "the words are in the wrong order"],
    ["misspelt", "7-guitarist-zulo", 'did you mean "zulu"?'],
    ["letters swapped", "7-guitarsit-zulu", 'did you mean "guitarist"?'],
    ["unlike any", "7-guitarist-qqqqqq", '"qqqqqq" is not a word of the list'],
    ["first lost", "7-zulu", 'missing, doubled or wrong at "zulu"'],
    ["doubled", "7-guitarist-guitarist", 'wrong at "guitarist"'],
    ["nine words", `7${"-guitarist-zulu".repeat(4)}-guitarist`, "at most 8"],
    ["endless", "7-" + "guitarist-".repeat(1000), "too long"],
  ] as const;
  for (const [description, text, words] of rows) {
    const error = assertThrows(() => parseCode(text), "CODE_INVALID");
    assertTrue(error.message.includes(words), `${description}: ${error.message}`);
  }
});

Deno.test("parseCode() never repeats control characters", () => {
  const error = assertThrows(() => parseCode("7-\u001b[31m\u202ered"), "CODE_INVALID");
  // deno-lint-ignore no-control-regex
  assertTrue(!/[\x00-\x1f\u202e]/.test(error.message), error.message);
});

Deno.test("parseCode() takes any password when lenient", () => {
  assertEquals(parseCode("4-purple-sausages", { lenient: true }), {
    nameplate: "4",
    password: "purple-sausages",
  });
  assertEquals(parseCode(" 4-Mixed_Case ", { lenient: true }), { nameplate: "4", password: "Mixed_Case" });
  assertEquals(parseCode("4-GUITARIST zulu", { lenient: true }), {
    nameplate: "4",
    password: "guitarist-zulu",
  });
  assertThrows(() => parseCode("purple", { lenient: true }), "CODE_INVALID");
});

Deno.test("makePassword() makes what parseCode() reads", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 999999999 }),
      (bytes, number) => {
        const code = { nameplate: String(number), password: makePassword(bytes.length, () => bytes) };
        assertEquals(parseCode(formatCode(code)), code);
        assertEquals(parseCode(formatCode(code), { lenient: true }), code);
      },
    ),
  );
  for (const words of [0, 9, 1.5, NaN]) {
    assertThrows(() => makePassword(words, () => new Uint8Array(9)), "INVALID_ARGUMENT");
  }
});

Deno.test("parseCode() notices two neighbouring words that changed places", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 2, maxLength: 8 }), fc.nat(6), (bytes, at) => {
    const words = makePassword(bytes.length, () => bytes).split("-");
    const first = at % (words.length - 1);
    [words[first], words[first + 1]] = [words[first + 1]!, words[first]!];
    assertThrows(() => parseCode(`7-${words.join("-")}`), "CODE_INVALID", "wrong order");
  }));
});

Deno.test("parseCode() gives a code or CODE_INVALID for any text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), fc.boolean(), (text, lenient) => {
    try {
      parseCode(text, { lenient });
    } catch (error) {
      assertTrue(error instanceof WormholeError && error.code === "CODE_INVALID", `${error}`);
    }
  }));
});

Deno.test("completeWord() offers the words of its position", () => {
  assertEquals(completeWord("GUI", 0), ["guitarist"]);
  assertEquals(completeWord("zu", 1), ["zulu"]);
  assertEquals(completeWord("zu", 0), []);
  assertEquals(completeWord("", 0).length, ODD_WORDS.length);
  assertEquals(completeWord("", 3).length, EVEN_WORDS.length);
});

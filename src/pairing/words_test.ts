import { EVEN_WORDS, ODD_WORDS, wordsOf } from "./words.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";

Deno.test("word lists hold 256 distinct words each and share none", () => {
  for (const words of [EVEN_WORDS, ODD_WORDS]) {
    assertEquals(words.length, 256);
    assertEquals(new Set(words.map((word) => word.toLowerCase())).size, 256);
    for (const word of words) assertTrue(/^[A-Za-z]+$/.test(word), word);
  }
  assertEquals(new Set([...EVEN_WORDS, ...ODD_WORDS].map((word) => word.toLowerCase())).size, 512);
});

Deno.test("word lists are in the published order", () => {
  assertEquals([EVEN_WORDS[0], ODD_WORDS[0]], ["aardvark", "adroitness"]);
  assertEquals([EVEN_WORDS[0x09], ODD_WORDS[0x09]], ["Algol", "applicant"]);
  assertEquals([EVEN_WORDS[0xff], ODD_WORDS[0xff]], ["Zulu", "Yucatan"]);
  // The key fingerprint that the list's usual descriptions spell out.
  const bytes = "E58294F2E9A227486E8B061B31CC528FD7FA3F19".match(/../g)!.map((hex) => parseInt(hex, 16));
  assertEquals(
    bytes.map((byte, index) => (index % 2 === 0 ? EVEN_WORDS : ODD_WORDS)[byte]).join(" "),
    "topmost Istanbul Pluto vagabond treadmill Pacific brackish dictator goldfish Medusa afflict bravado " +
      "chatter revolver Dupont midsummer stopwatch whimsical cowbell bottomless",
  );
  // Alphabetical, but for one published slip: "applicant" comes before "Apollo".
  for (const [words, slips] of [[EVEN_WORDS, []], [ODD_WORDS, ["Apollo"]]] as const) {
    const lower = words.map((word) => word.toLowerCase());
    assertEquals(words.filter((_, index) => index > 0 && lower[index - 1]! > lower[index]!), [...slips]);
  }
});

Deno.test("wordsOf() takes the lists in turn, odd first", () => {
  assertEquals(wordsOf(Uint8Array.of(0, 0, 255)), "adroitness-aardvark-yucatan");
});

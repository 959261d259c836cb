import { commandWords } from "./command_words.ts";
import { assertEquals, assertThrows } from "./testing.ts";

Deno.test("commandWords() splits as a person expects, and does nothing else", () => {
  const rows: [string, string[]][] = [
    ["git merge-file -p %A %O %B", ["git", "merge-file", "-p", "%A", "%O", "%B"]],
    ["  a \t b\n", ["a", "b"]],
    [`'a b' "c d" e\\ f`, ["a b", "c d", "e f"]],
    [`a'b'"c"d`, ["abcd"]],
    [`"" ''`, ["", ""]],
    [`'a\\b' "a\\"b" "it's"`, ["a\\b", 'a"b', "it's"]],
    ["$HOME `id` $(id) * ; | &", ["$HOME", "`id`", "$(id)", "*", ";", "|", "&"]],
    ["end\\", ["end\\"]],
  ];
  for (const [text, words] of rows) assertEquals(commandWords(text), words, text);
  for (const text of ["", "  ", "'a", '"a', `"a\\"`]) {
    assertThrows(() => commandWords(text), "INVALID_ARGUMENT");
  }
});

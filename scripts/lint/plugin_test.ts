import plugin from "./plugin.ts";
import { fromFileUrl } from "../../src/base/paths.ts";
import { assertEquals } from "../../src/base/testing.ts";

const HOUSE = fromFileUrl(new URL("../../", import.meta.url));

const CASES: { what: string; file: string; source: string; rules: string[] }[] = [
  {
    what: "keeps from signals that may be forgotten",
    file: "src/copy/a.ts",
    source: `AbortSignal.any([signal, other]);`,
    rules: ["any-signal"],
  },
  {
    what: "lets one file use them",
    file: "src/base/any_signal.ts",
    source: `AbortSignal.any([signal, other]);`,
    rules: [],
  },
  { what: "lets everything import base", file: "src/wire/a.ts", source: `import "../base/a.ts";`, rules: [] },
  { what: "lets a room import itself", file: "src/base/a.ts", source: `import "./b.ts";`, rules: [] },
  {
    what: "keeps base from importing",
    file: "src/base/a.ts",
    source: `import "../wire/a.ts";`,
    rules: ["import-table"],
  },
  {
    what: "keeps middle rooms apart",
    file: "src/tree/a.ts",
    source: `import "../store/mod.ts";`,
    rules: ["import-table"],
  },
  {
    what: "keeps features apart",
    file: "src/copy/a.ts",
    source: `export * from "../sync/mod.ts";`,
    rules: ["import-table"],
  },
  {
    what: "keeps features from cli",
    file: "src/copy/a.ts",
    source: `import "../cli/exit.ts";`,
    rules: ["import-table"],
  },
  {
    what: "lets features use rooms",
    file: "src/copy/a.ts",
    source: `import "../session/mod.ts";`,
    rules: [],
  },
  {
    what: "keeps hub blind",
    file: "src/hub/a.ts",
    source: `import "../pairing/mod.ts"; import "../session/mod.ts"; import "../mailbox/mod.ts";` +
      `await import("../store/mod.ts"); export * from "../transfer/mod.ts"; type T = import("../tree/mod.ts").T;`,
    rules: ["import-table", "import-table", "import-table", "import-table", "import-table"],
  },
  {
    what: "keeps the mailbox server, which the hub runs, blind as well",
    file: "src/mailbox/a.ts",
    source:
      `import "../pairing/mod.ts"; import "../session/mod.ts"; import "../store/mod.ts"; import "../base/a.ts";`,
    rules: ["import-table", "import-table", "import-table"],
  },
  {
    what: "keeps cli from the seam",
    file: "src/cli/commands/a.ts",
    source: `import "../../native/queue.ts"; import "../../copy/mod.ts";`,
    rules: ["import-table"],
  },
  {
    what: "sees dynamic, type and re-exported imports",
    file: "src/wire/a.ts",
    source:
      `await import("../tree/a.ts"); export { a } from "../tree/a.ts"; type T = import("../tree/a.ts").A;`,
    rules: ["import-table", "import-table", "import-table"],
  },
  { what: "leaves packages alone", file: "src/wire/a.ts", source: `import "cborg";`, rules: [] },
  { what: "allows tests more", file: "src/wire/a_test.ts", source: `import "../tree/a.ts";`, rules: [] },
  { what: "keeps dlopen in native", file: "src/native/a.ts", source: `Deno.dlopen("x", {});`, rules: [] },
  {
    what: "keeps dlopen out of tests too",
    file: "src/tree/a_test.ts",
    source: `Deno["dlopen"]("x", {});`,
    rules: ["native-seam"],
  },
  { what: "lets cli print", file: "src/cli/a.ts", source: `console.log(1); Deno.exit(1);`, rules: [] },
  {
    what: "keeps others from printing and exiting",
    file: "src/tree/a.ts",
    source: `console.log(1); Deno.stderr.writeSync(b); Deno.exit(1); Deno.readFile("x");`,
    rules: ["only-cli-prints", "only-cli-prints", "only-cli-prints"],
  },
  {
    what: "does not look outside src",
    file: "tests/a.ts",
    source: `console.log(1); import "../src/wire/a.ts"; Deno.dlopen("x", {});`,
    rules: [],
  },
];

for (const { what, file, source, rules } of CASES) {
  Deno.test(`lint plugin ${what}`, () => {
    const found = Deno.lint.runPlugin(plugin, `${HOUSE}${file}`, source);
    assertEquals(found.map(({ id }) => id).sort(), rules.map((rule) => `wormhole/${rule}`));
  });
}

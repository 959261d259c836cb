/** `deno task bench [NAME…] [OPTIONS]`: runs the named benches, all by default, one after the other. */
import { BENCHES } from "./benches.ts";
import { runBench } from "./bench.ts";

const first = Deno.args.findIndex((argument) => argument.startsWith("-"));
const names = first < 0 ? Deno.args : Deno.args.slice(0, first);
const options = first < 0 ? [] : Deno.args.slice(first);
const unknown = names.filter((name) => !(name in BENCHES));
if (unknown.length > 0 || options.includes("--help")) {
  console.error(
    `usage: deno task bench [NAME…] [--quick] [--runs N] [--job JOB]… [--tool TOOL]… [--dry] [--list]\n` +
      `benches: ${Object.keys(BENCHES).join(" ")}`,
  );
  Deno.exit(2);
}
for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
  await runBench(await BENCHES[name]!(), options);
}

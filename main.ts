import { type EndingSignal, Interrupted, SIGNAL_NUMBERS } from "./src/cli/exit.ts";
import { Hangup } from "./src/cli/hangup.ts";
import { runProgram } from "./src/cli/program.ts";

const controller = new AbortController();
const hangup = new Hangup();
const signals: EndingSignal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM", "SIGHUP"];
for (const signal of signals) {
  Deno.addSignalListener(signal, () => {
    if (signal === "SIGHUP" && hangup.fire()) return;
    if (controller.signal.aborted) Deno.exit(128 + SIGNAL_NUMBERS[signal]);
    controller.abort(new Interrupted(signal));
  });
}
Deno.exit(await runProgram(Deno.args, controller, hangup));

/** Runs `wormhole copy` as a person does. */
import { assertEquals } from "../../../src/base/testing.ts";
import { type Ending, type Event, run, type StartOptions } from "../command.ts";
import type { Sandbox } from "../sandbox.ts";

/** Runs `wormhole copy --json ARGS…` to its end. */
export async function copies(
  sandbox: Sandbox,
  args: readonly string[],
  options: Partial<StartOptions> = {},
): Promise<Ending> {
  return await run(["copy", "--json", ...args], { person: await sandbox.person("somebody"), ...options });
}

/** Runs it and fails unless it ended with 0 and without a failure; gives the `copied` event. */
export async function assertCopies(
  sandbox: Sandbox,
  args: readonly string[],
  options: Partial<StartOptions> = {},
): Promise<Event> {
  const ending = await copies(sandbox, args, options);
  assertEquals([ending.code, ofKind(ending, "file_failed")], [0, []], `${args.join(" ")}: ${told(ending)}`);
  return ofKind(ending, "copied")[0]!;
}

/** Gives the events of one kind. */
export function ofKind({ events }: Ending, kind: string): Event[] {
  return events.filter(({ event }) => event === kind);
}

/** Gives what it said, for the message of an assertion. */
export function told({ events, stderr }: Ending): string {
  return `${stderr}\n${events.slice(-8).map((event) => JSON.stringify(event)).join("\n")}`;
}

/** Runs a command that must work, and gives what it wrote. */
export async function tool(
  program: string,
  args: readonly string[],
  { cwd }: { cwd?: string } = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args], ...cwd && { cwd } })
    .output();
  const said = new TextDecoder().decode(stderr);
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${said}`);
  return new TextDecoder().decode(stdout);
}

/** Says why a test has nothing to test here. */
export function skip(reason: string): void {
  console.log(`skipped: ${reason}`);
}

/** Names of temporary files that a copy makes. */
const TEMPORARY = /^\.wormhole-copy-/;

/** Fails when a temporary file of a copy is below `dir`. */
export async function assertTidy(dir: string): Promise<void> {
  const left = await tool("find", [dir, "-name", ".wormhole-copy-*"]);
  assertEquals(left, "");
}

/** Gives the names in `dir`, sorted, without temporary files. */
export async function names(dir: string): Promise<string[]> {
  const all = await Array.fromAsync(Deno.readDir(dir), ({ name }) => name);
  return all.filter((name) => !TEMPORARY.test(name)).sort();
}

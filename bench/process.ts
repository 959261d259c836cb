/** Short commands of the bench itself: finding programs, asking them, free ports. */

/** Gives the first of `names` (programs or paths) that can be run. */
export async function found(...names: string[]): Promise<string | undefined> {
  for (const name of names) {
    const script = 'command -v -- "$1"';
    const { success, stdout } = await new Deno.Command("sh", { args: ["-c", script, "sh", name] }).output();
    if (success) return new TextDecoder().decode(stdout).trim();
  }
  return undefined;
}

/** Runs a command to its end and gives what it wrote. @throws {Error} with what it said when it failed. */
export async function output(
  command: readonly string[],
  { stream = "stdout", env }: { stream?: "stdout" | "stderr"; env?: Record<string, string> } = {},
): Promise<string> {
  const ended = await new Deno.Command(command[0]!, {
    args: command.slice(1),
    stdin: "null",
    ...env && { env },
  })
    .output();
  if (!ended.success) {
    const said = [ended.stderr, ended.stdout].map((bytes) => new TextDecoder().decode(bytes).trim());
    throw new Error(`${command.join(" ")}: exit ${ended.code}\n${said.join("\n")}`);
  }
  return new TextDecoder().decode(ended[stream]).trim();
}

/** Gives a TCP port of loopback that is free now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

/** Waits until something listens at TCP `port` of this machine, without connecting to it. */
export async function listening(port: number): Promise<void> {
  // Columns of /proc/net/tcp: number, local address, remote address, state; 0A is LISTEN.
  const row = new RegExp(
    `^ *\\d+: [0-9A-F]+:${port.toString(16).toUpperCase().padStart(4, "0")} \\S+ 0A `,
    "m",
  );
  for (let tries = 0; tries < 1000; tries++) {
    const tables = ["/proc/net/tcp", "/proc/net/tcp6"].map((path) => Deno.readTextFile(path).catch(() => ""));
    if ((await Promise.all(tables)).some((table) => row.test(table))) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`nothing listens at port ${port}`);
}

/** What failed, cut to one short line without the scratch folder's name. */
export function firstLine(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split(/[\r\n]+/);
  const said = lines.slice(1).find((line) => line.trim() !== "") ?? lines[0]!;
  return said.replaceAll(/\S*wormhole-bench-\w+/g, "…").replaceAll("|", "/").trim().slice(0, 120);
}

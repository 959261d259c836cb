/** HAProxy in TCP mode, which splices: what a proxy costs that passes bytes on and does nothing else. */
import { cpuOf } from "../../tests/e2e/faults/hub_process.ts";
import { found, freePort, listening, output } from "../process.ts";

/** A proxy between two ports of this machine. */
export interface Haproxy extends AsyncDisposable {
  readonly version: string;
  /** Where it listens. */
  readonly port: number;
  /** Port of this machine that it passes connections on to. */
  readonly sink: number;
  /** CPU time so far, in s. */
  cpu(): Promise<number>;
}

/** Starts it; undefined where there is none (Debian: apt install haproxy). */
export async function startHaproxy(scratch: string): Promise<Haproxy | undefined> {
  const program = await found("haproxy", "/usr/sbin/haproxy");
  if (program === undefined) return undefined;
  const [port, sink] = [freePort(), freePort()];
  const config = `${scratch}/haproxy-${port}.cfg`;
  await Deno.writeTextFile(
    config,
    `global
  maxconn 1000
defaults
  mode tcp
  option splice-request
  option splice-response
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen bare
  bind 127.0.0.1:${port}
  server sink 127.0.0.1:${sink}
`,
  );
  const version = (await output([program, "-v"])).split(" - ")[0]!;
  const child = new Deno.Command(program, { args: ["-db", "-f", config], stdout: "null", stderr: "null" })
    .spawn();
  await listening(port);
  return {
    version,
    port,
    sink,
    cpu: () => cpuOf(child.pid),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

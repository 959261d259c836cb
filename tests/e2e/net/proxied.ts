/** A machine whose only way out is a proxy, on the emulated internet. */
import { fromFileUrl } from "../../../src/base/paths.ts";
import { cross, type Crossing } from "./crossing.ts";
import { type Host, type Lab, lines } from "./lab.ts";

/** The only port that the machine may reach anywhere. */
const PORT = 3128;

const LOGIN = { user: "someone", password: "p@ss:word/%" };

/** A crossing, and what the proxy was asked for. */
export interface Proxied extends Crossing {
  /** `host:port` each. */
  readonly asked: readonly string[];
}

/** Sends from behind a proxy of `kind` to a machine behind a symmetric NAT; `name`: another one each time in one lab. */
export async function crossByProxy(
  lab: Lab,
  { kind, name, hub, content }: { kind: "http" | "socks5"; name: string; hub: string; content: Uint8Array },
): Promise<Proxied> {
  await using proxy = await proxyOn(await lab.site(`proxy-${name}`), kind);
  const from = await lab.site(`office-${name}`, { nat: "port-restricted", onlyTcpPort: PORT });
  const to = await lab.site(`away-${name}`, { nat: "symmetric" });
  const env = { ALL_PROXY: proxy.url };
  return { ...await cross({ from, to, hub, content, env }), asked: proxy.asked };
}

interface RunningProxy extends AsyncDisposable {
  /** With its login. */
  readonly url: string;
  readonly asked: readonly string[];
}

async function proxyOn(host: Host, kind: "http" | "socks5"): Promise<RunningProxy> {
  const script = fromFileUrl(new URL("./proxy.ts", import.meta.url));
  const [program, ...prefix] = host.prefix;
  const { user, password } = LOGIN;
  const args = [...prefix, Deno.execPath(), "run", "-A", "--quiet", "--no-lock", script];
  args.push(kind, host.address, String(PORT), user, password);
  const child = new Deno.Command(program!, { args, stdin: "piped", stdout: "piped" }).spawn();
  const output = lines(child.stdout);
  await output.next();
  const asked: string[] = [];
  const reading = (async () => {
    for await (const line of output) asked.push(JSON.parse(line).asked);
  })();
  return {
    url: `${kind}://${user}:${encodeURIComponent(password)}@${host.address}:${PORT}`,
    asked,
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await reading;
      await child.status;
    },
  };
}

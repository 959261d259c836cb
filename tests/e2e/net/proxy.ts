/**
 * A proxy in some namespace: `KIND ADDRESS PORT USER PASSWORD`. Its first line is `{port}`, every further one `{asked}`, for whatever
 * it is asked to connect to. Run by {@linkcode proxyOn} alone.
 */
import { startProxy } from "../../pairing/proxies.ts";

const [kind, hostname, port, user, password] = Deno.args;
if (kind !== "http" && kind !== "socks5") throw new TypeError("a proxy is http or socks5");
const write = (value: object) =>
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
await using proxy = startProxy({
  kind,
  hostname: hostname!,
  port: Number(port),
  login: { user: user!, password: password! },
  onAsked: (asked) => write({ asked }),
});
write({ port: proxy.port });
// Its end is that of whoever started it.
for await (const _ of Deno.stdin.readable);

/** Real small proxies: SOCKS5 (RFC 1928, RFC 1929) and HTTP CONNECT. */

/** A running proxy. */
export interface TestProxy extends AsyncDisposable {
  readonly port: number;
  /** `host:port` of everything that it was asked for. */
  readonly asked: readonly string[];
}

/** Options of {@linkcode startProxy}. */
export interface TestProxyOptions {
  readonly kind: "http" | "socks5";
  /** Only these may use it. */
  readonly login?: { readonly user: string; readonly password: string };
  /** Names that this proxy knows, whatever anybody else says, with the port on loopback that they stand for. */
  readonly names?: Readonly<Record<string, number>>;
  /** An address of this machine; without it the proxy listens on loopback, and connects to nothing else. */
  readonly hostname?: string;
  readonly port?: number;
  onAsked?(place: string): void;
}

/** Runs a proxy. */
export function startProxy(
  { kind, login, names = {}, hostname = "127.0.0.1", port = 0, onAsked }: TestProxyOptions,
): TestProxy {
  const listener = Deno.listen({ hostname, port });
  const asked: string[] = [];
  const open = new Set<Deno.Conn>();
  const connect = async (host: string, port: number) => {
    asked.push(`${host}:${port}`);
    onAsked?.(`${host}:${port}`);
    const known = names[host];
    if (known === undefined && hostname === "127.0.0.1" && host !== hostname) return undefined;
    const far = await Deno.connect({
      hostname: known === undefined ? host : "127.0.0.1",
      port: known ?? port,
    });
    open.add(far);
    return far;
  };
  const serve = async (near: Deno.Conn) => {
    const reader = new Bytes(near);
    const far = await (kind === "http" ? http : socks)(reader, { near, login, connect });
    if (far === undefined) return;
    await Promise.allSettled([near.readable.pipeTo(far.writable), far.readable.pipeTo(near.writable)]);
  };
  const serving = (async () => {
    const all = new Set<Promise<void>>();
    for await (const near of listener) {
      open.add(near);
      // Whoever hangs up on a proxy has its reasons; it is what the tests are about.
      const one: Promise<void> = serve(near).catch(() => {}).finally(() => {
        all.delete(one);
        end(near);
      });
      all.add(one);
    }
    await Promise.all(all);
  })();
  return {
    port: listener.addr.port,
    asked,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const conn of open) end(conn);
      await serving;
    },
  };
}

interface Serving {
  readonly near: Deno.Conn;
  readonly login: TestProxyOptions["login"];
  connect(host: string, port: number): Promise<Deno.Conn | undefined>;
}

async function http(reader: Bytes, { near, login, connect }: Serving): Promise<Deno.Conn | undefined> {
  const head = await reader.head();
  const say = (text: string) => write(near, new TextEncoder().encode(`HTTP/1.1 ${text}\r\n\r\n`));
  const wanted = login && `Basic ${btoa(`${login.user}:${login.password}`)}`;
  if (wanted !== undefined && /^proxy-authorization: *(.*)\r$/im.exec(head)?.[1] !== wanted) {
    await say('407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="test"');
    return undefined;
  }
  const [, host, port] = /^CONNECT ([^ ]+):(\d+) HTTP\/1\.1\r\n/.exec(head) ?? [];
  if (host === undefined) {
    await say("405 Only CONNECT");
    return undefined;
  }
  const far = await connect(host, Number(port));
  await say(far ? "200 Connected" : "502 No such host");
  return far;
}

async function socks(reader: Bytes, { near, login, connect }: Serving): Promise<Deno.Conn | undefined> {
  const [, count] = await reader.take(2);
  const methods = await reader.take(count!);
  const method = login ? 2 : 0;
  await write(near, Uint8Array.of(5, methods.includes(method) ? method : 0xff));
  if (!methods.includes(method)) return undefined;
  const text = async () => new TextDecoder().decode(await reader.take((await reader.take(1))[0]!));
  if (login) {
    await reader.take(1);
    const right = await text() === login.user && await text() === login.password;
    await write(near, Uint8Array.of(1, right ? 0 : 1));
    if (!right) return undefined;
  }
  const type = (await reader.take(4))[3];
  const host = type === 3 ? await text() : (await reader.take(type === 1 ? 4 : 16)).join(".");
  const [high, low] = await reader.take(2);
  const far = await connect(host, high! * 256 + low!);
  await write(near, Uint8Array.of(5, far ? 0 : 4, 0, 1, 0, 0, 0, 0, 0, 0));
  return far;
}

/** Reads exactly what is asked for, so that nothing of what follows is swallowed. */
class Bytes {
  readonly #conn: Deno.Conn;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async take(count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count;) {
      const read = await this.#conn.read(bytes.subarray(at));
      if (read === null) throw new Error("hung up");
      at += read;
    }
    return bytes;
  }

  async head(): Promise<string> {
    let head = "";
    while (!head.endsWith("\r\n\r\n")) head += String.fromCharCode((await this.take(1))[0]!);
    return head;
  }
}

async function write(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function end(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch { /* it ended by itself */ }
}

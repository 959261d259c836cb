/**
 * Ways through a proxy, as an HTTP client of Deno's takes them.
 *
 * Over `ffi/src/export/proxy.rs`. Which proxy a connection goes through is decided in `src/config/proxies.ts`.
 */
import { WormholeError } from "../base/errors.ts";
import { NativeQueue } from "./queue.ts";

/** A proxy as the native library takes it. */
export interface ProxyAddress {
  readonly kind: "http" | "socks5";
  /** Name or IP literal, without brackets. */
  readonly host: string;
  readonly port: number;
  /** At most 255 bytes each. */
  readonly user?: string;
  readonly password?: string;
}

/** An HTTP client whose one connection goes through a proxy; disposing of it ends that. */
export interface ProxiedClient extends AsyncDisposable {
  readonly client: Deno.HttpClient;
}

/**
 * Has `proxy` connect to the host and port of `url` (`ws:`, `wss:`, `http:`, `https:`), and gives the client for one
 * connection there. Names are looked up by the proxy. TLS is between Deno and the host: the proxy sees none of it.
 *
 * @throws {WormholeError} CONNECT_FAILED, saying whether it was the proxy; TIMEOUT.
 */
export async function openProxied(
  url: URL,
  { proxy, timeoutMs, signal }: { proxy: ProxyAddress; timeoutMs: number; signal?: AbortSignal },
): Promise<ProxiedClient> {
  const secure = url.protocol === "wss:" || url.protocol === "https:";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const queue = NativeQueue.open({ threads: 1 });
  try {
    const args = { proxy, host, port: Number(url.port) || (secure ? 443 : 80), timeout_ms: timeoutMs };
    const { port, user, password } = await queue.call<{ port: number; user: string; password: string }>(
      "proxy.open",
      args,
      signal && { signal },
    );
    const client = Deno.createHttpClient({
      proxy: { url: `socks5://${user}:${password}@127.0.0.1:${port}` },
    });
    return {
      client,
      async [Symbol.asyncDispose]() {
        client.close();
        await queue[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await queue[Symbol.asyncDispose]();
    throw error;
  }
}

/** Gives the state of `Cannot connect to …: <state>`, for callers that name what they wanted themselves. */
export function proxyState(error: WormholeError): string {
  return /^Cannot connect to \S+ (through .*)$/s.exec(error.message)?.[1] ?? error.message;
}

import { WormholeError } from "../base/errors.ts";
import type { HttpAnswer } from "../mailbox/http_request.ts";
import { parseListen } from "./listen.ts";

/** Where an operator's own tools ask how the hub is. */
export interface MetricsService extends AsyncDisposable {
  readonly url: string;
}

/**
 * Answers HTTP requests on `place` (as `--listen`), this machine only when no host is given: what is told there is for
 * the operator.
 *
 * @throws {WormholeError} INVALID_ARGUMENT, ADDRESS_IN_USE or IO.
 */
export function serveMetrics(
  place: string,
  answer: (request: { path: string }) => Promise<HttpAnswer | undefined>,
): MetricsService {
  const { hostname = "127.0.0.1", port } = parseListen(place);
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({ hostname, port, onListen: () => {} }, async (request) => {
      const { pathname } = new URL(request.url);
      const given = request.method === "GET" ? await answer({ path: pathname }) : undefined;
      const { status, body, headers = {} } = given ?? { status: 404, body: "not found\n" };
      return new Response(body, { status, headers: { "cache-control": "no-store", ...headers } });
    });
  } catch (cause) {
    const used = cause instanceof Deno.errors.AddrInUse;
    const state = used ? "another program uses it" : cause instanceof Error ? cause.message : String(cause);
    throw new WormholeError(used ? "ADDRESS_IN_USE" : "IO", `Cannot listen on ${place}: ${state}`, { cause });
  }
  const host = server.addr.hostname.includes(":") ? `[${server.addr.hostname}]` : server.addr.hostname;
  return {
    url: `http://${host}:${server.addr.port}/metrics`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** The mailbox client and `hub status` through proxies, in front of a hub whose name only the proxy knows. */
import { assertEquals, assertRejects, assertTrue } from "../../src/base/testing.ts";
import { Proxies } from "../../src/config/proxies.ts";
import { MailboxClient } from "../../src/pairing/mailbox_client.ts";
import { APP_ID, hubFor, text } from "./harness.ts";
import { startProxy, type TestProxyOptions } from "./proxies.ts";

const LOGIN = { user: "some one", password: "p@ss:word" };
const NAME = "hub.invalid";

function through(url: string): Proxies {
  return new Proxies((name) => name === "all_proxy" ? url : undefined);
}

Deno.test("MailboxClient reaches a hub through either kind of proxy, with and without a login", async () => {
  const rows: [string, TestProxyOptions, string][] = [
    ["HTTP", { kind: "http" }, ""],
    ["HTTP with a login", { kind: "http", login: LOGIN }, "some%20one:p%40ss%3Aword@"],
    ["SOCKS5", { kind: "socks5" }, ""],
    ["SOCKS5 with a login", { kind: "socks5", login: LOGIN }, "some%20one:p%40ss%3Aword@"],
    ["SOCKS5 with a login that nobody wants", { kind: "socks5" }, "u:p@"],
  ];
  for (const [what, options, login] of rows) {
    await using hub = await hubFor();
    const port = hub.service.port;
    await using proxy = startProxy({ ...options, names: { [NAME]: port } });
    const connect = () =>
      MailboxClient.connect(new URL(`ws://${NAME}:${port}/v1`), {
        appId: APP_ID,
        proxies: through(`${options.kind}://${login}127.0.0.1:${proxy.port}`),
      });
    await using one = await connect();
    const nameplate = await one.allocate();
    await one.claim(nameplate);
    await using two = await connect();
    await two.claim(nameplate, { mustExist: true });
    two.add("pake", text("x".repeat(20_000)));
    assertEquals((await one.next()).body.length, 20_000, what);
    assertEquals(proxy.asked, [`${NAME}:${port}`, `${NAME}:${port}`], what);
  }
});

Deno.test("MailboxClient says what a proxy made of it, and never a password", async () => {
  await using hub = await hubFor();
  const port = hub.service.port;
  const names = { [NAME]: port };
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const closed = listener.addr.port;
  listener.close();
  await using http = startProxy({ kind: "http", login: LOGIN, names });
  await using socks = startProxy({ kind: "socks5", login: LOGIN, names });
  await using lost = startProxy({ kind: "http" });
  const rows: [string, string][] = [
    [`http://u:secret@127.0.0.1:${http.port}`, "the proxy wants another user name and password"],
    [`http://127.0.0.1:${http.port}`, "the proxy wants another user name and password"],
    [`socks5://127.0.0.1:${socks.port}`, "the proxy wants another user name and password"],
    [`socks5://u:secret@127.0.0.1:${socks.port}`, "the proxy does not take this user name and password"],
    [`socks5h://u:secret@127.0.0.1:${http.port}`, "the proxy hung up"],
    [`http://127.0.0.1:${lost.port}`, "the proxy refuses"],
    [`http://127.0.0.1:${closed}`, "the proxy cannot be reached (connection refused)"],
  ];
  for (const [url, state] of rows) {
    const error = await assertRejects(
      () =>
        MailboxClient.connect(new URL(`ws://${NAME}:${port}/v1`), {
          appId: APP_ID,
          proxies: through(url),
          timeoutMs: 1_000,
        }),
      "HUB_UNREACHABLE",
    );
    const [message] = [error.message];
    const late = state === "the proxy hung up" && message.includes("no answer within");
    assertTrue(message.startsWith(`Cannot reach the mailbox at ${NAME}:${port}: through the `), message);
    assertTrue(late || message.endsWith(`: ${state}`), `${url}: ${message}`);
    assertTrue(!Deno.inspect(error).includes("secret"), Deno.inspect(error));
  }
});

Deno.test("MailboxClient gives up a proxy that says nothing, at its deadline and when aborted", async () => {
  await using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 }) as Deno.TcpListener & AsyncDisposable;
  const connect = (options: { timeoutMs?: number; signal?: AbortSignal }) =>
    MailboxClient.connect(new URL(`ws://${NAME}:80/v1`), {
      appId: APP_ID,
      proxies: through(`http://127.0.0.1:${silent.addr.port}`),
      ...options,
    });
  await assertRejects(() => connect({ timeoutMs: 50 }), "HUB_UNREACHABLE", "no answer within 50 ms");
  const controller = new AbortController();
  const connecting = connect({ signal: controller.signal });
  controller.abort(new Error("enough"));
  assertEquals(await connecting.catch((error) => error.message), "enough");
});

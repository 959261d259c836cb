import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { hubStatus } from "./status.ts";

/** Asks a server that answers `answer` how it is. */
async function asked(answer: () => Response) {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);
  await using _ = { [Symbol.asyncDispose]: () => server.shutdown() };
  return await hubStatus(new URL(`ws://127.0.0.1:${server.addr.port}/v1`));
}

Deno.test("hubStatus() reads what a hub says of itself", async () => {
  const counts = { connections: 3, nameplates: 2, mailboxes: 1 };
  assertEquals(await asked(() => Response.json({ status: "ok", uptime: 60, ...counts, more: "x" })), {
    status: "ok",
    uptimeMs: 60_000,
    ...counts,
  });
  const draining = () => Response.json({ status: "draining", uptime: "long", ...counts }, { status: 503 });
  assertEquals(await asked(draining), { status: "draining", uptimeMs: null, ...counts });
});

Deno.test("hubStatus() says so where there is no hub", async () => {
  const counts = { connections: 3, nameplates: 2, mailboxes: 1 };
  const rows: [string, () => Response][] = [
    ["a page", () => new Response("<html>")],
    ["nothing", () => new Response(null)],
    ["null", () => new Response("null")],
    ["another state", () => Response.json({ status: "fine", ...counts })],
    ["a count that is none", () => Response.json({ status: "ok", ...counts, mailboxes: -1 })],
    [
      "too much",
      () => new Response(`${JSON.stringify({ status: "ok", ...counts })}${" ".repeat(64 * 1024)}`),
    ],
  ];
  for (const [what, answer] of rows) {
    const error = await assertRejects(() => asked(answer), "PROTOCOL");
    assertTrue(/^Cannot ask 127\.0\.0\.1:\d+ how it is: it is no hub$/.test(error.message), what);
  }
});

Deno.test("hubStatus() follows nobody elsewhere, and ends when it is told to", async () => {
  const away = () => new Response(null, { status: 302, headers: { location: "http://127.0.0.1:1/" } });
  await assertRejects(() => asked(away), "HUB_UNREACHABLE");
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => hubStatus(new URL("ws://127.0.0.1:1/"), { signal }), undefined, "enough");
});

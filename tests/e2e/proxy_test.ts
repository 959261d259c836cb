/** Proxies from the environment: a hub that only they know, and what never goes through them. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { selfSigned } from "../../src/mailbox/testing.ts";
import { startProxy } from "../pairing/proxies.ts";
import { assertFailed, assertTransfers, run, Sandbox, startHub } from "./harness.ts";

const LOGIN = { user: "someone", password: `secret-${crypto.randomUUID()}` };
const NAME = "hub.invalid";

Deno.test("send and recv meet at a hub whose name only the proxy knows, over TLS and without", async () => {
  const rows = [
    { kind: "http", tls: true, variable: "HTTPS_PROXY" },
    { kind: "socks5", tls: true, variable: "all_proxy" },
    { kind: "http", tls: false, variable: "http_proxy" },
  ] as const;
  for (const { kind, tls, variable } of rows) {
    await using sandbox = await Sandbox.create();
    const certificate = tls ? await selfSigned(NAME) : undefined;
    if (tls && !certificate) return console.log("skipped: no openssl here");
    const cert = certificate && await sandbox.file("cert.pem", certificate.cert);
    const key = certificate && await sandbox.file("key.pem", certificate.key);
    await using hub = await startHub(sandbox, cert ? ["--tls-cert", cert, "--tls-key", key!] : []);
    const { port } = new URL(hub.url);
    await using proxy = startProxy({ kind, login: LOGIN, names: { [NAME]: Number(port) } });
    const env: Record<string, string> = {
      [variable]: `${kind}://${LOGIN.user}:${LOGIN.password}@127.0.0.1:${proxy.port}`,
      ...cert && { DENO_CERT: cert },
    };
    const meeting = { hub: hub.url.replace("127.0.0.1", NAME) };
    const file = await sandbox.file("from/x", "by way of a proxy");
    const into = await sandbox.folder("into");
    const log = ["--log-level", "trace"];
    const { sender, receiver } = await assertTransfers(sandbox, [file, ...log], into, { meeting, env });
    assertEquals(await Deno.readTextFile(`${into}/x`), "by way of a proxy");
    // On a busy machine the file may go by the proxy too: it is dialled when nobody nearer answers within a second.
    assertTrue(proxy.asked.filter((place) => place === `${NAME}:${port}`).length >= 2, variable);
    const person = await sandbox.person("operator");
    const status = await run(["hub", "status", "--json", meeting.hub], { person, env });
    assertEquals([status.code, status.events[0]?.status], [0, "ok"], status.stderr);
    const without = await run(["hub", "status", meeting.hub], {
      person,
      env: cert ? { DENO_CERT: cert } : {},
    });
    assertFailed(without, 4, /Cannot reach the hub/);
    for (const { stderr, events } of [sender, receiver, status]) {
      assertTrue(!`${stderr}${JSON.stringify(events)}`.includes(LOGIN.password), "the password was shown");
    }
  }
});

Deno.test("a proxy that does not let us through is named, its password is not", async () => {
  await using sandbox = await Sandbox.create();
  await using proxy = startProxy({ kind: "http", login: LOGIN });
  const person = await sandbox.person("sender");
  const file = await sandbox.file("from/x", "x");
  const env = { ALL_PROXY: `http://u:secret@127.0.0.1:${proxy.port}` };
  const refused = await run(["send", "--hub", `wss://${NAME}`, file], { person, env });
  assertFailed(
    refused,
    4,
    /through the HTTP proxy at 127\.0\.0\.1:\d+: the proxy wants another user name and password/,
  );
  assertTrue(!refused.stderr.includes("secret"), refused.stderr);
  const invalid = await run(["send", "--hub", `wss://${NAME}`, file], {
    person,
    env: { ALL_PROXY: "ftp://secret@x" },
  });
  assertFailed(invalid, 2, /Cannot use the proxy in ALL_PROXY: it must begin with http:\/\//);
  assertTrue(!invalid.stderr.includes("secret"), invalid.stderr);
});

Deno.test("what is near never goes to a proxy: a sender's own mailbox, a hub at a private address", async () => {
  await using sandbox = await Sandbox.create();
  await using proxy = startProxy({ kind: "http" });
  const place = `http://127.0.0.1:${proxy.port}`;
  const env = { HTTP_PROXY: place, HTTPS_PROXY: place, ALL_PROXY: place };
  const file = await sandbox.file("from/x", "near");
  await assertTransfers(sandbox, [file], await sandbox.folder("local"), { env });
  await assertTransfers(sandbox, [file], await sandbox.folder("peer"), { env, meeting: "peer" });
  await using hub = await startHub(sandbox);
  await assertTransfers(sandbox, [file], await sandbox.folder("hub"), { env, meeting: { hub: hub.url } });
  assertEquals(proxy.asked, []);
});

/** `wormhole doctor --network`: what it says of this machine, a hub and proxies, and how it ends. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { startProxy } from "../pairing/proxies.ts";
import { assertFailed, type Ending, run, Sandbox, startHub } from "./harness.ts";

function network({ events }: Ending) {
  return events.find(({ event }) => event === "network")!;
}

function check({ events }: Ending, name: string) {
  return events.find((event) => event.event === "check" && event.name === name)!;
}

Deno.test("doctor --network explains the way to a hub, directly and through a proxy, without its password", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox, ["--no-relay"]);
  const person = await sandbox.person("somebody");
  const direct = await run(["doctor", "--network", "--json", "--hub", hub.url], { person });
  assertEquals(direct.code, 0, direct.stderr);
  assertEquals(check(direct, "hub").status, "ok");
  assertEquals(check(direct, "clock").status, "ok");
  const told = network(direct);
  assertEquals([told.possible, told.hub.proxy, told.hub.relay, told.nat], [true, null, false, "unknown"]);
  assertTrue(told.hub.rtt_ms >= 0 && Math.abs(told.hub.skew_ms) < 60_000, JSON.stringify(told));
  assertTrue(told.addresses.includes("127.0.0.1"), JSON.stringify(told));

  const { port } = new URL(hub.url);
  const login = { user: "someone", password: "secret" };
  await using proxy = startProxy({ kind: "socks5", login, names: { "hub.invalid": Number(port) } });
  const env = { all_proxy: `socks5://someone:secret@127.0.0.1:${proxy.port}`, https_proxy: "ftp://secret@x" };
  const through = await run(["doctor", "--network", "--json", "--hub", `ws://hub.invalid:${port}`], {
    person,
    env,
  });
  assertEquals(through.code, 0, through.stderr);
  assertEquals(network(through).hub.proxy, `127.0.0.1:${proxy.port}`);
  const proxies = through.events.filter(({ name }) => name === "proxies").map(({ text }) => text);
  assertEquals(proxies, [
    "https_proxy cannot be used: it must begin with http://, socks5:// or socks5h://",
    `all_proxy: socks5 127.0.0.1:${proxy.port}`,
  ]);
  assertTrue(
    !`${JSON.stringify(through.events)}${through.stderr}`.includes("secret"),
    "the password was shown",
  );
});

Deno.test("doctor --network tells of a hub's relay", async () => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHub(sandbox);
  const person = await sandbox.person("somebody");
  const told = await run(["doctor", "--network", "--json", "--hub", hub.url], { person });
  assertEquals(
    [told.code, network(told).hub.relay, check(told, "relay").status],
    [0, true, "ok"],
    told.stderr,
  );
});

Deno.test("doctor --network fails when no transfer through the hub is possible, and looks at the rest all the same", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("somebody");
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const late = await run(["doctor", "--network", "--json", "--hub", `127.0.0.1:${silent.addr.port}`], {
      person,
    });
    assertFailed(late, 4, /Cannot reach other machines: the hub at .* cannot be reached/);
    assertTrue(
      /does not answer within 3 s|no answer within 3 s/.test(check(late, "hub").text),
      check(late, "hub").text,
    );
    assertEquals([network(late).reach, network(late).possible, network(late).hub], ["local", false, null]);
    for (
      const name of ["addresses", "TCP", "UDP", "NAT", "port mapping", "multicast", "proxies", "firewall"]
    ) {
      assertTrue(check(late, name).text.length > 0, name);
    }
  } finally {
    silent.close();
  }
  const human = await run(["doctor", "--network"], { person, env: { NO_PROXY: "*" } });
  assertEquals(human.code, 0, human.stderr);
  assertTrue(/^so {6}/m.test(`${new TextDecoder().decode(human.stdout)}${human.stderr}`), human.stderr);
});

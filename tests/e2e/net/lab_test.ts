/** The routers of the emulated internet do what their names say; what tests on it prove hangs on that. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { succeeds } from "../sandbox.ts";
import { inLab } from "./in_lab.ts";
import { NAT_KINDS, type NatKind } from "./nat.ts";
import { Probe } from "./probes.ts";

/** What each kind lets in of those who send to a public port, and whether it is the same one for every peer. */
const BEHAVIOUR: Record<NatKind, { onePort: boolean; otherPort: boolean; stranger: boolean }> = {
  none: { onePort: true, otherPort: true, stranger: true },
  "full-cone": { onePort: true, otherPort: true, stranger: true },
  restricted: { onePort: true, otherPort: true, stranger: false },
  "port-restricted": { onePort: true, otherPort: false, stranger: false },
  symmetric: { onePort: false, otherPort: false, stranger: false },
};

inLab("each kind of NAT maps ports and lets packets in as its name says", async (lab) => {
  const [alice, bob] = await Promise.all(["alice", "bob"].map((name) => lab.site(name)));
  await using one = await Probe.on(alice!);
  await using two = await Probe.on(alice!);
  await using stranger = await Probe.on(bob!);
  for (const nat of ["none", ...NAT_KINDS] as const) {
    const host = await lab.site(nat, { nat });
    await using probe = await Probe.on(host);
    await probe.send(one.address, "hello");
    const seen = (await one.next()).from;
    if (nat === "none") assertEquals(seen, probe.address);
    else assertTrue(port(seen) !== port(probe.address) && !seen.startsWith("192.168."), `${nat}: ${seen}`);
    // Whoever may not is tried first: what comes after it shows that it was dropped.
    const { onePort, otherPort, stranger: open } = BEHAVIOUR[nat];
    await stranger.send(seen, "stranger");
    if (open) assertEquals((await probe.next()).from, stranger.address, nat);
    await two.send(seen, "other port");
    if (otherPort) assertEquals((await probe.next()).from, two.address, nat);
    await one.send(seen, "answer");
    assertEquals(await probe.next(), { from: one.address, text: "answer" }, nat);
    await probe.send(two.address, "hello");
    assertEquals((await two.next()).from === seen, onePort, nat);
    await probe.send(stranger.address, "hello");
    assertEquals((await stranger.next()).from === seen, onePort, nat);
  }
});

inLab("a host behind two NATs is seen at the outer one, and lets in what both do", async (lab) => {
  const alice = await lab.site("alice");
  const carrier = await lab.router("carrier", { nat: "port-restricted" });
  const bob = await lab.site("bob", { nat: "full-cone", behind: carrier });
  await using one = await Probe.on(alice);
  await using two = await Probe.on(alice);
  await using probe = await Probe.on(bob);
  await probe.send(one.address, "hello");
  const seen = (await one.next()).from;
  assertEquals(seen.replace(/:.*/, ""), carrier.outside);
  await two.send(seen, "other port");
  await one.send(seen, "answer");
  assertEquals((await probe.next()).text, "answer");
});

inLab("a network without UDP, or with one TCP port, lets out nothing else", async (lab) => {
  const server = await lab.site("server");
  await using probe = await Probe.on(server);
  const walled = await lab.site("walled", { nat: "port-restricted", udp: false });
  const office = await lab.site("office", { nat: "port-restricted", onlyTcpPort: 443 });
  for (const host of [walled, office]) {
    await using inside = await Probe.on(host);
    await inside.send(probe.address, "lost");
    // The same way is open to others, and packets keep their order.
    const open = await lab.site(`beside-${host.name}`);
    await using beside = await Probe.on(open);
    await beside.send(probe.address, host.name);
    assertEquals((await probe.next()).text, host.name);
  }
  const listen = [
    "-c",
    "import socket, sys; kept = [socket.create_server(('', p)) for p in (80, 443)]; print(1, flush=True); sys.stdin.read()",
  ];
  const [program, ...args] = [...server.prefix, "python3", ...listen];
  const listening = new Deno.Command(program!, { args, stdin: "piped", stdout: "piped" }).spawn();
  await listening.stdout.getReader().read();
  const connects = async (host: { prefix: string[] }, port: number) => {
    const dial = ["timeout", "0.5", "bash", "-c", `: </dev/tcp/${server.address}/${port}`];
    const [program, ...args] = [...host.prefix, ...dial];
    return await succeeds(program!, args);
  };
  assertEquals(
    await Promise.all([
      connects(walled, 80),
      connects(walled, 443),
      connects(office, 80),
      connects(office, 443),
    ]),
    [true, true, false, true],
  );
  await listening.stdin.close();
  await listening.status;
});

inLab("an internet of IPv6 has no NAT, and keeps out what nobody asked for", async (lab) => {
  const [alice, bob] = await Promise.all(["alice", "bob"].map((name) => lab.site(name, { ip: 6 })));
  await using one = await Probe.on(alice!);
  await using two = await Probe.on(bob!);
  await two.send(one.address, "unasked");
  await one.send(two.address, "out");
  // Each has sent to the other by now.
  await two.send(one.address, "asked");
  assertEquals((await one.next()).text, "asked");
});

inLab("a host that moves has the address of where it is", async (lab) => {
  const server = await lab.site("server");
  await using probe = await Probe.on(server);
  const [home, phone] = [
    await lab.router("home", { nat: "full-cone" }),
    await lab.router("phone", { nat: "symmetric" }),
  ];
  const host = await lab.host("host");
  await host.join(home);
  await using moving = await Probe.on(host);
  const seen: string[] = [];
  const look = async () => {
    await moving.send(probe.address, "where");
    seen.push((await probe.next()).from.replace(/:.*/, ""));
  };
  await look();
  await host.join(phone);
  await look();
  const before = host.address;
  await host.renumber();
  assertTrue(host.address !== before);
  await look();
  await host.down();
  await host.up();
  await look();
  assertEquals(seen, [home.outside, phone.outside, phone.outside, phone.outside]);
});

Deno.test("a network whose maker is killed leaves nothing behind", async () => {
  const code = `
    import { Lab } from ${JSON.stringify(new URL("./lab.ts", import.meta.url).href)};
    const lab = await Lab.open();
    if (typeof lab === "string") { console.log("none"); Deno.exit(); }
    const host = await lab.site("host", { nat: "symmetric" });
    const [program, ...args] = [...host.prefix, "sh", "-c", "echo made; exec sleep 1000"];
    // What is started by a process that is gone at once, as by a test that is killed that moment, ends by itself.
    const orphan = ["-c", '("$@") & exit', "sh", program, ...args];
    await new Deno.Command("sh", { args: orphan, stdin: "null", stderr: "inherit" }).output();
    new Deno.Command(program, { args }).spawn();
    setInterval(() => {}, 1000);`;
  const args = ["eval", "--no-lock", code];
  const maker = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "piped" }).spawn();
  const output = maker.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const made = (await output.read()).value;
  if (made?.includes("made")) maker.kill("SIGKILL");
  // All that it started has its outputs: they end when the last of them has. Names and cables end with these.
  while (!(await output.read()).done);
  const errors = await new Response(maker.stderr).text();
  const { signal } = await maker.status;
  if (made?.includes("none")) return console.log("skipped: there can be no network of namespaces here");
  assertEquals([signal, errors], ["SIGKILL", ""]);
});

function port(address: string): string {
  return address.slice(address.lastIndexOf(":") + 1);
}

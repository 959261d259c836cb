import { assertEquals } from "../base/testing.ts";
import { connectedEvent } from "./connected_event.ts";
import { ScriptedLink } from "./testing.ts";

const ROWS = [
  { what: "a path of its own", remote: "192.0.2.1:1", relayed: false, direct: true },
  { what: "the relay", remote: "relay 192.0.2.9:4000", relayed: true, direct: false },
  {
    what: "no path just now, begun at the relay",
    remote: "relay 192.0.2.9:4000",
    relayed: false,
    direct: false,
  },
];

for (const { what, remote, relayed, direct } of ROWS) {
  Deno.test(`connectedEvent() tells of a link over ${what}`, async () => {
    const link = Object.assign(new ScriptedLink("quic", { remote }), {
      stats: () => Promise.resolve({ rttMs: 1, bytesSent: 0, bytesReceived: 0, remote, relayed }),
    });
    assertEquals(await connectedEvent(link), { type: "connected", kind: "quic", remote, direct });
  });
}

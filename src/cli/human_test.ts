import { assertEquals } from "../base/testing.ts";
import type { OfferEvent, OutputEvent } from "./events.ts";
import { humanText } from "./human.ts";
import { styles } from "./terminal.ts";

const PLAIN = styles(false);

Deno.test("humanText() reads as it should where only --json is tested otherwise", () => {
  const rows: [OutputEvent, string][] = [
    [
      { event: "waiting", direction: "send", name: "desk" },
      "Waiting for desk, who runs wormhole recv --from THIS-MACHINE.",
    ],
    [{ event: "waiting", direction: "recv", name: "desk" }, "Waiting for desk to send."],
    [{ event: "peer_forgotten", name: "desk", key: "00" }, "Forgotten: desk."],
    [
      { event: "peer", transport: "quic", path: "relay", remote: "relay hub.example:443" },
      "Connected over relay hub.example:443: it forwards what is sealed.",
    ],
    [
      { event: "peer", receiver: 2, transport: "tcp", path: "direct", remote: "10.0.0.2:7" },
      "Receiver 2: Connected over tcp, direct, to 10.0.0.2:7.",
    ],
    [
      { event: "receiver_failed", receiver: 2, code: "REFUSED", message: "Cannot send" },
      "Receiver 2: failed: Cannot send",
    ],
    [{ event: "file_failed", name: "x", code: "IO", message: 'Cannot read "x"' }, 'failed: Cannot read "x"'],
    [
      {
        event: "store",
        files: 1,
        file_bytes: 2048,
        chunks: 2,
        index: "/i",
        index_bytes: 512,
        packs: 3,
        pack_bytes: 1024,
        directory: "/p",
        quota: 1024 ** 3,
        saved_bytes: 10,
      },
      "Index: 1 file, 2.00 KiB in 2 chunks; it takes 512 B at /i\n" +
      "Packs: 3 packs, 1.00 KiB of at most 1.00 GiB in /p\nSaved: 10 B did not have to be received",
    ],
    [
      { event: "store_verified", packs: 1, files: 0, bytes: 10, failed: 0, duration_ms: 1200 },
      "1 pack, 10 B: sound (1s).",
    ],
    [
      { event: "store_verified", packs: 2, files: 3, bytes: 10, failed: 1, duration_ms: 5 },
      "2 packs and 3 files, 10 B: sound; 1 not (5ms).",
    ],
    [
      { event: "store_cleaned", files: 1, packs: 2, bytes: 10, leftovers: 1 },
      "Forgot 1 file, dropped 2 packs of 10 B and 1 leftover.",
    ],
  ];
  for (const [event, text] of rows) assertEquals(humanText(event, PLAIN), text);
});

Deno.test("humanText() of an offer lists eight names and counts the others", () => {
  const offer: OfferEvent = {
    event: "offer",
    direction: "recv",
    kind: "files",
    names: Array.from({ length: 10 }, (_, i) => `n${i}`),
    files: 10,
    directories: 0,
    bytes: null,
  };
  assertEquals(humanText(offer, PLAIN).split("\n"), [
    "Offered: 10 files, size not known yet",
    ...Array.from({ length: 8 }, (_, i) => `  n${i}`),
    "  and 2 more",
  ]);
  const stream = { ...offer, kind: "stream", names: ["in\x1b]0;x\x07"], bytes: 3 } as const;
  assertEquals(humanText(stream, PLAIN), "Offered: a stream, 3 B\n  in\\x1b]0;x\\x07");
});

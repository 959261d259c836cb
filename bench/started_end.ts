/**
 * One end of a transfer in a process that has started already, for the times without start-up:
 * `started_end.ts send TRANSPORT PATH` or `started_end.ts recv TRANSPORT FOLDER`.
 *
 * Writes `ready`, waits for a line (for recv, the code), then writes events as JSON with `at` in ms since 1970.
 */
import { folders } from "../src/config/paths.ts";
import { loadLibrary } from "../src/native/library.ts";
import { recv } from "../src/recv/mod.ts";
import { send } from "../src/send/mod.ts";
import type { SessionEvent } from "../src/session/mod.ts";
import type { Progress } from "../src/transfer/mod.ts";
import type { TransportChoice } from "../src/transport/mod.ts";

const [role, transport, path] = Deno.args as ["send" | "recv", TransportChoice, string];
const MIB = 2 ** 20;

/** What both ends take. */
const COMMON = {
  folders: folders(),
  agent: "wormhole-bench/1",
  hub: "",
  transport,
  forceTcp: false,
  portMapping: false,
  maxStreams: 64,
  poolBytes: 256 * MIB,
  signal: new AbortController().signal,
  onEvent: (event: SessionEvent) => tell(event),
  onProgress: ({ phase, bytesDone }: Progress) => {
    if (bytesDone > 0) tell({ type: `${phase}:bytes` });
  },
};

loadLibrary();
tell({ type: "ready" });
const line = await readLine();
tell({ type: "go" });
if (role === "send") {
  await send({
    ...COMMON,
    content: { files: { paths: [path], chunkBytes: 4 * MIB } },
    words: 2,
    port: 0,
    minStreams: 4,
    chunkBytes: 4 * MIB,
    compression: "auto",
    compressionLevel: 3,
  });
} else {
  await recv({ ...COMMON, code: line, destination: path, only: [], accept: () => ({ accept: true }) });
}
tell({ type: "done" });
Deno.exit(0);

function tell(event: { type: string }): void {
  console.log(JSON.stringify({ ...event, at: performance.timeOrigin + performance.now() }));
}

async function readLine(): Promise<string> {
  let text = "";
  for await (
    const part of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).values({ preventCancel: true })
  ) {
    text += part;
    if (text.includes("\n")) break;
  }
  return text.trim();
}

/**
 * A UDP socket in some namespace that does what it is told, one JSON object a line: `{to, text}` sends and is
 * answered by `{sent}`; what arrives is written as `{from, text}`. Its first line is `{port}`. The argument is an address of this host. Run by {@linkcode Probe} alone.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";

const socket = createSocket(Deno.args[0]?.includes(":") ? "udp6" : "udp4");
const write = (value: object) =>
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
socket.on(
  "message",
  (bytes, { address, port }) => write({ from: `${address}:${port}`, text: String(bytes) }),
);
socket.bind(0);
await once(socket, "listening");
write({ port: socket.address().port });

let rest = "";
for await (const part of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + part).split("\n");
  rest = lines.pop()!;
  for (const line of lines) {
    const { to, text } = JSON.parse(line);
    const colon = to.lastIndexOf(":");
    socket.send(text, Number(to.slice(colon + 1)), to.slice(0, colon), () => write({ sent: true }));
  }
}
socket.close();

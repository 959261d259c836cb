import { hangUp } from "./web_socket_link.ts";

/** Bytes read at a time: little until a connection carries much, since most that are there carry nothing. */
const FIRST_BYTES = 2 * 1024;
const MOST_BYTES = 256 * 1024;

/**
 * Gives a connection to another server on this machine, at loopback's `port`, as if it had come there; `first`: what was read of
 * it already. Resolves when one of the two ends it.
 */
export async function splice(
  conn: Deno.Conn,
  { port, first }: { port: number; first: Uint8Array },
): Promise<void> {
  const inner = await Deno.connect({ hostname: "127.0.0.1", port });
  inner.setNoDelay(true);
  try {
    await writeAll(inner, first);
    // When one direction ends, so does the other: nothing that a relay carries is half open.
    const directions = [pump(conn, inner), pump(inner, conn)];
    await Promise.race(directions).finally(() => {
      hangUp(inner);
      hangUp(conn);
    });
    await Promise.allSettled(directions);
  } finally {
    hangUp(inner);
    hangUp(conn);
  }
}

async function pump(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  let buffer = new Uint8Array(FIRST_BYTES);
  for (;;) {
    const length = await from.read(buffer);
    if (length === null) return;
    await writeAll(to, buffer.subarray(0, length));
    if (length === buffer.length && length < MOST_BYTES) {
      buffer = new Uint8Array(Math.min(length * 4, MOST_BYTES));
    }
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

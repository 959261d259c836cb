import { WormholeError } from "../base/errors.ts";
import { hangUp } from "./web_socket_link.ts";

/** A certificate chain and its key, both as PEM. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

/** Options of {@linkcode openDoor}. */
export interface DoorOptions {
  /** Interface; both IPv6 and IPv4 on all interfaces when it is left out. */
  readonly hostname: string | undefined;
  /** 0 takes any free port. */
  readonly port: number;
  readonly tls: TlsIdentity | undefined;
  /** Gets every connection; its TLS handshake has not taken place yet. */
  onConnection(conn: Deno.Conn): void;
}

/** A listening socket that can change its certificate. */
export interface Door {
  readonly hostname: string;
  readonly port: number;
  /** Resolves when nobody is let in any more. */
  readonly finished: Promise<void>;
  /**
   * Takes new connections with another certificate; those that are there go on. @throws {WormholeError} CONFIG_INVALID
   * when it cannot be used; then the old one stays.
   */
  renew(tls: TlsIdentity): Promise<void>;
  close(): void;
}

/** Pause after the system could not give a connection: it has run out of something that others must give back. */
const PAUSE_MS = 100;

/** Tries, {@linkcode PAUSE_MS} apart, to listen anew where this program has listened until now. */
const RELISTEN_TRIES = 50;

/**
 * Listens and gives connections as they come.
 *
 * @throws {WormholeError} ADDRESS_IN_USE, PERMISSION_DENIED or IO when it cannot listen, CONFIG_INVALID for `tls`.
 */
export function openDoor({ hostname, port, tls, onConnection }: DoorOptions): Door {
  if (tls) assertUsable(tls);
  const first = listen(hostname, port, tls);
  const place = { hostname: first.hostname, port: (first.listener.addr as Deno.NetAddr).port };
  const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
  let listener = first.listener;
  let closed = false;
  let accepting = accept(listener, onConnection);
  const close = () => {
    if (closed) return;
    closed = true;
    closeListener(listener);
    accepting.then(finish);
  };
  const renew = async (tls: TlsIdentity) => {
    assertUsable(tls);
    closeListener(listener);
    await accepting;
    for (let tries = 0; !closed; tries++) {
      try {
        listener = on(place.hostname, { port: place.port, tls });
        accepting = accept(listener, onConnection);
        return;
      } catch (error) {
        if (tries >= RELISTEN_TRIES) {
          closed = true;
          finish();
          throw cannotListen(error, `port ${place.port}`);
        }
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  };
  let turn: Promise<void> = Promise.resolve();
  return {
    ...place,
    finished,
    renew: (tls) => turn = turn.catch(() => {}).then(() => renew(tls)),
    close,
  };
}

/** Takes connections until the listener is closed. */
async function accept(listener: Deno.Listener, onConnection: (conn: Deno.Conn) => void): Promise<void> {
  for (;;) {
    let conn: Deno.Conn;
    try {
      conn = await listener.accept();
    } catch (error) {
      if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
      // Out of file descriptors, or a client that went before it was let in: neither is the end of a server.
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      continue;
    }
    try {
      sendAtOnce(conn);
      onConnection(conn);
    } catch {
      hangUp(conn);
    }
  }
}

/**
 * Small messages do not wait until the client has acknowledged the one before, which it puts off for 40 ms when it has nothing to
 * say. Over TLS Deno offers no such thing.
 */
function sendAtOnce(conn: Deno.Conn): void {
  (conn as Partial<Deno.TcpConn>).setNoDelay?.(true);
}

/**
 * Tries a certificate with its key; `from` are the paths that they were read from, for the message.
 *
 * @throws {WormholeError} CONFIG_INVALID when they do not fit together or are none.
 */
export function assertUsable({ cert, key }: TlsIdentity, from?: TlsIdentity): void {
  try {
    Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key }).close();
  } catch (cause) {
    const which = from === undefined ? "" : ` "${from.cert}" with the key "${from.key}"`;
    throw new WormholeError(
      "CONFIG_INVALID",
      `Cannot use the TLS certificate${which}: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}

/** Listens on the given interface, else on all of both families, else on all of IPv4. */
function listen(hostname: string | undefined, port: number, tls: TlsIdentity | undefined) {
  const at = (hostname: string) => ({ listener: on(hostname, { port, tls }), hostname });
  try {
    if (hostname !== undefined) return at(hostname);
    try {
      return at("::");
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) throw error;
      return at("0.0.0.0");
    }
  } catch (cause) {
    const host = hostname?.includes(":") ? `[${hostname}]` : hostname;
    throw cannotListen(cause, host === undefined ? `port ${port}` : `${host}:${port}`);
  }
}

function on(hostname: string, { port, tls }: { port: number; tls: TlsIdentity | undefined }): Deno.Listener {
  if (tls === undefined) return Deno.listen({ hostname, port });
  return Deno.listenTls({ hostname, port, ...tls, alpnProtocols: ["http/1.1"] });
}

function cannotListen(cause: unknown, place: string): WormholeError {
  if (cause instanceof Deno.errors.AddrInUse) {
    return new WormholeError("ADDRESS_IN_USE", `Cannot listen on ${place}: another program uses it`, {
      cause,
    });
  }
  if (cause instanceof Deno.errors.PermissionDenied) {
    return new WormholeError("PERMISSION_DENIED", `Cannot listen on ${place}: not permitted`, { cause });
  }
  const state = cause instanceof Error ? cause.message : String(cause);
  return new WormholeError("IO", `Cannot listen on ${place}: ${state}`, { cause });
}

function closeListener(listener: Deno.Listener): void {
  try {
    listener.close();
  } catch {
    // It was closed before.
  }
}

import { WormholeError } from "../base/errors.ts";

/**
 * Reads where to listen; no host means all interfaces.
 *
 * @throws {WormholeError} INVALID_ARGUMENT when it is malformed.
 */
export function parseListen(text: string): { hostname: string | undefined; port: number } {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]*)):)?(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  if (match === null || port > 65535) {
    throw new WormholeError(
      "INVALID_ARGUMENT",
      `Cannot listen on "${text}": it must be a port or host:port, such as 4000 or 127.0.0.1:4000`,
    );
  }
  const hostname = match[1] ?? match[2];
  return {
    hostname: hostname === undefined || hostname === "" || hostname === "*" ? undefined : hostname,
    port,
  };
}
